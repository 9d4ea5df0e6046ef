//! Guards against guessing: counts the failed signatures of each source address, and slows a source down that has too
//! many.
//!
//! Each source has a bucket of tokens: a failed signature takes one, and they come back evenly over a minute. While
//! the bucket is empty, signed requests of the source are answered `503 SlowDown` with `Retry-After`, whether their
//! signature is good or not: an answer that told would be what a guesser asks for. So clients that share an address
//! with a guesser are delayed, never locked out for good and never without being told: SDKs repeat a 503 by
//! themselves. Anonymous requests are not affected; neither is anyone while nobody fails.
//!
//! A source is an IPv4 address or an IPv6 network of 64 bits, which is what one subscriber gets. Behind a proxy all
//! clients are one source: there the limit must be high, or 0 for none.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, Uri, header};

use super::query;

const MINUTE: Duration = Duration::from_mins(1);
/// Sources that are remembered. A new one in a full table pushes out those whose bucket is the fullest.
const MAX_SOURCES: usize = 16_384;

/// Whether a request claims to be signed. Of a browser's form it is not known before its body is read, so it counts.
pub(super) fn is_signed(headers: &HeaderMap, uri: &Uri) -> bool {
    let is_form = |value: &http::HeaderValue| value.as_bytes().starts_with(b"multipart/form-data");
    headers.contains_key(header::AUTHORIZATION)
        || query::pairs(uri).any(|(name, _)| name.eq_ignore_ascii_case("x-amz-signature"))
        || headers.get(header::CONTENT_TYPE).is_some_and(is_form)
}

/// Whether an error's code says that the signature or the access key was wrong, in S3's words or in IAM's.
pub(super) fn is_failed_signature(code: &str) -> bool {
    matches!(code, "SignatureDoesNotMatch" | "InvalidAccessKeyId" | "InvalidClientTokenId")
}

/// An IPv4 address, or the first half of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    V4([u8; 4]),
    V6(u64),
}

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let network = u64::try_from(u128::from(address) >> 64).unwrap_or_default();
                Self::V6(network)
            }
        }
    }
}

/// The tokens that a source had left at some time.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// Failed signatures by source.
#[derive(Debug)]
pub(super) struct FailedSignatures {
    /// Tokens of a full bucket; 0 switches everything off.
    per_minute: u32,
    sources: Mutex<HashMap<Source, Bucket>>,
    /// How many sources there are: requests of a server where nobody fails read this and no more.
    known: AtomicUsize,
    failed: AtomicU64,
    refused: AtomicU64,
}

impl FailedSignatures {
    pub(super) fn new(per_minute: u32) -> Self {
        Self {
            per_minute,
            sources: Mutex::default(),
            known: AtomicUsize::new(0),
            failed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Whether a signed request of this address must wait, and for how many whole seconds.
    pub(super) fn must_wait(&self, address: IpAddr, now: Instant) -> Option<u64> {
        if self.known.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = self.tokens(*sources.get(&Source::of(address))?, now);
        drop(sources);
        if tokens >= 1.0 {
            return None;
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        let seconds = (1.0 - tokens) * MINUTE.as_secs_f64() / f64::from(self.per_minute);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 60")]
        Some((seconds.ceil() as u64).max(1))
    }

    /// Notes a failed signature. True for the one that empties the bucket, which is worth a line in the log.
    pub(super) fn note(&self, address: IpAddr, now: Instant) -> bool {
        self.failed.fetch_add(1, Ordering::Relaxed);
        if self.per_minute == 0 {
            return false;
        }
        let source = Source::of(address);
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= MAX_SOURCES && !sources.contains_key(&source) {
            self.make_room(&mut sources, now);
        }
        let full = Bucket { tokens: f64::from(self.per_minute), at: now };
        let bucket = sources.entry(source).or_insert(full);
        let before = self.tokens(*bucket, now);
        *bucket = Bucket { tokens: (before - 1.0).max(0.0), at: now };
        self.known.store(sources.len(), Ordering::Relaxed);
        (1.0..2.0).contains(&before)
    }

    /// For metrics: name without prefix, help, value.
    #[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
    pub(super) fn gauges(&self) -> Vec<(&'static str, &'static str, f64)> {
        let value = |figure: &AtomicU64| figure.load(Ordering::Relaxed) as f64;
        vec![
            ("cairn_failed_signatures_total", "Requests whose signature or access key was wrong.", value(&self.failed)),
            (
                "cairn_slowed_requests_total",
                "Signed requests that were told to come later, for their source had too many failed signatures.",
                value(&self.refused),
            ),
        ]
    }

    fn tokens(&self, bucket: Bucket, now: Instant) -> f64 {
        let full = f64::from(self.per_minute);
        let returned = now.saturating_duration_since(bucket.at).as_secs_f64() * full / MINUTE.as_secs_f64();
        (bucket.tokens + returned).min(full)
    }

    /// Forgets sources that have recovered; if there are none, the half with the most tokens.
    fn make_room(&self, sources: &mut HashMap<Source, Bucket>, now: Instant) {
        let full = f64::from(self.per_minute);
        sources.retain(|_, bucket| self.tokens(*bucket, now) < full);
        if sources.len() < MAX_SOURCES {
            return;
        }
        let mut order: Vec<(f64, Source)> =
            sources.iter().map(|(source, bucket)| (self.tokens(*bucket, now), *source)).collect();
        order.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
        for (_, source) in order.drain(MAX_SOURCES / 2..) {
            sources.remove(&source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_source_that_fails_too_often_waits_and_recovers() {
        let guard = FailedSignatures::new(60);
        let (guesser, other, start) = (address("192.0.2.1"), address("192.0.2.2"), Instant::now());
        let emptied: Vec<bool> = (0..60).map(|_| guard.note(guesser, start)).collect();
        assert_eq!(emptied.iter().filter(|emptied| **emptied).count(), 1, "one line in the log");
        assert_eq!(emptied.last(), Some(&true));
        assert_eq!(guard.must_wait(guesser, start), Some(1));
        assert_eq!(guard.must_wait(other, start), None);
        assert_eq!(guard.must_wait(guesser, start + Duration::from_secs(1)), None, "one token is back");
        guard.note(guesser, start + Duration::from_secs(1));
        assert_eq!(guard.must_wait(guesser, start + Duration::from_secs(1)), Some(1));
        assert_eq!(guard.must_wait(guesser, start + MINUTE), None);
    }

    #[test]
    fn a_low_limit_says_how_long_to_wait() {
        let guard = FailedSignatures::new(2);
        let (source, start) = (address("192.0.2.1"), Instant::now());
        guard.note(source, start);
        assert_eq!(guard.must_wait(source, start), None);
        guard.note(source, start);
        assert_eq!(guard.must_wait(source, start), Some(30));
    }

    #[test]
    fn an_ipv6_source_is_a_network_of_64_bits() {
        let guard = FailedSignatures::new(1);
        let now = Instant::now();
        guard.note(address("2001:db8:1:2::1"), now);
        assert!(guard.must_wait(address("2001:db8:1:2:ffff::9"), now).is_some());
        assert!(guard.must_wait(address("2001:db8:1:3::1"), now).is_none());
        guard.note(address("::ffff:192.0.2.1"), now);
        assert!(guard.must_wait(address("192.0.2.1"), now).is_some());
    }

    #[test]
    fn zero_is_no_limit() {
        let guard = FailedSignatures::new(0);
        let now = Instant::now();
        for _ in 0..1_000 {
            guard.note(address("192.0.2.1"), now);
        }
        assert_eq!(guard.must_wait(address("192.0.2.1"), now), None);
    }

    #[test]
    fn the_table_is_bounded_and_keeps_the_worst() {
        let guard = FailedSignatures::new(10);
        let now = Instant::now();
        let worst = address("198.51.100.1");
        for _ in 0..10 {
            guard.note(worst, now);
        }
        for number in 0..u32::try_from(MAX_SOURCES * 2).expect("small") {
            guard.note(IpAddr::from(number.to_be_bytes()), now);
            assert!(guard.sources.lock().expect("not poisoned").len() <= MAX_SOURCES);
        }
        assert!(guard.must_wait(worst, now).is_some());
    }
}
