//! Opens the audit trail's sinks, and closes them when the last answer has gone.

use std::time::Duration;

use super::Failure;
use crate::config::AuditConfig;
use crate::outbound::audit_kafka::AuditKafka;
use crate::outbound::audit_webhook::AuditWebhook;
use crate::telemetry::audit::{self, Audit, FileSink, QUEUE_LINES};

/// How long a stopping server waits for its sinks.
const GRACE: Duration = Duration::from_secs(5);

/// The sinks that are configured.
pub(super) struct AuditSinks {
    audit: Audit,
    file: Option<FileSink>,
    webhook: Option<AuditWebhook>,
    kafka: Option<AuditKafka>,
}

impl AuditSinks {
    /// Opens the log, and starts the webhook and the Kafka sink.
    pub(super) fn open(config: &AuditConfig) -> Result<Self, Failure> {
        let mut queues = Vec::new();
        let mut file = None;
        if let Some(target) = &config.log {
            let (queue, lines) = audit::queue(QUEUE_LINES);
            let sink = FileSink::start(target, lines)
                .map_err(|error| format!("audit.log: the audit log cannot be opened: {error}"))?;
            file = Some(sink);
            queues.push(queue);
        }
        let mut webhook = None;
        if let Some(url) = &config.webhook {
            let (queue, lines) = audit::queue(QUEUE_LINES);
            let sink = AuditWebhook::start(url.clone(), config.webhook_ca_file.as_deref(), lines)
                .map_err(|error| format!("audit.webhook: {error}"))?;
            webhook = Some(sink);
            queues.push(queue);
        }
        let mut kafka = None;
        if let Some(settings) = &config.kafka {
            let (queue, lines) = audit::queue(QUEUE_LINES);
            let sink = AuditKafka::start(settings, lines).map_err(|error| format!("audit.kafka_brokers: {error}"))?;
            kafka = Some(sink);
            queues.push(queue);
        }
        Ok(Self { audit: Audit::new(queues), file, webhook, kafka })
    }

    /// Where decisions are recorded.
    pub(super) fn audit(&self) -> Audit {
        self.audit.clone()
    }

    /// Lets the sinks finish what is queued, within limits.
    pub(super) async fn close(self) {
        // A queue that stays full for this long belongs to a sink that takes nothing.
        let _ = tokio::time::timeout(GRACE, self.audit.close()).await;
        if let Some(webhook) = self.webhook {
            webhook.stop(GRACE).await;
        }
        if let Some(kafka) = self.kafka {
            kafka.stop(GRACE).await;
        }
        if let Some(file) = self.file {
            let joining = tokio::task::spawn_blocking(move || file.join());
            let _ = tokio::time::timeout(GRACE, joining).await;
        }
    }
}
