//! Event notifications: which configurations a bucket may have, which of them an event concerns, and what is sent.
//!
//! | file | answers |
//! |---|---|
//! | `name` | what kinds of events there are, and which of them a pattern names |
//! | `configuration` | may a bucket be configured so; whom does this event concern |
//! | `filter` | does this key pass; do two filters overlap |
//! | `event` | what is known of an event, from its commit to its delivery |
//! | [`message`] | the event as Amazon S3, `CloudEvents` and Amazon `EventBridge` write it |
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html>

mod configuration;
mod event;
mod filter;
pub mod message;
mod name;
#[cfg(test)]
mod tests;

pub use configuration::{Configuration, Kind, MAX_CONFIGURATIONS, Rule, target_of};
pub use event::{Addressee, Event, Origin, Storage};
pub use filter::{Filter, FilterRule, Side};
pub use name::{EventName, Group, Pattern};
