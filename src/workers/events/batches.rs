//! Sending a page of messages in their order, as many at a time as the target takes best.

use std::time::Duration;

use crate::outbound::events::{EventSink, Message, SendError};

/// The longest that one call may take, whatever the target's own limits say.
const LONGEST_CALL: Duration = Duration::from_mins(5);

/// What became of messages, by their place in the list that was sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// Taken by the target.
    pub taken: Vec<usize>,
    /// Never to be taken, and why.
    pub rejected: Vec<(usize, String)>,
    /// Why the rest was not sent.
    pub unavailable: Option<String>,
}

/// Sends messages. One that is rejected is stepped over; one that is not taken otherwise holds back those behind it.
pub(super) async fn send(sink: &dyn EventSink, messages: &[Message], timeout: Duration) -> Sent {
    let limit = sink.batch_limit().max(1);
    let mut sent = Sent::default();
    let mut at = 0;
    while at < messages.len() {
        let batch = messages.get(at..messages.len().min(at + limit)).unwrap_or_default();
        // Sinks keep to their own limits; this is for one that does not.
        let longest = timeout.saturating_mul(u32::try_from(batch.len() + 1).unwrap_or(u32::MAX)).min(LONGEST_CALL);
        let Ok(answer) = tokio::time::timeout(longest, sink.send(batch)).await else {
            sent.unavailable = Some(format!("no answer within {longest:?}"));
            return sent;
        };
        let taken = answer.taken.min(batch.len());
        sent.taken.extend(at..at + taken);
        at += taken;
        match answer.stopped {
            None if taken > 0 => {}
            None => {
                sent.unavailable = Some("the target took nothing and did not say why".to_owned());
                return sent;
            }
            Some(SendError::Rejected { message }) => {
                sent.rejected.push((at, message));
                at += 1;
            }
            Some(SendError::Unavailable { message }) => {
                sent.unavailable = Some(message);
                return sent;
            }
        }
    }
    sent
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use bytes::Bytes;

    use super::*;
    use crate::outbound::events;

    /// Notes what it gets, and refuses what it is told to.
    struct Scripted {
        limit: usize,
        refuse: fn(&str) -> Option<SendError>,
        got: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl EventSink for Scripted {
        async fn check(&self) -> Result<(), SendError> {
            Ok(())
        }

        async fn send(&self, messages: &[Message]) -> events::Sent {
            for (taken, message) in messages.iter().enumerate() {
                tokio::task::yield_now().await;
                if let Some(error) = (self.refuse)(&message.id) {
                    return events::Sent::until(taken, error);
                }
                self.got.lock().expect("no panic").push(message.id.clone());
            }
            events::Sent::all(messages.len())
        }

        fn batch_limit(&self) -> usize {
            self.limit
        }
    }

    fn message(key: &str, id: &str) -> Message {
        Message {
            ordering_key: key.to_owned(),
            id: id.to_owned(),
            body: Bytes::new(),
            content_type: "application/json",
            event_name: String::new(),
            bucket: String::new(),
            key: key.to_owned(),
            time: String::new(),
        }
    }

    fn messages() -> Vec<Message> {
        (0..60).map(|number| message(&format!("key{}", number % 7), &number.to_string())).collect()
    }

    async fn sent(limit: usize, refuse: fn(&str) -> Option<SendError>) -> (Sent, Vec<usize>) {
        let sink = Scripted { limit, refuse, got: Mutex::default() };
        let sent = send(&sink, &messages(), Duration::from_secs(5)).await;
        let got = sink.got.into_inner().expect("no panic");
        (sent, got.iter().map(|id| id.parse().expect("a number")).collect())
    }

    #[tokio::test]
    async fn messages_keep_their_order() {
        for limit in [1, 3, 60, 100] {
            let (sent, got) = sent(limit, |_| None).await;
            assert!(sent.taken.iter().copied().eq(0..60) && got.iter().copied().eq(0..60), "limit {limit}");
        }
    }

    #[tokio::test]
    async fn what_is_rejected_is_stepped_over_and_a_failure_holds_back_what_follows() {
        let rejects = |id: &str| (id == "8" || id == "15").then(|| SendError::Rejected { message: "no".to_owned() });
        for limit in [1, 4, 100] {
            let (sent, got) = sent(limit, rejects).await;
            assert_eq!(sent.rejected, [(8, "no".to_owned()), (15, "no".to_owned())]);
            assert!(got.iter().copied().eq((0..60).filter(|id| ![8, 15].contains(id))), "{got:?}");
            assert_eq!((sent.taken, sent.unavailable), (got, None));
        }
        let fails = |id: &str| (id == "8").then(|| SendError::Unavailable { message: "down".to_owned() });
        let (sent, got) = sent(5, fails).await;
        assert_eq!(sent.unavailable.as_deref(), Some("down"));
        assert!(got.iter().copied().eq(0..8));
    }

    #[tokio::test]
    async fn a_target_that_says_nothing_ends_the_attempt() {
        struct Silent;
        #[async_trait]
        impl EventSink for Silent {
            async fn check(&self) -> Result<(), SendError> {
                Ok(())
            }
            async fn send(&self, _: &[Message]) -> events::Sent {
                std::future::pending().await
            }
            fn batch_limit(&self) -> usize {
                10
            }
        }
        let sent = send(&Silent, &messages(), Duration::from_millis(1)).await;
        assert!(sent.taken.is_empty() && sent.unavailable.is_some_and(|why| why.starts_with("no answer within")));
    }
}
