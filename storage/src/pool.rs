//! A bounded pool of threads for work that blocks or computes: disk reads, hashes, metadata reads that miss the cache.
//!
//! Async workers must never wait for a disk, so they hand the work to a pool and await the answer. The queue is
//! bounded by making callers wait (asynchronously) for a slot: overload slows callers down instead of growing memory.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

type Job = Box<dyn FnOnce() + Send + 'static>;

/// Threads named `cairn-<name>-<n>` that run jobs in the order of their arrival.
///
/// Dropping the pool finishes what is queued, then joins the threads.
pub struct WorkerPool {
    shared: Arc<Shared>,
    /// One permit per queued (not yet started) job.
    slots: Arc<Semaphore>,
    queue_limit: usize,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<(Job, OwnedSemaphorePermit)>,
    stopping: bool,
}

impl WorkerPool {
    /// Starts `threads` threads (at least one). At most `queue_limit` jobs (at least one) wait for a thread.
    ///
    /// # Errors
    /// When the operating system refuses a thread; those already started are stopped again.
    pub fn new(name: &str, threads: usize, queue_limit: usize) -> std::io::Result<Self> {
        let queue_limit = queue_limit.clamp(1, Semaphore::MAX_PERMITS);
        let mut pool = Self {
            shared: Arc::new(Shared { queue: Mutex::default(), work: Condvar::new() }),
            slots: Arc::new(Semaphore::new(queue_limit)),
            queue_limit,
            threads: Vec::with_capacity(threads.max(1)),
        };
        for number in 1..=threads.max(1) {
            let shared = Arc::clone(&pool.shared);
            let thread = thread::Builder::new().name(format!("cairn-{name}-{number}")).spawn(move || shared.work())?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Runs `job` on one of the pool's threads and answers what it returned; waits while the queue is full.
    ///
    /// Dropping the future before the job was queued cancels it; afterwards the job runs and its answer is dropped.
    ///
    /// # Panics
    /// With the job's own panic, if it panics. The pool goes on.
    pub async fn run<T, F>(&self, job: F) -> T
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (answer, receiver) = oneshot::channel::<Result<T, Box<dyn Any + Send>>>();
        let slot = Arc::clone(&self.slots).acquire_owned().await.expect("the semaphore is never closed");
        let job: Job = Box::new(move || {
            let outcome = catch_unwind(AssertUnwindSafe(job));
            // The caller may have left; nobody else wants the answer.
            let _ = answer.send(outcome);
        });
        self.shared.queue.lock().jobs.push_back((job, slot));
        self.shared.work.notify_one();
        match receiver.await.expect("a queued job always runs, and always answers") {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Jobs that wait for a thread.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue_limit.saturating_sub(self.slots.available_permits())
    }
}

impl Shared {
    fn work(&self) {
        loop {
            let job = {
                let mut queue = self.queue.lock();
                loop {
                    if let Some((job, _slot)) = queue.jobs.pop_front() {
                        break job;
                    }
                    if queue.stopping {
                        return;
                    }
                    self.work.wait(&mut queue);
                }
            };
            job();
        }
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.shared.queue.lock().stopping = true;
        self.shared.work.notify_all();
        let own = thread::current().id();
        for thread in self.threads.drain(..) {
            // A job may hold the last handle of its own pool: its thread ends by itself after the job.
            if thread.thread().id() != own {
                let _ = thread.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    #[tokio::test]
    async fn answers_come_from_named_threads() {
        let pool = WorkerPool::new("test", 2, 4).unwrap();
        let name = pool.run(|| thread::current().name().map(str::to_owned)).await.unwrap();
        assert!(name.starts_with("cairn-test-"), "{name}");
    }

    #[tokio::test]
    async fn a_panic_reaches_its_caller_and_nobody_else() {
        let pool = Arc::new(WorkerPool::new("test", 1, 4).unwrap());
        let failing = Arc::clone(&pool);
        let outcome = tokio::spawn(async move { failing.run(|| panic!("on purpose")).await }).await;
        assert!(outcome.unwrap_err().is_panic());
        assert_eq!(pool.run(|| 7).await, 7);
    }

    #[tokio::test]
    async fn a_full_queue_makes_callers_wait_and_loses_nothing() {
        let pool = Arc::new(WorkerPool::new("test", 1, 2).unwrap());
        let (release, gate) = mpsc::channel::<()>();
        let done = Arc::new(AtomicUsize::new(0));
        let mut tasks = Vec::new();
        let blocker = Arc::clone(&pool);
        tasks.push(tokio::spawn(async move { blocker.run(move || gate.recv().unwrap()).await }));
        for _ in 0..20 {
            let (pool, done) = (Arc::clone(&pool), Arc::clone(&done));
            tasks.push(tokio::spawn(async move {
                pool.run(move || {
                    done.fetch_add(1, Ordering::Relaxed);
                })
                .await;
            }));
        }
        while pool.queued() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(done.load(Ordering::Relaxed), 0);
        release.send(()).unwrap();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(done.load(Ordering::Relaxed), 20);
    }

    #[tokio::test]
    async fn dropping_the_pool_finishes_what_is_queued() {
        let pool = WorkerPool::new("test", 1, 8).unwrap();
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..5 {
            let done = Arc::clone(&done);
            let job = pool.run(move || done.fetch_add(1, Ordering::Relaxed));
            // Polled once, so queued; then abandoned.
            let mut job = Box::pin(job);
            let waker = std::task::Waker::noop();
            let _ = job.as_mut().poll(&mut std::task::Context::from_waker(waker));
        }
        drop(pool);
        assert_eq!(done.load(Ordering::Relaxed), 5);
    }
}
