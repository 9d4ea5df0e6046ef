//! Lines of access logs that wait to become objects. The store knows nothing of these rows but their bytes.

use bytes::Bytes;

use super::Store;
use crate::error::Result;
use crate::index::keys;
use crate::kv::{Batch, Family};

/// Bytes of one row, and of the rows of one commit.
pub const MAX_STAGED_LOG_BYTES: usize = 48 << 10;
const BATCH_BYTES: usize = 512 << 10;
const BATCH_ROWS: usize = 500;

impl Store {
    /// Keeps rows, each of at most [`MAX_STAGED_LOG_BYTES`]: durable when it resolves, in as few commits as may be.
    pub async fn stage_access_logs(&self, rows: Vec<Vec<u8>>) -> Result<()> {
        let (mut batch, mut bytes) = (Batch::default(), 0);
        for row in rows {
            if bytes + row.len() > BATCH_BYTES || batch.rows() >= BATCH_ROWS {
                self.commit_batch(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
            bytes += row.len();
            batch.append(Family::Outbox, keys::access_logs(), row);
        }
        if batch.rows() > 0 { self.commit_batch(batch).await } else { Ok(()) }
    }

    /// The first rows after the position `after`, in the order in which they were kept: at most `limit` and about 4 MiB.
    pub async fn staged_access_logs(&self, after: u64, limit: usize) -> Result<Vec<(u64, Bytes)>> {
        self.appended(keys::access_logs(), after, limit).await
    }

    /// Removes the rows at these positions.
    pub async fn remove_access_logs(&self, positions: &[u64]) -> Result<()> {
        for some in positions.chunks(BATCH_ROWS) {
            let mut batch = Batch::default();
            for position in some {
                batch.delete(Family::Outbox, keys::access_log(*position));
            }
            self.commit_batch(batch).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::chunks::memory::MemoryChunks;
    use crate::kv::memory::MemoryKv;
    use crate::store::Limits;

    #[tokio::test]
    async fn rows_wait_in_their_order_until_they_are_removed() {
        let chunks = Arc::new(MemoryChunks::with_capacity(1 << 20));
        let store = Store::new(Arc::new(MemoryKv::new()), chunks, Limits::default()).expect("threads");
        let rows: Vec<Vec<u8>> = (0..30_u8).map(|number| vec![number; MAX_STAGED_LOG_BYTES]).collect();
        store.stage_access_logs(rows.clone()).await.expect("staged");
        store.stage_access_logs(vec![vec![99]]).await.expect("staged");
        let (mut after, mut seen) = (0, Vec::new());
        loop {
            let page = store.staged_access_logs(after, 7).await.expect("read");
            let Some((last, _)) = page.last() else { break };
            after = *last;
            seen.extend(page.into_iter().map(|(_, row)| row.to_vec()));
        }
        assert_eq!(seen.len(), 31);
        assert_eq!(seen.get(..30), Some(rows.as_slice()));
        let positions: Vec<u64> = (1..=30).collect();
        store.remove_access_logs(&positions).await.expect("removed");
        let left = store.staged_access_logs(0, 10).await.expect("read");
        assert_eq!(left, [(31, Bytes::from_static(&[99]))]);
    }
}
