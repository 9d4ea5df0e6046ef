//! The kinds of events, and the patterns by which configurations name them.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html>

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! names {
    ($($group:ident $group_text:literal { $($name:ident $text:literal,)+ })+) => {
        /// A kind of event. Stored: the order of the variants is part of the layout; new ones go to the end.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum EventName { $($(#[doc = concat!("`", $text, "`")] $name,)+)+ }

        impl EventName {
            /// Every kind.
            pub const ALL: &[Self] = &[$($(Self::$name,)+)+];

            /// As records have it: `ObjectCreated:Put`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($(Self::$name => $text,)+)+ }
            }

            /// What it is one of.
            #[must_use]
            pub const fn group(self) -> Group {
                match self { $($(Self::$name => Group::$group,)+)+ }
            }
        }

        /// Kinds of events that belong together. Stored: as of [`EventName`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Group { $(#[doc = concat!("`", $group_text, "`")] $group,)+ }

        impl Group {
            /// Every group.
            pub const ALL: &[Self] = &[$(Self::$group,)+];

            /// Its name: `ObjectCreated`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$group => $group_text,)+ }
            }
        }
    };
}

names! {
    ObjectCreated "ObjectCreated" {
        ObjectCreatedPut "ObjectCreated:Put",
        ObjectCreatedPost "ObjectCreated:Post",
        ObjectCreatedCopy "ObjectCreated:Copy",
        ObjectCreatedCompleteMultipartUpload "ObjectCreated:CompleteMultipartUpload",
    }
    ObjectRemoved "ObjectRemoved" {
        ObjectRemovedDelete "ObjectRemoved:Delete",
        ObjectRemovedDeleteMarkerCreated "ObjectRemoved:DeleteMarkerCreated",
    }
    ObjectRestore "ObjectRestore" {
        ObjectRestorePost "ObjectRestore:Post",
        ObjectRestoreCompleted "ObjectRestore:Completed",
        ObjectRestoreDelete "ObjectRestore:Delete",
    }
    ObjectTagging "ObjectTagging" {
        ObjectTaggingPut "ObjectTagging:Put",
        ObjectTaggingDelete "ObjectTagging:Delete",
    }
    ObjectAcl "ObjectAcl" {
        ObjectAclPut "ObjectAcl:Put",
    }
    LifecycleExpiration "LifecycleExpiration" {
        LifecycleExpirationDelete "LifecycleExpiration:Delete",
        LifecycleExpirationDeleteMarkerCreated "LifecycleExpiration:DeleteMarkerCreated",
    }
    LifecycleTransition "LifecycleTransition" {
        LifecycleTransition "LifecycleTransition",
    }
    IntelligentTiering "IntelligentTiering" {
        IntelligentTiering "IntelligentTiering",
    }
    ReducedRedundancyLostObject "ReducedRedundancyLostObject" {
        ReducedRedundancyLostObject "ReducedRedundancyLostObject",
    }
    Replication "Replication" {
        ReplicationOperationFailedReplication "Replication:OperationFailedReplication",
        ReplicationOperationMissedThreshold "Replication:OperationMissedThreshold",
        ReplicationOperationReplicatedAfterThreshold "Replication:OperationReplicatedAfterThreshold",
        ReplicationOperationNotTracked "Replication:OperationNotTracked",
    }
}

impl EventName {
    /// The kind of this name, with or without `s3:` before it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.strip_prefix("s3:").unwrap_or(text);
        Self::ALL.iter().copied().find(|known| known.as_str() == name)
    }

    /// Whether the event is about a change of the key's versions. Such events can be told apart by age; others have
    /// neither size nor sequencer.
    #[must_use]
    pub const fn changes_versions(self) -> bool {
        !matches!(self.group(), Group::ObjectTagging | Group::ObjectAcl)
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Group {
    /// Whether `GROUP:*` can be asked for: not where the group is one event, nor of access control lists.
    const fn has_wildcard(self) -> bool {
        !matches!(
            self,
            Self::ObjectAcl | Self::LifecycleTransition | Self::IntelligentTiering | Self::ReducedRedundancyLostObject
        )
    }
}

/// The kinds of events that a configuration asks for: one, or a whole group. Stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Pattern {
    /// One kind.
    One(EventName),
    /// `s3:GROUP:*`
    All(Group),
}

impl Pattern {
    /// The pattern as configurations write it: `s3:ObjectCreated:*`. `None` for what is no event of S3's.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.strip_prefix("s3:")?;
        match name.strip_suffix(":*") {
            None => EventName::parse(name).map(Self::One),
            Some(group) => {
                let found = Group::ALL.iter().copied().find(|known| known.as_str() == group);
                found.filter(|group| group.has_wildcard()).map(Self::All)
            }
        }
    }

    /// Whether it names this kind.
    #[must_use]
    pub fn names(self, name: EventName) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::All(group) => group == name.group(),
        }
    }

    /// Whether there is a kind that both name.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        match (self, other) {
            (Self::One(one), other) | (other, Self::One(one)) => other.names(one),
            (Self::All(group), Self::All(other)) => group == other,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(name) => write!(f, "s3:{name}"),
            Self::All(group) => write!(f, "s3:{}:*", group.as_str()),
        }
    }
}
