//! Several drives, of which one fails: it takes no new data, what lies on the others goes on, and what lies on it is
//! read where it can be.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use harness::client::Client;
use harness::{Body, LARGE_SEGMENT, limits};
use storage::chunks::local::{LocalChunks, LocalOptions};
use storage::disk::Disk;
use storage::disk::sim::{Fault, Repeat, SimDisk};
use storage::kv::Kv;
use storage::kv::memory::MemoryKv;
use storage::store::{DriveState, segments_in_use};
use storage::{Store, StoreError};

const BUCKET: &str = "bucket";

struct Bench {
    disks: Vec<SimDisk>,
    kv: Arc<MemoryKv>,
    client: Client,
    chunks: Arc<LocalChunks>,
    held: BTreeMap<String, Bytes>,
}

fn open(disks: &[SimDisk], kv: &Arc<MemoryKv>) -> (Client, Arc<LocalChunks>) {
    let drives = disks.iter().map(|disk| Arc::new(disk.clone()) as Arc<dyn Disk>).collect();
    let options = LocalOptions {
        segment_bytes: Some(LARGE_SEGMENT),
        reserve_bytes: Some(0),
        read_threads: 2,
        ..LocalOptions::new(drives, [3; 16])
    };
    let chunks = LocalChunks::open(options, segments_in_use(&**kv).unwrap()).unwrap();
    let kv: Arc<dyn Kv> = Arc::<MemoryKv>::clone(kv);
    let store = Store::new(kv, Arc::clone(&chunks) as _, limits(8 << 10)).unwrap();
    (Client { store }, chunks)
}

impl Bench {
    async fn new(drives: usize) -> Self {
        let (disks, kv) = (vec![SimDisk::new(); drives], Arc::new(MemoryKv::new()));
        let disks: Vec<SimDisk> = disks.iter().map(|_| SimDisk::new()).collect();
        let (client, chunks) = open(&disks, &kv);
        client.create_bucket(BUCKET).await.unwrap();
        Self { disks, kv, client, chunks, held: BTreeMap::new() }
    }

    async fn put(&mut self, count: usize) {
        for _ in 0..count {
            let number = self.held.len();
            let (key, body) = (format!("k{number}"), Body::new(number as u64, 6000).bytes());
            self.client.put(BUCKET, &key, &body).await.unwrap_or_else(|error| panic!("{key}: {error}"));
            self.held.insert(key, body);
        }
    }

    fn drive(&self, number: usize) -> DriveState {
        self.client.store.drives().swap_remove(number)
    }

    /// The keys that cannot be read; all others have their very bytes.
    async fn unreadable(&self) -> Vec<&str> {
        let bucket = self.client.bucket(BUCKET).await.unwrap();
        let mut found = Vec::new();
        for (key, body) in &self.held {
            let version = self.client.store.current(bucket.id, key).await.unwrap().unwrap();
            match self.client.read(bucket.id, key, &version, 0..body.len() as u64).await {
                Ok(bytes) => assert!(bytes == body, "{key}"),
                Err(StoreError::Io(error)) => {
                    assert!(error.to_string().contains("drive 1"), "the drive is named: {error}");
                    found.push(key.as_str());
                }
                Err(error) => panic!("{key}: {error}"),
            }
        }
        found
    }

    fn reopen(&mut self) {
        self.chunks.close();
        (self.client, self.chunks) = open(&self.disks, &self.kv);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drive_that_fails_to_write_is_fenced_until_the_next_start_and_the_others_serve() {
    for fault in [Fault::Io, Fault::ShortWrite] {
        let mut bench = Bench::new(3).await;
        bench.put(90).await;
        assert!((0..3).all(|drive| bench.drive(drive).live_bytes > 20_000), "all drives are used");
        bench.disks[1].fail(bench.disks[1].operations(), fault, Repeat::Forever);
        bench.put(90).await;
        let fence = bench.drive(1).fence.expect("the drive is fenced");
        assert!(fence.until_restart && fence.reason.starts_with("drive 1"), "{fence:?}");
        assert_eq!(bench.drive(1).room_bytes, 0);
        assert!([0, 2].iter().all(|drive| bench.drive(*drive).fence.is_none()));
        assert_eq!(bench.unreadable().await, Vec::<&str>::new(), "what it holds is read");
        assert!(bench.client.store.unfence(1).is_err(), "only a restart helps");
        let gauges = bench.client.store.gauges();
        assert!(gauges.iter().any(|(name, _, value)| *name == "chunks_drives_fenced" && (*value - 1.0).abs() < 0.1));
        let live = bench.drive(1).live_bytes;
        bench.disks[1].heal();
        bench.reopen();
        assert_eq!(bench.drive(1).fence, None);
        bench.put(60).await;
        assert!(bench.drive(1).live_bytes > live, "it takes new data again");
        assert_eq!(bench.unreadable().await, Vec::<&str>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drive_that_fails_to_read_takes_nothing_new_until_it_is_told_to() {
    let mut bench = Bench::new(2).await;
    bench.put(60).await;
    bench.disks[1].fail_reads(true);
    let lost = bench.unreadable().await.len();
    assert!(0 < lost && lost < 60, "{lost} of 60");
    let DriveState { live_bytes, fence, read_errors, .. } = bench.drive(1);
    assert!(fence.is_some_and(|fence| !fence.until_restart) && read_errors >= lost as u64);
    bench.put(30).await;
    assert_eq!(bench.drive(1).live_bytes, live_bytes, "nothing new");
    assert_eq!(bench.unreadable().await.len(), lost, "what is new is read");
    bench.disks[1].heal();
    bench.disks[1].fail_reads(false);
    assert_eq!(bench.unreadable().await, Vec::<&str>::new());
    assert!(bench.client.store.unfence(1).unwrap() && !bench.client.store.unfence(1).unwrap());
    bench.put(60).await;
    assert!(bench.drive(1).live_bytes > live_bytes);
    assert!(!bench.client.store.unfence(7).unwrap(), "there is no such drive");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_drive_goes_on_when_it_fails_to_read() {
    let mut bench = Bench::new(2).await;
    bench.put(60).await;
    bench.disks[1].fail_reads(true);
    assert!(!bench.unreadable().await.is_empty());
    bench.disks[1].fail_reads(false);
    bench.disks[0].fail_reads(true);
    let bucket = bench.client.bucket(BUCKET).await.unwrap();
    let mut failed = 0;
    for (key, body) in &bench.held {
        let version = bench.client.store.current(bucket.id, key).await.unwrap().unwrap();
        failed += u32::from(bench.client.read(bucket.id, key, &version, 0..body.len() as u64).await.is_err());
    }
    assert!(failed > 0);
    bench.disks[0].fail_reads(false);
    assert!(bench.drive(1).fence.is_some() && bench.drive(0).fence.is_none());
    bench.put(10).await;
}
