//! What a write or a deletion does to the versions of a key.
//!
//! A key has at most one current object and any number of noncurrent versions and delete markers. In a bucket that was
//! never versioned, and while versioning is suspended, a key's `null` version is the one that writes replace.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/AddingObjectstoVersionSuspendedBuckets.html>

use storage::index::records::Versioning;

/// What a decision needs to know of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its order among the versions of its key.
    pub order: u64,
    /// Whether it is the `null` version.
    pub null: bool,
}

/// What becomes of the current version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// There is none.
    Nothing,
    /// It becomes noncurrent.
    Demoted,
    /// It goes for good.
    Removed,
}

/// What a write does beside adding its own version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// Whether the new version is the `null` version.
    pub null: bool,
    /// What becomes of the current version.
    pub current: Fate,
    /// The noncurrent `null` version, which goes for good.
    pub removes_noncurrent: Option<u64>,
}

/// What a deletion that names no version does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// The current version goes for good; without one nothing happens.
    Remove,
    /// A delete marker is written.
    Mark(Replacement),
}

/// A new version, or a delete marker, comes on top. `null_order` is the order of the key's `null` version, wherever it is.
#[must_use]
pub fn replace(versioning: Versioning, current: Option<Known>, null_order: Option<u64>) -> Replacement {
    let null = versioning != Versioning::Enabled;
    let fate = match (versioning, current) {
        (_, None) => Fate::Nothing,
        (Versioning::Unversioned, Some(_)) | (Versioning::Suspended, Some(Known { null: true, .. })) => Fate::Removed,
        (Versioning::Enabled | Versioning::Suspended, Some(_)) => Fate::Demoted,
    };
    let noncurrent_null = null_order.filter(|order| current.is_none_or(|current| current.order != *order));
    let removes_noncurrent = if versioning == Versioning::Suspended { noncurrent_null } else { None };
    Replacement { null, current: fate, removes_noncurrent }
}

/// A deletion that names no version.
#[must_use]
pub fn delete(versioning: Versioning, current: Option<Known>, null_order: Option<u64>) -> Deletion {
    match versioning {
        Versioning::Unversioned => Deletion::Remove,
        Versioning::Enabled | Versioning::Suspended => Deletion::Mark(replace(versioning, current, null_order)),
    }
}

/// The order of the `null` version after a replacement by a version with the order `new`.
#[must_use]
pub fn null_order_after(
    replacement: Replacement,
    new: u64,
    current: Option<Known>,
    null_order: Option<u64>,
) -> Option<u64> {
    // A version from before versioning was enabled is `null`, though no head has said so yet.
    let before = null_order.or_else(|| current.filter(|current| current.null).map(|current| current.order));
    if replacement.null { Some(new) } else { before }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NULL: Option<Known> = Some(Known { order: 5, null: true });
    const NAMED: Option<Known> = Some(Known { order: 5, null: false });

    #[test]
    fn a_write_replaces_what_its_bucket_says() {
        use Fate::{Demoted, Nothing, Removed};
        use Versioning::{Enabled, Suspended, Unversioned};
        // versioning, current, null order, what follows: null, fate, noncurrent null removed
        let table = [
            (Unversioned, None, None, (true, Nothing, None)),
            (Unversioned, NULL, None, (true, Removed, None)),
            (Enabled, None, None, (false, Nothing, None)),
            (Enabled, NULL, None, (false, Demoted, None)),
            (Enabled, NAMED, Some(3), (false, Demoted, None)),
            (Suspended, None, None, (true, Nothing, None)),
            (Suspended, None, Some(3), (true, Nothing, Some(3))),
            (Suspended, NULL, Some(5), (true, Removed, None)),
            (Suspended, NULL, None, (true, Removed, None)),
            (Suspended, NAMED, None, (true, Demoted, None)),
            (Suspended, NAMED, Some(3), (true, Demoted, Some(3))),
        ];
        for (versioning, current, null_order, (null, fate, removed)) in table {
            let expected = Replacement { null, current: fate, removes_noncurrent: removed };
            assert_eq!(replace(versioning, current, null_order), expected, "{versioning:?} {current:?} {null_order:?}");
        }
    }

    #[test]
    fn the_null_version_is_remembered_wherever_it_goes() {
        let enabled = replace(Versioning::Enabled, NULL, None);
        assert_eq!(null_order_after(enabled, 9, NULL, None), Some(5));
        let suspended = replace(Versioning::Suspended, NAMED, Some(3));
        assert_eq!(null_order_after(suspended, 9, NAMED, Some(3)), Some(9));
    }

    #[test]
    fn an_unversioned_deletion_leaves_no_marker() {
        assert_eq!(delete(Versioning::Unversioned, NULL, None), Deletion::Remove);
        assert!(matches!(delete(Versioning::Enabled, None, None), Deletion::Mark(marker) if !marker.null));
        assert!(matches!(delete(Versioning::Suspended, NULL, Some(5)), Deletion::Mark(marker) if marker.null));
    }
}
