//! Static websites on the wire: their configuration, which hosts they answer to, and their pages.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteHosting.html>. A website's visitor is nobody in
//! particular and may read what the bucket's owner lets everybody read: the same authorisation decides as for
//! GetObject, and the same code reads.
//!
//! | file | is |
//! |---|---|
//! | `configuration` | Put-, Get-, DeleteBucketWebsite |
//! | `hosts` | which hosts are websites |
//! | `endpoint` | a visit, from the request's head to the answer |
//! | `page` | the answers: objects, redirects, errors as HTML |

mod configuration;
mod endpoint;
mod hosts;
mod page;

pub(super) use self::configuration::{delete, get, put};
pub(super) use self::endpoint::Sites;
pub(super) use self::hosts::{Hosts, Visit};
