//! Tags of buckets by S3's control API: `TagResource`, `UntagResource`, `ListTagsForResource`.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_TagResource.html>. Unlike `PutBucketTagging`, they change
//! single tags, and are the only way to change them while a bucket has attribute-based access control.

use http::{HeaderValue, Method, StatusCode, Uri, header};
use percent_encoding::percent_decode_str;
use s3s::dto::{CreateBucketConfiguration, Tag};
use s3s::xml::{Deserializer, Serializer};
use s3s::{Body, S3Request, S3Response};
use storage::index::records::BucketRecord;

use super::actions;
use super::authz::{Asking, Decider, Resource};
use super::context::RequestContext;
use super::error::{Failure, Result};
use super::s3::malformed_xml;
use super::{convert, query};

const PATH: &str = "/v20180820/tags/";
/// Fifty tags of 384 characters, each written with up to twelve bytes.
const MAX_BODY_BYTES: usize = 512 << 10;
/// Keys of one `UntagResource`.
const MAX_KEYS: usize = 50;
const NAMESPACE: &str = "http://awss3control.amazonaws.com/doc/2018-08-20/";
const BUCKET_ARN: &str = "arn:aws:s3:::";

/// Whether a path is one of these operations'.
pub(super) fn is_match(uri: &Uri) -> bool {
    uri.path().starts_with(PATH)
}

/// Does what the method says, and answers. `account` is the header's.
pub(super) async fn answer(
    decider: &Decider,
    mut request: S3Request<Body>,
    context: &RequestContext,
    account: &str,
) -> Result<S3Response<Body>> {
    let operation = match request.method {
        Method::GET => "ListTagsForResource",
        Method::POST => "TagResource",
        Method::DELETE => "UntagResource",
        _ => return Err(Failure::new("MethodNotAllowed")),
    };
    context.note_operation(operation);
    let bucket = bucket(decider, &request.uri).await?;
    let caller = context.caller().ok_or_else(|| Failure::new("AccessDenied"))?;
    if decider.account_id(&bucket.owner) != account && caller.account.id != account {
        return Err(Failure::new("AccessDenied"));
    }
    let said = match request.method {
        Method::POST => {
            let bytes = request.input.store_all_limited(MAX_BODY_BYTES).await;
            parse(&bytes.map_err(|error| Failure::Object(crate::object::Error::Body(error)))?)?
        }
        Method::DELETE => keys(&request.uri)?.into_iter().map(|key| (key, String::new())).collect(),
        _ => Vec::new(),
    };
    let mut asking = Asking::new(context, &request.headers, &request.uri);
    asking.said.tags = &said;
    let needs = actions::of(operation).ok_or_else(|| Failure::new("AccessDenied"))?;
    decider.authorize(&asking, needs, Resource::Bucket(&bucket)).await?;
    let objects = &decider.objects;
    match request.method {
        Method::POST => {
            let upsert = |tags: &mut Vec<(String, String)>| {
                for (key, value) in &said {
                    match tags.iter_mut().find(|(known, _)| known == key) {
                        Some((_, old)) => old.clone_from(value),
                        None => tags.push((key.clone(), value.clone())),
                    }
                }
            };
            objects.change_bucket_tags(&bucket.name, upsert).await?;
            Ok(S3Response::with_status(Body::empty(), StatusCode::NO_CONTENT))
        }
        Method::DELETE => {
            let remove =
                |tags: &mut Vec<(String, String)>| tags.retain(|(key, _)| !said.iter().any(|(named, _)| named == key));
            objects.change_bucket_tags(&bucket.name, remove).await?;
            Ok(S3Response::with_status(Body::empty(), StatusCode::NO_CONTENT))
        }
        _ => written(objects.all_bucket_tags(&bucket).await?),
    }
}

/// The bucket whose ARN is in the path.
async fn bucket(decider: &Decider, uri: &Uri) -> Result<BucketRecord> {
    let text = uri.path().strip_prefix(PATH).unwrap_or_default();
    let arn = percent_decode_str(text).decode_utf8().map_err(|_| Failure::new("InvalidURI"))?;
    let name = arn.strip_prefix(BUCKET_ARN).filter(|name| !name.is_empty() && !name.contains(['/', ':']));
    let name = name.ok_or_else(|| {
        let message = "The resource must be the ARN of a general purpose bucket: arn:aws:s3:::bucket.";
        Failure::with_message("InvalidRequest", message).with("ResourceArn", convert::xml_text(&arn))
    })?;
    Ok(decider.objects.bucket(name).await?)
}

fn keys(uri: &Uri) -> Result<Vec<String>> {
    let keys: Vec<String> = query::pairs(uri)
        .filter(|(name, _)| name == "tagKeys")
        .map(|(_, key)| key.into_owned())
        .take(MAX_KEYS + 1)
        .collect();
    if keys.is_empty() || keys.len() > MAX_KEYS {
        return Err(Failure::with_message("InvalidRequest", "Name 1 to 50 tags by the query parameter tagKeys."));
    }
    Ok(keys)
}

/// The body has its tags as the creation of a bucket has them.
fn parse(body: &[u8]) -> Result<Vec<(String, String)>> {
    let mut xml = Deserializer::new(body);
    let content: CreateBucketConfiguration =
        xml.named_element("TagResourceRequest", Deserializer::content).map_err(|_| malformed_xml())?;
    let tags = convert::tags(content.tags.unwrap_or_default())?;
    crate::rules::tagging::check(crate::rules::tagging::Tagged::Bucket, &tags)?;
    Ok(tags)
}

fn written(tags: Vec<(String, String)>) -> Result<S3Response<Body>> {
    let tags: Vec<Tag> = convert::tag_set(tags);
    let content = CreateBucketConfiguration { tags: Some(tags), ..Default::default() };
    let mut xml = Vec::new();
    let mut serializer = Serializer::new(&mut xml);
    let done =
        serializer.decl().and_then(|()| serializer.content_with_ns("ListTagsForResourceResult", NAMESPACE, &content));
    done.map_err(|_| Failure::new("InternalError"))?;
    let mut response = S3Response::new(Body::from(xml));
    response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_the_sdks_write_them() {
        let body = b"<TagResourceRequest xmlns=\"http://awss3control.amazonaws.com/doc/2018-08-20/\"><Tags><Tag><Key>a</Key><Value>1</Value></Tag></Tags></TagResourceRequest>";
        assert_eq!(parse(body).ok(), Some(vec![("a".to_owned(), "1".to_owned())]));
        assert!(parse(b"<Tagging/>").is_err());
        let uri = Uri::from_static("/v20180820/tags/x?tagKeys=a&tagKeys=b%20c");
        assert_eq!(keys(&uri).ok(), Some(vec!["a".to_owned(), "b c".to_owned()]));
        assert!(keys(&Uri::from_static("/v20180820/tags/x")).is_err());
    }
}
