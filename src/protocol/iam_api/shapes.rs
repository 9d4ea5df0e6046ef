//! What answers have in common: users, groups, roles, policies as IAM writes them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::identity::records::{GroupRecord, LastUsedRecord, RoleRecord, UserRecord};
use crate::identity::{ManagedPolicy, group_arn, iso8601, role_arn, user_arn};
use crate::protocol::query_api::Xml;

/// RFC 3986's unreserved characters: policies are written percent-encoded.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How much of a thing an answer shows: listings leave tags and boundaries out.
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListUsers.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    Whole,
    Listed,
}

/// A policy's text.
pub(super) fn document(xml: &mut Xml, name: &str, text: &str) {
    xml.text(name, &utf8_percent_encode(text, UNRESERVED).to_string());
}

fn boundary(xml: &mut Xml, arn: Option<&str>) {
    let Some(arn) = arn else { return };
    xml.element("PermissionsBoundary", |xml| {
        xml.text("PermissionsBoundaryType", "Policy");
        xml.text("PermissionsBoundaryArn", arn);
    });
}

fn tags(xml: &mut Xml, tags: &[(String, String)]) {
    if !tags.is_empty() {
        xml.tags("Tags", tags);
    }
}

/// The fields of a user.
pub(super) fn user(xml: &mut Xml, account: &str, user: &UserRecord, detail: Detail) {
    xml.text("Path", &user.path);
    xml.text("UserName", &user.name);
    xml.text("UserId", &user.id);
    xml.text("Arn", &user_arn(account, &user.path, &user.name));
    xml.text("CreateDate", &iso8601(user.created));
    if detail == Detail::Whole {
        boundary(xml, user.boundary.as_deref());
        tags(xml, &user.tags);
    }
}

/// The fields of a group.
pub(super) fn group(xml: &mut Xml, account: &str, group: &GroupRecord) {
    xml.text("Path", &group.path);
    xml.text("GroupName", &group.name);
    xml.text("GroupId", &group.id);
    xml.text("Arn", &group_arn(account, &group.path, &group.name));
    xml.text("CreateDate", &iso8601(group.created));
}

/// The fields of a role.
pub(super) fn role(xml: &mut Xml, account: &str, role: &RoleRecord, detail: Detail) {
    xml.text("Path", &role.path);
    xml.text("RoleName", &role.name);
    xml.text("RoleId", &role.id);
    xml.text("Arn", &role_arn(account, &role.path, &role.name));
    xml.text("CreateDate", &iso8601(role.created));
    document(xml, "AssumeRolePolicyDocument", &role.trust);
    xml.optional("Description", role.description.as_deref());
    xml.text("MaxSessionDuration", &role.max_session_seconds.to_string());
    if detail == Detail::Whole {
        boundary(xml, role.boundary.as_deref());
        tags(xml, &role.tags);
    }
}

/// When a role's sessions were last used.
pub(super) fn role_last_used(xml: &mut Xml, used: Option<&LastUsedRecord>) {
    xml.element("RoleLastUsed", |xml| {
        if let Some(used) = used {
            xml.text("LastUsedDate", &iso8601(used.used));
            xml.text("Region", &used.region);
        }
    });
}

/// The fields of a managed policy.
pub(super) fn policy(xml: &mut Xml, policy: &ManagedPolicy, detail: Detail) {
    let record = &policy.record;
    xml.text("PolicyName", &record.name);
    xml.text("PolicyId", &record.id);
    xml.text("Arn", &policy.arn);
    xml.text("Path", &record.path);
    xml.text("DefaultVersionId", &format!("v{}", record.default_version));
    xml.text("AttachmentCount", &policy.attachments.to_string());
    xml.text("PermissionsBoundaryUsageCount", &policy.boundaries.to_string());
    xml.text("IsAttachable", "true");
    if detail == Detail::Whole {
        xml.optional("Description", record.description.as_deref());
        tags(xml, &record.tags);
    }
    xml.text("CreateDate", &iso8601(record.created));
    xml.text("UpdateDate", &iso8601(record.updated));
}
