//! Chunks that end where their bytes say: read back in every range, shared wherever they are, and counted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;

use std::sync::Arc;

use bytes::Bytes;
use harness::client::Client;
use harness::{Body, Random, compressing, number_from_env, runtime};
use storage::Store;
use storage::chunking::Chunking;
use storage::chunks::memory::MemoryChunks;
use storage::compress::Codec;
use storage::index::records::Data;
use storage::kv::memory::MemoryKv;
use storage::store::{Limits, Sharing};

async fn client(chunk_bytes: u32, chunking: Chunking) -> Client {
    let limits = Limits { chunking, ..compressing(chunk_bytes, Codec::Plain) };
    let store = Store::new(Arc::new(MemoryKv::new()), Arc::new(MemoryChunks::new()), limits).unwrap();
    let client = Client { store };
    client.create_bucket("bucket").await.unwrap();
    client
}

async fn sharing(client: &Client) -> Sharing {
    client.store.sharing(client.bucket("bucket").await.unwrap().id).await.unwrap()
}

#[test]
fn every_range_of_many_pages_of_various_chunks_is_read_back() {
    let seed = number_from_env("CAIRN_TEST_SEED").unwrap_or(7);
    println!("CAIRN_TEST_SEED={seed}");
    runtime().block_on(async {
        // About 150 bytes each: three pages and more.
        let client = client(512, Chunking::FastCdc).await;
        let body = Body::new(seed, 600_000).bytes();
        client.put("bucket", "k", &body).await.unwrap();
        let bucket = client.bucket("bucket").await.unwrap();
        let version = client.store.current(bucket.id, "k").await.unwrap().unwrap();
        assert!(matches!(version.object().unwrap().data, Data::Manifest { chunk_bytes: 0, .. }));
        let mut random = Random(seed);
        for round in 0..400 {
            let start = random.below(body.len());
            let end = if round % 4 == 0 { body.len() } else { (start + random.below(3_000)).min(body.len()) };
            let range = start as u64..end as u64;
            let read = client.read(bucket.id, "k", &version, range).await.unwrap();
            assert_eq!(read, body[start..end], "seed {seed}: {start}..{end}");
        }
    });
}

#[test]
fn what_is_shifted_is_shared_and_the_figures_say_so() {
    runtime().block_on(async {
        for (chunking, most) in [(Chunking::FastCdc, 230_000), (Chunking::Fixed, 400_000)] {
            let client = client(8 << 10, chunking).await;
            let body = Body::new(1, 200_000).bytes();
            let shifted = Bytes::from([&b"a few bytes more"[..], &body].concat());
            client.put("bucket", "a", &body).await.unwrap();
            let alone = sharing(&client).await;
            assert_eq!((alone.logical, alone.unique, alone.is_exact), (200_000, 200_000, true));
            assert!(alone.stored > alone.unique && alone.stored < 230_000, "frames: {alone:?}");
            client.put("bucket", "again", &body).await.unwrap();
            assert_eq!(sharing(&client).await, Sharing { logical: 400_000, ..alone });
            client.put("bucket", "shifted", &shifted).await.unwrap();
            let together = sharing(&client).await;
            assert_eq!(together.logical, 600_016);
            assert!(together.unique > 200_000 && together.unique <= most + 16, "{chunking}: {together:?}");
            if chunking == Chunking::Fixed {
                assert_eq!(together.unique, 400_016, "nothing of it is at the same place");
            }
            // Parts, and what lies in the index.
            let upload = client.create_upload("bucket", "parts").await.unwrap();
            let open = client.upload("bucket", "parts", upload).await.unwrap();
            client.put_part(&open, 1, &body).await.unwrap();
            client.complete("bucket", "parts", upload, |_| true).await.unwrap();
            client.put("bucket", "small", &Bytes::from_static(b"small")).await.unwrap();
            let more = sharing(&client).await;
            assert_eq!((more.logical, more.unique), (together.logical + 200_005, together.unique + 5));
        }
    });
}
