//! Checksums: what a client may declare, what is computed, whether the two agree, and how parts' checksums become an
//! object's.
//!
//! Every object has one additional checksum beside its MD5: the client's, or CRC64NVME where it sent none. Of an object
//! in parts it is either computed over the parts' checksums (`COMPOSITE`) or over all bytes (`FULL_OBJECT`), which
//! works without reading them again only for CRCs.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>

mod algorithm;
mod content_md5;
mod declared;
mod hasher;
mod parts;

pub use algorithm::{
    ALGORITHMS, DEFAULT, algorithm_of_header, allows, decode, default_type, digest_bytes, encode, header, name,
    parse_algorithm, type_name,
};
pub use content_md5::{parse_content_md5, verify_content_md5};
pub use declared::{Computing, Declared, DeclaredValue, Plan};
pub use hasher::ChecksumHasher;
pub use parts::{Claimed, check_completed, effective, of_parts, of_upload};

#[cfg(test)]
mod tests;
