//! The configuration of a bucket's website.

use s3s::S3Response;
use s3s::dto::{
    Condition, DeleteBucketWebsiteInput, DeleteBucketWebsiteOutput, ErrorDocument, GetBucketWebsiteInput,
    GetBucketWebsiteOutput, IndexDocument, Protocol, PutBucketWebsiteInput, PutBucketWebsiteOutput, Redirect,
    RedirectAllRequestsTo, RoutingRule,
};

use crate::protocol::error::{Failure, Result};
use crate::protocol::s3::Call;
use crate::rules::website::{self, NewKey, Pages, Rule, Stated, StatedRedirect, StatedRule, Website};

pub(in crate::protocol) async fn get(
    call: &Call<'_>,
    _: GetBucketWebsiteInput,
) -> Result<S3Response<GetBucketWebsiteOutput>> {
    let bucket = call.bucket()?;
    let Some(website) = call.objects().bucket_website(bucket).await? else {
        return Err(Failure::new("NoSuchWebsiteConfiguration").with("BucketName", bucket.name.clone()));
    };
    Ok(S3Response::new(match website.as_ref() {
        Website::RedirectAll(all) => GetBucketWebsiteOutput {
            redirect_all_requests_to: Some(RedirectAllRequestsTo {
                host_name: all.host.clone(),
                protocol: all.protocol.map(written_protocol),
            }),
            ..Default::default()
        },
        Website::Pages(Pages { index, error, rules }) => GetBucketWebsiteOutput {
            index_document: Some(IndexDocument { suffix: index.clone() }),
            error_document: error.clone().map(|key| ErrorDocument { key }),
            routing_rules: (!rules.is_empty()).then(|| rules.iter().map(written).collect()),
            ..Default::default()
        },
    }))
}

pub(in crate::protocol) async fn put(
    call: &Call<'_>,
    input: PutBucketWebsiteInput,
) -> Result<S3Response<PutBucketWebsiteOutput>> {
    call.verify_xml_body()?;
    let configuration = input.website_configuration;
    let all = configuration.redirect_all_requests_to;
    let stated = Stated {
        redirect_all: all.map(|all| (all.host_name, all.protocol.as_ref().map(text))),
        index: configuration.index_document.map(|document| document.suffix),
        error: configuration.error_document.map(|document| document.key),
        rules: configuration.routing_rules.map(|rules| rules.into_iter().map(read).collect()),
    };
    let website = website::check(stated)?;
    call.objects().set_bucket_website(&call.bucket()?.name, Some(&website)).await?;
    Ok(S3Response::new(PutBucketWebsiteOutput::default()))
}

pub(in crate::protocol) async fn delete(
    call: &Call<'_>,
    _: DeleteBucketWebsiteInput,
) -> Result<S3Response<DeleteBucketWebsiteOutput>> {
    call.objects().set_bucket_website(&call.bucket()?.name, None).await?;
    Ok(S3Response::new(DeleteBucketWebsiteOutput::default()))
}

fn read(rule: RoutingRule) -> StatedRule {
    let redirect = rule.redirect;
    StatedRule {
        condition: rule
            .condition
            .map(|condition| (condition.key_prefix_equals, condition.http_error_code_returned_equals)),
        redirect: StatedRedirect {
            host: redirect.host_name,
            protocol: redirect.protocol.as_ref().map(text),
            key: redirect.replace_key_with,
            key_prefix: redirect.replace_key_prefix_with,
            code: redirect.http_redirect_code,
        },
    }
}

fn written(rule: &Rule) -> RoutingRule {
    let redirect = &rule.redirect;
    let (key, key_prefix) = match redirect.key.clone() {
        Some(NewKey::Whole(key)) => (Some(key), None),
        Some(NewKey::Prefix(prefix)) => (None, Some(prefix)),
        None => (None, None),
    };
    RoutingRule {
        condition: rule.condition.as_ref().map(|condition| Condition {
            key_prefix_equals: condition.key_prefix.clone(),
            http_error_code_returned_equals: condition.error_code.map(|code| code.to_string()),
        }),
        redirect: Redirect {
            host_name: redirect.host.clone(),
            protocol: redirect.protocol.map(written_protocol),
            replace_key_with: key,
            replace_key_prefix_with: key_prefix,
            http_redirect_code: redirect.code.map(|code| code.to_string()),
        },
    }
}

fn text(protocol: &Protocol) -> String {
    protocol.as_str().to_owned()
}

fn written_protocol(protocol: website::Protocol) -> Protocol {
    Protocol::from(protocol.as_str().to_owned())
}
