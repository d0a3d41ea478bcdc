//! The load generator: many connections on one thread, requests that were
//! packed before, answers that are compared as they arrive.
//!
//! It does less per request than what it measures does: no copies, and an
//! answer is right if it is, byte for byte, the one that was expected.

mod answer;

use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

pub use answer::{Answer, Answers};

/// Most bytes that one read takes.
const READ: usize = 64 * 1024;

/// What thousands of tasks take to be there: an open loop's first request falls due after that.
const MAKING_READY: Duration = Duration::from_millis(200);

/// The connections, and the thread-less runtime that moves them: it runs
/// while one of the methods does.
pub struct Load {
    runtime: Runtime,
    connections: Vec<TcpStream>,
}

/// What came of a loop.
pub struct Rate {
    pub per_second: f64,
    /// Microseconds from a batch's first byte out to its last byte in.
    pub latency: Histogram<u64>,
}

impl Load {
    /// Opens this many connections to a port of this machine.
    pub fn connect(port: u16, count: usize) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let connections = runtime.block_on(async {
            let mut open = Vec::with_capacity(count);
            for _ in 0..count {
                let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
                let stream = stream.expect("cannot connect; is `ulimit -n` too low?");
                stream.set_nodelay(true).unwrap();
                open.push(stream);
            }
            open
        });
        Self { runtime, connections }
    }

    /// A closed loop: for `span`, each connection sends `pipeline` times the
    /// request, takes in as many answers, and goes on.
    pub fn closed_loop(
        &mut self,
        request: &[u8],
        answer: &Answer,
        pipeline: usize,
        span: Duration,
    ) -> Rate {
        let request: Arc<[u8]> = request.repeat(pipeline).into();
        let all = answer.repeat(pipeline);
        let begun = Instant::now();
        let until = begun + span;
        let parts = self.each(|_, mut stream| {
            let request = Arc::clone(&request);
            let mut answers = all.clone();
            let mut buffer = buffer_for(pipeline * answer.len());
            async move {
                let mut latency = micros();
                let mut sent = Instant::now();
                while sent < until {
                    stream.write_all(&request).await.unwrap();
                    expect(&mut stream, &mut answers, &mut buffer).await;
                    let now = Instant::now();
                    record(&mut latency, now - sent);
                    sent = now;
                }
                (stream, latency)
            }
        });
        rate(begun, parts, pipeline)
    }

    /// An open loop: requests fall due at a steady pace, whether or not those
    /// before are answered. One that falls due while its connection is still
    /// busy waits from that moment on, as its client would.
    pub fn open_loop(
        &mut self,
        per_second: f64,
        span: Duration,
        exchange: impl Fn(usize) -> (Arc<[u8]>, Answer) + Send + Sync + 'static,
    ) -> Rate {
        let (exchange, connections) = (Arc::new(exchange), self.connections.len());
        let begun = Instant::now() + MAKING_READY;
        let parts = self.each(|first, mut stream| {
            let exchange = Arc::clone(&exchange);
            async move {
                let (mut latency, mut buffer) = (micros(), vec![0; READ]);
                for number in (first..).step_by(connections) {
                    let after = Duration::from_secs_f64(number as f64 / per_second);
                    if after >= span {
                        break;
                    }
                    let due = begun + after;
                    let is_late = Instant::now() > due;
                    tokio::time::sleep_until(due.into()).await;
                    // The timer goes by milliseconds: what it adds is not the peer's.
                    let from = if is_late { due } else { Instant::now() };
                    let (request, answer) = exchange(number);
                    stream.write_all(&request).await.unwrap();
                    expect(&mut stream, &mut answer.repeat(1), &mut buffer).await;
                    record(&mut latency, from.elapsed());
                }
                (stream, latency)
            }
        });
        rate(begun, parts, 1)
    }

    /// Works off a list: a free connection takes the next number, sends its
    /// request, and takes in its answer. Tells how long it all took.
    pub fn work_off(
        &mut self,
        count: usize,
        exchange: impl Fn(usize) -> (Vec<u8>, Answer) + Send + Sync + 'static,
    ) -> Duration {
        let exchange = Arc::new(exchange);
        let next = Arc::new(AtomicUsize::new(0));
        let begun = Instant::now();
        self.each(|_, mut stream| {
            let (exchange, next) = (Arc::clone(&exchange), Arc::clone(&next));
            async move {
                let mut buffer = vec![0; READ];
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return (stream, ());
                    }
                    let (request, answer) = exchange(number);
                    stream.write_all(&request).await.unwrap();
                    expect(&mut stream, &mut answer.repeat(1), &mut buffer).await;
                }
            }
        });
        begun.elapsed()
    }

    /// Sends this request on every connection, and does not wait.
    pub fn send(&mut self, request: &[u8]) {
        let request: Arc<[u8]> = request.into();
        self.each(|_, mut stream| {
            let request = Arc::clone(&request);
            async move {
                stream.write_all(&request).await.unwrap();
                (stream, ())
            }
        });
    }

    /// Takes in this answer on every connection; tells when each had it.
    pub fn receive(&mut self, answer: &Answer) -> Vec<Instant> {
        self.each(|_, mut stream| {
            let mut answers = answer.repeat(1);
            let mut buffer = buffer_for(answer.len());
            async move {
                expect(&mut stream, &mut answers, &mut buffer).await;
                (stream, Instant::now())
            }
        })
    }

    /// Runs something on every connection, all at once, and waits for all.
    fn each<T, F>(&mut self, mut task: impl FnMut(usize, TcpStream) -> F) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = (TcpStream, T)> + Send + 'static,
    {
        let connections = std::mem::take(&mut self.connections);
        let done = self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for (number, stream) in connections.into_iter().enumerate() {
                tasks.spawn(task(number, stream));
            }
            tasks.join_all().await
        });
        let (connections, results) = done.into_iter().unzip();
        self.connections = connections;
        results
    }
}

/// A histogram of microseconds.
pub fn micros() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are allowed")
}

pub fn record(latency: &mut Histogram<u64>, time: Duration) {
    latency.record(u64::try_from(time.as_micros()).unwrap()).unwrap();
}

fn rate(begun: Instant, parts: Vec<Histogram<u64>>, pipeline: usize) -> Rate {
    let took = begun.elapsed();
    let mut latency = micros();
    for part in parts {
        latency.add(part).unwrap();
    }
    let requests = latency.len() * pipeline as u64;
    Rate { per_second: requests as f64 / took.as_secs_f64(), latency }
}

/// Room for the answer and a byte more: a read that leaves room tells that
/// there is nothing left to read, and spares the next one.
fn buffer_for(answer: usize) -> Vec<u8> {
    vec![0; READ.min(answer + 1)]
}

/// Takes in exactly these answers.
async fn expect(stream: &mut TcpStream, answers: &mut Answers, buffer: &mut [u8]) {
    answers.again();
    while !answers.are_here() {
        let count = stream.read(buffer).await.unwrap();
        assert!(count > 0, "hung up on");
        answers.take(&buffer[..count]);
    }
}
