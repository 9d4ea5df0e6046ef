//! A request's lines in the audit trail: written when its answer ends, one for each decision.

use std::net::IpAddr;

use http::{HeaderMap, StatusCode, header};
use storage::types::Timestamp;

use super::context::RequestContext;
use crate::telemetry::audit::{Audit, AuditRecord, Verdict};

/// Characters of a client's name for itself.
const MAX_USER_AGENT: usize = 256;

/// What is kept of a request until its lines are written.
pub(super) struct Trail {
    audit: Audit,
    user_agent: Option<String>,
}

impl Trail {
    /// `None` if no trail is kept.
    pub(super) fn of(audit: &Audit, headers: &HeaderMap) -> Option<Self> {
        if !audit.is_on() {
            return None;
        }
        let user_agent = headers
            .get(header::USER_AGENT)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).chars().take(MAX_USER_AGENT).collect());
        Some(Self { audit: audit.clone(), user_agent })
    }

    /// Writes the lines: of each decision, or, where an error came before any, of that.
    pub(super) fn record(
        &self,
        context: &RequestContext,
        operation: &str,
        status: StatusCode,
        source_ip: Option<IpAddr>,
    ) {
        let caller = context.caller();
        let base = AuditRecord {
            time: now(),
            request_id: &context.id.request,
            principal: caller.and_then(|caller| caller.principal.arn()),
            account: caller.filter(|caller| !caller.is_anonymous()).map(|caller| caller.account.id.as_str()),
            access_key_id: caller.and_then(|caller| caller.access_key_id.as_deref()),
            source_ip,
            user_agent: self.user_agent.as_deref(),
            operation,
            action: None,
            resource: None,
            decision: Verdict::Denied,
            by: "",
            status: status.as_u16(),
        };
        let decisions = context.take_decisions();
        for decision in &decisions {
            self.audit.record(&AuditRecord {
                action: Some(&decision.action),
                resource: Some(&decision.resource),
                decision: decision.allowed.into(),
                by: &decision.by,
                ..base.clone()
            });
        }
        if let Some(code) = context.code().filter(|code| decisions.is_empty() && is_of_credentials(code)) {
            self.audit.record(&AuditRecord { by: code, ..base });
        }
    }
}

/// Whether an error says that the caller is not who it claims to be, or may not ask now.
fn is_of_credentials(code: &str) -> bool {
    const CODES: [&str; 12] = [
        "AccessDenied",
        "AuthorizationHeaderMalformed",
        "AuthorizationQueryParametersError",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidIdentityToken",
        "InvalidToken",
        "MissingAuthenticationToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "SlowDown",
    ];
    CODES.contains(&code)
}

fn now() -> String {
    let now = jiff::Timestamp::from_millisecond(Timestamp::now().0).unwrap_or_default();
    now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}
