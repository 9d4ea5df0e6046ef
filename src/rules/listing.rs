//! Which keys and common prefixes make up a page of a listing.
//!
//! [`Listing`] is a state machine without IO. The caller walks the entries of a bucket in order of their keys' UTF-8
//! bytes, shows each to [`Listing::see`], and does what it says: take it, or seek past a whole common prefix, however
//! many keys lie under it. So a page costs as many steps as it has lines.
//!
//! ```text
//! seek = listing.start()          nothing can be listed: done
//! loop
//!     entry = first entry from seek on, or break
//!     match listing.see(key, id)
//!         Take            keep the entry; seek = after it
//!         Seek(to)        seek = to
//!         Done            break
//! page = listing.finish()
//! ```
//!
//! One machine lists objects (an entry is a key), versions and multipart uploads (an entry is a key and an id): the
//! parameter `I` is what tells apart the entries of one key, and its order is the order in which they are listed.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-prefixes.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html>

use super::refusal::{Refusal, Result};

/// The most that a page holds, whatever the client asks for.
pub const MAX_PAGE: usize = 1_000;

/// How many entries a page holds, from `max-keys`, `max-uploads` or `max-parts`, whose name is `argument`.
///
/// # Errors
/// `InvalidArgument` if it is negative.
pub fn page_size(argument: &str, asked: Option<i64>) -> Result<usize> {
    match asked {
        None => Ok(MAX_PAGE),
        Some(asked) => usize::try_from(asked).map(|asked| asked.min(MAX_PAGE)).map_err(|_| {
            let message = format!("Argument {argument} must be an integer between 0 and 2147483647");
            Refusal::invalid_argument(argument, &asked.to_string(), message)
        }),
    }
}

/// Where a listing begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After<I> {
    /// At the beginning.
    Start,
    /// After every entry of this key: `marker`, `start-after`, or a `key-marker` alone. It need not exist. If it lies
    /// in a common prefix, that prefix was listed already and is passed over.
    Key(String),
    /// After this entry of this key: a `key-marker` with its `version-id-marker` or `upload-id-marker`.
    Entry(String, I),
}

/// What to list.
#[derive(Clone, Debug)]
pub struct Request<I> {
    /// Only keys that begin with it.
    pub prefix: String,
    /// Keys that have it after the prefix are rolled up into a common prefix. An empty one is none.
    pub delimiter: Option<String>,
    /// Where to begin.
    pub after: After<I>,
    /// How many entries and common prefixes at most; [`page_size`] bounds it.
    pub max: usize,
}

/// Where the next entry to see is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seek<I> {
    /// The first entry whose key is this or a greater one.
    From(String),
    /// The first entry whose key is greater than this.
    AfterKey(String),
    /// The first entry of this key after this one, or of a greater key.
    AfterEntry(String, I),
    /// The first entry whose key is greater than every key that begins with this.
    AfterPrefix(String),
}

/// What to do with an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen<I> {
    /// It is on the page. Go on after it.
    Take,
    /// It is not. Go on from there.
    Seek(Seek<I>),
    /// Neither it nor any later one is on the page.
    Done,
}

/// A line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<I> {
    /// An entry.
    Entry(String, I),
    /// A common prefix.
    CommonPrefix(String),
}

/// What a page comes to, beside the entries that were taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<I> {
    /// The common prefixes, in order.
    pub common_prefixes: Vec<String>,
    /// Whether there is more.
    pub is_truncated: bool,
    /// The last line, of either kind: where the next page goes on. `None` on an empty page.
    pub last: Option<Line<I>>,
}

/// A page in the making.
#[derive(Clone, Debug)]
pub struct Listing<I> {
    request: Request<I>,
    common_prefixes: Vec<String>,
    entries: usize,
    last: Option<Line<I>>,
    is_truncated: bool,
}

/// A listing of objects: one entry to a key.
pub type ObjectListing = Listing<()>;

impl<I: Ord + Clone> Listing<I> {
    /// Prepares a page.
    #[must_use]
    pub fn new(mut request: Request<I>) -> Self {
        request.delimiter = request.delimiter.filter(|delimiter| !delimiter.is_empty());
        request.max = request.max.min(MAX_PAGE);
        Self { request, common_prefixes: Vec::new(), entries: 0, last: None, is_truncated: false }
    }

    /// Where the first entry to see is. `None` where the page is empty whatever the bucket holds: a page of no lines
    /// is not truncated, as S3 has it, and behind the prefix there is nothing.
    #[must_use]
    pub fn start(&self) -> Option<Seek<I>> {
        let prefix = &self.request.prefix;
        if self.request.max == 0 {
            return None;
        }
        let marker = match &self.request.after {
            After::Key(key) | After::Entry(key, _) if key >= prefix => key,
            _ => return Some(Seek::From(prefix.clone())),
        };
        if !marker.starts_with(prefix.as_str()) {
            return None;
        }
        if let Some(rolled_up) = self.common_prefix_of(marker) {
            return Some(Seek::AfterPrefix(rolled_up.to_owned()));
        }
        Some(match &self.request.after {
            After::Entry(key, id) => Seek::AfterEntry(key.clone(), id.clone()),
            _ => Seek::AfterKey(marker.clone()),
        })
    }

    /// Judges an entry. Entries are shown in order; which ones lie between does not matter, so a caller that cannot
    /// seek may show them all.
    pub fn see(&mut self, key: &str, id: &I) -> Seen<I> {
        if !key.starts_with(self.request.prefix.as_str()) {
            let before = key < self.request.prefix.as_str();
            return if before { Seen::Seek(Seek::From(self.request.prefix.clone())) } else { Seen::Done };
        }
        let rolled_up = self.common_prefix_of(key).map(str::to_owned);
        if let Some(seek) = self.passed_over(key, id, rolled_up.as_deref()) {
            return Seen::Seek(seek);
        }
        if self.entries + self.common_prefixes.len() >= self.request.max {
            self.is_truncated = self.request.max > 0;
            return Seen::Done;
        }
        if let Some(common) = rolled_up {
            self.common_prefixes.push(common.clone());
            self.last = Some(Line::CommonPrefix(common.clone()));
            return Seen::Seek(Seek::AfterPrefix(common));
        }
        self.entries += 1;
        self.last = Some(Line::Entry(key.to_owned(), id.clone()));
        Seen::Take
    }

    /// The page.
    #[must_use]
    pub fn finish(self) -> Page<I> {
        Page { common_prefixes: self.common_prefixes, is_truncated: self.is_truncated, last: self.last }
    }

    /// The common prefix that a key which begins with the prefix is rolled up into, if any: up to and with the first
    /// delimiter behind the prefix.
    fn common_prefix_of<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self.request.delimiter.as_deref()?;
        let rest = key.get(self.request.prefix.len()..)?;
        let end = self.request.prefix.len() + rest.find(delimiter)? + delimiter.len();
        key.get(..end)
    }

    /// Where to go on if this entry was listed by an earlier page or is part of the last common prefix.
    fn passed_over(&self, key: &str, id: &I, rolled_up: Option<&str>) -> Option<Seek<I>> {
        if let Some(common) = rolled_up {
            let listed = self.common_prefixes.last().is_some_and(|last| last == common);
            let earlier = match &self.request.after {
                After::Start => false,
                After::Key(marker) | After::Entry(marker, _) => marker.starts_with(common) || key <= marker.as_str(),
            };
            return (listed || earlier).then(|| Seek::AfterPrefix(common.to_owned()));
        }
        match &self.request.after {
            After::Key(marker) if key <= marker.as_str() => Some(Seek::AfterKey(marker.clone())),
            After::Entry(marker, last) if (key, id) <= (marker.as_str(), last) => {
                Some(Seek::AfterEntry(marker.clone(), last.clone()))
            }
            _ => None,
        }
    }
}

impl<I> Page<I> {
    /// Where the next page begins, if there is one.
    #[must_use]
    pub fn next(self) -> Option<After<I>> {
        match self.last.filter(|_| self.is_truncated)? {
            Line::Entry(key, id) => Some(After::Entry(key, id)),
            Line::CommonPrefix(prefix) => Some(After::Key(prefix)),
        }
    }
}

#[cfg(test)]
mod tests;
