//! A bucket's quota: the most that it may hold, and what is said to who wants more.
//!
//! Amazon has none; the code and its status are those that other servers answer with.

use serde::{Deserialize, Serialize};

use super::{Code, Refusal};

/// The most that a bucket may hold. Stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Bytes of all versions of all objects.
    pub bytes: Option<u64>,
    /// All versions of all objects, delete markers left out.
    pub objects: Option<u64>,
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// Bytes of all versions of all objects.
    Bytes,
    /// All versions of all objects.
    Objects,
}

/// What a bucket holds, or by how much that changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount<T> {
    /// Bytes of all versions.
    pub bytes: T,
    /// All versions.
    pub objects: T,
}

impl Quota {
    /// Whether this can be a quota.
    ///
    /// # Errors
    /// `InvalidRequest` if it limits nothing, or beyond what can be counted.
    pub fn check(self) -> Result<(), Refusal> {
        if self == Self::default() {
            return Err(Refusal::invalid_request("A quota limits bytes, objects, or both."));
        }
        if [self.bytes, self.objects].into_iter().flatten().any(|limit| i64::try_from(limit).is_err()) {
            return Err(Refusal::invalid_request(format!("A quota is at most {}.", i64::MAX)));
        }
        Ok(())
    }

    /// Whether a bucket that holds `held` may grow by `growth`. What does not grow is never refused, however full the
    /// bucket is.
    ///
    /// # Errors
    /// `QuotaExceeded`.
    pub fn admit(self, held: Amount<u64>, growth: Amount<i64>) -> Result<(), Refusal> {
        let figures = [
            (Limited::Bytes, self.bytes, held.bytes, growth.bytes),
            (Limited::Objects, self.objects, held.objects, growth.objects),
        ];
        for (limited, limit, held, growth) in figures {
            let Some(limit) = limit.filter(|_| growth > 0) else { continue };
            if held.saturating_add(growth.unsigned_abs()) > limit {
                return Err(exceeded(limited, limit, held));
            }
        }
        Ok(())
    }
}

/// What is said to who would take a bucket beyond its limit.
#[must_use]
pub fn exceeded(limited: Limited, limit: u64, held: u64) -> Refusal {
    let unit = match limited {
        Limited::Bytes => "bytes",
        Limited::Objects => "objects",
    };
    let message = format!(
        "The bucket's quota is {limit} {unit}, and it holds {held}. Delete objects (in a versioned bucket, versions), \
         or ask the operator for a greater quota."
    );
    Refusal::new(Code::QuotaExceeded, message).with("Limit", limit.to_string()).with("Usage", held.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quota(bytes: Option<u64>, objects: Option<u64>) -> Quota {
        Quota { bytes, objects }
    }

    #[test]
    fn a_quota_must_limit_something_that_can_be_counted() {
        assert!(quota(None, None).check().is_err());
        assert!(quota(Some(u64::MAX), None).check().is_err());
        for fine in [quota(Some(0), None), quota(None, Some(1)), quota(Some(i64::MAX.unsigned_abs()), Some(0))] {
            assert_eq!(fine.check(), Ok(()), "{fine:?}");
        }
    }

    #[test]
    fn the_refusal_says_limit_and_usage() {
        let refusal = quota(Some(10), None).admit(Amount { bytes: 8, objects: 0 }, Amount { bytes: 3, objects: 1 });
        let refusal = refusal.expect_err("three more do not fit");
        assert_eq!(
            (refusal.code, refusal.detail("Limit"), refusal.detail("Usage")),
            (Code::QuotaExceeded, Some("10"), Some("8"))
        );
        assert!(refusal.message.contains("10 bytes") && refusal.message.contains("holds 8"), "{}", refusal.message);
    }

    proptest! {
        /// However requests come, a bucket that obeys never holds more than its quota, and shrinking is never refused.
        #[test]
        fn an_obeying_bucket_stays_within(
            limits in (0_u64..1_000, 0_u64..20),
            changes in proptest::collection::vec((-400_i64..400, -2_i64..=2), 0..100),
        ) {
            let quota = quota(Some(limits.0), Some(limits.1));
            let mut held = Amount::<u64>::default();
            for (bytes, objects) in changes {
                let growth = Amount {
                    bytes: bytes.max(-i64::try_from(held.bytes).unwrap_or(0)),
                    objects: objects.max(-i64::try_from(held.objects).unwrap_or(0)),
                };
                let admitted = quota.admit(held, growth).is_ok();
                let would_be = (held.bytes.saturating_add_signed(growth.bytes), held.objects.saturating_add_signed(growth.objects));
                let fits = (growth.bytes <= 0 || would_be.0 <= limits.0) && (growth.objects <= 0 || would_be.1 <= limits.1);
                prop_assert_eq!(admitted, fits);
                if admitted {
                    held = Amount { bytes: would_be.0, objects: would_be.1 };
                }
                prop_assert!(held.bytes <= limits.0 && held.objects <= limits.1);
            }
        }
    }
}
