//! The file `drive`: which store a data directory belongs to, and as which of its drives.
//!
//! Written once, durably, before the first segment. A directory of another store, two swapped directories, or an
//! empty mount point where data should be are refused instead of being written to.

use crate::chunks::frame::crc32c;
use crate::chunks::segment::parse_file_name;
use crate::disk::buffer::AlignedBuffer;
use crate::disk::{BLOCK, Caching, Disk};
use crate::error::{Result, StoreError};

/// The file's name.
pub const FILE_NAME: &str = "drive";

const MAGIC: [u8; 8] = *b"CAIRNDRV";
const VERSION: u16 = 1;
const BYTES: usize = 64;

/// Who a drive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The store.
    pub store_id: [u8; 16],
    /// The drive's number in it.
    pub drive: u16,
}

/// Whether the index places data on a drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// It does.
    HoldsData,
    /// It does not: the drive may be new.
    MayBeNew,
}

impl Identity {
    fn encode(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.drive.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.store_id);
        let sum = crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// `Ok(None)` for bytes that are no intact identity.
    fn decode(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(bytes) = bytes.first_chunk::<BYTES>() else { return Ok(None) };
        let sum = crc32c(&bytes[..60]).to_le_bytes();
        if bytes[0..8] != MAGIC || bytes[60..64] != sum {
            return Ok(None);
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != VERSION {
            let message =
                format!("the drive has format version {version}, this release knows {VERSION}: upgrade Cairn");
            return Err(StoreError::Open(message));
        }
        let mut store_id = [0; 16];
        store_id.copy_from_slice(&bytes[16..32]);
        Ok(Some(Self { store_id, drive: u16::from_le_bytes([bytes[10], bytes[11]]) }))
    }

    /// Checks that `disk` is this drive; writes the identity to a new one.
    ///
    /// # Errors
    /// [`StoreError::Open`] if the drive is another one, damaged, or empty although it should hold data.
    pub fn claim(self, disk: &dyn Disk, expected: Expectation) -> Result<()> {
        let names = disk.list()?;
        let number = self.drive;
        let is_used = expected == Expectation::HoldsData || names.iter().any(|name| parse_file_name(name).is_some());
        let found = if names.iter().any(|name| name == FILE_NAME) { Self::read(disk)? } else { None };
        match found {
            Some(found) if found == self && is_used => Ok(()),
            // The last start may have ended before, or because of, a sync of what is visible now: what a failed sync
            // left is not made durable by another one, so the file is written again.
            Some(found) if found == self => self.write(disk, &names),
            Some(found) if found.store_id != self.store_id => {
                let message = format!("drive {number}: the directory belongs to another store; it is not touched");
                Err(StoreError::Open(message))
            }
            Some(found) => {
                let message = format!(
                    "drive {number}: the directory is drive {} of this store: are directories swapped?",
                    found.drive
                );
                Err(StoreError::Open(message))
            }
            None if is_used => {
                let message = format!(
                    "drive {number}: the directory has no intact identity file '{FILE_NAME}', but should hold data: is the disk mounted?"
                );
                Err(StoreError::Open(message))
            }
            None => self.write(disk, &names),
        }
    }

    fn read(disk: &dyn Disk) -> Result<Option<Self>> {
        let file = disk.open(FILE_NAME)?;
        let mut bytes = [0; BYTES];
        if file.len()? < BYTES as u64 {
            return Ok(None);
        }
        file.read_at(Caching::Buffered, &mut bytes, 0)?;
        Self::decode(&bytes)
    }

    /// A file that a crash left is overwritten: nothing was stored yet.
    fn write(self, disk: &dyn Disk, names: &[String]) -> Result<()> {
        let exists = names.iter().any(|name| name == FILE_NAME);
        let file = if exists { disk.open(FILE_NAME)? } else { disk.create(FILE_NAME)? };
        let mut block = AlignedBuffer::zeroed(BLOCK);
        block[..BYTES].copy_from_slice(&self.encode());
        file.write_at(Caching::Direct, &block, 0)?;
        file.sync_data()?;
        Ok(disk.sync_directory()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::sim::SimDisk;

    const OURS: Identity = Identity { store_id: *b"0123456789abcdef", drive: 1 };

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let mut expected = [0; BYTES];
        expected[0..12].copy_from_slice(b"CAIRNDRV\x01\0\x01\0");
        expected[16..32].copy_from_slice(b"0123456789abcdef");
        expected[60..64].copy_from_slice(&GOLDEN_SUM.to_le_bytes());
        assert_eq!(OURS.encode(), expected);
    }

    const GOLDEN_SUM: u32 = 0x4379_7f9e;

    #[test]
    fn a_new_drive_is_claimed_once_and_known_again() {
        let disk = SimDisk::new();
        OURS.claim(&disk, Expectation::MayBeNew).unwrap();
        OURS.claim(&disk, Expectation::HoldsData).unwrap();
        let swapped = Identity { drive: 0, ..OURS }.claim(&disk, Expectation::MayBeNew).unwrap_err();
        assert!(swapped.to_string().contains("swapped"), "{swapped}");
        let foreign = Identity { store_id: [1; 16], ..OURS }.claim(&disk, Expectation::MayBeNew).unwrap_err();
        assert!(foreign.to_string().contains("another store"), "{foreign}");
    }

    #[test]
    fn an_empty_directory_is_refused_where_data_should_be() {
        let error = OURS.claim(&SimDisk::new(), Expectation::HoldsData).unwrap_err();
        assert!(error.to_string().contains("mounted"), "{error}");
        let disk = SimDisk::new();
        disk.create("segment-00000001").unwrap();
        assert!(OURS.claim(&disk, Expectation::MayBeNew).is_err());
    }

    #[test]
    fn a_first_start_that_crashed_is_repeated_and_a_newer_format_refused() {
        let disk = SimDisk::new();
        OURS.claim(&disk, Expectation::MayBeNew).unwrap();
        for at in 0..=disk.log_len() {
            for image in disk.crash_images(at, 1, 100) {
                OURS.claim(&image.disk, Expectation::MayBeNew).unwrap();
                OURS.claim(&image.disk, Expectation::HoldsData).unwrap();
            }
        }
        let mut bytes = OURS.encode();
        bytes[8] = 9;
        let sum = crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&sum.to_le_bytes());
        assert!(Identity::decode(&bytes).unwrap_err().to_string().contains("version 9"));
    }
}
