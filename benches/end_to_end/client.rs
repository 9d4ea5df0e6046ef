//! An HTTP/1.1 client for load: one keep-alive socket, one buffer, no allocation per request.
//!
//! Cheaper than a general client by design, because it shares the cores with the server that it measures: bodies are
//! read into the same buffer over and over and only counted, heads are looked through for the three headers that frame
//! the body (RFC 9112, section 6.3), and nothing else is understood.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use bytes::Buf;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::payload::{Payload, STAMP};

/// Holds the largest head by far and lets one read take what the socket has.
const BUFFER: usize = 256 * 1024;

/// The longest body that [`AnswerBody::Keep`] keeps: a page of 1 000 keys of 1 KiB has room.
const KEPT: usize = 16 << 20;

/// One keep-alive connection.
pub struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Box<[u8]>,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Usable,
    /// The server announced its end, or an exchange broke off.
    Spent,
}

/// What is sent after the head.
pub enum RequestBody<'a> {
    Empty,
    Bytes(&'a [u8]),
    Payload(&'a mut Payload),
}

/// What becomes of the answer's body.
pub enum AnswerBody<'a> {
    /// There is none whatever the headers say: the answer to HEAD.
    None,
    /// Counted and dropped.
    Count,
    /// Kept in this buffer, whose old content goes.
    Keep(&'a mut Vec<u8>),
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    pub status: u16,
    /// `Content-Length` of the answer to HEAD; else bytes of body that arrived.
    pub length: u64,
    /// The first bytes of the body, zeros where it is shorter.
    pub start: [u8; STAMP],
}

impl Connection {
    /// Connects to `address`.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = connect(address).await?;
        Ok(Self { address, stream, buffer: vec![0; BUFFER].into_boxed_slice(), state: State::Usable })
    }

    /// Sends one request and reads its whole answer; connects anew if the last exchange ended the connection.
    pub async fn exchange(&mut self, head: &[u8], body: RequestBody<'_>, answer: AnswerBody<'_>) -> Result<Answer> {
        if self.state == State::Spent {
            self.stream = connect(self.address).await?;
        }
        // Until the answer is complete, an early return leaves the connection unusable.
        self.state = State::Spent;
        self.send(head, body).await?;
        let (answer, state) = self.receive(answer).await?;
        self.state = state;
        Ok(answer)
    }

    async fn send(&mut self, head: &[u8], body: RequestBody<'_>) -> Result<()> {
        match body {
            RequestBody::Empty => self.stream.write_all(head).await,
            RequestBody::Bytes(bytes) => self.stream.write_all_buf(&mut Buf::chain(head, bytes)).await,
            RequestBody::Payload(payload) => {
                let mut sent = 0;
                while sent < payload.size() {
                    let piece = payload.piece(sent);
                    let first: &[u8] = if sent == 0 { head } else { &[] };
                    sent += piece.len() as u64;
                    self.stream.write_all_buf(&mut Buf::chain(first, piece)).await?;
                }
                Ok(())
            }
        }
    }

    async fn receive(&mut self, body: AnswerBody<'_>) -> Result<(Answer, State)> {
        let (head, body_start, mut filled) = self.receive_head().await?;
        let state = if head.close { State::Spent } else { State::Usable };
        let mut sink = Sink::new(body);
        let bodiless = sink.bodiless || matches!(head.status, 204 | 304);
        if bodiless {
            let length = head.content_length.unwrap_or(0);
            return Ok((Answer { status: head.status, length, start: sink.start }, state));
        }
        let mut framing = match (head.chunked, head.content_length) {
            (true, _) => Framing::Chunked(Chunked::Size(0)),
            (false, Some(length)) => Framing::Length(length),
            (false, None) => return Err(invalid("an answer with neither Content-Length nor chunked encoding")),
        };
        let mut start = body_start;
        while !framing.feed(&self.buffer[start..filled], &mut sink)? {
            filled = self.stream.read(&mut self.buffer).await?;
            start = 0;
            if filled == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok((Answer { status: head.status, length: sink.length, start: sink.start }, state))
    }

    /// Reads until the blank line; answers the head, where the body starts in the buffer, and how far that is filled.
    async fn receive_head(&mut self) -> Result<(Head, usize, usize)> {
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let search_from = filled.saturating_sub(3);
            filled += read;
            if let Some(at) = self.buffer[search_from..filled].windows(4).position(|window| window == b"\r\n\r\n") {
                let end = search_from + at;
                let head = Head::parse(&self.buffer[..end])?;
                return Ok((head, end + 4, filled));
            }
            if filled == self.buffer.len() {
                return Err(invalid("an answer's head longer than the buffer"));
            }
        }
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

struct Head {
    status: u16,
    content_length: Option<u64>,
    chunked: bool,
    close: bool,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let text = str::from_utf8(bytes).map_err(|_| invalid("an answer's head that is not UTF-8"))?;
        let mut lines = text.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 "))
            .and_then(|rest| rest.get(..3))
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| invalid("no HTTP/1.1 status line"))?;
        let mut head = Self { status, content_length: None, chunked: false, close: false };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                head.content_length = Some(value.parse().map_err(|_| invalid("a broken Content-Length"))?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                head.chunked = value.eq_ignore_ascii_case("chunked");
            } else if name.eq_ignore_ascii_case("connection") {
                head.close = value.eq_ignore_ascii_case("close");
            }
        }
        Ok(head)
    }
}

/// Where body bytes go.
struct Sink<'a> {
    bodiless: bool,
    keep: Option<&'a mut Vec<u8>>,
    length: u64,
    start: [u8; STAMP],
}

impl<'a> Sink<'a> {
    fn new(body: AnswerBody<'a>) -> Self {
        let (bodiless, keep) = match body {
            AnswerBody::None => (true, None),
            AnswerBody::Count => (false, None),
            AnswerBody::Keep(buffer) => {
                buffer.clear();
                (false, Some(buffer))
            }
        };
        Self { bodiless, keep, length: 0, start: [0; STAMP] }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        let known = usize::try_from(self.length).unwrap_or(STAMP).min(STAMP);
        for (to, from) in self.start[known..].iter_mut().zip(bytes) {
            *to = *from;
        }
        self.length += bytes.len() as u64;
        if let Some(buffer) = &mut self.keep {
            if buffer.len() + bytes.len() > KEPT {
                return Err(invalid("an answer too long to keep"));
            }
            buffer.extend_from_slice(bytes);
        }
        Ok(())
    }
}

/// How the end of a body is known, and how far it has come.
enum Framing {
    /// Bytes still missing.
    Length(u64),
    Chunked(Chunked),
}

impl Framing {
    /// Takes the next bytes from the socket; true once the body is complete.
    fn feed(&mut self, mut bytes: &[u8], sink: &mut Sink<'_>) -> Result<bool> {
        match self {
            Self::Length(missing) => {
                *missing = missing
                    .checked_sub(bytes.len() as u64)
                    .ok_or_else(|| invalid("more bytes than Content-Length says"))?;
                sink.take(bytes)?;
                Ok(*missing == 0)
            }
            Self::Chunked(state) => {
                while !bytes.is_empty() && *state != Chunked::Done {
                    bytes = state.step(bytes, sink)?;
                }
                Ok(*state == Chunked::Done)
            }
        }
    }
}

/// Where in a chunked body we are (RFC 9112, section 7.1).
#[derive(PartialEq, Eq)]
enum Chunked {
    /// In the size line; the size so far.
    Size(u64),
    /// In a chunk extension of a chunk of this size.
    Extension(u64),
    /// In the data; bytes still missing.
    Data(u64),
    /// Before the line end after the data.
    DataEnd,
    /// In the trailer section; bytes of the current line.
    Trailer(u64),
    Done,
}

impl Chunked {
    fn step<'b>(&mut self, bytes: &'b [u8], sink: &mut Sink<'_>) -> Result<&'b [u8]> {
        if let Self::Data(missing) = self {
            let here = usize::try_from(*missing).map_or(bytes.len(), |missing| missing.min(bytes.len()));
            let (data, rest) = bytes.split_at(here);
            sink.take(data)?;
            let missing = *missing - here as u64;
            *self = if missing == 0 { Self::DataEnd } else { Self::Data(missing) };
            return Ok(rest);
        }
        let Some((&byte, rest)) = bytes.split_first() else { return Ok(bytes) };
        *self = match (&*self, byte) {
            (Self::Size(size) | Self::Extension(size), b'\n') => {
                if *size == 0 {
                    Self::Trailer(0)
                } else {
                    Self::Data(*size)
                }
            }
            (Self::Size(size), b'\r') => Self::Size(*size),
            (Self::Size(size), b';' | b' ') | (Self::Extension(size), _) => Self::Extension(*size),
            (Self::Size(size), digit) => {
                let digit = (digit as char).to_digit(16).ok_or_else(|| invalid("a broken chunk size"))?;
                let size = size.checked_mul(16).ok_or_else(|| invalid("a chunk size beyond 64 bits"))?;
                Self::Size(size + u64::from(digit))
            }
            (Self::DataEnd, b'\n') => Self::Size(0),
            (Self::DataEnd, _) => Self::DataEnd,
            (Self::Trailer(0), b'\n') => Self::Done,
            (Self::Trailer(_), b'\n') => Self::Trailer(0),
            (Self::Trailer(length), b'\r') => Self::Trailer(*length),
            (Self::Trailer(length), _) => Self::Trailer(length + 1),
            (Self::Data(_) | Self::Done, _) => return Ok(bytes),
        };
        Ok(rest)
    }
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidData, message)
}
