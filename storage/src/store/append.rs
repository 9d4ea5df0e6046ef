//! Appending: a new list of an object's parts, of which the last is new. No old byte is copied, and the list stays
//! short: runs of parts are put into groups, groups into groups of groups.
//!
//! The list names everything by reference, and the commit that makes it visible requires that the object which it
//! continues is still there. So what the list takes over from that object needs no pin.

use std::sync::Arc;

use super::Store;
use super::staged::{Staged, root_child};
use crate::error::{Corruption, Result, StoreError};
use crate::index::records::{Data, ManifestPage, ObjectRecord, PARTS_IN_PAGE, PartRecord};
use crate::types::{ManifestId, Timestamp};

/// Parts, or groups of one level, that are put into a group of the next: an append then writes a list of at most some
/// seventy entries, whether the object has ten parts or ten thousand.
const GROUP: usize = 32;
/// Entries up to which a list is continued as it is. A longer one, of an upload in many parts, becomes a group.
const CONTINUED: usize = 64;

/// An object that is appended to.
#[derive(Clone, Copy, Debug)]
pub struct Appended<'a> {
    /// The object as it is.
    pub object: &'a ObjectRecord,
    /// When it was written.
    pub modified: Timestamp,
    /// Where its bytes are: as the object says, or, if they lie beside its record, where they were written to again.
    pub data: Data,
    /// The new part, but for its number.
    pub part: &'a PartRecord,
}

impl Store {
    /// The data of an object with a new part at its end. `staged` is the part's data, and what else must become
    /// visible with it; it may be what an earlier attempt got back from a conflict.
    pub async fn append(self: &Arc<Self>, appended: Appended<'_>, mut staged: Staged) -> Result<Staged> {
        let Appended { object, modified, data, part } = appended;
        staged.only_manifest_of(part.data);
        let mut entries = self.entries_of(object, modified, data).await?;
        let number = entries.last().map_or(0, |last| last.number).saturating_add(1);
        entries.push(PartRecord { number, ..part.clone() });
        while let Some(first) = full_group(&entries) {
            let members = entries.split_off(first);
            let list = self.stage_parts(&members).await?;
            entries.push(group_of(&members, list.data()));
            staged.absorb(list);
        }
        let list = self.stage_parts(&entries).await?;
        let (data, size) = (list.data(), list.size());
        staged.absorb(list);
        Ok(staged.told_as(data, size))
    }

    /// The list that is continued.
    async fn entries_of(&self, object: &ObjectRecord, modified: Timestamp, data: Data) -> Result<Vec<PartRecord>> {
        let whole = |number| PartRecord {
            number,
            size: object.size,
            md5: object.etag.md5,
            checksum: object.checksum.clone(),
            modified,
            data,
        };
        let Data::Parts(id) = data else {
            return Ok(if object.size == 0 { Vec::new() } else { vec![whole(1)] });
        };
        let root = self.manifest_root(id).await?;
        if root.entries as usize <= CONTINUED {
            return self.entries(id, root.pages).await;
        }
        let last = root.pages.saturating_sub(1);
        let ManifestPage::Parts { parts, .. } = self.manifest_page(id, last).await? else {
            return Err(Corruption::Manifest(id).into());
        };
        Ok(vec![whole(parts.last().map_or(1, |part| part.number))])
    }

    async fn entries(&self, id: ManifestId, pages: u32) -> Result<Vec<PartRecord>> {
        let mut entries = Vec::new();
        for page in 0..pages {
            let ManifestPage::Parts { parts, .. } = self.manifest_page(id, page).await? else {
                return Err(Corruption::Manifest(id).into());
            };
            entries.extend(parts);
        }
        Ok(entries)
    }

    /// The parts of an object that was uploaded in parts or appended to, in order, groups taken apart; at most
    /// `limit`, which is more than an object can have.
    pub async fn object_parts(&self, id: ManifestId, limit: usize) -> Result<Vec<PartRecord>> {
        let mut found = Vec::new();
        // What is still to be looked at, the next last.
        let mut rest = vec![Data::Parts(id)];
        let mut waiting: Vec<std::vec::IntoIter<PartRecord>> = Vec::new();
        while let Some(Data::Parts(id)) = rest.pop() {
            let root = self.manifest_root(id).await?;
            waiting.push(self.entries(id, root.pages).await?.into_iter());
            while let Some(entries) = waiting.last_mut() {
                match entries.next() {
                    None => drop(waiting.pop()),
                    Some(PartRecord { data: group @ Data::Parts(_), .. }) => {
                        rest.push(group);
                        break;
                    }
                    Some(_) if found.len() >= limit => return Err(StoreError::from(Corruption::Manifest(id))),
                    Some(part) => found.push(part),
                }
            }
        }
        Ok(found)
    }
}

/// Where the entries at the end of a list begin that are enough for a group.
fn full_group(entries: &[PartRecord]) -> Option<usize> {
    let level = level_at(entries, entries.len().checked_sub(1)?);
    let first = entries.len().checked_sub(GROUP)?;
    (first..entries.len()).all(|index| level_at(entries, index) == level).then_some(first)
}

/// How often the entry was put into groups, as far as the numbers tell. Gaps between the numbers of an upload's parts
/// make it look greater, which costs a longer list and nothing else.
fn level_at(entries: &[PartRecord], index: usize) -> u32 {
    let before = index.checked_sub(1).and_then(|index| entries.get(index)).map_or(0, |entry| entry.number);
    let number = entries.get(index).map_or(0, |entry| entry.number);
    let span = u32::from(number.saturating_sub(before)).max(1);
    span.ilog2() / GROUP.ilog2()
}

fn group_of(members: &[PartRecord], data: Data) -> PartRecord {
    debug_assert!(root_child(data).is_some(), "a group has a list");
    PartRecord {
        number: members.last().map_or(0, |last| last.number),
        size: members.iter().map(|member| member.size).sum(),
        // Nobody sees a group.
        md5: [0; 16],
        checksum: None,
        modified: members.last().map_or(Timestamp(0), |last| last.modified),
        data,
    }
}

const _: () = assert!(CONTINUED + 3 * GROUP < PARTS_IN_PAGE, "a list that is continued fits into a page");

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u16) -> PartRecord {
        PartRecord {
            number,
            size: 1,
            md5: [0; 16],
            checksum: None,
            modified: Timestamp(0),
            data: Data::Parts(ManifestId([0; 32])),
        }
    }

    #[test]
    fn a_list_stays_short_however_much_is_appended() {
        let mut entries: Vec<PartRecord> = Vec::new();
        let mut longest = 0;
        for number in 1..=10_000 {
            entries.push(entry(number));
            while let Some(first) = full_group(&entries) {
                let members = entries.split_off(first);
                entries.push(group_of(&members, Data::Parts(ManifestId([1; 32]))));
            }
            longest = longest.max(entries.len());
            assert!(entries.is_sorted_by_key(|entry| entry.number));
            assert_eq!(entries.iter().map(|entry| entry.size).sum::<u64>(), u64::from(number));
        }
        assert!(longest <= 3 * GROUP, "{longest}");
    }
}
