//! Signed requests to a server, for the few that the command line makes.

use std::time::Duration;

use clap::Args;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, Url};
use s3s_sigv4::{
    AmzDate, Payload, calculate_signature, create_canonical_request_with_raw_uri_path, create_string_to_sign,
};
use sha2::{Digest as _, Sha256};

use crate::accounts::SecretKey;
use crate::cli::Failure;

const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an answer that is read.
const MAX_ANSWER_BYTES: usize = 4 << 20;
/// RFC 3986's unreserved characters stay as they are, as a canonical request has them.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Which server a command asks, and how its requests are signed.
#[derive(Debug, Args)]
pub(super) struct ServerArgs {
    /// The server
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL")]
    endpoint: String,
    /// The region to sign for
    #[arg(long, value_name = "NAME", env = "AWS_DEFAULT_REGION", default_value = "us-east-1")]
    region: String,
}

/// Where credentials come from, for the end of a command's help.
pub(super) const CREDENTIALS: &str = "\
Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), or from
CAIRN_ROOT_ACCESS_KEY_ID and CAIRN_ROOT_SECRET_ACCESS_KEY.";

/// Does what a command does on a runtime of its own.
///
/// # Errors
/// What `work` fails with.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // As for the server: with two providers compiled in by dependencies, rustls would panic.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Prints for people, who may have closed the pipe.
pub(super) fn print(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// A server and the credentials for it.
pub(super) struct Client {
    http: reqwest::Client,
    endpoint: Url,
    host: String,
    region: String,
    access_key_id: String,
    secret: SecretKey,
    session_token: Option<SecretKey>,
}

/// What came back.
pub(super) struct Answer {
    pub status: u16,
    pub text: String,
}

impl Answer {
    fn of_success(self, operation: &str) -> Result<Self, Failure> {
        if (200..300).contains(&self.status) { Ok(self) } else { Err(self.failure(operation).into()) }
    }

    /// What to tell the operator of an answer that is an error.
    pub(super) fn failure(&self, operation: &str) -> String {
        if let Ok(error) = self.json() {
            let text = |name: &str| error.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
            return format!("{operation} was answered with {} {}: {}", self.status, text("code"), text("message"));
        }
        let element = |name: &str| {
            let (_, rest) = self.text.split_once(&format!("<{name}>"))?;
            rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
        };
        let (code, message) = (element("Code").unwrap_or("no code"), element("Message").unwrap_or_default());
        format!("{operation} was answered with {} {code}: {message}", self.status)
    }

    /// The answer as JSON.
    ///
    /// # Errors
    /// If it is none.
    pub(super) fn json(&self) -> Result<serde_json::Value, Failure> {
        Ok(serde_json::from_str(&self.text)?)
    }
}

impl Client {
    /// A client with the credentials of the environment.
    ///
    /// # Errors
    /// If there are none, or the endpoint is no URL.
    pub(super) fn new(args: &ServerArgs) -> Result<Self, Failure> {
        let ServerArgs { endpoint, region } = args;
        let endpoint = Url::parse(endpoint).map_err(|error| format!("--endpoint {endpoint:?} is no URL: {error}"))?;
        let name = endpoint.host_str().ok_or("--endpoint has no host")?;
        let host = endpoint.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let pairs = [
            ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
            ("CAIRN_ROOT_ACCESS_KEY_ID", "CAIRN_ROOT_SECRET_ACCESS_KEY"),
        ];
        let (access_key_id, secret) = pairs.iter().find_map(|(id, secret)| variable(id).zip(variable(secret))).ok_or(
            "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to those of the root account or of an \
             administrator",
        )?;
        let session_token = variable("AWS_ACCESS_KEY_ID").and_then(|_| variable("AWS_SESSION_TOKEN"));
        Ok(Self {
            http: reqwest::Client::builder().timeout(TIMEOUT).build()?,
            endpoint,
            host,
            region: region.clone(),
            access_key_id,
            secret: SecretKey::new(secret),
            session_token: session_token.map(SecretKey::new),
        })
    }

    /// Sends a request to the administrator's API; `path` begins below its root. An answer that is an error is one here.
    ///
    /// # Errors
    /// If the server cannot be reached, or says no.
    pub(super) async fn admin(
        &self,
        operation: &str,
        method: &str,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Answer, Failure> {
        let body = body.map(ToString::to_string).unwrap_or_default();
        let answer = self.send("s3", method, &format!("/_admin/v1/{path}"), &[], body.as_bytes()).await?;
        answer.of_success(operation)
    }

    /// Asks the administrator's API for a list.
    ///
    /// # Errors
    /// As [`Client::admin`].
    pub(super) async fn admin_list(
        &self,
        operation: &str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Answer, Failure> {
        self.send("s3", "GET", &format!("/_admin/v1/{path}"), query, &[]).await?.of_success(operation)
    }

    /// Sends a request to S3 whose answer goes on for as long as somebody reads it.
    ///
    /// # Errors
    /// If the server cannot be reached, or says no.
    pub(super) async fn follow(
        &self,
        operation: &str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<reqwest::Response, Failure> {
        let request = self.signed("s3", "GET", path, query, &[])?;
        let response = request.timeout(Duration::from_hours(24 * 365)).send().await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(read(response).await?.failure(operation).into())
    }

    /// Sends a request for `service` and reads the answer.
    pub(super) async fn send(
        &self,
        service: &str,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, Failure> {
        read(self.signed(service, method, path, query, body)?.send().await?).await
    }

    fn signed(
        &self,
        service: &str,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        body: &[u8],
    ) -> Result<reqwest::RequestBuilder, Failure> {
        let text = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let date = AmzDate::parse(&text).map_err(|_| "the clock shows no time that can be signed")?;
        let hash = hex::encode(Sha256::digest(body));
        let mut headers = vec![("host", self.host.as_str()), ("x-amz-content-sha256", &hash), ("x-amz-date", &text)];
        headers.extend(self.session_token.as_ref().map(|token| ("x-amz-security-token", token.expose())));
        let signed: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        let payload = Payload::SingleChunk(&hash);
        let canonical = create_canonical_request_with_raw_uri_path(method, path, query, &headers, payload);
        let to_sign = create_string_to_sign(&canonical, &date, &self.region, service);
        let signature = calculate_signature(&to_sign, self.secret.expose(), &date, &self.region, service);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}/{}/{service}/aws4_request, SignedHeaders={}, Signature={signature}",
            self.access_key_id,
            date.fmt_date(),
            self.region,
            signed.join(";"),
        );
        let mut url = self.endpoint.clone();
        url.set_path(path);
        let encoded: Vec<_> = query.iter().map(|(name, value)| encoded(name, value)).collect();
        url.set_query((!encoded.is_empty()).then(|| encoded.join("&")).as_deref());
        let mut request = self.http.request(Method::from_bytes(method.as_bytes())?, url).body(body.to_vec());
        for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
            request = request.header(*name, *value);
        }
        if method == "POST" && service != "s3" {
            request = request.header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        }
        Ok(request.header("authorization", authorization))
    }
}

async fn read(mut response: reqwest::Response) -> Result<Answer, Failure> {
    let status = response.status().as_u16();
    let mut answer = Vec::new();
    while let Some(part) = response.chunk().await? {
        if answer.len() + part.len() > MAX_ANSWER_BYTES {
            return Err(format!("the answer is longer than {MAX_ANSWER_BYTES} bytes").into());
        }
        answer.extend_from_slice(&part);
    }
    Ok(Answer { status, text: String::from_utf8_lossy(&answer).into_owned() })
}

fn encoded(name: &str, value: &str) -> String {
    format!("{}={}", utf8_percent_encode(name, QUERY), utf8_percent_encode(value, QUERY))
}
