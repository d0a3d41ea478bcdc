//! The load generator: many connections on one thread, commands that were
//! packed before, replies that are compared as they arrive.
//!
//! It does less per request than the server does, so that the server is what
//! is measured: no parsing, no copies, and a reply is right if it is, byte for
//! byte, the one that was expected.

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

use crate::support::Server;

/// Most bytes that one read takes.
const READ: usize = 64 * 1024;

/// The connections, and the thread-less runtime that moves them: it runs
/// while one of the methods does.
pub struct Load {
    runtime: Runtime,
    connections: Vec<TcpStream>,
}

/// What came of a closed loop.
pub struct Rate {
    pub per_second: f64,
    /// Microseconds from a batch's first byte out to its last byte in.
    pub latency: Histogram<u64>,
}

impl Load {
    /// Opens this many connections.
    pub fn connect(server: &Server, count: usize) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let connections = runtime.block_on(async {
            let mut open = Vec::with_capacity(count);
            for _ in 0..count {
                let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).await;
                let stream = stream.expect("cannot connect; is `ulimit -n` too low?");
                stream.set_nodelay(true).unwrap();
                open.push(stream);
            }
            open
        });
        Self { runtime, connections }
    }

    /// A closed loop: for `span`, each connection sends `pipeline` times the
    /// request, takes in as many replies, and goes on.
    pub fn closed_loop(
        &mut self,
        request: &[u8],
        reply: &[u8],
        pipeline: usize,
        span: Duration,
    ) -> Rate {
        let request: Arc<[u8]> = request.repeat(pipeline).into();
        let reply: Arc<[u8]> = reply.repeat(pipeline).into();
        let begun = Instant::now();
        let until = begun + span;
        let parts = self.each(|_, mut stream| {
            let (request, reply) = (Arc::clone(&request), Arc::clone(&reply));
            async move {
                let mut buffer = buffer_for(&reply);
                let mut latency = Histogram::new(3).unwrap();
                let mut sent = Instant::now();
                while sent < until {
                    stream.write_all(&request).await.unwrap();
                    expect(&mut stream, &reply, &mut buffer).await;
                    let now = Instant::now();
                    latency.record(u64::try_from((now - sent).as_micros()).unwrap()).unwrap();
                    sent = now;
                }
                (stream, latency)
            }
        });
        let took = begun.elapsed();
        let mut latency = Histogram::new(3).unwrap();
        for part in parts {
            latency.add(part).unwrap();
        }
        let requests = latency.len() * pipeline as u64;
        Rate { per_second: requests as f64 / took.as_secs_f64(), latency }
    }

    /// Works off a list: a free connection takes the next number, sends its
    /// request, and takes in its reply. Tells how long it all took.
    pub fn work_off(
        &mut self,
        count: usize,
        exchange: impl Fn(usize) -> (Vec<u8>, Vec<u8>) + Send + Sync + 'static,
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
                    let (request, reply) = exchange(number);
                    stream.write_all(&request).await.unwrap();
                    expect(&mut stream, &reply, &mut buffer).await;
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

    /// Takes in this reply on every connection; returns when the last has it.
    pub fn receive(&mut self, reply: &Arc<[u8]>) {
        self.each(|_, mut stream| {
            let reply = Arc::clone(reply);
            async move {
                expect(&mut stream, &reply, &mut buffer_for(&reply)).await;
                (stream, ())
            }
        });
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

/// Room for the reply and a byte more: a read that leaves room tells that
/// there is nothing left to read, and spares the next one.
fn buffer_for(reply: &[u8]) -> Vec<u8> {
    vec![0; READ.min(reply.len() + 1)]
}

/// Takes in exactly this reply.
async fn expect(stream: &mut TcpStream, reply: &[u8], buffer: &mut [u8]) {
    let mut rest = reply;
    while !rest.is_empty() {
        let count = stream.read(buffer).await.unwrap();
        let came = &buffer[..count];
        assert!(count > 0, "the server hung up");
        assert!(
            rest.starts_with(came),
            "a wrong reply: {:?}",
            String::from_utf8_lossy(&came[..count.min(80)])
        );
        rest = &rest[count..];
    }
}
