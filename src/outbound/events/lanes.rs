//! Several messages on their way at a time, those of one key one after the other.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;

use super::{Message, SendError, Sent};

/// Messages that are on their way to one target at a time.
pub(super) const LANES: usize = 16;

/// Sends each message by `send`. Where one is not taken nothing behind it begins: in its own lane it must not be
/// overtaken, and what other lanes would still send would only be sent twice.
pub(super) async fn send_in_lanes<'a, F, O>(messages: &'a [Message], send: F) -> Sent
where
    F: Fn(&'a Message) -> O,
    O: Future<Output = Result<(), SendError>>,
{
    let state = RandomState::new();
    let mut lanes: Vec<Vec<(usize, &Message)>> = (0..LANES).map(|_| Vec::new()).collect();
    for (index, message) in messages.iter().enumerate() {
        let mut hasher = state.build_hasher();
        hasher.write(message.ordering_key.as_bytes());
        let lane = usize::try_from(hasher.finish() % LANES as u64).unwrap_or(0);
        if let Some(lane) = lanes.get_mut(lane) {
            lane.push((index, message));
        }
    }
    // The first message that was not taken: those before it are still sent, so that each call comes further.
    let first_failed = AtomicUsize::new(usize::MAX);
    let (send, first_failed) = (&send, &first_failed);
    let lanes = lanes.into_iter().map(|lane| async move {
        for (index, message) in lane {
            if index > first_failed.load(Ordering::Relaxed) {
                return None;
            }
            if let Err(error) = send(message).await {
                first_failed.fetch_min(index, Ordering::Relaxed);
                return Some((index, error));
            }
        }
        None
    });
    let failures = join_all(lanes).await.into_iter().flatten();
    match failures.min_by_key(|(index, _)| *index) {
        None => Sent::all(messages.len()),
        Some((index, error)) => Sent::until(index, error),
    }
}

/// `work` within `timeout`.
///
/// # Errors
/// That of `work`, or that it took too long.
pub(super) async fn within<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, SendError>>,
) -> Result<T, SendError> {
    let late = |_| SendError::unavailable(format!("no answer within {timeout:?}"));
    tokio::time::timeout(timeout, work).await.map_err(late)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn messages(keys: &[&str]) -> Vec<Message> {
        let message = |(index, key): (usize, &&str)| Message {
            ordering_key: format!("b/{key}"),
            id: index.to_string(),
            body: bytes::Bytes::new(),
            content_type: "application/json",
            event_name: "ObjectCreated:Put".to_owned(),
            bucket: "b".to_owned(),
            key: (*key).to_owned(),
            time: String::new(),
        };
        keys.iter().enumerate().map(message).collect()
    }

    #[tokio::test]
    async fn messages_of_one_key_stay_in_order() {
        let keys: Vec<String> = (0..200).map(|number| format!("k{}", number % 7)).collect();
        let messages = messages(&keys.iter().map(String::as_str).collect::<Vec<_>>());
        let seen = Mutex::new(Vec::new());
        let sent = send_in_lanes(&messages, |message| {
            let seen = &seen;
            async move {
                tokio::task::yield_now().await;
                seen.lock().expect("not poisoned").push((message.key.clone(), message.id.parse::<u32>().expect("id")));
                Ok(())
            }
        })
        .await;
        assert_eq!(sent, Sent::all(200));
        let seen = seen.into_inner().expect("not poisoned");
        for key in 0..7 {
            let ids: Vec<u32> = seen.iter().filter(|(name, _)| *name == format!("k{key}")).map(|(_, id)| *id).collect();
            assert!(ids.is_sorted() && ids.len() > 20, "{key}: {ids:?}");
        }
    }

    #[tokio::test]
    async fn a_failure_stops_what_is_behind_it() {
        let messages = messages(&["a", "b", "a", "a"]);
        let seen = Mutex::new(Vec::new());
        let sent = send_in_lanes(&messages, |message| {
            let seen = &seen;
            async move {
                seen.lock().expect("not poisoned").push(message.id.clone());
                if message.id == "2" { Err(SendError::rejected("no")) } else { Ok(()) }
            }
        })
        .await;
        assert_eq!(sent, Sent::until(2, SendError::rejected("no")));
        assert!(!seen.into_inner().expect("not poisoned").contains(&"3".to_owned()));
    }
}
