//! A bucket's website, as it is stored.

use std::sync::Arc;

use quick_cache::sync::Cache;
use storage::index::records::{BucketRecord, Record};
use storage::types::BucketId;

use super::access::WEBSITE;
use super::{Objects, Result};
use crate::rules::website::Website;

/// Buckets whose website is kept; one takes up to about 64 KiB, and mostly less than one.
const CACHED_BUCKETS: usize = 1_024;

impl Record for Website {
    const FAMILY: &'static str = "buckets";
}

/// Websites by bucket and generation: they hold as long as the bucket's record says the same generation.
pub(super) type WebsiteCache = Cache<(BucketId, u64), Option<Arc<Website>>>;

pub(super) fn cache() -> WebsiteCache {
    Cache::new(CACHED_BUCKETS)
}

impl Objects {
    /// A bucket's website, if it has one. Read once for each generation of the bucket's settings.
    pub async fn bucket_website(&self, bucket: &BucketRecord) -> Result<Option<Arc<Website>>> {
        let key = (bucket.id, bucket.generation);
        if bucket.generation == 0 {
            return Ok(None);
        }
        if let Some(known) = self.websites.get(&key) {
            return Ok(known);
        }
        let stored = self.store.bucket_config(bucket.id, WEBSITE).await?;
        let website = stored.map(|bytes| Website::decode(&bytes)).transpose()?.map(Arc::new);
        self.websites.insert(key, website.clone());
        Ok(website)
    }

    /// Sets or removes a bucket's website, which has been checked.
    pub async fn set_bucket_website(&self, name: &str, website: Option<&Website>) -> Result<()> {
        self.set_config(name, WEBSITE, website.map(Record::encode)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::website::{Condition, NewKey, Pages, Protocol, Redirect, RedirectAll, Rule};

    #[test]
    fn golden_bytes_of_websites() {
        let all = Website::RedirectAll(RedirectAll { host: "h".to_owned(), protocol: Some(Protocol::Https) });
        assert_eq!(all.encode(), [1, 0, 1, b'h', 1, 1]);
        let condition = Condition { key_prefix: Some("p".to_owned()), error_code: Some(404) };
        let redirect =
            Redirect { host: None, protocol: None, key: Some(NewKey::Prefix("q".to_owned())), code: Some(302) };
        let pages = Website::Pages(Pages {
            index: "i".to_owned(),
            error: Some("e".to_owned()),
            rules: vec![Rule { condition: Some(condition), redirect }],
        });
        let bytes = [1, 1, 1, b'i', 1, 1, b'e', 1, 1, 1, 1, b'p', 1, 0x94, 3, 0, 0, 1, 1, 1, b'q', 1, 0xae, 2];
        assert_eq!(pages.encode(), bytes);
        for website in [all, pages] {
            assert_eq!(Website::decode(&website.encode()).expect("decoded"), website);
        }
    }
}
