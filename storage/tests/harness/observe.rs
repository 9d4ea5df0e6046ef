//! Looks at all of a store through its own listings and readers.

use std::sync::Arc;

use storage::index::records::{UploadRecord, VersionRecord};
use storage::store::{Seek, Step};
use storage::types::BucketId;
use storage::{Result, Store};

use super::chores::observe_records;
use super::client::Client;
use super::client_more::Notes;
use super::state::{Bucket, State, Version};

/// Everything that can be seen, byte for byte. An error says what could not be read, or does not agree with itself.
pub async fn observe(store: &Arc<Store>) -> Result<State, String> {
    let client = Client { store: Arc::clone(store) };
    let mut state = State::default();
    for record in store.list_buckets("", None, 1000, |_| true).await.map_err(failed("listing buckets"))? {
        let mut bucket = Bucket::new(record.id);
        bucket.versioning = record.versioning;
        bucket.config = client.config(record.id).await.map_err(failed("reading a sub-resource"))?;
        observe_versions(&client, &mut bucket).await.map_err(|error| format!("{}: {error}", record.name))?;
        observe_uploads(&client, &mut bucket).await.map_err(|error| format!("{}: {error}", record.name))?;
        for (figure, counted) in client.usage(record.id).await.map_err(failed("reading usage"))? {
            let real = bucket.usage(figure);
            if counted != real {
                return Err(format!("{}: usage {figure:?} says {counted}, there are {real}", record.name));
            }
        }
        state.buckets.insert(record.name, bucket);
    }
    state.records = observe_records(store).await?;
    let mut after = state.records.trimmed;
    loop {
        let page = store.outbox_page(after, 7).await.map_err(failed("reading the outbox"))?;
        for row in &page {
            if row.position != after + 1 {
                return Err(format!("event {after} is followed by {}", row.position));
            }
            after = row.position;
            state.events.push(String::from_utf8_lossy(&row.event).into_owned());
        }
        if page.is_empty() {
            break;
        }
    }
    Ok(state)
}

fn failed<E: std::fmt::Display>(doing: &str) -> impl Fn(E) -> String {
    move |error| format!("{doing}: {error}")
}

/// All versions as the store lists them.
pub async fn list_versions(
    store: &Store,
    bucket: BucketId,
    prefix: &str,
    from: &Seek,
) -> Result<Vec<(String, VersionRecord)>> {
    let visit = |all: &mut Vec<(String, VersionRecord)>, key: &str, record: &dyn Fn() -> Result<VersionRecord>| {
        all.push((key.to_owned(), record()?));
        Ok(Step::Next)
    };
    store.visit_versions(bucket, prefix, from, Vec::new(), visit).await
}

/// All current versions as the store lists them.
pub async fn list_current(
    store: &Store,
    bucket: BucketId,
    prefix: &str,
    from: &Seek,
) -> Result<Vec<(String, VersionRecord)>> {
    let visit = |all: &mut Vec<(String, VersionRecord)>, key: &str, record: &dyn Fn() -> Result<VersionRecord>| {
        all.push((key.to_owned(), record()?));
        Ok(Step::Next)
    };
    store.visit_current(bucket, prefix, from, Vec::new(), visit).await
}

/// All open uploads as the store lists them.
pub async fn list_uploads(
    store: &Store,
    bucket: BucketId,
    prefix: &str,
    from: &Seek,
) -> Result<Vec<(String, UploadRecord)>> {
    let visit = |all: &mut Vec<(String, UploadRecord)>, key: &str, id, record: &dyn Fn() -> Result<UploadRecord>| {
        let record = record()?;
        assert_eq!(record.id, id, "a row's key names its upload");
        all.push((key.to_owned(), record));
        Ok(Step::Next)
    };
    store.visit_uploads(bucket, prefix, from, Vec::new(), visit).await
}

async fn observe_versions(client: &Client, bucket: &mut Bucket) -> Result<(), String> {
    let start = Seek::Key(String::new());
    let listed = list_versions(&client.store, bucket.id, "", &start).await.map_err(failed("listing versions"))?;
    for (key, record) in listed {
        let version = match record.object() {
            None => Version { id: record.id, null: record.null, tags: Vec::new(), notes: Notes::new(), body: None },
            Some(object) => {
                let body = client.read(bucket.id, &key, &record, 0..object.size).await;
                let body = body.map_err(|error| format!("reading {key} {}: {error}", record.id))?;
                if body.len() as u64 != object.size {
                    return Err(format!(
                        "{key} {} has {} bytes, its record says {}",
                        record.id,
                        body.len(),
                        object.size
                    ));
                }
                let notes = match &object.annotations {
                    None => Notes::new(),
                    Some(list) => {
                        let notes = client.notes(list).await;
                        notes.map_err(|error| format!("reading annotations of {key} {}: {error}", record.id))?
                    }
                };
                let tags = object.attributes.tags.clone();
                Version { id: record.id, null: record.null, tags, notes, body: Some(body) }
            }
        };
        bucket.keys.entry(key).or_default().push(version);
    }
    let current = list_current(&client.store, bucket.id, "", &start).await.map_err(failed("listing objects"))?;
    let current: Vec<_> = current.into_iter().map(|(key, record)| (key, record.id)).collect();
    let newest = |key: &String| Some((key.clone(), bucket.current(key)?.id));
    let expected: Vec<_> = bucket.keys.keys().filter_map(newest).collect();
    if current != expected {
        return Err(format!("current versions are listed as {current:?}, of all versions the newest are {expected:?}"));
    }
    Ok(())
}

async fn observe_uploads(client: &Client, bucket: &mut Bucket) -> Result<(), String> {
    let start = Seek::Key(String::new());
    let listed = list_uploads(&client.store, bucket.id, "", &start).await.map_err(failed("listing uploads"))?;
    for (key, upload) in listed {
        let parts = bucket.uploads.entry((key.clone(), upload.id)).or_default();
        for part in client.store.parts(upload.id, 0, 10_000).await.map_err(failed("listing parts"))? {
            let body = client.read_data(part.data, part.size, 0..part.size).await;
            let body = body.map_err(|error| format!("reading part {} of {key} {}: {error}", part.number, upload.id))?;
            if body.len() as u64 != part.size {
                return Err(format!("part {} of {key} has {} bytes, not {}", part.number, body.len(), part.size));
            }
            parts.insert(part.number, body);
        }
    }
    Ok(())
}
