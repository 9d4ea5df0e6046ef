//! Sealed bytes on their way in and out: between a body and the store's chunks.

use std::collections::VecDeque;
use std::ops::Range;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use storage::StoreError;
use storage::compress::Codec;
use storage::index::records::{Data, ObjectRecord};
use storage::store::{DataStream, DataWriter, Staged};

use super::get::{ByteStream, ObjectBody, Opened, slice};
use super::{Objects, Result};
use crate::encryption::DataKey;
use crate::encryption::frames::{self, Broken, FRAME_BYTES, HEADER_BYTES, Opener, Position, Sealer};

fn broken(error: Broken) -> StoreError {
    StoreError::Io(std::io::Error::other(error.to_string()))
}

/// Receives an object's or a part's bytes, and seals them if there is a key.
pub(super) struct Writer {
    inner: DataWriter,
    sealing: Option<Frames>,
    plain: u64,
}

/// The frame that is being filled.
struct Frames {
    sealer: Sealer,
    frame: BytesMut,
    begun: bool,
}

impl Writer {
    /// Writes to the store as it is.
    pub(super) fn plain(inner: DataWriter) -> Self {
        Self { inner, sealing: None, plain: 0 }
    }

    /// Seals what it writes, if there is a key.
    pub(super) fn new(inner: DataWriter, key: Option<&DataKey>, position: Position) -> Result<Self> {
        let Some(key) = key else { return Ok(Self::plain(inner)) };
        let sealer = Sealer::begin(key, position).map_err(broken)?;
        let frames = Frames { sealer, frame: BytesMut::new(), begun: false };
        // What is sealed never shrinks.
        Ok(Self { inner: inner.compressing(Codec::Plain), sealing: Some(frames), plain: 0 })
    }

    pub(super) async fn write(&mut self, mut piece: Bytes) -> Result<()> {
        self.plain += piece.len() as u64;
        let Some(frames) = &mut self.sealing else { return Ok(self.inner.write(piece).await?) };
        let full = usize::try_from(FRAME_BYTES).unwrap_or(usize::MAX);
        while !piece.is_empty() {
            // A full frame waits for more: only then it is known not to be the last.
            if frames.frame.len() == full {
                frames.send(&mut self.inner, false).await?;
            }
            let taken = piece.len().min(full - frames.frame.len());
            if frames.frame.capacity() < full && taken + frames.frame.len() > frames.frame.capacity() {
                frames.frame.reserve(full + 16 - frames.frame.len());
            }
            frames.frame.extend_from_slice(piece.get(..taken).unwrap_or_default());
            piece.advance(taken);
        }
        Ok(())
    }

    /// What was staged, and how many plain bytes it holds.
    pub(super) async fn finish(mut self) -> Result<(Staged, u64)> {
        if let Some(frames) = &mut self.sealing {
            frames.send(&mut self.inner, true).await?;
        }
        Ok((self.inner.finish().await?, self.plain))
    }
}

impl Frames {
    async fn send(&mut self, inner: &mut DataWriter, last: bool) -> Result<()> {
        if !self.begun {
            self.begun = true;
            inner.write(self.sealer.header()).await?;
        }
        let sealed = self.sealer.seal(std::mem::take(&mut self.frame), last).map_err(broken)?;
        Ok(inner.write(sealed).await?)
    }
}

/// A sealed stream of an object: the whole, or a part.
#[derive(Clone, Copy, Debug)]
struct Stream {
    position: Position,
    /// Where it begins in the store's bytes.
    start: u64,
    /// Where its plain bytes begin in the object.
    plain_start: u64,
    /// Its plain bytes.
    plain: u64,
}

/// What of a stream is read.
struct Reading {
    stream: Stream,
    /// The next frame.
    next: u64,
    /// The frame after the last that is read.
    end: u64,
}

/// Sealed bytes that have come and are not opened yet: less than a frame, and what came last.
#[derive(Default)]
struct Come {
    pieces: VecDeque<Bytes>,
    length: usize,
}

impl Come {
    fn add(&mut self, piece: Bytes) {
        self.length += piece.len();
        self.pieces.push_back(piece);
    }

    /// The next bytes, if that many have come: where they lie, unless they came in several pieces.
    fn take(&mut self, length: usize) -> Option<Bytes> {
        self.length = self.length.checked_sub(length)?;
        let first = self.pieces.front_mut()?;
        if first.len() > length {
            return Some(first.split_to(length));
        }
        if first.len() == length {
            return self.pieces.pop_front();
        }
        let mut gathered = BytesMut::with_capacity(length);
        while gathered.len() < length {
            let piece = self.pieces.front_mut()?;
            let part = piece.split_to(piece.len().min(length - gathered.len()));
            gathered.extend_from_slice(&part);
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
        Some(gathered.freeze())
    }
}

/// Opens frames as they come: one range of the store's bytes, over one stream or several.
pub(super) struct OpeningStream {
    source: DataStream,
    key: DataKey,
    come: Come,
    rest: VecDeque<Reading>,
    opener: Option<Opener>,
    /// Plain bytes to leave out before the range, and to give.
    skip: u64,
    remaining: u64,
    failed: bool,
}

impl OpeningStream {
    pub(super) fn remaining(&self) -> u64 {
        self.remaining
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, StoreError>>> {
        loop {
            if self.remaining == 0 || self.failed {
                return Poll::Ready(None);
            }
            match self.open_next() {
                Ok(Some(bytes)) if bytes.is_empty() => {}
                Ok(Some(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                Ok(None) => match ready!(self.source.poll_next(cx)) {
                    Some(Ok(bytes)) => self.come.add(bytes),
                    Some(Err(error)) => {
                        self.failed = true;
                        return Poll::Ready(Some(Err(error)));
                    }
                    None => {
                        self.failed = true;
                        return Poll::Ready(Some(Err(broken(Broken::Frame))));
                    }
                },
                Err(error) => {
                    self.failed = true;
                    return Poll::Ready(Some(Err(broken(error))));
                }
            }
        }
    }

    /// The plain bytes of the next frame, if it has come whole.
    fn open_next(&mut self) -> std::result::Result<Option<Bytes>, Broken> {
        let Some(reading) = self.rest.front_mut() else { return Err(Broken::Frame) };
        let opener = if let Some(opener) = &self.opener {
            opener
        } else {
            let length = usize::try_from(HEADER_BYTES).unwrap_or(usize::MAX);
            let Some(header) = self.come.take(length) else { return Ok(None) };
            self.opener.insert(Opener::new(&self.key, &header, reading.stream.position)?)
        };
        let length = frames::frame_length(reading.stream.plain, reading.next);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some(frame) = self.come.take(length) else { return Ok(None) };
        let last = reading.next + 1 == frames::frames(reading.stream.plain);
        let mut opened = opener.open(&frame, reading.next, last)?;
        reading.next += 1;
        if reading.next == reading.end {
            self.rest.pop_front();
            self.opener = None;
        }
        let skipped = self.skip.min(opened.len() as u64);
        self.skip -= skipped;
        opened.advance(usize::try_from(skipped).unwrap_or(usize::MAX));
        let taken = (opened.len() as u64).min(self.remaining);
        self.remaining -= taken;
        opened.truncate(usize::try_from(taken).unwrap_or(usize::MAX));
        Ok(Some(opened))
    }
}

/// The plain size of a part that is stored with this one.
pub(super) fn plain_size(stored: u64) -> Result<u64> {
    Ok(frames::plain_length(stored).ok_or(Broken::Header).map_err(broken)?)
}

impl Objects {
    /// The bytes of a range of an object, opened if they are sealed; `None` when the data has gone since its record was
    /// read.
    pub(super) async fn body_of(
        &self,
        object: &ObjectRecord,
        opened: Opened,
        key: Option<DataKey>,
        range: Range<u64>,
    ) -> Result<Option<ObjectBody>> {
        let Some(key) = key else {
            return Ok(Some(match opened {
                Opened::Inline(bytes) => ObjectBody::Bytes(slice(&bytes, &range)),
                Opened::Reader(_) if range.is_empty() => ObjectBody::Bytes(Bytes::new()),
                Opened::Reader(reader) => {
                    let mut stream = reader.stream(range).begin().await?;
                    match stream.whole() {
                        Some(bytes) => ObjectBody::Bytes(bytes),
                        None => ObjectBody::Stream(Box::new(ByteStream::new(stream))),
                    }
                }
            }));
        };
        match opened {
            Opened::Inline(bytes) => open_small(&key, object.size, &bytes, &range).map(Some),
            Opened::Reader(_) if range.is_empty() => Ok(Some(ObjectBody::Bytes(Bytes::new()))),
            Opened::Reader(reader) => {
                let streams = self.streams_of(object).await?;
                let Some((rest, stored)) = readings(&streams, &range) else {
                    return Err(broken(Broken::Header).into());
                };
                let Some(first) = rest.front() else { return Err(broken(Broken::Header).into()) };
                let mut opener = None;
                if first.next > 0 {
                    let Some(headers) = self.store.reader(object.readable(), reader.size()).await? else {
                        return Ok(None);
                    };
                    let mut header = BytesMut::new();
                    let mut stream = headers.stream(first.stream.start..first.stream.start + HEADER_BYTES);
                    while let Some(piece) = stream.next().await {
                        header.extend_from_slice(&piece?);
                    }
                    opener = Some(Opener::new(&key, &header, first.stream.position).map_err(broken)?);
                }
                let skip = range.start - first.stream.plain_start - first.next * FRAME_BYTES;
                let source = reader.stream(stored).begin().await?;
                let remaining = range.end - range.start;
                let stream =
                    OpeningStream { source, key, come: Come::default(), rest, opener, skip, remaining, failed: false };
                Ok(Some(ObjectBody::Stream(Box::new(ByteStream::opening(stream).begin().await?))))
            }
        }
    }

    async fn streams_of(&self, object: &ObjectRecord) -> Result<Vec<Stream>> {
        let Data::Parts(list) = object.data else {
            return Ok(vec![Stream { position: Position::Whole, start: 0, plain_start: 0, plain: object.size }]);
        };
        let (mut streams, mut start, mut plain_start) = (Vec::new(), 0, 0);
        for part in self.store.object_parts(list, usize::from(u16::MAX)).await? {
            let plain = plain_size(part.size)?;
            streams.push(Stream { position: Position::Part(part.number), start, plain_start, plain });
            start += part.size;
            plain_start += plain;
        }
        Ok(streams)
    }
}

/// What is read of each stream for a range of the object, and which of the store's bytes that needs. The header of a
/// first stream that is entered later than at its beginning is not among them.
fn readings(streams: &[Stream], range: &Range<u64>) -> Option<(VecDeque<Reading>, Range<u64>)> {
    let mut rest = VecDeque::new();
    let mut stored: Option<Range<u64>> = None;
    for stream in streams {
        let from = range.start.max(stream.plain_start);
        let to = range.end.min(stream.plain_start + stream.plain);
        if from >= to {
            // An empty part in the midst of the range is a header and a frame, too.
            if let Some(stored) = stored.as_mut().filter(|_| stream.plain == 0 && stream.plain_start < range.end) {
                rest.push_back(Reading { stream: *stream, next: 0, end: 1 });
                stored.end = stream.start + frames::sealed_length(0);
            }
            continue;
        }
        let next = (from - stream.plain_start) / FRAME_BYTES;
        let end = (to - stream.plain_start).div_ceil(FRAME_BYTES);
        let last = end - 1;
        let until = stream.start + frames::frame_start(last) + frames::frame_length(stream.plain, last);
        let begin = if next == 0 { stream.start } else { stream.start + frames::frame_start(next) };
        stored = Some(stored.map_or(begin, |stored| stored.start)..until);
        rest.push_back(Reading { stream: *stream, next, end });
    }
    stored.map(|stored| (rest, stored))
}

/// A small object is one frame.
fn open_small(key: &DataKey, size: u64, sealed: &Bytes, range: &Range<u64>) -> Result<ObjectBody> {
    let at = usize::try_from(HEADER_BYTES).unwrap_or(usize::MAX);
    let (header, frame) = sealed.split_at_checked(at).ok_or(Broken::Header).map_err(broken)?;
    let opener = Opener::new(key, header, Position::Whole).map_err(broken)?;
    let bytes = opener.open(frame, 0, true).map_err(broken)?;
    if bytes.len() as u64 != size {
        return Err(broken(Broken::Frame).into());
    }
    Ok(ObjectBody::Bytes(slice(&bytes, range)))
}
