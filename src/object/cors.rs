//! A bucket's rules of cross-origin resource sharing, as they are stored.

use std::sync::Arc;

use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use storage::index::records::{BucketRecord, Record};
use storage::types::BucketId;

use super::access::CORS;
use super::{Objects, Result};
use crate::rules::cors::{self, Rule};

/// Buckets whose rules are kept; a bucket's rules take up to about 64 KiB, and mostly less than one.
const CACHED_BUCKETS: usize = 1_024;

#[derive(Serialize, Deserialize)]
struct Rules(Vec<Rule>);

impl Record for Rules {
    const FAMILY: &'static str = "buckets";
}

/// Rules by bucket and generation: they hold as long as the bucket's record says the same generation.
pub(super) type CorsCache = Cache<(BucketId, u64), Arc<[Rule]>>;

pub(super) fn cache() -> CorsCache {
    Cache::new(CACHED_BUCKETS)
}

impl Objects {
    /// A bucket's rules, in their order; none if it has no configuration. Read once for each generation of the
    /// bucket's settings.
    pub async fn bucket_cors(&self, bucket: &BucketRecord) -> Result<Arc<[Rule]>> {
        let key = (bucket.id, bucket.generation);
        if bucket.generation == 0 {
            return Ok(Arc::default());
        }
        if let Some(known) = self.cors.get(&key) {
            return Ok(known);
        }
        let stored = self.store.bucket_config(bucket.id, CORS).await?;
        let rules: Arc<[Rule]> = match stored {
            Some(bytes) => Rules::decode(&bytes)?.0.into(),
            None => Arc::default(),
        };
        self.cors.insert(key, Arc::clone(&rules));
        Ok(rules)
    }

    /// Sets a bucket's rules.
    pub async fn set_bucket_cors(&self, name: &str, rules: Vec<Rule>) -> Result<()> {
        cors::check(&rules)?;
        self.set_config(name, CORS, Some(Rules(rules).encode())).await
    }

    /// Removes a bucket's rules.
    pub async fn delete_bucket_cors(&self, name: &str) -> Result<()> {
        self.set_config(name, CORS, None).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::cors::Method;

    #[test]
    fn golden_bytes_of_the_rules() {
        let rule = Rule {
            id: Some("i".to_owned()),
            allowed_origins: vec!["*".to_owned()],
            allowed_methods: vec![Method::Get, Method::Head],
            allowed_headers: Vec::new(),
            expose_headers: vec!["e".to_owned()],
            max_age_seconds: Some(5),
        };
        let bytes = [1, 1, 1, 1, b'i', 1, 1, b'*', 2, 0, 4, 0, 1, 1, b'e', 1, 5];
        assert_eq!(Rules(vec![rule.clone()]).encode(), bytes);
        assert_eq!(Rules::decode(&bytes).expect("decoded").0, [rule]);
    }
}
