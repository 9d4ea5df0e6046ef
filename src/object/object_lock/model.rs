//! Random operations, permissions, clocks and restarts: nothing that is locked is removed or loosened.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use proptest::prelude::*;
use storage::Store;
use storage::chunks::memory::MemoryChunks;
use storage::kv::memory::MemoryKv;
use storage::store::Limits;
use storage::types::VersionId;

use super::*;
use crate::accounts::{AccessKey, Accounts, SecretKey};
use crate::object::{
    Body, BucketCreated, Cause, CopyAttributes, CopyObject, DeleteObject, Encrypting, EventName, Integrity,
    NewBucketAccess, Origin, PutObject, RenameObject, Settings, Source,
};
use crate::rules::conditions::{CopySourceConditions, DeleteCondition, ReadConditions, WriteCondition};
use crate::rules::object_lock::{Mode, Period};
use crate::rules::ownership::ObjectOwnership;
use crate::rules::rename::Destination;

const DAY: i64 = 86_400_000;
const START: i64 = 1_700_000_000_000;
const KEYS: [&str; 2] = ["a", "b"];

/// What is done. Operands are indices into what there is, so every sequence is valid.
#[derive(Clone, Debug)]
enum Step {
    Put { key: usize, lock: Option<(Mode, i64)>, hold: Option<bool> },
    Copy { from: usize, to: usize },
    Rename { from: usize, to: usize },
    DeleteKey { key: usize },
    DeleteVersion { index: usize, bypass: Bypass },
    Retain { index: usize, to: Option<(Mode, i64)>, bypass: Bypass },
    Hold { index: usize, on: bool },
    Default(Option<(Mode, u32)>),
    Suspend,
    DeleteBucket,
    Pass(i64),
    SetWall(i64),
    Restart,
}

/// The two clocks of the machine.
#[derive(Clone, Default)]
struct Clocks {
    wall: Arc<AtomicI64>,
    passed: Arc<AtomicI64>,
}

/// A version that must stay as long as its lock holds.
#[derive(Clone, Copy, Debug)]
struct Known {
    key: &'static str,
    lock: Lock,
}

struct World {
    kv: Arc<MemoryKv>,
    chunks: Arc<MemoryChunks>,
    store: Arc<Store>,
    objects: Objects,
    clocks: Clocks,
    /// The wall clock when the process began, or the latest that was committed before.
    began: i64,
    began_passed: i64,
    versions: BTreeMap<VersionId, Known>,
}

fn settings() -> Settings {
    let key = AccessKey::new("MODELKEY0000".to_owned(), SecretKey::new("model-secret-00".to_owned())).expect("valid");
    let accounts = Arc::new(Accounts::new(key, Vec::new()).expect("one account"));
    Settings {
        region: "r".to_owned(),
        default_ownership: ObjectOwnership::default(),
        calendar: crate::rules::lifecycle::Calendar::AMAZON,
        accounts,
    }
}

fn clock(latest: Timestamp, clocks: &Clocks) -> LockClock {
    let (wall, passed) = (Arc::clone(&clocks.wall), Arc::clone(&clocks.passed));
    let began = passed.load(Ordering::Relaxed);
    LockClock::new(
        latest,
        move || Timestamp(wall.load(Ordering::Relaxed)),
        move || Duration::from_millis(u64::try_from(passed.load(Ordering::Relaxed) - began).expect("only grows")),
    )
}

fn open(kv: &Arc<MemoryKv>, chunks: &Arc<MemoryChunks>) -> Arc<Store> {
    let limits = Limits { index_read_threads: 1, hash_threads: 1, ..Limits::default() };
    Store::new(Arc::<MemoryKv>::clone(kv), Arc::<MemoryChunks>::clone(chunks), limits).expect("threads")
}

fn origin() -> Arc<Origin> {
    Arc::new(Origin::default())
}

impl World {
    async fn new() -> Self {
        let chunks = Arc::new(MemoryChunks::with_capacity(1 << 26));
        let kv = Arc::new(MemoryKv::new());
        let store = open(&kv, &chunks);
        let clocks = Clocks::default();
        clocks.wall.store(START, Ordering::Relaxed);
        let objects = Objects::new(Arc::clone(&store), settings()).with_lock_clock(clock(Timestamp(0), &clocks));
        let access = NewBucketAccess { object_lock: true, ..NewBucketAccess::default() };
        let created = objects.create_bucket("o", "bucket", None, access).await.expect("creates");
        assert_eq!(created, BucketCreated::New);
        Self { kv, chunks, store, objects, clocks, began: START, began_passed: 0, versions: BTreeMap::new() }
    }

    async fn bucket(&self) -> BucketRecord {
        self.objects.bucket("bucket").await.expect("the bucket stays")
    }

    /// When it is at the earliest: no later than the wall clock says, and than as much time has passed.
    fn earliest(&self) -> i64 {
        let wall = self.clocks.wall.load(Ordering::Relaxed);
        wall.min(self.began + self.clocks.passed.load(Ordering::Relaxed) - self.began_passed)
    }

    fn protected(&self, lock: Lock, bypass: Bypass) -> bool {
        let of_retention = |retention: Retention| {
            retention.until > self.earliest() && !(retention.mode == Mode::Governance && bypass == Bypass::Governance)
        };
        lock.legal_hold == Some(true) || lock.retention.is_some_and(of_retention)
    }

    fn nth(&self, index: usize) -> Option<(VersionId, Known)> {
        let place = index.checked_rem(self.versions.len())?;
        self.versions.iter().nth(place).map(|(id, known)| (*id, *known))
    }

    fn learn(&mut self, key: &'static str, version: &VersionRecord) {
        let object = version.object().expect("an object");
        let lock = lock_of(&object.attributes).expect("decodes");
        self.versions.insert(version.id, Known { key, lock });
    }

    /// Whether each version that is known is there with its lock.
    async fn check(&self) {
        let bucket = self.bucket().await;
        for (id, known) in &self.versions {
            let found = self.objects.object_lock(&bucket, known.key, Some(VersionLabel::Id(*id))).await;
            assert_eq!(found.expect("still there"), known.lock, "{known:?}");
        }
    }
}

impl World {
    async fn step(&mut self, step: Step) {
        match step {
            Step::Put { key, lock, hold } => self.put(KEYS[key], lock, hold).await,
            Step::Copy { from, to } => self.copy(KEYS[from], KEYS[to]).await,
            Step::Rename { from, to } => self.rename(KEYS[from], KEYS[to]).await,
            Step::DeleteKey { key } => {
                let deleted = self.objects.delete_object(self.deletion(KEYS[key], None, Bypass::Nothing).await).await;
                assert!(deleted.expect("hides").delete_marker);
            }
            Step::DeleteVersion { index, bypass } => self.delete_version(index, bypass).await,
            Step::Retain { index, to, bypass } => self.retain(index, to, bypass).await,
            Step::Hold { index, on } => {
                let Some((id, known)) = self.nth(index) else { return };
                let label = Some(VersionLabel::Id(id));
                self.objects.set_legal_hold(&self.bucket().await, known.key, label, on).await.expect("set");
                self.versions.insert(id, Known { lock: Lock { legal_hold: Some(on), ..known.lock }, ..known });
            }
            Step::Default(default) => {
                let default = default.map(|(mode, days)| DefaultRetention { mode, period: Period::Days(days) });
                self.objects.set_object_lock("bucket", default).await.expect("set");
            }
            Step::Suspend => {
                self.objects.set_versioning("bucket", Versioning::Suspended).await.expect_err("versions must be kept");
            }
            Step::DeleteBucket => {
                if self.versions.is_empty() {
                    return;
                }
                self.objects.delete_bucket("bucket").await.expect_err("not empty");
            }
            Step::Pass(time) => {
                self.clocks.wall.fetch_add(time, Ordering::Relaxed);
                self.clocks.passed.fetch_add(time, Ordering::Relaxed);
            }
            Step::SetWall(wall) => self.clocks.wall.store(wall, Ordering::Relaxed),
            Step::Restart => {
                self.store = open(&self.kv, &self.chunks);
                let latest = self.store.latest_time();
                self.began = self.clocks.wall.load(Ordering::Relaxed).max(latest.0);
                self.began_passed = self.clocks.passed.load(Ordering::Relaxed);
                self.objects =
                    Objects::new(Arc::clone(&self.store), settings()).with_lock_clock(clock(latest, &self.clocks));
            }
        }
    }

    async fn put(&mut self, key: &'static str, lock: Option<(Mode, i64)>, hold: Option<bool>) {
        let retention = lock.map(|(mode, length)| Retention { mode, until: self.objects.lock_time().latest + length });
        let stated = Lock { retention, legal_hold: hold };
        let mut attributes = Attributes::default();
        set_lock(&mut attributes, stated);
        let bucket = self.bucket().await;
        let default = self.objects.default_retention(&bucket).await.expect("reads");
        let request = PutObject {
            bucket,
            key: key.to_owned(),
            owner: "o".to_owned(),
            attributes,
            condition: WriteCondition::Unconditional,
            integrity: Integrity::default(),
            length: Some(1),
            encryption: Encrypting::Default,
            cause: Cause { event: EventName::ObjectCreatedPut, origin: origin() },
        };
        let body: Body = Box::pin(futures_util::stream::iter([Ok(bytes::Bytes::from_static(b"x"))]));
        let wall = self.clocks.wall.load(Ordering::Relaxed);
        let written = self.objects.put_object(request, body).await.expect("written");
        self.learn(key, &written.version);
        let lock = self.versions[&written.version.id].lock;
        match (retention, default) {
            (Some(_), _) | (None, None) => assert_eq!(lock, stated),
            (None, Some(default)) => {
                let given = lock.retention.expect("the default");
                let Period::Days(days) = default.period else { panic!("the model sets days") };
                assert!(given.mode == default.mode && given.until >= wall + i64::from(days) * DAY, "{given:?}");
                assert!(given.until >= self.earliest() + i64::from(days) * DAY, "{given:?}");
            }
        }
    }

    async fn copy(&mut self, from: &'static str, to: &'static str) {
        let bucket = self.bucket().await;
        let attributes = CopyAttributes { replaced: Some(Attributes::default()), ..CopyAttributes::default() };
        let request = CopyObject {
            source: Source {
                bucket: bucket.clone(),
                key: from.to_owned(),
                version: None,
                conditions: CopySourceConditions(ReadConditions::default()),
                customer: None,
            },
            bucket,
            key: to.to_owned(),
            owner: "o".to_owned(),
            attributes,
            condition: WriteCondition::Unconditional,
            checksum: None,
            encryption: Encrypting::Default,
            origin: origin(),
        };
        if let Ok(copied) = self.objects.copy_object(request).await {
            self.learn(to, &copied.written.version);
        }
    }

    async fn rename(&mut self, from: &'static str, to: &'static str) {
        let bucket = self.bucket().await;
        let request = RenameObject {
            bucket: bucket.clone(),
            source: from.to_owned(),
            key: to.to_owned(),
            owner: "o".to_owned(),
            source_conditions: ReadConditions::default(),
            destination: Destination::default(),
            token: None,
            origin: origin(),
        };
        if self.objects.rename_object(request).await.is_ok() {
            let (version, _) = self.objects.object_version(&bucket, to, None).await.expect("arrived");
            self.learn(to, &version);
        }
    }

    async fn deletion(&self, key: &str, version: Option<VersionLabel>, bypass: Bypass) -> DeleteObject {
        DeleteObject {
            bucket: self.bucket().await,
            key: key.to_owned(),
            owner: "o".to_owned(),
            version,
            condition: DeleteCondition::Unconditional,
            bypass,
            origin: origin(),
        }
    }

    async fn delete_version(&mut self, index: usize, bypass: Bypass) {
        let Some((id, known)) = self.nth(index) else { return };
        let request = self.deletion(known.key, Some(VersionLabel::Id(id)), bypass).await;
        let deleted = self.objects.delete_object(request).await;
        assert_eq!(deleted.is_err(), self.protected(known.lock, bypass), "{known:?} {bypass:?}");
        if deleted.is_ok() {
            self.versions.remove(&id);
        }
    }

    async fn retain(&mut self, index: usize, to: Option<(Mode, i64)>, bypass: Bypass) {
        let Some((id, known)) = self.nth(index) else { return };
        let base = known.lock.retention.map_or(START, |retention| retention.until);
        let wanted = to.map(|(mode, change)| Retention { mode, until: base + change });
        let label = Some(VersionLabel::Id(id));
        let set = self.objects.set_retention(&self.bucket().await, known.key, label, wanted, bypass).await;
        if set.is_err() {
            return;
        }
        let of_retention = Lock { legal_hold: None, ..known.lock };
        if self.protected(of_retention, bypass) {
            let before = known.lock.retention.expect("it was retained");
            let after = wanted.expect("not taken away");
            assert!(after.mode == before.mode && after.until >= before.until, "{before:?} became {after:?}");
        }
        self.versions.insert(id, Known { lock: Lock { retention: wanted, ..known.lock }, ..known });
    }
}

fn steps() -> impl Strategy<Value = Step> {
    let mode = || prop_oneof![Just(Mode::Governance), Just(Mode::Compliance)];
    let bypass = || prop_oneof![Just(Bypass::Nothing), Just(Bypass::Governance)];
    let index = || 0..16_usize;
    let key = || 0..KEYS.len();
    prop_oneof![
        4 => (key(), proptest::option::of((mode(), 1..3 * DAY)), proptest::option::of(any::<bool>()))
            .prop_map(|(key, lock, hold)| Step::Put { key, lock, hold }),
        1 => (key(), key()).prop_map(|(from, to)| Step::Copy { from, to }),
        1 => (key(), key()).prop_map(|(from, to)| Step::Rename { from, to }),
        1 => key().prop_map(|key| Step::DeleteKey { key }),
        4 => (index(), bypass()).prop_map(|(index, bypass)| Step::DeleteVersion { index, bypass }),
        3 => (index(), proptest::option::of((mode(), -2 * DAY..2 * DAY)), bypass())
            .prop_map(|(index, to, bypass)| Step::Retain { index, to, bypass }),
        2 => (index(), any::<bool>()).prop_map(|(index, on)| Step::Hold { index, on }),
        1 => proptest::option::of((mode(), 1..3_u32)).prop_map(Step::Default),
        1 => Just(Step::Suspend),
        1 => Just(Step::DeleteBucket),
        2 => (0..DAY).prop_map(Step::Pass),
        2 => (START - 5 * DAY..START + 5 * DAY).prop_map(Step::SetWall),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn nothing_locked_is_removed_or_loosened(steps in proptest::collection::vec(steps(), 1..48)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut world = World::new().await;
            for step in steps {
                world.step(step).await;
                world.check().await;
            }
        });
    }
}
