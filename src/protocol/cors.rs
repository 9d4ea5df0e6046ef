//! Cross-origin resource sharing on the wire: the configuration, preflights, and the headers that answers get.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html>. Only requests with `Origin` come here.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};
use s3s::dto::{
    CORSRule, DeleteBucketCorsInput, DeleteBucketCorsOutput, GetBucketCorsInput, GetBucketCorsOutput,
    PutBucketCorsInput, PutBucketCorsOutput,
};
use s3s::{Body, HttpResponse, S3Response};
use storage::index::records::BucketRecord;

use super::answer;
use super::context::RequestContext;
use super::convert;
use super::error::{Failure, Result};
use super::host::Domains;
use super::s3::{Call, malformed_xml};
use super::target::Target;
use super::website::Visit;
use crate::object::{self, Objects};
use crate::rules::Code;
use crate::rules::cors::{self, Asked, Granted, Rule};

/// What the answer depends on, for caches between browser and server.
const VARY: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Headers, Access-Control-Request-Method");

pub(super) async fn get(call: &Call<'_>, _: GetBucketCorsInput) -> Result<S3Response<GetBucketCorsOutput>> {
    let bucket = call.bucket()?;
    let rules = call.objects().bucket_cors(bucket).await?;
    if rules.is_empty() {
        return Err(Failure::new("NoSuchCORSConfiguration").with("BucketName", bucket.name.clone()));
    }
    let cors_rules = rules.iter().map(written).collect();
    Ok(S3Response::new(GetBucketCorsOutput { cors_rules: Some(cors_rules) }))
}

pub(super) async fn put(call: &Call<'_>, input: PutBucketCorsInput) -> Result<S3Response<PutBucketCorsOutput>> {
    call.verify_xml_body()?;
    let rules = input.cors_configuration.cors_rules.into_iter().map(read).collect::<Result<Vec<_>>>()?;
    call.objects().set_bucket_cors(&call.bucket()?.name, rules).await?;
    Ok(S3Response::new(PutBucketCorsOutput::default()))
}

pub(super) async fn delete(call: &Call<'_>, _: DeleteBucketCorsInput) -> Result<S3Response<DeleteBucketCorsOutput>> {
    call.objects().delete_bucket_cors(&call.bucket()?.name).await?;
    Ok(S3Response::new(DeleteBucketCorsOutput::default()))
}

fn read(rule: CORSRule) -> Result<Rule> {
    let max_age_seconds = rule.max_age_seconds.map(u32::try_from).transpose().map_err(|_| malformed_xml())?;
    Ok(Rule {
        id: rule.id,
        allowed_methods: cors::methods(rule.allowed_methods.iter().map(String::as_str))?,
        allowed_origins: rule.allowed_origins,
        allowed_headers: rule.allowed_headers.unwrap_or_default(),
        expose_headers: rule.expose_headers.unwrap_or_default(),
        max_age_seconds,
    })
}

fn written(rule: &Rule) -> CORSRule {
    let list = |texts: &[String]| (!texts.is_empty()).then(|| texts.to_vec());
    CORSRule {
        id: rule.id.clone(),
        allowed_methods: rule.allowed_methods.iter().map(|method| method.as_str().to_owned()).collect(),
        allowed_origins: rule.allowed_origins.clone(),
        allowed_headers: list(&rule.allowed_headers),
        expose_headers: list(&rule.expose_headers),
        max_age_seconds: rule.max_age_seconds.map(|seconds| i32::try_from(seconds).unwrap_or(i32::MAX)),
    }
}

/// A request that a page of another origin makes.
pub(super) struct Crossing {
    origin: String,
    /// `Access-Control-Request-Method`.
    asked_method: Option<String>,
    asked_headers: String,
    method: Method,
    target: Option<Target>,
}

impl Crossing {
    /// `None` for a request without `Origin`: nearly all of them, and it costs them one look at their headers.
    pub(super) fn of(request: &Request<Body>, visit: Option<&Visit>, domains: &Domains) -> Option<Self> {
        let headers = request.headers();
        let origin = headers.get(header::ORIGIN)?.to_str().ok()?.to_owned();
        let text = |name: HeaderName| {
            let lines: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
            (!lines.is_empty()).then(|| lines.join(","))
        };
        Some(Self {
            origin,
            asked_method: text(header::ACCESS_CONTROL_REQUEST_METHOD),
            asked_headers: text(header::ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default(),
            method: request.method().clone(),
            target: match visit {
                Some(visit) => Some(Target::of_website(visit, request.uri())),
                None => Target::of(request.uri(), headers, domains),
            },
        })
    }

    /// Answers a preflight.
    pub(super) async fn preflight(&self, objects: &Objects, context: &RequestContext) -> HttpResponse {
        match self.decide_preflight(objects, context).await {
            Ok(granted) => {
                let mut response = Response::new(Body::empty());
                response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(0));
                add(&granted, response.headers_mut());
                response
            }
            Err(failure) => answer::of_failure(failure, context),
        }
    }

    async fn decide_preflight(&self, objects: &Objects, context: &RequestContext) -> Result<Granted> {
        let forbidden = |message: &str, on: &str| {
            Failure::with_message("AccessForbidden", message)
                .with("Method", self.asked_method.as_deref().unwrap_or("OPTIONS"))
                .with("ResourceType", on)
        };
        let not_found = || forbidden("CORSResponse: Bucket not found", "BUCKET");
        let target = self.target.as_ref().ok_or_else(not_found)?;
        let Some(rules) = rules(objects, context, &target.bucket).await? else { return Err(not_found()) };
        if rules.is_empty() {
            return Err(forbidden("CORSResponse: CORS is not enabled for this bucket.", "BUCKET"));
        }
        let method = self.asked_method.as_deref().filter(|method| cors::Method::parse(method).is_some());
        let Some(method) = method else {
            let asked = self.asked_method.as_deref().unwrap_or("null");
            return Err(Failure::with_message("BadRequest", format!("Invalid Access-Control-Request-Method: {asked}")));
        };
        let asked = Asked { origin: &self.origin, method, headers: &self.asked_headers };
        // The misspelling is Amazon's.
        let message = "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.";
        let on = if target.has_key { "OBJECT" } else { "BUCKET" };
        cors::grant(&rules, asked).ok_or_else(|| forbidden(message, on))
    }

    /// Adds to an answer, good or bad, what the page may make of it.
    pub(super) async fn decorate(&self, objects: &Objects, context: &RequestContext, headers: &mut HeaderMap) {
        let Some(target) = &self.target else { return };
        let rules = match rules(objects, context, &target.bucket).await {
            Ok(Some(rules)) if !rules.is_empty() => rules,
            Ok(_) => return,
            Err(error) => {
                // The answer itself stands; without the headers, the browser keeps it from the page.
                tracing::error!(request_id = %context.id.request, ?error, "CORS rules cannot be read");
                return;
            }
        };
        let method = self.asked_method.as_deref().unwrap_or(self.method.as_str());
        let asked = Asked { origin: &self.origin, method, headers: &self.asked_headers };
        if let Some(granted) = cors::grant(&rules, asked) {
            add(&granted, headers);
        }
    }
}

/// A bucket's rules; `None` if there is no such bucket.
async fn rules(objects: &Objects, context: &RequestContext, bucket: &str) -> Result<Option<Arc<[Rule]>>> {
    let known: Option<&BucketRecord> = context.bucket().filter(|known| known.name == bucket);
    if let Some(bucket) = known {
        return Ok(Some(objects.bucket_cors(bucket).await?));
    }
    match objects.bucket(bucket).await {
        Ok(bucket) => Ok(Some(objects.bucket_cors(&bucket).await?)),
        Err(object::Error::Refused(refusal)) if refusal.code == Code::NoSuchBucket => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn add(granted: &Granted, headers: &mut HeaderMap) {
    let mut set = |name: HeaderName, text: &str| {
        // What cannot be a header's value cannot have been asked for, nor be of use to a browser.
        headers.extend(convert::header_value(text).map(|value| (name, value)));
    };
    set(header::ACCESS_CONTROL_ALLOW_ORIGIN, &granted.origin);
    set(header::ACCESS_CONTROL_ALLOW_METHODS, &granted.methods);
    if let Some(allowed) = &granted.headers {
        set(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    if let Some(exposed) = &granted.exposed {
        set(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    if let Some(seconds) = granted.max_age_seconds {
        set(header::ACCESS_CONTROL_MAX_AGE, &seconds.to_string());
    }
    if granted.credentials {
        set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
    headers.insert(header::VARY, VARY);
}
