//! Lifecycle on the wire: the configuration, and the headers that tell when something expires.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::S3Response;
#[allow(clippy::wildcard_imports, reason = "the types of operations are all of one kind")]
use s3s::dto::*;
use storage::index::records::VersionRecord;
use storage::types;

use super::convert;
use super::error::{Failure, Result};
use super::s3::{Call, malformed_xml};
use crate::rules::lifecycle::{
    self as rules, Configuration, Noncurrent, Rule, Scope, Stated, StatedAbort, StatedAnd, StatedExpiration,
    StatedFilter, StatedNoncurrent, StatedRule, StatedTag, StatedTransition, When, Written,
};

/// What stays as it is in a rule's name in a header.
const RULE_ID: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

pub(super) async fn get(
    call: &Call<'_>,
    _: GetBucketLifecycleConfigurationInput,
) -> Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
    let bucket = call.bucket()?;
    let Some(configuration) = call.objects().bucket_lifecycle(bucket).await? else {
        return Err(Failure::new("NoSuchLifecycleConfiguration").with("BucketName", bucket.name.clone()));
    };
    Ok(S3Response::new(GetBucketLifecycleConfigurationOutput {
        rules: Some(configuration.rules.iter().map(written).collect()),
        transition_default_minimum_object_size: Some(minimum(&configuration)),
    }))
}

pub(super) async fn put(
    call: &Call<'_>,
    input: PutBucketLifecycleConfigurationInput,
) -> Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
    call.verify_xml_body()?;
    let stated = input.lifecycle_configuration.ok_or_else(malformed_xml)?;
    let minimum_size = input.transition_default_minimum_object_size;
    let stated = Stated {
        rules: stated.rules.into_iter().map(read).collect::<Result<_>>()?,
        transition_default_minimum_object_size: minimum_size.map(|size| size.as_str().to_owned()),
    };
    let configuration = call.objects().checked_lifecycle(stated)?;
    call.objects().set_bucket_lifecycle(&call.bucket()?.name, &configuration).await?;
    let transition_default_minimum_object_size = Some(minimum(&configuration));
    Ok(S3Response::new(PutBucketLifecycleConfigurationOutput { transition_default_minimum_object_size }))
}

pub(super) async fn delete(
    call: &Call<'_>,
    _: DeleteBucketLifecycleInput,
) -> Result<S3Response<DeleteBucketLifecycleOutput>> {
    call.objects().delete_bucket_lifecycle(&call.bucket()?.name).await?;
    Ok(S3Response::new(DeleteBucketLifecycleOutput::default()))
}

/// `x-amz-expiration` of a current version.
pub(super) async fn expiration(call: &Call<'_>, key: &str, version: &VersionRecord) -> Result<Option<String>> {
    let expires = call.objects().expiration(call.bucket()?, key, version).await?;
    Ok(expires.map(|(at, rule)| {
        let rule = utf8_percent_encode(&rule, RULE_ID);
        format!("expiry-date=\"{}\", rule-id=\"{rule}\"", convert::http_date(at))
    }))
}

/// `x-amz-abort-date` and `x-amz-abort-rule-id` of an upload.
pub(super) async fn abort_date(
    call: &Call<'_>,
    key: &str,
    initiated: types::Timestamp,
) -> Result<(Option<Timestamp>, Option<String>)> {
    let aborted = call.objects().abort_date(call.bucket()?, key, initiated).await?;
    let aborted = aborted.map(|(at, rule)| (convert::timestamp(at), utf8_percent_encode(&rule, RULE_ID).to_string()));
    Ok(aborted.unzip())
}

fn minimum(configuration: &Configuration) -> TransitionDefaultMinimumObjectSize {
    TransitionDefaultMinimumObjectSize::from_static(configuration.default_minimum.as_str())
}

fn read(rule: LifecycleRule) -> Result<StatedRule> {
    if rule.del_marker_expiration.is_some() {
        return Err(not_amazons("DelMarkerExpiration"));
    }
    let transitions = rule.transitions.unwrap_or_default().into_iter().map(read_transition);
    let noncurrent = rule.noncurrent_version_transitions.unwrap_or_default().into_iter();
    Ok(StatedRule {
        id: rule.id,
        status: rule.status.as_str().to_owned(),
        prefix: rule.prefix,
        filter: rule.filter.map(read_filter).transpose()?,
        expiration: rule.expiration.map(read_expiration).transpose()?,
        noncurrent_version_expiration: rule.noncurrent_version_expiration.map(|noncurrent| StatedNoncurrent {
            noncurrent_days: noncurrent.noncurrent_days.map(i64::from),
            newer_noncurrent_versions: noncurrent.newer_noncurrent_versions.map(i64::from),
            storage_class: None,
        }),
        abort_incomplete_multipart_upload: rule
            .abort_incomplete_multipart_upload
            .map(|abort| StatedAbort { days_after_initiation: abort.days_after_initiation.map(i64::from) }),
        transitions: transitions.collect::<Result<_>>()?,
        noncurrent_version_transitions: noncurrent
            .map(|transition| StatedNoncurrent {
                noncurrent_days: transition.noncurrent_days.map(i64::from),
                newer_noncurrent_versions: transition.newer_noncurrent_versions.map(i64::from),
                storage_class: transition.storage_class.map(|class| class.as_str().to_owned()),
            })
            .collect(),
    })
}

/// What others than Amazon have in rules, and what would otherwise be ignored.
fn not_amazons(element: &'static str) -> Failure {
    let message = "This element of lifecycle rules is not implemented.";
    Failure::with_message("NotImplemented", message).with("Element", element)
}

fn read_filter(filter: LifecycleRuleFilter) -> Result<StatedFilter> {
    let and = filter.and.map(|and| {
        let tags = and.tags.unwrap_or_default().into_iter().map(read_tag).collect::<Result<_>>()?;
        Ok::<_, Failure>(StatedAnd {
            prefix: and.prefix,
            tags,
            object_size_greater_than: and.object_size_greater_than,
            object_size_less_than: and.object_size_less_than,
        })
    });
    Ok(StatedFilter {
        prefix: filter.prefix,
        tag: filter.tag.map(read_tag).transpose()?,
        object_size_greater_than: filter.object_size_greater_than,
        object_size_less_than: filter.object_size_less_than,
        and: and.transpose()?,
    })
}

fn read_tag(tag: Tag) -> Result<StatedTag> {
    let (Some(key), Some(value)) = (tag.key, tag.value) else { return Err(malformed_xml()) };
    Ok(StatedTag { key, value })
}

fn read_date(date: Option<Timestamp>) -> Result<Option<types::Timestamp>> {
    let Some(date) = date else { return Ok(None) };
    convert::time_of(&date).map(Some).ok_or_else(malformed_xml)
}

fn read_expiration(expiration: LifecycleExpiration) -> Result<StatedExpiration> {
    if expiration.expired_object_all_versions.is_some() {
        return Err(not_amazons("ExpiredObjectAllVersions"));
    }
    Ok(StatedExpiration {
        days: expiration.days.map(i64::from),
        date: read_date(expiration.date)?,
        expired_object_delete_marker: expiration.expired_object_delete_marker,
    })
}

fn read_transition(transition: Transition) -> Result<StatedTransition> {
    Ok(StatedTransition {
        days: transition.days.map(i64::from),
        date: read_date(transition.date)?,
        storage_class: transition.storage_class.map(|class| class.as_str().to_owned()),
    })
}

fn number(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn written(rule: &Rule) -> LifecycleRule {
    let (prefix, filter) = match rule.scope.written {
        Written::Prefix => (rule.scope.prefix.clone(), None),
        Written::Filter | Written::And => (None, Some(written_filter(&rule.scope))),
    };
    let class = |class: &String| Some(TransitionStorageClass::from(class.clone()));
    let noncurrent = |noncurrent: Noncurrent| {
        (Some(number(noncurrent.days)), Some(number(noncurrent.newer)).filter(|newer| *newer > 0))
    };
    let transitions = rule.transitions.iter().map(|transition| {
        let (days, date) = written_when(transition.when);
        Transition { days, date, storage_class: class(&transition.class) }
    });
    let older = rule.noncurrent_transitions.iter().map(|transition| {
        let (noncurrent_days, newer_noncurrent_versions) = noncurrent(transition.noncurrent);
        let storage_class = class(&transition.class);
        NoncurrentVersionTransition { noncurrent_days, newer_noncurrent_versions, storage_class }
    });
    LifecycleRule {
        id: Some(rule.id.clone()),
        status: ExpirationStatus::from_static(if rule.enabled { "Enabled" } else { "Disabled" }),
        prefix,
        filter,
        expiration: rule.expiration.map(written_expiration),
        noncurrent_version_expiration: rule.noncurrent_expiration.map(|wanted| {
            let (noncurrent_days, newer_noncurrent_versions) = noncurrent(wanted);
            NoncurrentVersionExpiration { noncurrent_days, newer_noncurrent_versions }
        }),
        abort_incomplete_multipart_upload: rule
            .abort_days
            .map(|days| AbortIncompleteMultipartUpload { days_after_initiation: Some(number(days)) }),
        transitions: Some(transitions.collect()).filter(|list: &Vec<_>| !list.is_empty()),
        noncurrent_version_transitions: Some(older.collect()).filter(|list: &Vec<_>| !list.is_empty()),
        del_marker_expiration: None,
    }
}

fn written_when(when: When) -> (Option<i32>, Option<Timestamp>) {
    match when {
        When::Days(days) => (Some(number(days)), None),
        When::Date(date) => (None, Some(convert::timestamp(date))),
    }
}

fn written_expiration(expiration: rules::Expiration) -> LifecycleExpiration {
    let (when, expired_object_delete_marker) = match expiration {
        rules::Expiration::When(when) => (Some(when), None),
        rules::Expiration::ExpiredObjectDeleteMarker(wanted) => (None, Some(wanted)),
    };
    let (days, date) = when.map(written_when).unwrap_or_default();
    LifecycleExpiration { days, date, expired_object_delete_marker, expired_object_all_versions: None }
}

fn written_filter(scope: &Scope) -> LifecycleRuleFilter {
    let size = |bytes: Option<u64>| bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    let prefix = scope.prefix.clone();
    let (object_size_greater_than, object_size_less_than) = (size(scope.greater_than), size(scope.less_than));
    let tag = |(key, value): &(String, String)| Tag { key: Some(key.clone()), value: Some(value.clone()) };
    match scope.written {
        Written::And => {
            let tags = Some(scope.tags.iter().map(tag).collect()).filter(|tags: &Vec<_>| !tags.is_empty());
            let and = LifecycleRuleAndOperator { prefix, tags, object_size_greater_than, object_size_less_than };
            LifecycleRuleFilter { and: Some(and), ..Default::default() }
        }
        Written::Prefix | Written::Filter => LifecycleRuleFilter {
            prefix,
            tag: scope.tags.first().map(tag),
            object_size_greater_than,
            object_size_less_than,
            ..Default::default()
        },
    }
}
