//! The decision: from what is known of a request, what comes next.
//!
//! Whoever answers a request asks [`decide`] first with nothing seen, does what it says, and asks again with what came
//! of it: at most a key is read, a folder's index looked for, and that is all.

use super::{Pages, Rule, Website, location};
use crate::rules::object_key;

/// The status of a redirect that does not say.
const MOVED_PERMANENTLY: u16 = 301;
const FOUND: u16 = 302;

/// A request for a page.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The protocol that it came by.
    pub protocol: super::Protocol,
    /// The host that it was sent to, which is one of the website's, with its port.
    pub host: &'a str,
    /// Its path without the first slash, decoded.
    pub key: &'a str,
    /// Its query, as it was sent.
    pub query: Option<&'a str>,
}

/// What is known of the page.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// Nothing yet.
    Nothing,
    /// It was read; its `x-amz-website-redirect-location`.
    Page {
        /// Where to, if anywhere.
        redirect: Option<&'a str>,
    },
    /// It cannot be had: the status that says so, and whether there is a folder of that name.
    Failed {
        /// 400 to 599.
        status: u16,
        /// Whether a folder of the name has a page.
        folder: Folder,
    },
}

/// Whether a folder has a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    /// Nobody looked.
    Unknown,
    /// It has.
    Indexed,
    /// It has none.
    Missing,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The answer is a redirect.
    Redirect {
        /// 301 to 399.
        status: u16,
        /// `Location`: one line of visible ASCII.
        location: String,
    },
    /// Read this key.
    Read(String),
    /// Look whether this key is there and may be read.
    LookFor(String),
    /// The answer is what was read.
    Serve,
    /// The answer is the error, with this object as its page if there is one.
    Fail {
        /// The key of the error document.
        document: Option<&'a str>,
    },
}

/// What to do about a request, as far as it is known what there is.
#[must_use]
pub fn decide<'a>(site: &'a Website, asked: &Asked<'_>, seen: Seen<'_>) -> Step<'a> {
    let pages = match site {
        Website::RedirectAll(all) => {
            return Step::Redirect { status: MOVED_PERMANENTLY, location: location::of_all(all, asked) };
        }
        Website::Pages(pages) => pages,
    };
    match seen {
        Seen::Nothing => pages.redirect(asked, None).unwrap_or_else(|| Step::Read(pages.page_of(asked.key))),
        Seen::Page { redirect: Some(there) } => {
            Step::Redirect { status: MOVED_PERMANENTLY, location: location::of_object(there) }
        }
        Seen::Page { redirect: None } => Step::Serve,
        Seen::Failed { status, folder } => pages.failed(asked, status, folder),
    }
}

impl Pages {
    /// The key of the page: a folder's is its index document.
    fn page_of(&self, key: &str) -> String {
        if key.is_empty() || key.ends_with('/') { format!("{key}{}", self.index) } else { key.to_owned() }
    }

    fn failed(&self, asked: &Asked<'_>, status: u16, folder: Folder) -> Step<'_> {
        let may_be_folder = matches!(status, 403 | 404) && !asked.key.is_empty() && !asked.key.ends_with('/');
        if may_be_folder && folder == Folder::Unknown {
            let index = format!("{}/{}", asked.key, self.index);
            if index.len() <= object_key::MAX_BYTES {
                return Step::LookFor(index);
            }
        }
        if may_be_folder && folder == Folder::Indexed {
            return Step::Redirect { status: FOUND, location: location::of_folder(asked) };
        }
        self.redirect(asked, Some(status)).unwrap_or_else(|| {
            // Only of errors that are the client's is there a page.
            // <https://docs.aws.amazon.com/AmazonS3/latest/userguide/CustomErrorDocSupport.html>
            Step::Fail { document: self.error.as_deref().filter(|_| (400..500).contains(&status)) }
        })
    }

    /// What the first rule that fits says: of all requests, or of those that fail with a status.
    fn redirect(&self, asked: &Asked<'_>, error: Option<u16>) -> Option<Step<'static>> {
        let rule = self.rules.iter().find(|rule| rule.fits(asked.key, error))?;
        let prefix = rule.condition.as_ref().and_then(|condition| condition.key_prefix.as_deref()).unwrap_or_default();
        Some(Step::Redirect {
            status: rule.redirect.code.unwrap_or(MOVED_PERMANENTLY),
            location: location::of_rule(&rule.redirect, prefix, asked),
        })
    }
}

impl Rule {
    /// Rules without an error code are asked before anything is read, those with one when reading has failed.
    fn fits(&self, key: &str, error: Option<u16>) -> bool {
        let Some(condition) = &self.condition else { return error.is_none() };
        condition.error_code == error && condition.key_prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix))
    }
}
