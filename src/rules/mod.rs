//! S3's decisions, as pure functions.
//!
//! Is this name a bucket's? Does this condition hold? Which bytes does this range name? Which keys come next? Each
//! question has one file here, and each answer is a function of plain values: no IO, no async, no clock, no
//! randomness, no configuration. Time is an argument. So every rule can be tested with a table or a property, and read
//! without knowing anything of HTTP, XML or storage.
//!
//! | file | answers |
//! |---|---|
//! | [`bucket_name`] | may a bucket be called so, may it be created in that region |
//! | [`object_key`] | may an object be called so |
//! | [`metadata`] | user metadata, storage classes |
//! | [`tagging`] | tags of objects and buckets |
//! | [`range`] | which bytes a `Range` or `x-amz-copy-source-range` names |
//! | [`conditions`] | `If-Match` and its family, on reads, writes, copies and deletions |
//! | [`checksums`] | which checksum to compute, whether it agrees, how parts' checksums combine |
//! | [`etag`] | entity tags: of parts, of objects in parts, compared with a client's |
//! | [`http_date`] | when an HTTP date is |
//! | [`cors`] | which rules of cross-origin sharing may be, and what they let a page do |
//! | [`post_form`] | what a browser's form must hold, and what its policy allows |
//! | [`notification`] | which events go where, and how they are written |
//! | [`access_log`] | what an access log says, where it goes, and whether it may |
//! | [`acl`] | whom an access control list grants what |
//! | [`ownership`] | who owns a new object, and whether lists count |
//! | [`public_access`] | what Block Public Access forbids |
//! | [`iam`] | what a policy says: may this principal do this to that |
//! | [`append`] | where an append may begin, and what the whole is called then |
//! | [`annotation`] | names, payloads and number of annotations |
//! | [`rename`] | what may be renamed to what, and under which conditions |
//! | [`archive`] | what the entries of an uploaded archive are called |
//! | [`multipart`] | part numbers, part lists, sizes |
//! | [`lifecycle`] | what becomes of objects with time |
//! | [`listing`] | which keys and common prefixes make up a page |
//! | [`object_lock`] | what protects a version against removal, and who may loosen that |
//! | [`quota`] | the most that a bucket may hold |
//! | [`versioning`] | what a write or deletion does to a key's versions |
//! | [`website`] | which websites may be, and what a request for a page is answered with |
//! | [`refusal`] | how a rule says no |
//!
//! Where Amazon's answers are documented or were recorded, they decide: codes, messages and the further fields of an
//! error are theirs. What the status of a code is, and how an error is written, is the protocol's business.

pub mod access_log;
pub mod acl;
pub mod annotation;
pub mod append;
pub mod archive;
pub mod bucket_name;
pub mod checksums;
pub mod conditions;
pub mod cors;
pub mod etag;
pub mod http_date;
pub mod iam;
pub mod lifecycle;
pub mod listing;
pub mod metadata;
pub mod multipart;
pub mod notification;
pub mod object_key;
pub mod object_lock;
pub mod ownership;
pub mod post_form;
pub mod public_access;
pub mod quota;
pub mod range;
pub mod refusal;
pub mod rename;
pub mod tagging;
pub mod versioning;
pub mod website;

pub use refusal::{Code, Refusal};
