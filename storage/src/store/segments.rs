//! What the index knows of segments.

use crate::chunks::SegmentUse;
use crate::error::{Corruption, Result};
use crate::index::keys;
use crate::kv::{Family, Kv, Scan, Visit};

/// The segments in which the index places chunks: what a chunk store has to be told when it is opened.
pub fn segments_in_use(kv: &dyn Kv) -> Result<Vec<SegmentUse>> {
    let (mut used, mut damaged) = (Vec::new(), None);
    let scan =
        Scan { families: vec![Family::Counters], from: keys::segments(), to: keys::after_prefix(&keys::segments()) };
    kv.scan(&scan, &mut |_, key, value| {
        let live = value.try_into().ok().map(i64::from_le_bytes).and_then(|bytes| u64::try_from(bytes).ok());
        match (keys::parse_segment(key), live) {
            (Some((drive, segment)), Some(live_bytes)) if live_bytes > 0 => {
                used.push(SegmentUse { drive, segment, live_bytes });
            }
            (Some(_), Some(_)) => {}
            _ => damaged = Some(format!("segment counter {key:?}")),
        }
        Visit::Next
    })?;
    match damaged {
        Some(what) => Err(Corruption::Row { family: Family::Counters.name(), what }.into()),
        None => Ok(used),
    }
}
