//! A chunk on its way into a frame: compressed if that pays, with the checksums of what is stored.

use std::io;

use bytes::Bytes;

use crate::chunks::frame::{self, BLOCK_BYTES, Damage, FrameHeader, FrameLayout, HEADER_BYTES};
use crate::compress::{self, Codec, Compressed};
use crate::error::{Result, StoreError};
use crate::types::ChunkId;

/// What becomes a frame once its place is known: prepared off the writer's thread.
#[derive(Clone, Debug)]
pub struct Body {
    /// The chunk's length.
    length: u32,
    codec: Codec,
    /// What is stored of it.
    data: Bytes,
    /// Checksums, and stored lengths if it is encoded.
    table: Bytes,
    layout: FrameLayout,
}

impl Body {
    /// As [`Body::new`], with words for what cannot be a chunk.
    ///
    /// # Errors
    /// [`StoreError::Io`] unless it has 1 to [`frame::MAX_CHUNK_BYTES`].
    pub fn of(chunk: Bytes, codec: Codec) -> Result<Self> {
        let length = chunk.len();
        Self::new(chunk, codec).ok_or_else(|| {
            let message = format!("a chunk of {length} bytes: must have 1 to {}", frame::MAX_CHUNK_BYTES);
            StoreError::Io(io::Error::new(io::ErrorKind::InvalidInput, message))
        })
    }

    /// As [`Body::of`], as it is.
    ///
    /// # Errors
    /// As [`Body::of`].
    pub fn plain(chunk: Bytes) -> Result<Self> {
        Self::of(chunk, Codec::Plain)
    }

    /// The body of a frame that was read: its table, and its blocks as they are stored. They are not verified here.
    #[must_use]
    pub fn of_frame(header: &FrameHeader, layout: FrameLayout, table: Bytes, data: Bytes) -> Self {
        Self { length: header.length, codec: header.codec, data, table, layout }
    }

    /// Compresses a chunk, if that pays, and computes the checksums of its blocks; `None` unless it has 1 to
    /// [`frame::MAX_CHUNK_BYTES`].
    #[must_use]
    pub fn new(chunk: Bytes, codec: Codec) -> Option<Self> {
        let plain = FrameLayout::of(chunk.len())?;
        let length = u32::try_from(chunk.len()).ok()?;
        if let Some(Compressed { data, lengths }) = compress::compress(codec, &chunk)
            && let Some(layout) = FrameLayout::encoded(chunk.len(), data.len())
            && layout.occupied() < plain.occupied()
        {
            let mut rest = &data[..];
            let mut table = Vec::with_capacity(8 * lengths.len());
            for length in &lengths {
                let (block, behind) = rest.split_at(*length as usize);
                table.extend_from_slice(&frame::crc32c(block).to_le_bytes());
                rest = behind;
            }
            table.extend(lengths.iter().flat_map(|length| length.to_le_bytes()));
            return Some(Self { length, codec, data, table: table.into(), layout });
        }
        let table: Vec<u8> = chunk.chunks(BLOCK_BYTES).flat_map(|block| frame::crc32c(block).to_le_bytes()).collect();
        Some(Self { length, codec: Codec::Plain, data: chunk, table: table.into(), layout: plain })
    }

    /// The chunk's length.
    #[must_use]
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Bytes of it as it is stored, without header, table and padding.
    #[must_use]
    pub fn stored(&self) -> u32 {
        u32::try_from(self.data.len()).expect("a chunk has at most 8 MiB")
    }

    /// The chunk.
    ///
    /// # Errors
    /// [`Damage`] if the body is not what [`Body::new`] made.
    pub fn chunk(&self) -> std::result::Result<Bytes, Damage> {
        if self.codec == Codec::Plain {
            return Ok(self.data.clone());
        }
        let blocks = 0..self.layout.blocks();
        frame::decode_table(self.layout, self.codec, &self.table, &blocks, &self.data).map(Bytes::from)
    }

    /// Where the frame's parts will lie.
    #[must_use]
    pub fn layout(&self) -> FrameLayout {
        self.layout
    }

    /// Writes the frame into `into`, which is exactly as long as the frame.
    ///
    /// # Panics
    /// When it is not.
    pub fn encode(&self, epoch: u32, id: &ChunkId, into: &mut [u8]) {
        assert_eq!(into.len(), self.layout.occupied());
        let stored = self.stored();
        let header = FrameHeader { epoch, id: *id, length: self.length, codec: self.codec, stored };
        let (place, rest) = into.split_at_mut(HEADER_BYTES);
        place.copy_from_slice(&frame::encode_header(&header));
        let (table, rest) = rest.split_at_mut(self.table.len());
        table.copy_from_slice(&self.table);
        let (body, padding) = rest.split_at_mut(self.data.len());
        body.copy_from_slice(&self.data);
        padding.fill(0);
    }
}
