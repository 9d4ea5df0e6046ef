//! Renaming: a key's version goes and another key's comes, in one commit.

use std::sync::Arc;

use bytes::Bytes;

use super::{Edit, Outcome, Store};
use crate::error::Result;
use crate::index::keys;
use crate::index::records::{Record, RenameRecord};
use crate::kv::{Batch, Family};
use crate::types::{BucketId, Timestamp};

/// A client's name for a rename, as it was looked up.
#[derive(Clone, Debug)]
pub struct RenameToken {
    row: Vec<u8>,
    was: Option<Bytes>,
    /// The rename that was done under this name, if there was one.
    pub done: Option<RenameRecord>,
}

impl Store {
    /// Looks up the rename that was done under a client's token, of which `digest` is the digest.
    pub async fn rename_token(&self, bucket: BucketId, digest: &[u8; 32]) -> Result<RenameToken> {
        let row = keys::rename(bucket, digest);
        let was = self.get(Family::Uploads, row.clone()).await?;
        let done = was.as_deref().map(RenameRecord::decode).transpose()?;
        Ok(RenameToken { row, was, done })
    }

    /// Commits two edits, of two keys of one bucket, as one. Only the second may bring data; `token` is remembered with
    /// them as `record`.
    pub async fn rename(
        self: &Arc<Self>,
        from: Edit,
        to: Edit,
        token: Option<(&RenameToken, &RenameRecord)>,
    ) -> Result<Outcome> {
        let mut extra = from.batch(self);
        if let Some((token, record)) = token {
            extra.check_unchanged(Family::Uploads, token.row.clone(), token.was.clone());
            extra.put(Family::Uploads, token.row.clone(), record.encode());
        }
        self.commit(to.with(extra)).await
    }

    /// Forgets renames that were done before `before`; looks at up to `limit` after `cursor`, which is advanced, and
    /// starts over at the end.
    pub async fn forget_renames(&self, before: Timestamp, cursor: &mut Vec<u8>, limit: usize) -> Result<usize> {
        let prefix = keys::renames();
        let from = if cursor.is_empty() { prefix.clone() } else { [cursor.as_slice(), &[0]].concat() };
        let rows = self.rows_in(Family::Uploads, from, keys::after_prefix(&prefix), limit).await?;
        *cursor =
            if rows.len() == limit { rows.last().map(|(key, _)| key.clone()).unwrap_or_default() } else { Vec::new() };
        let mut batch = Batch::default();
        for (key, row) in rows {
            if RenameRecord::decode(&row)?.completed < before {
                // One that is done again meanwhile is not forgotten.
                batch.check_unchanged(Family::Uploads, key.clone(), Some(row));
                batch.delete(Family::Uploads, key);
            }
        }
        let forgotten = batch.deletes.len();
        if forgotten > 0 {
            self.commit_batch(batch).await?;
        }
        Ok(forgotten)
    }
}
