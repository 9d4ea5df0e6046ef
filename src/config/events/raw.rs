//! `[[event_target]]` tables as they were written: the keys that all kinds have, and those of each.

use super::super::raw::{List, Scalar, field_names};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// One table, not yet judged: which keys it may have depends on its `kind`.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct RawEventTarget(pub toml::Table);

impl RawEventTarget {
    /// A text of the table.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(toml::Value::as_str).map(str::trim).filter(|text| !text.is_empty())
    }
}

impl fmt::Debug for RawEventTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Other keys may be secrets.
        f.debug_struct("RawEventTarget").field("name", &self.text("name")).finish_non_exhaustive()
    }
}

macro_rules! raw {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(in crate::config) struct $name { $(pub $field: Option<$type>),* }
    };
}

raw!(
    /// What every kind has.
    Common {
        name: Scalar,
        kind: Scalar,
        format: Scalar,
        timeout: Scalar,
        max_age: Scalar,
        max_events: Scalar,
        max_bytes: Scalar,
        on_full: Scalar,
    }
);

raw!(Webhook {
    url: Scalar,
    secret: Scalar,
    secret_file: Scalar,
    bearer_token: Scalar,
    bearer_token_file: Scalar,
    headers: BTreeMap<String, String>,
    batch_size: Scalar,
    http2: Scalar,
    ca_file: Scalar,
    client_cert_file: Scalar,
    client_key_file: Scalar,
});

raw!(Kafka {
    brokers: List,
    topic: Scalar,
    tls: Scalar,
    sasl_mechanism: Scalar,
    username: Scalar,
    password: Scalar,
    password_file: Scalar,
    ca_file: Scalar,
    client_cert_file: Scalar,
    client_key_file: Scalar,
});

raw!(Nats {
    servers: List,
    subject: Scalar,
    jetstream: Scalar,
    username: Scalar,
    password: Scalar,
    password_file: Scalar,
    token: Scalar,
    token_file: Scalar,
    nkey_seed: Scalar,
    nkey_seed_file: Scalar,
    credentials_file: Scalar,
    ca_file: Scalar,
    client_cert_file: Scalar,
    client_key_file: Scalar,
});

raw!(Amqp {
    url: Scalar,
    exchange: Scalar,
    routing_key: Scalar,
    username: Scalar,
    password: Scalar,
    password_file: Scalar,
    ca_file: Scalar,
    client_cert_file: Scalar,
    client_key_file: Scalar,
});

raw!(Mqtt {
    url: Scalar,
    topic: Scalar,
    client_id: Scalar,
    username: Scalar,
    password: Scalar,
    password_file: Scalar,
    ca_file: Scalar,
    client_cert_file: Scalar,
    client_key_file: Scalar,
});

raw!(Redis {
    url: Scalar,
    mode: Scalar,
    key: Scalar,
    max_length: Scalar,
    username: Scalar,
    password: Scalar,
    password_file: Scalar,
    ca_file: Scalar,
    client_cert_file: Scalar,
    client_key_file: Scalar,
});

raw!(Postgresql {
    url: Scalar,
    table: Scalar,
    mode: Scalar,
    tls: Scalar,
    username: Scalar,
    password: Scalar,
    password_file: Scalar,
    ca_file: Scalar,
    client_cert_file: Scalar,
    client_key_file: Scalar,
});

raw!(Sqs {
    queue_url: Scalar,
    region: Scalar,
    endpoint: Scalar,
    access_key_id: Scalar,
    secret_access_key: Scalar,
    secret_access_key_file: Scalar,
    session_token: Scalar,
    session_token_file: Scalar,
    ca_file: Scalar,
});

raw!(Sns {
    topic_arn: Scalar,
    region: Scalar,
    endpoint: Scalar,
    access_key_id: Scalar,
    secret_access_key: Scalar,
    secret_access_key_file: Scalar,
    session_token: Scalar,
    session_token_file: Scalar,
    ca_file: Scalar,
});

raw!(EventBridge {
    event_bus: Scalar,
    source: Scalar,
    region: Scalar,
    endpoint: Scalar,
    access_key_id: Scalar,
    secret_access_key: Scalar,
    secret_access_key_file: Scalar,
    session_token: Scalar,
    session_token_file: Scalar,
    ca_file: Scalar,
});

raw!(File { path: Scalar });

/// The kinds by their names, each with the keys of its own.
pub(super) fn kinds() -> [(&'static str, &'static [&'static str]); 11] {
    [
        ("webhook", field_names::<Webhook>()),
        ("kafka", field_names::<Kafka>()),
        ("nats", field_names::<Nats>()),
        ("amqp", field_names::<Amqp>()),
        ("mqtt", field_names::<Mqtt>()),
        ("redis", field_names::<Redis>()),
        ("postgresql", field_names::<Postgresql>()),
        ("sqs", field_names::<Sqs>()),
        ("sns", field_names::<Sns>()),
        ("eventbridge", field_names::<EventBridge>()),
        ("file", field_names::<File>()),
    ]
}

/// The keys that all kinds have.
pub(super) fn common_keys() -> &'static [&'static str] {
    field_names::<Common>()
}

/// Every key that some kind has.
pub(in crate::config) fn all_keys() -> Vec<&'static str> {
    let mut keys = common_keys().to_vec();
    for key in kinds().into_iter().flat_map(|(_, keys)| keys) {
        if !keys.contains(key) {
            keys.push(key);
        }
    }
    keys
}
