//! Static websites: which configurations a bucket may have, and what a request for a page is answered with.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteHosting.html>
//!
//! | file | answers |
//! |---|---|
//! | this one | what a website is |
//! | `check` | may a bucket's website be so, may an object redirect there |
//! | `decide` | what comes next: read a key, redirect, serve, fail |
//! | `location` | the address that a redirect names |

mod check;
mod decide;
mod location;

use serde::{Deserialize, Serialize};

pub use check::{Stated, StatedRedirect, StatedRule, check, check_redirect_location};
pub use decide::{Asked, Folder, Seen, Step, decide};

/// Routing rules of one website. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-to-page-redirect.html>
pub const MAX_RULES: usize = 50;
/// All texts of a website, in bytes. Amazon takes 128 KB of XML; one row of the index holds 64 KiB.
pub const MAX_BYTES: usize = 60 << 10;
/// The longest `x-amz-website-redirect-location`, in bytes.
pub const MAX_REDIRECT_LOCATION_BYTES: usize = 2_048;

/// A bucket's website. Stored: the order of variants and fields is part of the layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Website {
    /// Every request is sent to another host.
    RedirectAll(RedirectAll),
    /// Objects are pages.
    Pages(Pages),
}

/// `RedirectAllRequestsTo`. Stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedirectAll {
    /// The host, with a port or the beginning of a path if it needs one.
    pub host: String,
    /// The protocol; else that of the request.
    pub protocol: Option<Protocol>,
}

/// A website of pages. Stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pages {
    /// What a folder's page is called: `index.html`.
    pub index: String,
    /// The key of the page for errors.
    pub error: Option<String>,
    /// Routing rules; the first that fits counts.
    pub rules: Vec<Rule>,
}

/// A routing rule. Stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// When it applies; always, if there is none.
    pub condition: Option<Condition>,
    /// Where to.
    pub redirect: Redirect,
}

/// When a routing rule applies: when all that is here holds. Stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// `KeyPrefixEquals`.
    pub key_prefix: Option<String>,
    /// `HttpErrorCodeReturnedEquals`: the status that the request would otherwise be answered with.
    pub error_code: Option<u16>,
}

/// Where a routing rule sends a request. What is not said stays as it was asked for. Stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// `HostName`.
    pub host: Option<String>,
    /// `Protocol`.
    pub protocol: Option<Protocol>,
    /// The other key.
    pub key: Option<NewKey>,
    /// `HttpRedirectCode`; 301 if there is none.
    pub code: Option<u16>,
}

/// What a routing rule makes of a key. Stored: the order of the variants is part of the layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NewKey {
    /// `ReplaceKeyWith`.
    Whole(String),
    /// `ReplaceKeyPrefixWith`: in the place of the prefix that the condition names.
    Prefix(String),
}

/// Stored: the order of the variants is part of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl Protocol {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The protocol of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Http, Self::Https].into_iter().find(|protocol| protocol.as_str() == name)
    }
}

#[cfg(test)]
mod tests;
