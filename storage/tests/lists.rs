//! Objects that are appended to, annotated and renamed, against a model, while the collector runs: each key holds the
//! bytes and annotations that the model says, and in the end exactly what is live is left.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use harness::audit::{audit, audit_live_bytes};
use harness::client::Client;
use harness::driver::collect_all;
use harness::{Body, Random, limits};
use storage::Store;
use storage::chunks::memory::MemoryChunks;
use storage::index::records::{
    AnnotationRecord, Checksum, ChecksumAlgorithm, ChecksumType, Content, Data, ObjectRecord, PartRecord, VersionRecord,
};
use storage::kv::memory::MemoryKv;
use storage::store::{Appended, Change, KeyView, Outcome};
use storage::types::Timestamp;

const BUCKET: &str = "bucket";
const KEYS: [&str; 4] = ["a", "b", "c", "d"];
const NAMES: [&str; 3] = ["one", "three", "two"];
const STEPS: usize = 1_500;
const SEED: u64 = 0x5eed_0009;

/// What a key holds: bytes, and payloads by name.
type Model = BTreeMap<&'static str, (Vec<u8>, BTreeMap<&'static str, Bytes>)>;

struct World {
    client: Client,
    model: Model,
}

impl World {
    async fn view(&self, key: &str) -> KeyView {
        let bucket = self.client.bucket(BUCKET).await.unwrap();
        self.client.store.view(&bucket, key).await.unwrap().unwrap()
    }

    async fn current(&self, key: &str) -> Option<(KeyView, VersionRecord, ObjectRecord)> {
        let view = self.view(key).await;
        let version = view.current.clone()?;
        let object = version.object()?.clone();
        Some((view, version, object))
    }

    async fn commit_version(&self, view: KeyView, object: ObjectRecord, staged: storage::store::Staged) {
        let version = VersionRecord {
            id: self.client.store.next_id(view.last_order()),
            null: true,
            modified: Timestamp::now(),
            owner: "o".to_owned(),
            content: Content::Object(object),
        };
        let mut changes: Vec<Change> = view.current.iter().map(|_| Change::RemoveCurrent).collect();
        changes.push(Change::PutCurrent(version, staged));
        assert!(matches!(self.client.store.commit(view.edit(changes, None)).await.unwrap(), Outcome::Committed));
    }

    async fn append(&mut self, key: &'static str, bytes: &Bytes) {
        let Some((view, version, object)) = self.current(key).await else { return };
        let store = Arc::clone(&self.client.store);
        let mut staged = {
            let mut writer = store.part_writer(None);
            writer.write(bytes.clone()).await.unwrap();
            writer.finish().await.unwrap()
        };
        let part = PartRecord {
            number: 0,
            size: staged.size(),
            md5: [0; 16],
            checksum: None,
            modified: Timestamp(0),
            data: staged.data(),
        };
        let mut data = object.data;
        if data == Data::Inline {
            let before = store.inline(view.bucket.id, key, version.id).await.unwrap().unwrap();
            let moved = store.stage_payload(before).await.unwrap();
            data = moved.data();
            staged.absorb(moved);
        }
        let appended = Appended { object: &object, modified: version.modified, data, part: &part };
        let staged = store.append(appended, staged).await.unwrap();
        assert_eq!(staged.size(), object.size + part.size);
        let after = ObjectRecord { size: staged.size(), data: staged.data(), ..object };
        self.commit_version(view, after, staged).await;
        self.model.get_mut(key).unwrap().0.extend_from_slice(bytes);
    }

    async fn annotate(&mut self, key: &'static str, name: &'static str, payload: Option<Bytes>) {
        let Some((view, was, object)) = self.current(key).await else { return };
        let store = &self.client.store;
        let mut all = match &object.annotations {
            Some(list) => store.annotations(list).await.unwrap().unwrap(),
            None => Vec::new(),
        };
        all.retain(|record| record.name != name);
        let mut staged = None;
        if let Some(payload) = &payload {
            let written = store.stage_payload(payload.clone()).await.unwrap();
            all.push(AnnotationRecord {
                name: name.to_owned(),
                size: payload.len() as u64,
                md5: [0; 16],
                checksum: Checksum {
                    algorithm: ChecksumAlgorithm::Crc32,
                    kind: ChecksumType::FullObject,
                    value: vec![0; 4],
                },
                modified: Timestamp::now(),
                data: written.data(),
            });
            all.sort_by(|one, other| one.name.cmp(&other.name));
            staged = Some(written);
        }
        let list = if all.is_empty() { None } else { Some(store.stage_annotations(&all, staged).await.unwrap()) };
        let (annotations, staged) = list.unzip();
        let version = VersionRecord { content: Content::Object(ObjectRecord { annotations, ..object }), ..was.clone() };
        let edit = view.edit(vec![Change::Annotate { version, was, staged }], None);
        assert!(matches!(store.commit(edit).await.unwrap(), Outcome::Committed));
        let payloads = &mut self.model.get_mut(key).unwrap().1;
        match payload {
            Some(payload) => drop(payloads.insert(name, payload)),
            None => drop(payloads.remove(name)),
        }
    }

    async fn rename(&mut self, from: &'static str, to: &'static str) {
        let Some((view, version, object)) = self.current(from).await.filter(|_| from != to) else { return };
        let store = Arc::clone(&self.client.store);
        let staged = self.client.share(BUCKET, from, version.id).await.unwrap();
        let there = self.view(to).await;
        let arrived = VersionRecord {
            id: store.next_id(there.last_order()),
            content: Content::Object(ObjectRecord { data: staged.data(), ..object }),
            ..version
        };
        let mut changes: Vec<Change> = there.current.iter().map(|_| Change::RemoveCurrent).collect();
        changes.push(Change::PutCurrent(arrived, staged));
        let (leaves, arrives) = (view.edit(vec![Change::RemoveCurrent], None), there.edit(changes, None));
        assert!(matches!(store.rename(leaves, arrives, None).await.unwrap(), Outcome::Committed));
        let held = self.model.remove(from).unwrap();
        self.model.insert(to, held);
    }

    /// Compares one key with the model, read as a whole and in part.
    async fn check(&self, key: &'static str, random: &mut Random) {
        let found = self.current(key).await;
        let Some((bytes, payloads)) = self.model.get(key) else {
            assert!(found.is_none(), "{key}");
            return;
        };
        let (view, version, object) = found.unwrap();
        assert_eq!(object.size, bytes.len() as u64);
        let start = random.below(bytes.len() + 1);
        let end = start + random.below(bytes.len() - start + 1);
        for (start, end) in [(0, bytes.len()), (start, end)] {
            let range = start as u64..end as u64;
            let read = self.client.read(view.bucket.id, key, &version, range).await.unwrap();
            assert!(read == bytes[start..end], "{key}: {start}..{end}");
        }
        if let Data::Parts(list) = object.data {
            let parts = self.client.store.object_parts(list, usize::MAX).await.unwrap();
            assert_eq!(parts.iter().map(|part| part.size).sum::<u64>(), object.size);
            assert!(parts.is_sorted_by(|one, next| one.number < next.number));
        }
        let listed = match &object.annotations {
            Some(list) => self.client.store.annotations(list).await.unwrap().unwrap(),
            None => Vec::new(),
        };
        let names: Vec<&str> = listed.iter().map(|record| record.name.as_str()).collect();
        assert_eq!(names, payloads.keys().copied().collect::<Vec<_>>());
        for record in &listed {
            let read = self.client.read_data(record.data, record.size, 0..record.size).await.unwrap();
            assert_eq!(&read, &payloads[record.name.as_str()]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn appended_annotated_and_renamed_objects_are_what_the_model_says() {
    println!("seed {SEED:#x}");
    let kv = Arc::new(MemoryKv::new());
    let store = Store::new(Arc::clone(&kv) as Arc<dyn storage::kv::Kv>, Arc::new(MemoryChunks::new()), limits(8 << 10));
    let client = Client { store: store.unwrap() };
    client.create_bucket(BUCKET).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let collector = {
        let (store, done) = (Arc::clone(&client.store), Arc::clone(&done));
        tokio::spawn(async move {
            let mut cursor = Vec::new();
            while !done.load(Ordering::Relaxed) {
                store.collect_garbage(&mut cursor, 16).await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    };
    let mut world = World { client, model: Model::new() };
    let mut random = Random(SEED);
    let mut appends = 0;
    for step in 0..STEPS {
        let key = random.pick(&KEYS);
        // Few contents, so that lists share chunks.
        let body = Body::new(random.below(4) as u64, random.pick(&[1, 100, 4_000, 5_000, 20_000])).bytes();
        match random.below(40) {
            0 | 1 => {
                world.client.put(BUCKET, key, &body).await.unwrap();
                world.model.insert(key, (body.to_vec(), BTreeMap::new()));
            }
            2 => {
                world.client.delete(BUCKET, key).await.unwrap();
                world.model.remove(key);
            }
            3..=5 => world.rename(key, random.pick(&KEYS)).await,
            6..=12 => world.annotate(key, random.pick(&NAMES), Some(body)).await,
            13..=15 => world.annotate(key, random.pick(&NAMES), None).await,
            _ => {
                appends += 1;
                world.append(key, &body).await;
            }
        }
        if step % 5 == 0 {
            world.check(random.pick(&KEYS), &mut random).await;
        }
    }
    assert!(appends > STEPS / 3 && !world.model.is_empty(), "the test did next to nothing");
    for key in KEYS {
        world.check(key, &mut random).await;
    }
    done.store(true, Ordering::Relaxed);
    collector.await.unwrap();
    collect_all(&world.client.store).await.unwrap_or_else(|trouble| panic!("{trouble}"));
    audit(&*kv).unwrap();
    audit_live_bytes(&world.client.store, &*kv).unwrap();
}
