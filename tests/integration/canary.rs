//! Two helpers for what the usual origin cannot do: a canary, which sees every connection to any address of
//! this machine, and an origin of raw bytes, at an address of its own.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::support::until::until_equal;

/// A listener at every address of this machine that must never be connected to.
pub struct Canary {
    listener: TcpListener,
    port: u16,
}

impl Canary {
    pub fn start() -> Self {
        let everywhere = (Ipv6Addr::UNSPECIFIED, 0);
        let listener = TcpListener::bind(everywhere).expect("no free port");
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { listener, port }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A URL of this port, by this name or address of the host.
    pub fn url_at(&self, host: &str) -> String {
        format!("http://{host}:{}/", self.port)
    }

    /// How many connections have come since the last look.
    pub fn seen(&self) -> usize {
        let mut seen = 0;
        loop {
            match self.listener.accept() {
                Ok(_) => seen += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return seen,
                Err(error) => panic!("the canary is dead: {error}"),
            }
        }
    }
}

/// An origin of raw bytes: each connection is given, with the head of its first request, to a function that
/// may write to it whatever it likes; when that ends, the connection does.
pub struct RawOrigin {
    address: SocketAddr,
    heads: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
    gone: Arc<AtomicBool>,
}

impl RawOrigin {
    /// Starts it at this address of the machine, at a free port.
    pub fn at(
        address: &str,
        serve: impl Fn(&str, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let address: IpAddr = address.parse().expect("no address");
        let listener = TcpListener::bind((address, 0)).expect("no free port");
        let address = listener.local_addr().unwrap();
        let [heads, ended] = [Arc::<AtomicUsize>::default(), Arc::default()];
        let gone = Arc::<AtomicBool>::default();
        let origin = Self {
            address,
            heads: Arc::clone(&heads),
            ended: Arc::clone(&ended),
            gone: Arc::clone(&gone),
        };
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if gone.load(Ordering::SeqCst) {
                    return;
                }
                let (heads, ended) = (Arc::clone(&heads), Arc::clone(&ended));
                let serve = Arc::clone(&serve);
                thread::spawn(move || {
                    let Ok(mut stream) = stream else { return };
                    if let Ok(head) = read_head(&mut stream) {
                        heads.fetch_add(1, Ordering::SeqCst);
                        // How a connection ends is the client's business.
                        serve(&head, &mut stream).ok();
                        // What is closed with something unread is reset, and the answer may be lost.
                        stream.shutdown(Shutdown::Write).ok();
                        io::copy(&mut stream, &mut io::sink()).ok();
                        ended.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        origin
    }

    /// Starts one on the loopback address that answers every request with these bytes.
    pub fn answering(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::at("127.0.0.1", move |_, stream| stream.write_all(&bytes))
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Requests that have come, in all.
    pub fn requests(&self) -> usize {
        self.heads.load(Ordering::SeqCst)
    }

    /// Waits until as many connections have ended.
    pub fn until_ended(&self, wanted: usize) {
        until_equal("the connections that have ended", &wanted, || {
            self.ended.load(Ordering::SeqCst)
        });
    }
}

impl Drop for RawOrigin {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).ok(); // wakes the thread that accepts
    }
}

/// The head of one request, byte by byte: what follows is not for us to take.
pub fn read_head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

#[test]
fn the_canary_sees_a_connection_to_any_address_of_this_machine() {
    let canary = Canary::start();
    assert_eq!(canary.seen(), 0);
    for address in ["127.0.0.1", "127.0.0.2", "::1"] {
        let address: IpAddr = address.parse().unwrap();
        TcpStream::connect((address, canary.port())).expect("the canary does not listen");
    }
    assert_eq!(canary.seen(), 3);
}
