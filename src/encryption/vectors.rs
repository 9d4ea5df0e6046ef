//! What others compute is what we compute.

use sha2::{Digest as _, Sha256};

use super::frames::{Position, Sealer};
use super::{DataKey, KeyError};

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).expect("hexadecimal digits")
}

/// NIST's CAVP vectors of AES-256-GCM (`gcmEncryptExtIV256.rsp`, CAVS 14.0), count 0 of the sections with a plaintext of
/// 256 bits, which is what a data key has, a nonce of 96 and a tag of 128: key, nonce, plaintext, additional data,
/// ciphertext, tag. A wrapped data key is nonce, ciphertext and tag, and its context the additional data.
const CAVP: [[&str; 6]; 5] = [
    [
        "268ed1b5d7c9c7304f9cae5fc437b4cd3aebe2ec65f0d85c3918d3d3b5bba89b",
        "9ed9d8180564e0e945f5e5d4",
        "fe29a40d8ebf57262bdb87191d01843f4ca4b2de97d88273154a0b7d9e2fdb80",
        "",
        "791a4a026f16f3a5ea06274bf02baab469860abde5e645f3dd473a5acddeecfc",
        "05b2b74db0662550435ef1900e136b15",
    ],
    [
        "37ccdba1d929d6436c16bba5b5ff34deec88ed7df3d15d0f4ddf80c0c731ee1f",
        "5c1b21c8998ed6299006d3f9",
        "ad4260e3cdc76bcc10c7b2c06b80b3be948258e5ef20c508a81f51e96a518388",
        "22ed235946235a85a45bc5fad7140bfa",
        "3b335f8b08d33ccdcad228a74700f1007542a4d1e7fc1ebe3f447fe71af29816",
        "1fbf49cc46f458bf6e88f6370975e6d4",
    ],
    [
        "5853c020946b35f2c58ec427152b840420c40029636adcbb027471378cfdde0f",
        "eec313dd07cc1b3e6b068a47",
        "ce7458e56aef9061cb0c42ec2315565e6168f5a6249ffd31610b6d17ab64935e",
        "1389b522c24a774181700553f0246bbabdd38d6f",
        "eadc3b8766a77ded1a58cb727eca2a9790496c298654cda78febf0da16b6903b",
        "3d49a5b32fde7eafcce90079217ffb57",
    ],
    [
        "dc776f0156c15d032623854b625c61868e5db84b7b6f9fbd3672f12f0025e0f6",
        "67130951c4a57f6ae7f13241",
        "9378a727a5119595ad631b12a5a6bc8a91756ef09c8d6eaa2b718fe86876da20",
        "fd0920faeb7b212932280a009bac969145e5c316cf3922622c3705c3457c4e9f124b2076994323fbcfb523f8ed16d241",
        "6d958c20870d401a3c1f7a0ac092c97774d451c09f7aae992a8841ff0ab9d60d",
        "b876831b4ecd7242963b040aa45c4114",
    ],
    [
        "26bf255bee60ef0f653769e7034db95b8c791752754e575c761059e9ee8dcf78",
        "cecd97ab07ce57c1612744f5",
        "96983917a036650763aca2b4e927d95ffc74339519ed40c4336dba91edfbf9ad",
        "afebbe9f260f8c118e52b84d8880a34622675faef334cdb41be9385b7d059b79c0f8a432d25f8b71e781b177fce4d4c57ac5734543e85d7513f96382ff4b2d4b95b2f1fdbaf9e78bbd1db13a7dd26e8a4ac83a3e8ab42d1d545f",
        "e34b1540a769f7913331d66796e00bdc3ee0f258cf244eb7663375cc5ad6c658",
        "3841f02beb7a7fca7e578922d0a2f80c",
    ],
];

#[test]
fn wrapped_keys_are_nist_s() {
    for [key, nonce, plain, context, sealed, tag] in CAVP {
        let key = DataKey::new(bytes(key).try_into().expect("256 bits"));
        let mut wrapped = [bytes(nonce), bytes(sealed), bytes(tag)].concat();
        let opened = key.unwrap_key(&wrapped, &bytes(context)).expect("opens");
        assert_eq!(hex::encode(opened.expose()), plain);
        *wrapped.last_mut().expect("a tag") ^= 1;
        assert_eq!(key.unwrap_key(&wrapped, &bytes(context)).err(), Some(KeyError::Broken));
    }
}

/// SHA-256 of whole streams, as Python's `cryptography` seals them after what `storage/FORMAT.md` says, with HKDF from
/// `hmac`: place, length, digest. The data key is the bytes 0 to 31, the salt 32 to 63, the plain bytes their place
/// modulo 251.
const STREAMS: [(Position, usize, &str); 5] = [
    (Position::Whole, 0, "614ee91f6813318bcad618c1e349f5f6839ba68429105d8963eca965bb78f4b0"),
    (Position::Whole, 65_536, "22e0013a5a263b494e666b89ed544dbe104d62b750d7117b7d1a59af9e677522"),
    (Position::Whole, 150_000, "555c00d9e7516a8d339f7a9b7c814566f1fdbfb3437919a50ee4ab6d0ac90b0d"),
    (Position::At(1 << 40), 65_537, "559b5ae4e22b2157f8bf104ffd4ab8c276e647f7562ede063fe12ed9358b3812"),
    (
        Position::Annotation(0x0102_0304_0506_0708),
        1,
        "55c4a0711c7cf70b8c4f1c14d77f7dd29908826d0142778c37027a1d900ddd84",
    ),
];

#[test]
fn streams_are_as_others_compute_them() {
    let range = |from: u8| -> [u8; 32] { std::array::from_fn(|at| from + u8::try_from(at).expect("below 32")) };
    for (position, length, digest) in STREAMS {
        let plain: Vec<u8> = (0..=250).cycle().take(length).collect();
        let mut sealer = Sealer::with_salt(&DataKey::new(range(0)), position, range(32)).expect("begins");
        let mut sealed = sealer.header().to_vec();
        let frames: Vec<&[u8]> = if plain.is_empty() { vec![&[]] } else { plain.chunks(64 << 10).collect() };
        for (index, frame) in frames.iter().enumerate() {
            sealed.extend_from_slice(&sealer.seal((*frame).into(), index + 1 == frames.len()).expect("seals"));
        }
        assert_eq!(hex::encode(Sha256::digest(&sealed)), digest, "{position:?}, {length} bytes");
    }
}
