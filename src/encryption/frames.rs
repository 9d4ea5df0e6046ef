//! Sealed streams: bytes in frames of 64 KiB under AES-256-GCM, so that a range opens only its frames, and that frames
//! which were changed, moved, left out or taken from elsewhere do not open.
//!
//! The construction is STREAM (Hoang, Reyhanitabar, Rogaway, Vizár: *Online Authenticated-Encryption and its
//! Nonce-Reuse Misuse-Resistance*, CRYPTO 2015) with a key of its own for each stream. `storage/FORMAT.md` has the bytes
//! and the argument.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf};
use bytes::{Bytes, BytesMut};

use super::DataKey;

/// Plain bytes of a frame; the last of a stream may have fewer.
pub const FRAME_BYTES: u64 = 64 << 10;
/// What sealing adds to a frame.
pub const TAG_BYTES: u64 = TAG as u64;
/// What a stream begins with: version, kind of place, place, salt.
pub const HEADER_BYTES: u64 = HEADER as u64;

/// The same as a length in memory.
const HEADER: usize = 10 + SALT_BYTES;
/// As is this of [`TAG_BYTES`].
const TAG: usize = 16;

const SEALED_FRAME_BYTES: u64 = FRAME_BYTES + TAG_BYTES;
const VERSION: u8 = 1;
const SALT_BYTES: usize = 32;

/// What a stream is of its object: it opens nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// All of it.
    Whole,
    /// The part of an upload with this number.
    Part(u16),
    /// What was appended at this offset.
    At(u64),
    /// The annotation with this digest of its name: see [`Position::annotation`].
    Annotation(u64),
}

impl Position {
    /// An annotation of the object: bound to its name, so that one is not taken for another.
    #[must_use]
    pub fn annotation(name: &str) -> Self {
        let mut first = [0; 8];
        first.copy_from_slice(&digest::digest(&digest::SHA256, name.as_bytes()).as_ref()[..8]);
        Self::Annotation(u64::from_be_bytes(first))
    }

    fn encode(self) -> [u8; 9] {
        let (kind, place) = match self {
            Self::Whole => (0, 0),
            Self::Part(number) => (1, u64::from(number)),
            Self::At(offset) => (2, offset),
            Self::Annotation(name) => (3, name),
        };
        let mut bytes = [kind; 9];
        bytes[1..].copy_from_slice(&place.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, place) = bytes.split_first()?;
        let place = u64::from_be_bytes(place.try_into().ok()?);
        match (kind, place) {
            (0, 0) => Some(Self::Whole),
            (1, number) => u16::try_from(number).ok().map(Self::Part),
            (2, offset) => Some(Self::At(offset)),
            (3, name) => Some(Self::Annotation(name)),
            _ => None,
        }
    }
}

/// Sealed bytes that do not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The header is none, or of another place.
    #[error("the sealed data does not belong where it is")]
    Header,
    /// The frame was changed, moved or cut off.
    #[error("a frame of the sealed data does not open: it was changed, moved or cut off")]
    Frame,
    /// The system gives no random numbers, or the cipher refuses.
    #[error("the data cannot be sealed")]
    Sealing,
}

/// Bytes that a stream of `plain` bytes takes sealed.
#[must_use]
pub fn sealed_length(plain: u64) -> u64 {
    HEADER_BYTES + plain + TAG_BYTES * frames(plain)
}

/// Plain bytes of a stream that takes `sealed` bytes; `None` where no stream does.
#[must_use]
pub fn plain_length(sealed: u64) -> Option<u64> {
    let framed = sealed.checked_sub(HEADER_BYTES)?;
    framed
        .checked_sub(TAG_BYTES * framed.div_ceil(SEALED_FRAME_BYTES).max(1))
        .filter(|plain| sealed_length(*plain) == sealed)
}

/// Frames of a stream of `plain` bytes: at least one, for an empty stream has an end, too.
#[must_use]
pub fn frames(plain: u64) -> u64 {
    plain.div_ceil(FRAME_BYTES).max(1)
}

/// Where a frame begins in the sealed stream.
#[must_use]
pub fn frame_start(index: u64) -> u64 {
    HEADER_BYTES + index * SEALED_FRAME_BYTES
}

/// The sealed length of a frame of a stream of `plain` bytes.
#[must_use]
pub fn frame_length(plain: u64, index: u64) -> u64 {
    (plain - (index * FRAME_BYTES).min(plain)).min(FRAME_BYTES) + TAG_BYTES
}

/// The cipher of one stream.
struct Cipher(LessSafeKey);

struct KeyBytes;

impl hkdf::KeyType for KeyBytes {
    fn len(&self) -> usize {
        32
    }
}

impl Cipher {
    /// The stream's own key is derived from the data key with the header, salt and place included.
    fn derive(key: &DataKey, header: &[u8]) -> Option<Self> {
        let salt = header.get(header.len().checked_sub(SALT_BYTES)?..)?;
        let info = [b"cairn stream".as_slice(), header];
        let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(key.expose());
        let mut bytes = zeroize::Zeroizing::new([0; 32]);
        secret.expand(&info, KeyBytes).ok()?.fill(bytes.as_mut_slice()).ok()?;
        UnboundKey::new(&AES_256_GCM, bytes.as_slice()).ok().map(|key| Self(LessSafeKey::new(key)))
    }

    /// The nonce of a frame: its index, and whether it is the last. No two frames of a stream have the same one.
    fn nonce(index: u64, last: bool) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&index.to_be_bytes());
        nonce[NONCE_LEN - 1] = u8::from(last);
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Seals a stream.
pub struct Sealer {
    cipher: Cipher,
    header: [u8; HEADER],
    next: u64,
}

impl Sealer {
    /// Begins a stream at this place of an object.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn begin(key: &DataKey, position: Position) -> Result<Self, Broken> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(|_| Broken::Sealing)?;
        Self::with_salt(key, position, salt)
    }

    pub(super) fn with_salt(key: &DataKey, position: Position, salt: [u8; SALT_BYTES]) -> Result<Self, Broken> {
        let mut header = [VERSION; HEADER];
        header[1..10].copy_from_slice(&position.encode());
        header[10..].copy_from_slice(&salt);
        let cipher = Cipher::derive(key, &header).ok_or(Broken::Sealing)?;
        Ok(Self { cipher, header, next: 0 })
    }

    /// What the stream begins with.
    #[must_use]
    pub fn header(&self) -> Bytes {
        Bytes::copy_from_slice(&self.header)
    }

    /// Seals the next frame: all but the last are of [`FRAME_BYTES`].
    ///
    /// # Errors
    /// If the cipher refuses.
    pub fn seal(&mut self, mut frame: BytesMut, last: bool) -> Result<Bytes, Broken> {
        let nonce = Cipher::nonce(self.next, last);
        let tag = self.cipher.0.seal_in_place_separate_tag(nonce, Aad::empty(), &mut frame);
        let tag = tag.map_err(|_| Broken::Sealing)?;
        frame.extend_from_slice(tag.as_ref());
        self.next += 1;
        Ok(frame.freeze())
    }
}

/// Opens frames of a stream.
pub struct Opener {
    cipher: Cipher,
}

impl Opener {
    /// Of a stream with this header, which must be of this place.
    ///
    /// # Errors
    /// If it is not.
    pub fn new(key: &DataKey, header: &[u8], position: Position) -> Result<Self, Broken> {
        if header.len() as u64 != HEADER_BYTES || header.first() != Some(&VERSION) {
            return Err(Broken::Header);
        }
        let stated = header.get(1..10).and_then(Position::decode);
        if stated != Some(position) {
            return Err(Broken::Header);
        }
        Ok(Self { cipher: Cipher::derive(key, header).ok_or(Broken::Header)? })
    }

    /// Opens the frame with this index: from where it lies into memory of its own, so that nothing is copied before.
    ///
    /// # Errors
    /// If it is not that frame.
    pub fn open(&self, frame: &[u8], index: u64, last: bool) -> Result<Bytes, Broken> {
        let (sealed, tag) = frame.split_last_chunk::<TAG>().ok_or(Broken::Frame)?;
        let mut plain = BytesMut::zeroed(sealed.len());
        let nonce = Cipher::nonce(index, last);
        let opened = self.cipher.0.open_separate_gather(nonce, Aad::empty(), sealed, tag, &mut plain);
        opened.map_err(|_| Broken::Frame)?;
        Ok(plain.freeze())
    }
}

/// A stream of bytes that are in memory whole.
///
/// # Errors
/// When the system gives no random numbers.
pub fn seal_whole(key: &DataKey, position: Position, plain: &[u8]) -> Result<Bytes, Broken> {
    let mut sealer = Sealer::begin(key, position)?;
    let mut sealed = BytesMut::from(sealer.header().as_ref());
    let full = usize::try_from(FRAME_BYTES).unwrap_or(usize::MAX);
    let mut rest = plain;
    loop {
        let (frame, after) = rest.split_at(rest.len().min(full));
        sealed.extend_from_slice(&sealer.seal(BytesMut::from(frame), after.is_empty())?);
        if after.is_empty() {
            return Ok(sealed.freeze());
        }
        rest = after;
    }
}

/// What [`seal_whole`] sealed.
///
/// # Errors
/// If it is not whole, or of another place.
pub fn open_whole(key: &DataKey, position: Position, sealed: &[u8]) -> Result<Bytes, Broken> {
    let length = plain_length(sealed.len() as u64).ok_or(Broken::Header)?;
    let (header, mut rest) = sealed.split_at_checked(HEADER).ok_or(Broken::Header)?;
    let opener = Opener::new(key, header, position)?;
    let mut plain = BytesMut::new();
    for index in 0..frames(length) {
        let taken = usize::try_from(frame_length(length, index)).unwrap_or(usize::MAX);
        let (frame, after) = rest.split_at_checked(taken).ok_or(Broken::Frame)?;
        plain.extend_from_slice(&opener.open(frame, index, after.is_empty())?);
        rest = after;
    }
    Ok(plain.freeze())
}

#[cfg(test)]
mod tests;
