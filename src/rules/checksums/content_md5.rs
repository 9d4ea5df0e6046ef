//! `Content-MD5`: the oldest checksum that a client can send.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::rules::refusal::{Code, Refusal, Result};

/// Reads a `Content-MD5` header.
///
/// # Errors
/// `InvalidDigest` if it is not the base64 of 16 bytes.
pub fn parse_content_md5(header: &str) -> Result<[u8; 16]> {
    let digest = STANDARD.decode(header.trim()).ok().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    digest.ok_or_else(|| Refusal::from(Code::InvalidDigest).with("Content-MD5", header))
}

/// Compares the MD5 that the client sent with that of the bytes received.
///
/// # Errors
/// `BadDigest`.
pub fn verify_content_md5(expected: [u8; 16], computed: [u8; 16]) -> Result<()> {
    if expected == computed {
        return Ok(());
    }
    Err(Refusal::new(Code::BadDigest, "The Content-MD5 you specified did not match what we received.")
        .with("ExpectedDigest", STANDARD.encode(expected))
        .with("CalculatedDigest", STANDARD.encode(computed)))
}
