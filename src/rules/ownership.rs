//! Object ownership: who owns what is written to a bucket, and whether access control lists count there.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html>

use serde::{Deserialize, Serialize};

/// A bucket's setting. Stored: the order of the variants is part of the layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ObjectOwnership {
    /// The bucket's owner owns every object, and access control lists are disabled. New buckets are so.
    #[default]
    BucketOwnerEnforced,
    /// Who writes owns, unless the object was written with the canned list `bucket-owner-full-control`.
    BucketOwnerPreferred,
    /// Who writes owns.
    ObjectWriter,
}

impl ObjectOwnership {
    /// Every setting.
    pub const ALL: [Self; 3] = [Self::BucketOwnerEnforced, Self::BucketOwnerPreferred, Self::ObjectWriter];

    /// The setting of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// As S3 spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BucketOwnerEnforced => "BucketOwnerEnforced",
            Self::BucketOwnerPreferred => "BucketOwnerPreferred",
            Self::ObjectWriter => "ObjectWriter",
        }
    }

    /// Whether access control lists count.
    #[must_use]
    pub fn has_acls(self) -> bool {
        self != Self::BucketOwnerEnforced
    }

    /// Which of two accounts owns a new object: its writer, or the bucket's owner, to whom the writer may have given
    /// full control with the canned list for that.
    #[must_use]
    pub fn owner<'a>(self, writer: &'a str, bucket_owner: &'a str, gives_full_control: GivesFullControl) -> &'a str {
        match (self, gives_full_control) {
            (Self::BucketOwnerEnforced, _) | (Self::BucketOwnerPreferred, GivesFullControl::Yes) => bucket_owner,
            (Self::BucketOwnerPreferred | Self::ObjectWriter, _) => writer,
        }
    }
}

/// Whether an object was written with the canned list `bucket-owner-full-control`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivesFullControl {
    /// It was.
    Yes,
    /// It was not.
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for ownership in ObjectOwnership::ALL {
            assert_eq!(ObjectOwnership::parse(ownership.as_str()), Some(ownership));
        }
        assert_eq!(ObjectOwnership::parse("bucketownerenforced"), None);
    }

    #[test]
    fn the_owner_of_a_new_object() {
        use GivesFullControl::{No, Yes};
        use ObjectOwnership::{BucketOwnerEnforced, BucketOwnerPreferred, ObjectWriter};
        for (ownership, gives, owner) in [
            (BucketOwnerEnforced, No, "bucket-owner"),
            (BucketOwnerEnforced, Yes, "bucket-owner"),
            (BucketOwnerPreferred, No, "writer"),
            (BucketOwnerPreferred, Yes, "bucket-owner"),
            (ObjectWriter, No, "writer"),
            (ObjectWriter, Yes, "writer"),
        ] {
            assert_eq!(ownership.owner("writer", "bucket-owner", gives), owner, "{ownership:?} {gives:?}");
        }
    }
}
