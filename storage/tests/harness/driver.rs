//! Operations as data: each is done to a store and to the reference model.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use storage::compact::{Compaction, Thrift};
use storage::index::keys::Usage;
use storage::index::records::Versioning;
use storage::store::{BucketCreation, BucketDeletion};
use storage::types::UploadId;
use storage::{Store, StoreError};

use super::Body;
use super::chores::{self, Chore};
use super::client::Client;
use super::client_more::Notes;
use super::state::{Bucket, State};

/// Steps of compaction within which all of a small store is compact.
const COMPACTIONS: usize = 200;
/// Passes of the collector within which all garbage must be gone: an upload's parts, their manifests, the chunks.
const PASSES: usize = 64;

/// A bucket's or key's name.
pub type Name = &'static str;

/// A version: bucket, key, and its number among the key's versions, newest first.
pub type At = (Name, Name, usize);

/// One operation. Whoever writes it down sees to it that what it names is there.
#[derive(Clone, Debug)]
pub enum Step {
    CreateBucket(Name),
    DeleteBucket(Name),
    Versioning(Name, Versioning),
    Config(Name, Option<u8>),
    Put(Name, Name, Body),
    Delete(Name, Name),
    DeleteVersion(At),
    Tag(At, u8),
    Copy(At, Name, Name),
    /// Unless all versions of the bucket together would have more than so many bytes.
    PutWithin(Name, Name, Body, u64),
    Append(Name, Name, Body),
    /// From one key to another of the bucket.
    Rename(Name, Name, Name),
    /// The version has this annotation alone, or none.
    Annotate(At, Option<Body>),
    /// The current version's bytes go to the tier.
    SendToTier(Name, Name),
    BringBack(Name, Name),
    CreateUpload(Name, Name),
    /// Uploads are named by their number among the open ones, by bucket, key and age.
    Part(usize, u16, Body),
    CopyPart(usize, u16, At),
    /// With the parts whose numbers are multiples of the second.
    Complete(usize, u16),
    Abort(usize),
    /// One pass over so many candidates.
    Collect(usize),
    CollectAll,
    /// Until there is nothing left to move.
    Compact,
    Chore(Chore),
}

/// Why an operation ended badly.
#[derive(Debug)]
pub enum Trouble {
    /// The store refused it.
    Store(StoreError),
    /// The store answered what it should not.
    Diverged(String),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => write!(f, "the store failed: {error}"),
            Self::Diverged(what) => f.write_str(what),
        }
    }
}

/// A store and its model.
pub struct Driver {
    pub client: Client,
    pub state: State,
    cursor: Vec<u8>,
}

impl Driver {
    pub fn new(store: Arc<Store>, state: State) -> Self {
        Self { client: Client { store }, state, cursor: Vec::new() }
    }

    fn upload(&self, nth: usize) -> Result<(String, String, UploadId), Trouble> {
        let uploads = self.state.uploads();
        let found = uploads.get(nth).cloned();
        found.ok_or_else(|| Trouble::Diverged(format!("the script names upload {nth} of {}", uploads.len())))
    }

    /// Does an operation to the store and, if it succeeds, to the model.
    pub async fn apply(&mut self, step: &Step) -> Result<(), Trouble> {
        match step {
            Step::CreateBucket(_) | Step::DeleteBucket(_) | Step::Versioning(..) | Step::Config(..) => {
                self.apply_to_bucket(step).await
            }
            Step::CreateUpload(..) | Step::Part(..) | Step::CopyPart(..) | Step::Complete(..) | Step::Abort(_) => {
                self.apply_to_upload(step).await
            }
            Step::Collect(limit) => {
                Ok(self.client.store.collect_garbage(&mut self.cursor, *limit).await.map(|_| ())?)
            }
            Step::Compact => compact(&self.client.store).await,
            Step::CollectAll => collect_all(&self.client.store).await,
            Step::Chore(chore) => {
                let store = Arc::clone(&self.client.store);
                chores::apply(&store, &mut self.state, chore).await
            }
            Step::PutWithin(..)
            | Step::Append(..)
            | Step::Rename(..)
            | Step::Annotate(..)
            | Step::SendToTier(..)
            | Step::BringBack(..) => self.apply_more(step).await,
            _ => self.apply_to_object(step).await,
        }
    }

    async fn apply_to_bucket(&mut self, step: &Step) -> Result<(), Trouble> {
        let client = &self.client;
        match step {
            Step::CreateBucket(name) => match client.create_bucket(name).await? {
                BucketCreation::Created(record) => {
                    let was = self.state.buckets.insert((*name).to_owned(), Bucket::new(record.id));
                    diverged(was.is_some(), || format!("{name} was created twice"))
                }
                BucketCreation::Exists(record) => {
                    let expected = self.state.buckets.get(*name).map(|bucket| bucket.id);
                    diverged(expected != Some(record.id), || format!("{name} exists already: {record:?}"))
                }
            },
            Step::DeleteBucket(name) => {
                let deletion = client.store.delete_bucket(name).await?;
                let expected = match self.state.buckets.get(*name) {
                    None => BucketDeletion::Absent,
                    Some(bucket) if bucket.keys.is_empty() => BucketDeletion::Deleted,
                    Some(_) => BucketDeletion::NotEmpty,
                };
                if deletion == BucketDeletion::Deleted {
                    self.state.buckets.remove(*name);
                }
                diverged(deletion != expected, || format!("deletion of {name}: {deletion:?}, not {expected:?}"))
            }
            Step::Versioning(name, versioning) => {
                client.store.update_bucket(name, |bucket| bucket.versioning = *versioning).await?;
                self.state.bucket(name).versioning = *versioning;
                Ok(())
            }
            Step::Config(name, value) => {
                let value = value.map(|byte| vec![byte; 3]);
                client.set_config(name, value.clone()).await?;
                self.state.bucket(name).config = value.map(Bytes::from);
                Ok(())
            }
            other => unreachable!("{other:?} is none of a bucket"),
        }
    }

    async fn apply_to_object(&mut self, step: &Step) -> Result<(), Trouble> {
        let (client, state) = (&self.client, &mut self.state);
        match step {
            Step::Put(name, key, body) => {
                let body = body.bytes();
                let id = client.put(name, key, &body).await?;
                state.bucket(name).add(key, id, Some(body));
                state.tell("put", name, key);
            }
            Step::Delete(name, key) => {
                let marker = client.delete(name, key).await?;
                let versioned = state.bucket(name).versioning != Versioning::Unversioned;
                if versioned || state.bucket(name).current(key).is_some() {
                    state.tell("delete", name, key);
                }
                diverged(marker.is_some() != versioned, || format!("deletion of {key} left marker {marker:?}"))?;
                state.bucket(name).delete(key, marker);
            }
            Step::DeleteVersion(at @ (name, key, nth)) => {
                let id = state.version(&spot(*at)).id;
                client.delete_version(name, key, id).await?;
                state.bucket(name).delete_version(key, *nth);
                state.tell("remove", name, key);
            }
            Step::Tag(at @ (name, key, nth), tag) => {
                let tags = vec![("t".to_owned(), tag.to_string())];
                client.set_tags(name, key, state.version(&spot(*at)).id, tags.clone()).await?;
                let versions = state.bucket(name).keys.get_mut(*key);
                versions.expect("the script names a key that is there")[*nth].tags = tags;
                state.tell("tag", name, key);
            }
            Step::Copy(at @ (name, key, _), to, to_key) => {
                let source = state.version(&spot(*at)).clone();
                let staged = client.share(name, key, source.id).await?;
                let id = client.put_staged(to, to_key, staged).await?;
                state.bucket(to).add(to_key, id, source.body);
                state.tell("put", to, to_key);
            }
            other => unreachable!("{other:?} is none of an object"),
        }
        Ok(())
    }

    async fn apply_more(&mut self, step: &Step) -> Result<(), Trouble> {
        let (client, state) = (&self.client, &mut self.state);
        match step {
            Step::PutWithin(name, key, body, max) => {
                let body = body.bytes();
                let bucket = state.bucket(name);
                let replaced = bucket.current(key).and_then(|version| version.body.as_ref()).map_or(0, Bytes::len);
                let used = bucket.usage(Usage::Bytes);
                let after = used - replaced as u64 + body.len() as u64;
                let is_refused = after > used && after > *max;
                let id = client.put_within(name, key, &body, *max).await?;
                diverged(id.is_none() != is_refused, || format!("{after} bytes of {max} were answered with {id:?}"))?;
                if let Some(id) = id {
                    bucket.add(key, id, Some(body));
                    state.tell("put", name, key);
                }
            }
            Step::Append(name, key, body) => {
                let before = state.bucket(name).current(key).and_then(|version| version.body.clone());
                let whole = [&before.expect("the script names an object")[..], &body.bytes()].concat();
                let id = client.append(name, key, &body.bytes()).await?;
                state.bucket(name).add(key, id, Some(whole.into()));
                state.tell("put", name, key);
            }
            Step::Rename(name, from, to) => {
                let body = state.bucket(name).current(from).and_then(|version| version.body.clone());
                let id = client.rename(name, from, to).await?;
                state.bucket(name).add(to, id, body);
                state.bucket(name).delete(from, None);
                state.tell("put", name, to);
                state.tell("delete", name, from);
            }
            Step::Annotate(at @ (name, key, nth), body) => {
                let notes: Notes = body.iter().map(|body| ("n".to_owned(), body.bytes())).collect();
                client.annotate(name, key, state.version(&spot(*at)).id, &notes).await?;
                let versions = state.bucket(name).keys.get_mut(*key);
                versions.expect("the script names a key that is there")[*nth].notes = notes;
                state.tell("annotate", name, key);
            }
            Step::SendToTier(name, key) => client.send_to_tier(name, key).await?,
            Step::BringBack(name, key) => client.bring_back(name, key).await?,
            other => unreachable!("{other:?} is done elsewhere"),
        }
        Ok(())
    }

    async fn apply_to_upload(&mut self, step: &Step) -> Result<(), Trouble> {
        if let Step::CreateUpload(name, key) = step {
            let id = self.client.create_upload(name, key).await?;
            self.state.bucket(name).uploads.insert(((*key).to_owned(), id), super::state::Parts::new());
            return Ok(());
        }
        let (Step::Part(nth, ..) | Step::CopyPart(nth, ..) | Step::Complete(nth, _) | Step::Abort(nth)) = step else {
            unreachable!("{step:?} is none of an upload")
        };
        let (name, key, id) = self.upload(*nth)?;
        let (client, state) = (&self.client, &mut self.state);
        let open = client.upload(&name, &key, id).await?;
        let uploads = &mut state.buckets.get_mut(&name).expect("an upload has its bucket").uploads;
        let parts = uploads.get_mut(&(key.clone(), id)).expect("the upload is open");
        match step {
            Step::Part(_, number, body) => {
                let body = body.bytes();
                client.put_part(&open, *number, &body).await?;
                parts.insert(*number, body);
            }
            Step::CopyPart(_, number, at) => {
                let source = state.version(&spot(*at)).clone();
                client.copy_part(&open, *number, (at.0, at.1, source.id)).await?;
                let body = source.body.expect("the script names an object");
                let parts = state.bucket(&name).uploads.get_mut(&(key, id));
                parts.expect("the upload is open").insert(*number, body);
            }
            Step::Complete(_, every) => {
                let wanted = |number: u16| number.is_multiple_of(*every);
                let whole = parts.iter().filter(|(number, _)| wanted(**number)).fold(
                    BytesMut::new(),
                    |mut whole, (_, part)| {
                        whole.extend_from_slice(part);
                        whole
                    },
                );
                let version = client.complete(&name, &key, id, wanted).await?;
                let became = client.store.completed_upload(id).await?.map(|became| became.version.id);
                diverged(became != Some(version), || format!("a completed upload became {became:?}, not {version}"))?;
                uploads.remove(&(key.clone(), id));
                state.bucket(&name).add(&key, version, Some(whole.freeze()));
                state.tell("put", &name, &key);
            }
            _ => {
                client.store.abort_upload(&open).await?;
                uploads.remove(&(key, id));
            }
        }
        Ok(())
    }
}

fn spot((bucket, key, nth): At) -> super::state::Spot {
    (bucket.to_owned(), key.to_owned(), nth)
}

pub fn diverged(is: bool, what: impl FnOnce() -> String) -> Result<(), Trouble> {
    if is { Err(Trouble::Diverged(what())) } else { Ok(()) }
}

/// Collects until nothing is left to look at.
pub async fn collect_all(store: &Arc<Store>) -> Result<(), Trouble> {
    let mut cursor = Vec::new();
    for _ in 0..PASSES {
        let collected = store.collect_garbage(&mut cursor, 1000).await?;
        if collected.examined == 0 {
            return Ok(());
        }
        // A stream that was read to its end may not have let go yet.
        tokio::task::yield_now().await;
    }
    Err(Trouble::Diverged(format!("there is garbage left after {PASSES} passes")))
}

/// Compacts until there is nothing left to do.
pub async fn compact(store: &Arc<Store>) -> Result<(), Trouble> {
    let mut compaction = Compaction::default();
    for _ in 0..COMPACTIONS {
        if store.compact(&mut compaction, Thrift::WhileQuiet).await?.idle {
            return Ok(());
        }
    }
    Err(Trouble::Diverged("compaction does not end".to_owned()))
}
