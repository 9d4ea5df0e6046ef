//! A visit to a website: [`crate::rules::website`] says what comes next, and here it is done.

use std::borrow::Cow;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use percent_encoding::percent_decode_str;
use s3s::HttpResponse;
use storage::index::records::BucketRecord;

use super::hosts::{Hosts, Visit};
use super::page;
use crate::identity::Caller;
use crate::object::{self, Found, ObjectBody, Objects, ReadObject};
use crate::protocol::authz::{Asking, Decider, Resource};
use crate::protocol::context::RequestContext;
use crate::protocol::error::{Answer, Failure, Result};
use crate::protocol::{actions, convert};
use crate::rules::conditions::ReadConditions;
use crate::rules::website::{self, Asked, Folder, Protocol, Seen, Step};
use crate::rules::{Code, Refusal, object_key};

/// The header of an object that makes a website redirect.
const REDIRECT_LOCATION: &str = "x-amz-website-redirect-location";

/// The websites of this server.
pub(in crate::protocol) struct Sites {
    pub hosts: Hosts,
    pub objects: Objects,
    pub decider: Decider,
}

impl Sites {
    /// Answers a visit.
    pub(in crate::protocol) async fn answer(
        &self,
        visit: &Visit,
        head: &Parts,
        context: &Arc<RequestContext>,
    ) -> HttpResponse {
        context.note_operation(match head.method {
            Method::GET => "WebsiteGet",
            Method::HEAD => "WebsiteHead",
            _ => "WebsiteOther",
        });
        context.note_caller(Caller::anonymous());
        match self.visited(visit, head, context).await {
            Ok(response) => response,
            Err(failure) => {
                let error = failure.answer(head.method.as_str());
                context.note_code(&error.code);
                page::of_error(&error, None, &context.id)
            }
        }
    }

    async fn visited(&self, visit: &Visit, head: &Parts, context: &Arc<RequestContext>) -> Result<HttpResponse> {
        let bucket = self.objects.bucket(&visit.bucket).await?;
        context.note_bucket(bucket.clone());
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Ok(method_not_allowed(head, context));
        }
        let Some(site) = self.objects.bucket_website(&bucket).await? else {
            return Err(Failure::new("NoSuchWebsiteConfiguration").with("BucketName", bucket.name));
        };
        let path = head.uri.path();
        let key = percent_decode_str(path.strip_prefix('/').unwrap_or(path)).decode_utf8();
        let key = key.map_err(|_| Refusal::from(Code::InvalidURI))?;
        let protocol = if context.connection().tls.is_some() { Protocol::Https } else { Protocol::Http };
        let asked = Asked { protocol, host: &visit.host, key: &key, query: head.uri.query() };
        let (headers, uri) = anonymous(head);
        let visitor = Visitor {
            sites: self,
            bucket: &bucket,
            asking: Asking::new(context, &headers, &uri),
            wants_body: head.method == Method::GET,
        };
        // Each turn adds what the last one lacked: at most one page is read, and one folder looked for.
        let (mut read, mut folder) = (None, Folder::Unknown);
        let document = loop {
            let seen = match &read {
                None => Seen::Nothing,
                Some(Ok(Page { redirect, .. })) => Seen::Page { redirect: redirect.as_deref() },
                Some(Err(Answer { status, .. })) => Seen::Failed { status: status.as_u16(), folder },
            };
            match website::decide(&site, &asked, seen) {
                Step::Redirect { status, location } => return Ok(page::redirect(status, &location)),
                Step::Read(key) => read = Some(visitor.read(&key).await),
                Step::LookFor(key) => folder = visitor.look_for(&key).await,
                Step::Serve => break None,
                Step::Fail { document } => break document,
            }
        };
        match read {
            Some(Ok(page)) => Ok(page.response),
            Some(Err(error)) => Ok(visitor.failed(&error, document).await),
            // Nothing is served, and nothing fails, before it was read.
            None => Err(Failure::new("InternalError")),
        }
    }
}

fn method_not_allowed(head: &Parts, context: &RequestContext) -> HttpResponse {
    let on = if head.uri.path() == "/" { "BUCKET" } else { "OBJECT" };
    let method = head.method.as_str();
    let error = Failure::new("MethodNotAllowed").with("Method", method).with("ResourceType", on).answer(method);
    context.note_code(&error.code);
    let mut response = page::of_error(&error, None, &context.id);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// The request as everybody's: a signature is not looked at, so nothing may be concluded from one; and a website knows
/// no query.
fn anonymous(head: &Parts) -> (Cow<'_, HeaderMap>, Cow<'_, Uri>) {
    let mut headers = Cow::Borrowed(&head.headers);
    if headers.contains_key(header::AUTHORIZATION) {
        headers.to_mut().remove(header::AUTHORIZATION);
    }
    let uri = match head.uri.query() {
        None => Cow::Borrowed(&head.uri),
        Some(_) => Cow::Owned(Uri::try_from(head.uri.path()).unwrap_or_default()),
    };
    (headers, uri)
}

/// A page that can be had.
struct Page {
    response: HttpResponse,
    /// Where it redirects to instead.
    redirect: Option<String>,
}

/// What reading is done for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    /// The page that was asked for, with the request's range and conditions.
    Visitor,
    /// The page for an error.
    Error,
}

struct Visitor<'a> {
    sites: &'a Sites,
    bucket: &'a BucketRecord,
    asking: Asking<'a>,
    wants_body: bool,
}

impl Visitor<'_> {
    /// A page, or why it cannot be had.
    async fn read(&self, key: &str) -> Result<Page, Answer> {
        let failure = match self.object(key, For::Visitor).await {
            Ok((found, content)) => {
                let redirect = convert::stored_header(&found.object.attributes, REDIRECT_LOCATION);
                return Ok(Page { response: page::of_object(&found, content), redirect });
            }
            Err(failure) => failure,
        };
        let error = failure.answer(self.asking.context.method.as_str());
        let of_condition = matches!(
            error.status,
            StatusCode::NOT_MODIFIED | StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE
        );
        if of_condition {
            // The page is there and may be read. If it redirects, neither range nor conditions are about it.
            let found = self.sites.objects.object_version(self.bucket, key, None).await.ok();
            let redirect = found.and_then(|(_, object)| convert::stored_header(&object.attributes, REDIRECT_LOCATION));
            if redirect.is_some() || error.status == StatusCode::NOT_MODIFIED {
                return Ok(Page { response: page::not_modified(&error), redirect });
            }
        }
        Err(error)
    }

    /// Whether a folder has a page that the visitor may read.
    async fn look_for(&self, key: &str) -> Folder {
        let resource = Resource::Object { bucket: self.bucket, key, version: None };
        let allowed = self.sites.decider.authorize(&self.asking, actions::READS, resource).await.is_ok();
        let found = allowed && self.sites.objects.object_version(self.bucket, key, None).await.is_ok();
        if found { Folder::Indexed } else { Folder::Missing }
    }

    /// The answer to a visit that failed, with the owner's page for it if there is one.
    async fn failed(&self, error: &Answer, document: Option<&str>) -> HttpResponse {
        let context = self.asking.context;
        context.note_code(&error.code);
        let Some(key) = document else { return page::of_error(error, None, &context.id) };
        match self.object(key, For::Error).await {
            Ok((found, content)) => page::of_document(error, &found, content),
            Err(failure) => page::of_error(error, Some(&failure.answer(context.method.as_str())), &context.id),
        }
    }

    /// An object, if everybody may read it.
    async fn object(&self, key: &str, purpose: For) -> Result<(Found, Option<ObjectBody>)> {
        object_key::check(key)?;
        let Sites { objects, decider, .. } = self.sites;
        let resource = Resource::Object { bucket: self.bucket, key, version: None };
        decider.authorize(&self.asking, actions::READS, resource).await?;
        let header = |name| self.asking.context.header(self.asking.headers, &name).filter(|_| purpose == For::Visitor);
        let request = ReadObject {
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            version: None,
            conditions: ReadConditions::parse(
                header(header::IF_MATCH).as_deref(),
                header(header::IF_NONE_MATCH).as_deref(),
                header(header::IF_MODIFIED_SINCE).as_deref(),
                header(header::IF_UNMODIFIED_SINCE).as_deref(),
            ),
            range: header(header::RANGE),
            part_number: None,
            customer: None,
        };
        let read: object::Result<_> = if self.wants_body {
            objects.get_object(request).await.map(|(found, content)| (found, Some(content)))
        } else {
            objects.head_object(request).await.map(|found| (found, None))
        };
        match read {
            Ok(read) => Ok(read),
            Err(error) => Err(decider.concealed_in(&self.asking, self.bucket, error.into()).await),
        }
    }
}
