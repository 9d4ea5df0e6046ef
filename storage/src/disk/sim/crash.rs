//! What a power cut can leave of a simulated disk.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::{Content, FileNumber, Op, SimDisk};

/// What a disk writes whole or not at all, in bytes.
pub(super) const SECTOR: usize = 512;
/// Torn variants of one write at most.
const TEARS_PER_WRITE: usize = 16;
/// Arbitrary mixtures at most.
const MIXTURES: usize = 8;

/// A disk after a power cut.
pub struct CrashImage {
    /// What of the unsynced operations survived.
    pub class: CrashClass,
    /// The disk: its durable state is all there is, its log is empty.
    pub disk: SimDisk,
    /// The greatest [`Op::Marker`] before the crash point, if there was one.
    pub marker: Option<u64>,
}

/// What survived. Indices are those of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CrashClass {
    /// Nothing unsynced.
    Nothing,
    /// Everything.
    Everything,
    /// Only this operation.
    Only(usize),
    /// Everything but this operation.
    Without(usize),
    /// Names, but no data.
    Names,
    /// Data, but no names.
    Data,
    /// The lengths of files, with zeroes for data, and the names.
    Lengths,
    /// The first bytes of this write; the other operations as told.
    Torn {
        /// The write.
        op: usize,
        /// How many bytes of it survived, a multiple of the sector size.
        kept: usize,
        /// Whether everything else survived, or nothing else.
        others: Others,
    },
    /// Operations, and sectors of writes, picked by a generator with this seed.
    Mixture(u64),
}

/// What became of the operations beside a torn one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// All survived.
    Survive,
    /// None survived.
    Lost,
}

impl fmt::Display for CrashClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The durable state at a crash point, and what was under way.
struct Moment {
    /// The durable state before the first unsynced operation.
    durable: Content,
    /// The operations from there on with their log index, in the order of the log: durable ones survive always.
    rest: Vec<(usize, Op, Fate)>,
    marker: Option<u64>,
    capacity: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Durable,
    Unsynced,
}

pub(super) fn images(
    base: &Content,
    base_marker: Option<u64>,
    log: &[Op],
    capacity: u64,
    seed: u64,
    limit: usize,
) -> impl Iterator<Item = CrashImage> + use<> {
    let moment = Moment::at_end_of(base, base_marker, log, capacity);
    let classes = moment.classes(seed ^ (log.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15), limit.max(2));
    classes.into_iter().map(move |class| moment.image(class))
}

impl Moment {
    fn at_end_of(base: &Content, base_marker: Option<u64>, log: &[Op], capacity: u64) -> Self {
        let mut marker = base_marker;
        let mut synced_until: BTreeMap<FileNumber, usize> = BTreeMap::new();
        // Per file, the writes that a failed sync put in doubt: those before its index.
        let mut doubt: Vec<(FileNumber, usize, usize)> = Vec::new();
        let mut names_synced_until = 0;
        for (index, op) in log.iter().enumerate() {
            match op {
                Op::SyncData { file } => {
                    synced_until.insert(*file, index);
                }
                Op::SyncDataFailed { file } => {
                    doubt.push((*file, synced_until.get(file).copied().unwrap_or(0), index));
                }
                Op::SyncDirectory => names_synced_until = index,
                Op::Marker(number) => marker = marker.max(Some(*number)),
                Op::Create { .. } | Op::Remove { .. } | Op::Write { .. } | Op::Flip { .. } => {}
            }
        }
        let is_durable = |index: usize, op: &Op| match op {
            Op::Create { .. } | Op::Remove { .. } => index < names_synced_until,
            Op::Write { file, .. } => {
                let doubtful =
                    |(of, from, to): &(FileNumber, usize, usize)| of == file && (*from..*to).contains(&index);
                index < synced_until.get(file).copied().unwrap_or(0) && !doubt.iter().any(doubtful)
            }
            _ => true,
        };
        let mut durable = base.clone();
        let mut rest = Vec::new();
        for (index, op) in log.iter().enumerate() {
            match is_durable(index, op) {
                true if rest.is_empty() => durable.apply(op),
                true => rest.push((index, op.clone(), Fate::Durable)),
                false => rest.push((index, op.clone(), Fate::Unsynced)),
            }
        }
        Self { durable, rest, marker, capacity }
    }

    fn unsynced(&self) -> impl Iterator<Item = (usize, &Op)> {
        self.rest.iter().filter(|(_, _, fate)| *fate == Fate::Unsynced).map(|(index, op, _)| (*index, op))
    }

    /// The classes to make images of, the telling ones first, thinned to `limit`.
    fn classes(&self, seed: u64, limit: usize) -> Vec<CrashClass> {
        let mut plain = vec![CrashClass::Nothing];
        let unsynced = self.unsynced().count();
        if unsynced == 0 {
            return plain;
        }
        plain.push(CrashClass::Everything);
        let mut random = Random(seed);
        let mut more = vec![CrashClass::Lengths, CrashClass::Names, CrashClass::Data];
        for (index, op) in self.unsynced() {
            if unsynced > 1 {
                more.push(CrashClass::Only(index));
                more.push(CrashClass::Without(index));
            }
            if let Op::Write { data, .. } = op {
                more.extend(tears(index, data.len(), &mut random));
            }
        }
        more.extend((0..MIXTURES).map(|_| CrashClass::Mixture(random.next())));
        // A random sample, in order.
        while plain.len() + more.len() > limit && !more.is_empty() {
            let unlucky = random.below(more.len());
            more.remove(unlucky);
        }
        plain.extend(more);
        plain
    }

    fn image(&self, class: CrashClass) -> CrashImage {
        let mut content = self.durable.clone();
        for (index, op, fate) in &self.rest {
            if *fate == Fate::Durable {
                content.apply(op);
                continue;
            }
            for survivor in survivors(&class, *index, op) {
                content.apply(&survivor);
            }
        }
        // Files without a name are gone.
        let named: Vec<FileNumber> = content.names.values().copied().collect();
        content.files.retain(|file, _| named.contains(file));
        for file in named {
            content.files.entry(file).or_insert_with(|| Arc::new(Vec::new()));
        }
        let disk = SimDisk::with_content(content, self.marker, self.capacity);
        CrashImage { class, disk, marker: self.marker }
    }
}

fn tears(op: usize, length: usize, random: &mut Random) -> Vec<CrashClass> {
    let sectors = length.div_ceil(SECTOR);
    let mut kept: Vec<usize> = (1..sectors).collect();
    while kept.len() > TEARS_PER_WRITE {
        let unlucky = random.below(kept.len());
        kept.swap_remove(unlucky);
    }
    kept.sort_unstable();
    let mut torn = |kept: usize| {
        let others = if random.below(2) == 0 { Others::Lost } else { Others::Survive };
        CrashClass::Torn { op, kept: kept * SECTOR, others }
    };
    kept.into_iter().map(&mut torn).collect()
}

/// What of a pending operation survives.
fn survivors(class: &CrashClass, index: usize, op: &Op) -> Vec<Op> {
    let is_write = matches!(op, Op::Write { .. });
    let whole = |survives: bool| if survives { vec![op.clone()] } else { Vec::new() };
    match class {
        CrashClass::Nothing => Vec::new(),
        CrashClass::Everything => whole(true),
        CrashClass::Only(chosen) => whole(*chosen == index),
        CrashClass::Without(lost) => whole(*lost != index),
        CrashClass::Names => whole(!is_write),
        CrashClass::Data => whole(is_write),
        CrashClass::Lengths => match op {
            Op::Write { file, offset, data } => {
                vec![Op::Write { file: *file, offset: offset + data.len() as u64, data: Bytes::new() }]
            }
            _ => whole(true),
        },
        CrashClass::Torn { op: torn, kept, others } => match op {
            Op::Write { file, offset, data } if *torn == index => {
                let kept = (*kept).min(data.len());
                vec![Op::Write { file: *file, offset: *offset, data: data.slice(..kept) }]
            }
            _ => whole(*others == Others::Survive),
        },
        CrashClass::Mixture(seed) => mixed(*seed, index, op),
    }
}

/// Each operation survives with a chance of one half; of half of the writes, single sectors do.
fn mixed(seed: u64, index: usize, op: &Op) -> Vec<Op> {
    let mut random = Random(seed ^ (index as u64).wrapping_mul(0xa076_1d64_78bd_642f));
    match op {
        Op::Write { file, offset, data } if random.below(2) == 0 => {
            let sectors = (0..data.len()).step_by(SECTOR).filter(|_| random.below(2) == 0);
            let sector = |start: usize| Op::Write {
                file: *file,
                offset: offset + start as u64,
                data: data.slice(start..data.len().min(start + SECTOR)),
            };
            sectors.map(sector).collect()
        }
        _ if random.below(2) == 0 => vec![op.clone()],
        _ => Vec::new(),
    }
}

/// `SplitMix64`: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap_or(0)
    }
}
