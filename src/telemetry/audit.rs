//! The audit trail: who was allowed or denied what, as JSON lines for files, collectors and webhooks.
//!
//! One line per decision, written when the request's answer has been sent, so that it has the status. A request that
//! was refused before anything could be decided (a wrong signature, an expired token) has one line with the error's
//! code. Lines hold names only: no header, no query string and no body goes into them, so no signature, token or
//! secret can.
//!
//! Recording never waits: each sink has a queue of [`QUEUE_LINES`] lines, and what does not fit is dropped and
//! counted. A full disk or a dead collector costs audit lines, never requests.

mod file;

pub use file::{FileSink, Target};

use bytes::Bytes;
use serde::Serialize;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

/// What each sink may be behind by; at 600 bytes a line, about 6 MiB.
pub const QUEUE_LINES: usize = 10_000;

/// What was decided about one action on one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// AWS's name of the action: `s3:GetObject`.
    pub action: String,
    /// The ARN that was asked for, or `*`.
    pub resource: String,
    pub allowed: bool,
    /// The policy and statement that decided; for an implicit denial, that none allowed it.
    pub by: String,
}

/// One line of the trail. Absent fields are left out.
#[derive(Debug, Clone, Serialize)]
pub struct AuditRecord<'a> {
    /// When the answer ended: RFC 3339 with milliseconds, UTC.
    pub time: String,
    /// `x-amz-request-id` of the answer.
    pub request_id: &'a str,
    /// The caller's ARN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The caller's account, 12 digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<&'a str>,
    /// The public half of the key that signed the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<&'a str>,
    /// The other end of the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<&'a str>,
    /// The operation: `GetObject`, `AssumeRole`; `Unknown` for what never became one.
    pub operation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<&'a str>,
    pub decision: Verdict,
    /// What decided: a policy and its statement, or the code of the error that came before any policy.
    pub by: &'a str,
    /// The answer's HTTP status.
    pub status: u16,
}

/// How a decision went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Allowed,
    Denied,
}

impl From<bool> for Verdict {
    fn from(allowed: bool) -> Self {
        if allowed { Self::Allowed } else { Self::Denied }
    }
}

/// What goes through a sink's queue.
#[derive(Debug)]
pub enum Entry {
    /// A line with its newline.
    Line(Bytes),
    /// The last entry: write what came before, then end.
    End,
}

/// The sending end of a sink's queue.
#[derive(Debug, Clone)]
pub struct Queue {
    sender: mpsc::Sender<Entry>,
    dropped: Arc<AtomicU64>,
}

/// The receiving end of a sink's queue.
#[derive(Debug)]
pub struct Lines {
    pub receiver: mpsc::Receiver<Entry>,
    /// Lines that this sink lost, whether they found no place in the queue or could not be delivered.
    pub dropped: Arc<AtomicU64>,
}

/// A sink's queue for `lines` lines.
#[must_use]
pub fn queue(lines: usize) -> (Queue, Lines) {
    let (sender, receiver) = mpsc::channel(lines.max(1));
    let dropped = Arc::new(AtomicU64::new(0));
    (Queue { sender, dropped: Arc::clone(&dropped) }, Lines { receiver, dropped })
}

/// Where decisions are recorded. Clones record into the same sinks.
#[derive(Debug, Clone, Default)]
pub struct Audit(Arc<[Queue]>);

impl Audit {
    /// Records into these sinks; without any, nothing is recorded and [`Audit::is_on`] says so.
    #[must_use]
    pub fn new(sinks: Vec<Queue>) -> Self {
        Self(sinks.into())
    }

    /// Whether anyone reads the trail; if not, nothing needs to be prepared for it.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.0.is_empty()
    }

    /// Hands the line to every sink, at once.
    pub fn record(&self, record: &AuditRecord<'_>) {
        if !self.is_on() {
            return;
        }
        // Text fields of a plain struct: there is nothing that could not be written.
        let Ok(mut line) = serde_json::to_vec(record) else { return };
        line.push(b'\n');
        let line = Bytes::from(line);
        for queue in self.0.iter() {
            if queue.sender.try_send(Entry::Line(line.clone())).is_err() {
                queue.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Tells the sinks to finish what is queued, and to end. It waits for a place in the queue, so the caller sets a
    /// limit.
    pub async fn close(&self) {
        for queue in self.0.iter() {
            // A sink that has ended already needs no telling.
            let _ = queue.sender.send(Entry::End).await;
        }
    }

    /// Lines lost so far, of all sinks together.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.iter().map(|queue| queue.dropped.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(action: &str) -> AuditRecord<'_> {
        AuditRecord {
            time: "2026-01-02T03:04:05.006Z".to_owned(),
            request_id: "0123456789ABCDEF",
            principal: Some("arn:aws:iam::000000000001:root".to_owned()),
            account: Some("000000000001"),
            access_key_id: None,
            source_ip: Some("127.0.0.1".parse().expect("an address")),
            user_agent: Some("a \"quoted\"\nagent"),
            operation: "GetObject",
            action: Some(action),
            resource: Some("arn:aws:s3:::b/k"),
            decision: Verdict::Denied,
            by: "no policy allows it",
            status: 403,
        }
    }

    #[test]
    fn a_record_is_one_line_of_json() {
        let (queue, mut lines) = queue(2);
        let audit = Audit::new(vec![queue]);
        audit.record(&record("s3:GetObject"));
        let Ok(Entry::Line(line)) = lines.receiver.try_recv() else { panic!("a line") };
        let text = std::str::from_utf8(&line).expect("UTF-8");
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(value["decision"], "denied");
        assert_eq!(value["user_agent"], "a \"quoted\"\nagent");
        assert!(value.get("access_key_id").is_none());
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_never_waits() {
        let (queue, lines) = queue(3);
        let audit = Audit::new(vec![queue]);
        for _ in 0..10 {
            audit.record(&record("s3:GetObject"));
        }
        assert_eq!((audit.dropped(), lines.receiver.len()), (7, 3));
    }

    #[test]
    fn without_sinks_nothing_is_recorded() {
        let audit = Audit::default();
        assert!(!audit.is_on());
        audit.record(&record("s3:GetObject"));
        assert_eq!(audit.dropped(), 0);
    }
}
