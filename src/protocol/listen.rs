//! ListenBucketNotification, MinIO's extension: a bucket's events as they happen, for `mc watch` and MinIO's libraries.
//!
//! The answer does not end. Each event is a line of JSON; while there are none, a space now and then shows either side
//! that the other is still there. <https://min.io/docs/minio/linux/developers/python/API.html>,
//! "listen_bucket_notification"

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use s3s::S3Response;
use s3s::dto::{ListenBucketNotificationInput, ListenBucketNotificationOutput, StreamingBlob};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::error::{Failure, Result};
use super::s3::Call;
use crate::object::{Event, Listening, MAX_LISTENERS};
use crate::rules::Refusal;
use crate::rules::notification::Pattern;
use crate::rules::notification::message::{self, Format};

/// Between two signs of life. It is also how long a listener may outlive the beginning of a shutdown.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);
/// Pieces that wait for a slow listener; beyond them its events wait in the outbox.
const WAITING_PIECES: usize = 16;
/// Kinds of events in one request.
const MAX_EVENTS: usize = 64;
/// MinIO's own events, of reads. There are none here, and clients ask for them by default.
const READS: &str = "s3:ObjectAccessed:";

/// What is listened for.
struct Wanted {
    patterns: Vec<Pattern>,
    prefix: String,
    suffix: String,
}

impl Wanted {
    fn of(input: &ListenBucketNotificationInput) -> Result<Self> {
        let names = input.events.as_deref().unwrap_or_default().split(',').map(str::trim);
        let names = names.filter(|name| !name.is_empty() && !name.starts_with(READS));
        let mut patterns = Vec::new();
        for name in names {
            let pattern = Pattern::parse(name).filter(|_| patterns.len() < MAX_EVENTS);
            let pattern = pattern.ok_or_else(|| {
                let message = "A specified event is not supported for notifications.";
                Refusal::invalid_argument("events", name, message)
            })?;
            patterns.push(pattern);
        }
        Ok(Self {
            patterns,
            prefix: input.prefix.clone().unwrap_or_default(),
            suffix: input.suffix.clone().unwrap_or_default(),
        })
    }

    fn includes(&self, event: &Event) -> bool {
        self.patterns.iter().any(|pattern| pattern.names(event.name))
            && event.key.starts_with(&self.prefix)
            && event.key.ends_with(&self.suffix)
    }
}

pub(super) async fn listen(
    call: &Call<'_>,
    input: ListenBucketNotificationInput,
) -> Result<S3Response<ListenBucketNotificationOutput>> {
    let wanted = Wanted::of(&input)?;
    let Some(listening) = call.objects().listen(call.bucket()?).await? else {
        let message = format!("{MAX_LISTENERS} clients listen already. Try again when one has left.");
        return Err(Failure::with_message("SlowDown", message));
    };
    let (pieces, mut waiting) = mpsc::channel(WAITING_PIECES);
    tokio::spawn(pump(listening, wanted, pieces, call.draining()));
    let payload = StreamingBlob::wrap(futures_util::stream::poll_fn(move |context| waiting.poll_recv(context)));
    Ok(S3Response::new(ListenBucketNotificationOutput { payload: Some(payload) }))
}

/// Hands events on until the listener leaves or the server stops.
async fn pump(
    mut listening: Listening,
    wanted: Wanted,
    pieces: mpsc::Sender<std::io::Result<Bytes>>,
    draining: Arc<dyn Fn() -> bool + Send + Sync>,
) {
    let mut signs = interval(SIGN_OF_LIFE);
    signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !draining() {
        let piece = tokio::select! {
            found = listening.next() => found.map(|found| lines(&wanted, &found)),
            _ = signs.tick() => Ok(Bytes::from_static(b" ")),
        };
        let failed = piece.is_err();
        if let Err(error) = &piece {
            tracing::error!(%error, "events cannot be read for a listener");
        }
        let piece = piece.map_err(std::io::Error::other);
        if matches!(&piece, Ok(piece) if piece.is_empty()) {
            continue;
        }
        if pieces.send(piece).await.is_err() || failed {
            return;
        }
    }
}

/// The events that are wanted, a line each.
fn lines(wanted: &Wanted, found: &[(u64, Event)]) -> Bytes {
    let mut lines = Vec::new();
    for (position, event) in found.iter().filter(|(_, event)| wanted.includes(event)) {
        lines.extend(message::body(Format::Listened, event, *position, ""));
        lines.push(b'\n');
    }
    lines.into()
}
