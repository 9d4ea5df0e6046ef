//! The thread that owns a ring. Everything that the kernel writes to, or reads through, belongs to this thread from
//! before the kernel learns of it until the kernel has answered: no caller can free it by leaving.

#![allow(unsafe_code, reason = "io_uring takes addresses; the ring's thread owns what they point to")]

use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use parking_lot::Mutex;
use rustix::io::Errno;
use tokio::sync::oneshot;

use crate::disk::BLOCK;
use crate::disk::blocking::Target;
use crate::disk::buffer::AlignedBuffer;

/// Reads that the kernel works on at a time; further ones wait their turn.
const DEPTH: usize = 128;
/// The mark of the read that wakes the thread; reads of files have marks below [`DEPTH`].
const WAKING: u64 = u64::MAX;

/// A read that somebody waits for.
pub struct Request {
    pub target: Target,
    pub buffer: AlignedBuffer,
    pub offset: u64,
    /// Whether the kernel is to use a thread of its own for it, rather than the ring's.
    pub on_kernel_thread: bool,
    pub answer: oneshot::Sender<io::Result<AlignedBuffer>>,
}

/// What the thread is asked for.
pub struct Inbox {
    state: Mutex<State>,
    waker: PipeWriter,
}

#[derive(Default)]
struct State {
    requests: VecDeque<Request>,
    /// The thread sleeps, or is about to: who adds something writes to the pipe.
    asleep: bool,
    closing: bool,
}

impl Inbox {
    /// Asks for a read; refused once the disk is closing.
    pub fn push(&self, request: Request) {
        let mut state = self.state.lock();
        if state.closing {
            // The answer's sender is dropped, which tells the reader.
            return;
        }
        state.requests.push_back(request);
        self.wake(&mut state);
    }

    /// Takes no further requests.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closing = true;
        self.wake(&mut state);
    }

    fn wake(&self, state: &mut State) {
        if std::mem::take(&mut state.asleep) {
            // At most one byte is on its way, so the pipe takes it at once; it fails only if the thread has ended.
            let _ = (&self.waker).write_all(&[1]);
        }
    }
}

/// Starts a ring and its thread.
///
/// # Errors
/// The kernel's refusal of a ring, a pipe or a thread.
pub fn start() -> io::Result<(Arc<Inbox>, JoinHandle<()>)> {
    let (wakes, waker) = io::pipe()?;
    let inbox = Arc::new(Inbox { state: Mutex::default(), waker });
    let (made, is_made) = mpsc::sync_channel(1);
    let served = Arc::clone(&inbox);
    let thread = std::thread::Builder::new().name("cairn-uring".to_owned()).spawn(move || {
        // Made here, for only the thread that makes a ring may use it.
        match make_ring() {
            Ok(ring) => {
                let _ = made.send(Ok(()));
                Server::new(ring, wakes, served).run();
            }
            Err(error) => {
                let _ = made.send(Err(error));
            }
        }
    })?;
    match is_made.recv() {
        Ok(Ok(())) => Ok((inbox, thread)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::other("the ring's thread ended at once")),
    }
}

fn make_ring() -> io::Result<IoUring> {
    let entries = u32::try_from(2 * DEPTH).unwrap_or(u32::MAX);
    // Answers are worked off when this thread asks for them, not by interrupting it: Linux 6.1.
    let lean = IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(entries);
    let mut ring = lean.or_else(|_| IoUring::builder().build(entries))?;
    // Some profiles allow the setup and refuse the rest.
    // SAFETY: a no-op reads and writes no memory.
    unsafe { ring.submission().push(&opcode::Nop::new().build()) }.map_err(io::Error::other)?;
    ring.submit_and_wait(1)?;
    let answer = ring.completion().next().map_or(Err(io::ErrorKind::Unsupported.into()), |entry| outcome(&entry));
    answer.map(|_| ring)
}

fn outcome(entry: &cqueue::Entry) -> io::Result<usize> {
    usize::try_from(entry.result()).map_err(|_| io::Error::from_raw_os_error(-entry.result()))
}

/// A read that the kernel works on.
struct Pending {
    request: Request,
    done: usize,
}

impl Drop for Server {
    fn drop(&mut self) {
        // A panic with reads under way would free what the kernel writes to.
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

struct Server {
    ring: IoUring,
    inbox: Arc<Inbox>,
    wakes: PipeReader,
    /// Where the kernel writes what comes through the pipe; never moved while the ring lives.
    woken: Box<[u8; 64]>,
    waits_for_wake: bool,
    pending: Vec<Option<Box<Pending>>>,
    vacant: Vec<usize>,
}

impl Server {
    fn new(ring: IoUring, wakes: PipeReader, inbox: Arc<Inbox>) -> Self {
        let pending = (0..DEPTH).map(|_| None).collect();
        let vacant = (0..DEPTH).rev().collect();
        Self { ring, inbox, wakes, woken: Box::new([0; 64]), waits_for_wake: false, pending, vacant }
    }

    /// Until the inbox is closed and every read is answered.
    fn run(mut self) {
        loop {
            let closing = self.take_requests();
            if closing && self.vacant.len() == DEPTH {
                break;
            }
            if let Err(error) = self.ring.submit_and_wait(1)
                && !matches!(Errno::from_io_error(&error), Some(Errno::INTR | Errno::AGAIN | Errno::BUSY))
            {
                // Nobody knows what the kernel still writes to: leaving would free it.
                tracing::error!(%error, "the ring failed: ending the process");
                std::process::abort();
            }
            self.answer();
        }
        self.end();
    }

    /// Starts what waits, as far as there is room; says whether the disk is closing. Before the thread sleeps the
    /// inbox knows.
    fn take_requests(&mut self) -> bool {
        let inbox = Arc::clone(&self.inbox);
        let mut state = inbox.state.lock();
        if !self.waits_for_wake {
            let fd = types::Fd(self.wakes.as_raw_fd());
            let entry = opcode::Read::new(fd, self.woken.as_mut_ptr(), 64).build().user_data(WAKING);
            self.waits_for_wake = self.submit(&entry);
            // Once for each time that the pipe is read, so that it never fills.
            state.asleep = true;
        }
        while !self.vacant.is_empty() {
            let Some(request) = state.requests.pop_front() else { break };
            self.begin(request);
        }
        // With requests left there is no vacancy, so an answer will come and end the sleep.
        state.closing && state.requests.is_empty()
    }

    fn begin(&mut self, request: Request) {
        let Some(slot) = self.vacant.pop() else { return };
        if let Some(place) = self.pending.get_mut(slot) {
            *place = Some(Box::new(Pending { request, done: 0 }));
            self.go_on(slot);
        }
    }

    /// Asks the kernel for what is missing of a read.
    fn go_on(&mut self, slot: usize) {
        let Some(pending) = self.pending.get_mut(slot).and_then(Option::as_mut) else { return };
        let (done, request) = (pending.done, &mut pending.request);
        let fd = types::Fd(request.target.as_fd().as_raw_fd());
        let rest = request.buffer.get_mut(done..).unwrap_or_default();
        let length = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        let entry = opcode::Read::new(fd, rest.as_mut_ptr(), length).offset(request.offset + done as u64);
        let flags = if request.on_kernel_thread { squeue::Flags::ASYNC } else { squeue::Flags::empty() };
        let entry = entry.build().flags(flags).user_data(slot as u64);
        if !self.submit(&entry) {
            self.finish(slot, Err(io::Error::other("the ring is full")));
        }
    }

    /// Queues an entry; `false` if there is no room, which cannot be: the queue has twice as many places as reads.
    fn submit(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: what the entry points to is owned by this server, not moved in memory (buffers own their memory, the
        // wake's is boxed), not looked at, and kept until the kernel has answered: reads of files in `pending`, from
        // which only `finish` takes after the answer; the wake's until `end` has seen its answer.
        unsafe { self.ring.submission().push(entry).is_ok() }
    }

    /// Passes on what the kernel has answered.
    fn answer(&mut self) {
        let answers: Vec<(u64, io::Result<usize>)> =
            self.ring.completion().map(|entry| (entry.user_data(), outcome(&entry))).collect();
        for (mark, outcome) in answers {
            match usize::try_from(mark).ok().filter(|slot| *slot < DEPTH) {
                Some(slot) => self.answered(slot, outcome),
                None => self.waits_for_wake = false,
            }
        }
    }

    fn answered(&mut self, slot: usize, outcome: io::Result<usize>) {
        let Some(pending) = self.pending.get_mut(slot).and_then(Option::as_mut) else { return };
        let length = pending.request.buffer.len();
        match outcome {
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::INTR | Errno::AGAIN)) => self.go_on(slot),
            Err(error) => self.finish(slot, Err(error)),
            Ok(read) => {
                pending.done += read;
                let done = pending.done;
                // A direct read ends in the middle of a block only where the file ends.
                let ends_in_a_block = length.is_multiple_of(BLOCK) && !done.is_multiple_of(BLOCK);
                if done >= length {
                    self.finish(slot, Ok(()));
                } else if read == 0 || ends_in_a_block {
                    self.finish(slot, Err(io::ErrorKind::UnexpectedEof.into()));
                } else {
                    self.go_on(slot);
                }
            }
        }
    }

    fn finish(&mut self, slot: usize, outcome: io::Result<()>) {
        if let Some(pending) = self.pending.get_mut(slot).and_then(Option::take) {
            let Request { buffer, answer, .. } = pending.request;
            // Whoever has left drops the answer, and with it the buffer.
            let _ = answer.send(outcome.map(|()| buffer));
            self.vacant.push(slot);
        }
    }

    /// Gets the kernel's answer to the last thing it was asked for, the wake.
    fn end(mut self) {
        let _ = (&self.inbox.waker).write_all(&[1]);
        while self.waits_for_wake {
            if self.ring.submit_and_wait(1).is_ok() {
                self.answer();
            }
        }
    }
}
