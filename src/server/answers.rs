//! Answering many clients, or with many bytes, without stalling the server.
//!
//! Writing a reply copies the body, and letting the server send it costs main-thread time by the byte
//! and by the client. A thousand clients with a mebibyte each, answered at once, stall the server for
//! more than a second. So one thread of ours, the answerer, writes replies off the main thread and has
//! them released in batches. A batch is followed by the next only when the main thread has taken it: a
//! server that is busy sets the pace itself, and between two batches every other client gets its turn.
//!
//! It is one thread for all flights, so that the bound on a batch holds for the server as a whole. Its
//! releases take turns, so that a large one does not hold up a small one. Whatever else is too long for the main
//! thread, and is no pace's business (copying a value, writing one large reply, giving memory back), is an
//! errand, and has a thread of its own, the copier: a value of half a gigabyte holds up other errands, but no
//! batch.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use super::blocked::{Answered, Blocked};
use super::ctx::Ctx;
use super::{guarded, log, main_thread};

/// Most bytes of replies in one batch; one reply, however large, always fits. Twice as much makes a
/// neighbour wait half as long again, and the last client no less.
const BATCH_BYTES: usize = 512 << 10;
/// Most clients in one batch.
const BATCH_CLIENTS: usize = 64;
/// How long the main thread may leave a batch lying before the answerer stops waiting to be told: the
/// bound on what a lost message could cost, not a pace.
const PATIENCE: Duration = Duration::from_secs(1);

/// What waiting clients are told.
pub struct Answer {
    /// About how many bytes it has.
    pub size: usize,
    /// Writes it, on the answerer's thread.
    pub write: Box<dyn Fn(&Ctx) + Send>,
}

impl Answer {
    /// About how many bytes so many clients get.
    const fn all(&self, clients: usize) -> u64 {
        (self.size as u64).saturating_mul(clients as u64)
    }
}

/// Replies that are to be released, and are not with the answerer yet: as long as this is held, they count as
/// pending.
pub struct Promise {
    pending: Arc<AtomicU64>,
    bytes: u64,
}

impl Promise {
    /// Promises more.
    pub fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.pending.fetch_add(bytes as u64, Relaxed);
    }

    /// Takes some of it back: the answerer has those, or nobody is to get them.
    pub fn keep(&mut self, bytes: usize) {
        let kept = self.bytes.min(bytes as u64);
        self.bytes -= kept;
        self.pending.fetch_sub(kept, Relaxed);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.pending.fetch_sub(self.bytes, Relaxed);
    }
}

struct Release {
    waiters: VecDeque<Blocked>,
    answer: Answer,
    _busy: Busy,
}

type Errand = Box<dyn FnOnce() + Send>;

/// Work that was given and is not done: what it has left for the main thread was posted before this is dropped.
struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, AcqRel);
        Self(Arc::clone(count))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, AcqRel);
    }
}

/// The answerer and the copier; dropping this ends their threads, once all they were given is done.
pub struct Answerer {
    releases: Option<Sender<Release>>,
    errands: Option<Sender<(Errand, Busy)>>,
    threads: Vec<JoinHandle<()>>,
    pending: Arc<AtomicU64>,
    busy: Arc<AtomicUsize>,
}

impl Answerer {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system has no thread left; none of ours is left then.
    pub fn start() -> std::io::Result<Self> {
        let (releases, inbox) = mpsc::channel();
        let (errands, to_run) = mpsc::channel();
        let (pending, busy) = <(Arc<AtomicU64>, Arc<AtomicUsize>)>::default();
        let desk = Desk::new(inbox, Arc::clone(&pending));
        let mut answerer = Self {
            releases: Some(releases),
            errands: Some(errands),
            threads: Vec::new(),
            pending,
            busy,
        };
        answerer.spawn("cache-answers", move || desk.work())?;
        answerer.spawn("cache-copies", move || run_errands(&to_run))?;
        Ok(answerer)
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let thread = std::thread::Builder::new().name(name.into()).stack_size(256 * 1024);
        self.threads.push(thread.spawn(work)?);
        Ok(())
    }

    /// Answers all of `waiters`, paced, in their order.
    pub fn release(&self, waiters: Vec<Blocked>, answer: Answer) {
        if !waiters.is_empty() {
            self.pending.fetch_add(answer.all(waiters.len()), Relaxed);
            let release =
                Release { waiters: waiters.into(), answer, _busy: Busy::begin(&self.busy) };
            // The thread outlives this sender, so it is there; were it not, dropping the release answers its
            // waiters with an error. So it is with errands.
            if let Some(sender) = &self.releases {
                let _ = sender.send(release);
            }
        }
    }

    /// How many bytes of replies are still to be released.
    pub fn pending(&self) -> u64 {
        self.pending.load(Relaxed)
    }

    /// Promises replies of so many bytes in all.
    pub fn promise(&self, bytes: usize) -> Promise {
        let mut promise = Promise { pending: Arc::clone(&self.pending), bytes: 0 };
        promise.add(bytes);
        promise
    }

    /// Runs something that is too long for the main thread, in the order of such calls.
    pub fn run(&self, errand: impl FnOnce() + Send + 'static) {
        if let Some(sender) = &self.errands {
            let _ = sender.send((Box::new(errand), Busy::begin(&self.busy)));
        }
    }

    /// Whether all that was given is done, and posted what it has for the main thread.
    pub fn is_idle(&self) -> bool {
        self.busy.load(Acquire) == 0
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        self.releases = None;
        self.errands = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::warning("internal error: a thread that answers has ended before its time");
            }
        }
    }
}

/// The copier.
fn run_errands(errands: &Receiver<(Errand, Busy)>) {
    for (errand, busy) in errands {
        guarded(errand);
        drop(busy);
    }
}

/// The answerer.
struct Desk {
    inbox: Receiver<Release>,
    releases: VecDeque<Release>,
    taken: Receiver<()>,
    tell_taken: Sender<()>,
    /// Whether a batch is with the main thread.
    outstanding: bool,
    pending: Arc<AtomicU64>,
}

impl Desk {
    fn new(inbox: Receiver<Release>, pending: Arc<AtomicU64>) -> Self {
        let (tell_taken, taken) = mpsc::channel();
        Self { inbox, releases: VecDeque::new(), taken, tell_taken, outstanding: false, pending }
    }

    fn work(mut self) {
        while self.next_work() {
            if let Some(release) = self.releases.pop_front() {
                guarded(|| self.release_some(release));
            }
        }
    }

    /// Takes in what has come; waits for it only if there is nothing else to do. False at the end.
    fn next_work(&mut self) -> bool {
        if self.releases.is_empty() {
            let Ok(release) = self.inbox.recv() else {
                return false;
            };
            self.releases.push_back(release);
        }
        self.releases.extend(self.inbox.try_iter());
        true
    }

    /// Writes one batch of a release while the main thread still has the one before, then hands it over.
    fn release_some(&mut self, mut release: Release) {
        let fit = BATCH_BYTES / release.answer.size.max(1);
        let count = fit.clamp(1, BATCH_CLIENTS).min(release.waiters.len());
        let batch: Vec<Answered> = release
            .waiters
            .drain(..count)
            .map(|waiter| waiter.answer(|ctx| (release.answer.write)(ctx)))
            .collect();
        let bytes = release.answer.all(count);
        if self.outstanding {
            let _ = self.taken.recv_timeout(PATIENCE);
        }
        self.outstanding = true;
        let (taken, pending) = (self.tell_taken.clone(), Arc::clone(&self.pending));
        main_thread::post(move |_| {
            batch.into_iter().for_each(Answered::release);
            pending.fetch_sub(bytes, Relaxed);
            let _ = taken.send(());
        });
        if !release.waiters.is_empty() {
            self.releases.push_back(release);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::super::timer;
    use super::*;

    /// Has tasks wait, as during an unload; one test at a time, since there is one queue.
    fn held_back() -> MutexGuard<'static, ()> {
        static ONE: Mutex<()> = Mutex::new(());
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(main_thread::hold_back(), "nothing is under way");
        one
    }

    /// Tells on its drop whether clients may be unblocked then.
    struct Witness(Sender<bool>);

    impl Drop for Witness {
        fn drop(&mut self) {
            self.0.send(timer::fires()).unwrap();
        }
    }

    #[test]
    fn what_an_errand_leaves_for_the_main_thread_is_seen_before_the_answerer_is_idle() {
        let _one = held_back();
        let answerer = Answerer::start().unwrap();
        let (gate, closed) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        answerer.run(move || {
            let witness = Witness(tell);
            let _ = closed.recv();
            main_thread::post(move |_| drop(witness));
        });
        assert!(!answerer.is_idle());
        assert!(!main_thread::has_tasks());
        drop(gate);
        while !answerer.is_idle() {
            std::thread::yield_now();
        }
        assert!(main_thread::has_tasks(), "an unload would not see what is left to do");
        main_thread::close();
        assert_eq!(told.recv(), Ok(true), "it was not dropped as in a timer's callback");
        assert!(!main_thread::has_tasks());
    }

    #[test]
    fn an_errand_that_panics_ends_no_more_than_itself() {
        let answerer = Answerer::start().unwrap();
        let (tell, told) = mpsc::channel();
        answerer.run(|| panic!("as a broken errand would"));
        answerer.run(move || tell.send("still at work").unwrap());
        assert_eq!(told.recv(), Ok("still at work"));
        while !answerer.is_idle() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_long_errand_holds_up_no_thread_but_its_own() {
        let _one = held_back();
        let answerer = Answerer::start().unwrap();
        let (gate, closed) = mpsc::channel::<()>();
        answerer.run(move || {
            let _ = closed.recv();
        });
        // A release without clients is one that ends at once.
        let answer = Answer { size: 1, write: Box::new(|_| ()) };
        let release =
            Release { waiters: VecDeque::new(), answer, _busy: Busy::begin(&answerer.busy) };
        answerer.releases.as_ref().unwrap().send(release).unwrap();
        while answerer.busy.load(Acquire) > 1 {
            std::thread::yield_now();
        }
        assert!(!answerer.is_idle(), "the errand still runs");
        drop(gate);
        drop(answerer);
        main_thread::close();
    }
}
