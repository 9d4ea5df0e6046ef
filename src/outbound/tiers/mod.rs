//! Storage tiers: directories, S3, Azure Blob Storage, Google Cloud Storage. Objects are put whole, read in ranges,
//! listed and deleted; a request that fails is repeated a few times within seconds, and its caller waits longer.

mod directory;

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectMeta, ObjectStore, ObjectStoreExt as _, RetryConfig};

use crate::secret_file;
use directory::Directory;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For one request: an object of 16 MiB at 300 KB/s.
const TIMEOUT: Duration = Duration::from_mins(1);
const RETRIES: usize = 2;
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);

/// A secret, or the file that holds it, which is read when the connection is made.
#[derive(Clone)]
pub enum Secret {
    /// The secret itself.
    Text(String),
    /// Its file.
    File(PathBuf),
}

impl Secret {
    #[allow(clippy::disallowed_methods, reason = "the operator's file, read once at start")]
    fn read(&self, what: &str) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => {
                let read = File::open(path).and_then(|file| secret_file::read(path, file, what));
                Ok(read.map_err(|error| format!("{}: {error}", path.display()))?.trim().to_owned())
            }
        }
    }
}

/// Where a tier is.
#[derive(Clone)]
pub enum Place {
    /// A directory of this machine's.
    Directory {
        /// Its path.
        path: PathBuf,
    },
    /// A bucket of S3, Amazon's or another.
    S3 {
        /// `http://` or `https://` and a host; Amazon's of the region if there is none.
        endpoint: Option<String>,
        /// The region.
        region: String,
        /// The bucket.
        bucket: String,
        /// Before all names.
        prefix: String,
        /// The access key's id and secret.
        credentials: (String, Secret),
    },
    /// A container of Azure Blob Storage.
    Azure {
        /// `http://` or `https://` and a host, or a path that ends with the account, as emulators have; Azure's own if
        /// there is none.
        endpoint: Option<String>,
        /// The storage account.
        account: String,
        /// Its key, base64.
        key: Secret,
        /// The container.
        container: String,
        /// Before all names.
        prefix: String,
    },
    /// A bucket of Google Cloud Storage.
    Gcs {
        /// Another base URL than Google's.
        endpoint: Option<String>,
        /// The bucket.
        bucket: String,
        /// Before all names.
        prefix: String,
        /// The service account's key file; none asks the machine's own account.
        service_account_file: Option<PathBuf>,
    },
}

impl Place {
    /// What it is called in configuration and answers.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Directory { .. } => "directory",
            Self::S3 { .. } => "s3",
            Self::Azure { .. } => "azure",
            Self::Gcs { .. } => "gcs",
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Credentials are left out on purpose.
        f.debug_struct("Place").field("kind", &self.kind()).finish_non_exhaustive()
    }
}

/// What a tier answered instead of what was asked for.
#[derive(Clone, Debug)]
pub struct Failed {
    /// In words.
    pub reason: String,
    /// Whether there is no such object.
    pub missing: bool,
}

/// A connection to a tier.
pub struct TierClient(Kind);

enum Kind {
    Directory(Directory),
    Objects { store: Arc<dyn ObjectStore>, prefix: String },
}

impl TierClient {
    /// Makes the connection ready; nothing is asked of the tier yet, but a directory must be there.
    ///
    /// # Errors
    /// In words, what of the configuration cannot be used.
    pub fn open(place: &Place) -> Result<Self, String> {
        let words = |error: object_store::Error| error.to_string();
        let (store, prefix): (Arc<dyn ObjectStore>, _) = match place {
            Place::Directory { path } => return Ok(Self(Kind::Directory(Directory::open(path)?))),
            Place::S3 { endpoint, region, bucket, prefix, credentials } => {
                let builder = AmazonS3Builder::new()
                    .with_region(region)
                    .with_bucket_name(bucket)
                    .with_access_key_id(&credentials.0)
                    .with_secret_access_key(credentials.1.read("secret_access_key")?)
                    .with_disable_bulk_delete(true)
                    .with_client_options(client(endpoint.as_deref()))
                    .with_retry(retry());
                let builder = match endpoint {
                    Some(endpoint) => builder.with_endpoint(endpoint),
                    None => builder,
                };
                (Arc::new(builder.build().map_err(words)?), prefix)
            }
            Place::Azure { endpoint, account, key, container, prefix } => {
                let builder = MicrosoftAzureBuilder::new()
                    .with_account(account)
                    .with_access_key(key.read("account_key")?)
                    .with_container_name(container)
                    .with_client_options(client(endpoint.as_deref()))
                    .with_retry(retry());
                let builder = match endpoint {
                    Some(endpoint) => builder.with_endpoint(endpoint.clone()),
                    None => builder,
                };
                (Arc::new(builder.build().map_err(words)?), prefix)
            }
            Place::Gcs { endpoint, bucket, prefix, service_account_file } => {
                let builder = GoogleCloudStorageBuilder::new()
                    .with_bucket_name(bucket)
                    .with_client_options(client(endpoint.as_deref()))
                    .with_retry(retry());
                let builder = match endpoint {
                    Some(endpoint) => builder.with_base_url(endpoint),
                    None => builder,
                };
                let builder = match service_account_file {
                    Some(file) => builder.with_service_account_path(file.to_string_lossy()),
                    None => builder,
                };
                (Arc::new(builder.build().map_err(words)?), prefix)
            }
        };
        let prefix = prefix.trim_matches('/').to_owned();
        Ok(Self(Kind::Objects { store, prefix }))
    }

    /// Writes an object.
    pub async fn put(&self, name: &str, bytes: Bytes) -> Result<(), Failed> {
        match &self.0 {
            Kind::Directory(directory) => directory.put(name, bytes).await,
            Kind::Objects { store, prefix } => {
                store.put(&path(prefix, name), bytes.into()).await.map(|_| ()).map_err(|error| failed(&error))
            }
        }
    }

    /// Reads a range of an object, all of it.
    pub async fn get(&self, name: &str, range: Range<u64>) -> Result<Bytes, Failed> {
        match &self.0 {
            Kind::Directory(directory) => directory.get(name, range).await,
            Kind::Objects { store, prefix } => {
                store.get_range(&path(prefix, name), range).await.map_err(|error| failed(&error))
            }
        }
    }

    /// Deletes an object; that there is none is no error.
    pub async fn delete(&self, name: &str) -> Result<(), Failed> {
        match &self.0 {
            Kind::Directory(directory) => directory.delete(name).await,
            Kind::Objects { store, prefix } => match store.delete(&path(prefix, name)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(failed(&error)),
            },
        }
    }

    /// Up to `limit` names after this one.
    pub async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, Failed> {
        match &self.0 {
            Kind::Directory(directory) => directory.list(after, limit).await,
            Kind::Objects { store, prefix } => {
                let under = Path::from(prefix.as_str());
                let listed = match after {
                    Some(after) => {
                        let offset = path(prefix, after);
                        let listed = store.list_with_offset(Some(&under), &offset);
                        // Azurite gives all of them, whatever it is asked.
                        let later = move |object: &ObjectMeta| std::future::ready(object.location > offset);
                        listed.try_filter(later).boxed()
                    }
                    None => store.list(Some(&under)),
                };
                let found: Vec<_> = listed.take(limit).try_collect().await.map_err(|error| failed(&error))?;
                Ok(found.iter().filter_map(|object| object.location.filename().map(str::to_owned)).collect())
            }
        }
    }
}

fn path(prefix: &str, name: &str) -> Path {
    if prefix.is_empty() { Path::from(name) } else { Path::from(format!("{prefix}/{name}")) }
}

fn client(endpoint: Option<&str>) -> ClientOptions {
    let plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    ClientOptions::new().with_allow_http(plain).with_connect_timeout(CONNECT_TIMEOUT).with_timeout(TIMEOUT)
}

fn retry() -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(2), ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_TIMEOUT }
}

/// The longest reason that is kept: tiers answer with whole pages.
const REASON_BYTES: usize = 500;

fn failed(error: &object_store::Error) -> Failed {
    let mut reason = error.to_string();
    let end = (0..=reason.len().min(REASON_BYTES)).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0);
    reason.truncate(end);
    Failed { reason, missing: matches!(error, object_store::Error::NotFound { .. }) }
}
