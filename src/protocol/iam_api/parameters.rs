//! What parameters have in common: pages, paths, names of users that may be the caller's own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;

use super::Iam;
use crate::identity::records::EntityKind;
use crate::identity::{Page, PageRequest, PrincipalRef};
use crate::protocol::query_api::{Answer, QueryError, Xml};
use crate::rules::iam::Principal;

/// Items of a page if the request does not say.
const DEFAULT_MAX_ITEMS: u32 = 100;
const MAX_ITEMS: u32 = 1_000;

impl<'a> Iam<'a> {
    /// `Marker` and `MaxItems`.
    pub(super) fn page(&self) -> Result<PageRequest, QueryError> {
        let limit = self.form().number("MaxItems")?.unwrap_or(DEFAULT_MAX_ITEMS);
        if limit == 0 || limit > MAX_ITEMS {
            let rule = if limit == 0 { "greater than or equal to 1" } else { "less than or equal to 1000" };
            return Err(QueryError::validation(format!(
                "1 validation error detected: Value '{limit}' at 'maxItems' failed to satisfy constraint: Member must \
                 have value {rule}"
            )));
        }
        let after = self.form().text("Marker").map(read_marker).transpose()?;
        Ok(PageRequest { after, limit: usize::try_from(limit).unwrap_or(usize::MAX) })
    }

    /// `PathPrefix`, or all paths.
    pub(super) fn path_prefix(&self) -> &'a str {
        self.form().text("PathPrefix").unwrap_or("/")
    }

    /// `Path`, or the root of paths.
    pub(super) fn path(&self) -> String {
        self.form().text("Path").unwrap_or("/").to_owned()
    }

    /// `UserName`, or the caller's own; `None` for the account's root.
    pub(super) fn user_or_own(&self) -> Result<Option<String>, QueryError> {
        if let Some(name) = self.form().text("UserName") {
            return Ok(Some(name.to_owned()));
        }
        match &self.caller().principal {
            Principal::User { .. } => Ok(self.caller().fact("aws:username").map(str::to_owned)),
            Principal::AccountRoot { .. } => Ok(None),
            _ => Err(QueryError::validation("Must specify userName when calling with non-User credentials")),
        }
    }

    /// A page of tags.
    pub(super) fn tags_page(&self, tags: Vec<(String, String)>) -> Answer {
        let page = Page::of(tags, |(key, _)| key.clone(), &self.page()?);
        let mut xml = Xml::new();
        xml.tags("Tags", &page.items);
        write_page(&mut xml, page.next.as_deref());
        Ok(xml)
    }

    /// The user, group or role that the request names.
    pub(super) fn principal(&self, kind: EntityKind) -> Result<PrincipalRef, QueryError> {
        let parameter = match kind {
            EntityKind::User => "UserName",
            EntityKind::Group => "GroupName",
            EntityKind::Role => "RoleName",
        };
        Ok(PrincipalRef { kind, name: self.form().required(parameter)?.to_owned() })
    }
}

/// `IsTruncated`, and the `Marker` of the next page.
pub(super) fn write_page(xml: &mut Xml, next: Option<&str>) {
    xml.text("IsTruncated", if next.is_some() { "true" } else { "false" });
    xml.optional("Marker", next.map(|name| URL_SAFE_NO_PAD.encode(name)).as_deref());
}

fn read_marker(marker: &str) -> Result<String, QueryError> {
    let bytes = URL_SAFE_NO_PAD.decode(marker).ok();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
        let message = "Invalid Marker: it must be that of the answer before.";
        QueryError::new(StatusCode::BAD_REQUEST, "InvalidInput", message)
    })
}
