//! Browser forms as bytes: whatever comes is read, or refused, in bounded time and memory, however it is cut into
//! pieces.
//!
//! An input is the boundary, the length of the pieces, and the body: three parts, with a line's end between them.

#![no_main]

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;

#[path = "../../../src/rules"]
#[allow(dead_code, reason = "the rules are compiled here as they are")]
mod rules {
    pub mod object_key;
    pub mod post_form;
    pub mod refusal;
    pub use refusal::{Code, Refusal};
}

#[path = "../../../src/protocol"]
mod protocol {
    pub mod error {
        use crate::rules::Refusal;

        /// Stands for the server's own: what is refused, without an answer.
        #[derive(Debug)]
        pub struct Failure;

        impl Failure {
            pub fn new(_: &'static str) -> Self {
                Self
            }
        }

        impl From<Refusal> for Failure {
            fn from(_: Refusal) -> Self {
                Self
            }
        }
    }

    #[path = "post_form/reader.rs"]
    #[allow(dead_code, reason = "the reader is compiled here as it is")]
    mod reader;

    use futures_util::StreamExt as _;

    /// Reads a form to the end of its file: the fields' bytes, the key's, and the file's.
    pub async fn read(headers: &http::HeaderMap, body: s3s::Body) -> Option<(usize, usize, usize)> {
        let (mut form, upload) = reader::Reader::new(headers, body).ok()?.read().await.ok()?;
        let fields = form.fields().map(|(name, value)| name.len() + value.len()).sum();
        let key = form.name_key(&upload.file_name).map_or(0, str::len);
        let mut file = upload.limited(crate::rules::post_form::Sizes::ANY);
        let mut read = 0;
        while let Some(Ok(piece)) = file.next().await {
            read += piece.len();
        }
        Some((fields, key, read))
    }
}

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(3, |byte| *byte == b'\n');
    let (Some(boundary), Some(length), Some(body)) = (parts.next(), parts.next(), parts.next()) else { return };
    let kind = [b"multipart/form-data; boundary=", boundary].concat();
    let Ok(kind) = HeaderValue::from_bytes(&kind) else { return };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, kind);
    let length = std::str::from_utf8(length).ok().and_then(|text| text.parse().ok()).unwrap_or(usize::MAX).max(1);
    let pieces = body.chunks(length).map(Bytes::copy_from_slice);
    let Some((fields, key, read)) = futures_executor::block_on(protocol::read(&headers, s3s::Body::new(pieces))) else {
        return;
    };
    assert!(fields <= 20 << 10, "{fields} bytes of fields were kept");
    assert!(key <= 20 << 10, "a key of {key} bytes");
    assert!(read <= body.len());
    // Once more, in one piece: how it is cut must not matter.
    let whole = futures_executor::block_on(protocol::read(&headers, s3s::Body::new([Bytes::copy_from_slice(body)])));
    assert_eq!(whole, Some((fields, key, read)));
});
