//! What a load is aimed at: an address, a signer for it, and the process to watch.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use sha2::Sha256;

use crate::Result;
use crate::client::{AnswerBody, Connection, RequestBody};
use crate::options::Options;
use crate::server::Process;
use crate::signing::{Request, Signer};

/// One server, real or ceiling.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub signer: Signer,
    /// None where the process is not known.
    pub process: Option<Process>,
}

/// Names and values of a query, sorted by name, not encoded.
pub type Query<'a> = &'a [(&'a str, &'a str)];

impl Target {
    /// The server at `address`.
    pub fn new(options: &Options, address: SocketAddr, process: Option<Process>) -> Result<Self> {
        Ok(Self { address, signer: Signer::new(options, address.to_string())?, process })
    }

    /// One request outside any measurement on a connection of its own; answers status and body.
    pub async fn call(
        &self,
        method: &'static str,
        path: &str,
        query: Query<'_>,
        body: &[u8],
    ) -> Result<(u16, Vec<u8>)> {
        let sha256 = hex::encode(Sha256::digest(body));
        // Operations such as PutBucketVersioning require a checksum of the body; SDKs of all ages send this one.
        let extra = if body.is_empty() {
            String::new()
        } else {
            format!("content-md5: {}\r\n", STANDARD.encode(Md5::digest(body)))
        };
        let request =
            Request { method, path, query, sha256: Some(&sha256), content_length: body.len() as u64, extra: &extra };
        let (mut head, mut answer) = (Vec::new(), Vec::new());
        self.signer.clone().write_head(&mut head, &request)?;
        let mut connection = Connection::open(self.address).await?;
        let status = connection.exchange(&head, RequestBody::Bytes(body), AnswerBody::Keep(&mut answer)).await?.status;
        Ok((status, answer))
    }

    /// One action of IAM; answers its XML.
    pub async fn query(&self, action: &str, fields: Vec<(&str, String)>) -> Result<String> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", action).append_pair("Version", "2010-05-08").extend_pairs(fields);
        let body = form.finish();
        let sha256 = hex::encode(Sha256::digest(&body));
        let request = Request {
            method: "POST",
            path: "/",
            query: &[],
            sha256: Some(&sha256),
            content_length: body.len() as u64,
            extra: "content-type: application/x-www-form-urlencoded\r\n",
        };
        let (mut head, mut answer) = (Vec::new(), Vec::new());
        self.signer.for_service("iam").write_head(&mut head, &request)?;
        let mut connection = Connection::open(self.address).await?;
        let (sent, kept) = (RequestBody::Bytes(body.as_bytes()), AnswerBody::Keep(&mut answer));
        match connection.exchange(&head, sent, kept).await?.status {
            200 => Ok(String::from_utf8(answer)?),
            status => Err(refused(action, status, &answer).into()),
        }
    }

    /// Makes `bucket`, or takes it as it is if it is ours already.
    pub async fn create_bucket(&self, bucket: &str) -> Result<()> {
        match self.call("PUT", &format!("/{bucket}"), &[], b"").await? {
            (200 | 409, _) => Ok(()),
            (status, body) => Err(refused("CreateBucket", status, &body).into()),
        }
    }

    /// Switches versioning on.
    pub async fn enable_versioning(&self, bucket: &str) -> Result<()> {
        let body = br#"<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>Enabled</Status></VersioningConfiguration>"#;
        match self.call("PUT", &format!("/{bucket}"), &[("versioning", "")], body).await? {
            (200, _) => Ok(()),
            (status, body) => Err(refused("PutBucketVersioning", status, &body).into()),
        }
    }

    /// `ListObjectsV2`, checked: a success with exactly `entries` times `element` in it.
    pub async fn check_page(&self, bucket: &str, query: Query<'_>, element: &str, entries: usize) -> Result<()> {
        let (status, body) = self.call("GET", &format!("/{bucket}"), query, b"").await?;
        if status != 200 {
            return Err(refused("ListObjectsV2", status, &body).into());
        }
        let found = String::from_utf8_lossy(&body).matches(element).count();
        if found == entries {
            return Ok(());
        }
        Err(format!("a page of {bucket} for {query:?} has {found} times {element} instead of {entries}").into())
    }
}

fn refused(operation: &str, status: u16, body: &[u8]) -> String {
    format!("{operation} was answered {status}: {}", String::from_utf8_lossy(body))
}
