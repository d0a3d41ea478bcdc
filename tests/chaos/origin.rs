//! The origin: plain TCP and a thread for each connection, so that it can send, and fail to send, anything.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use socket2::SockRef;

use super::air::{Air, is_closed};
use super::body::Key;
use super::ledger::{Ledger, lock};
use super::plan::Plan;
use super::script::{self, Asked, End, Piece, Script};

/// Where the actors' numbers of the origin's requests begin.
const REQUESTS: u64 = 1 << 32;

/// The origin.
pub struct Origin {
    port: u16,
    site: Arc<Site>,
}

struct Site {
    plan: Plan,
    ledger: Arc<Ledger>,
    air: Air,
    calm: AtomicBool,
    requests: AtomicU64,
    connections: Mutex<Vec<TcpStream>>,
}

impl Origin {
    pub fn start(plan: Plan, ledger: Arc<Ledger>) -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").expect("no free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let site = Arc::new(Site {
            plan,
            ledger,
            air: Air::default(),
            calm: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            connections: Mutex::default(),
        });
        let shared = Arc::clone(&site);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let site = Arc::clone(&shared);
                if let Ok(clone) = stream.try_clone() {
                    let mut connections = lock(&site.connections);
                    connections.retain(|old| !is_closed(old));
                    connections.push(clone);
                }
                thread::spawn(move || site.serve(stream));
            }
        });
        Self { port, site }
    }

    /// The URL of a path. Each database has a host of its own, since hosts share what there is of threads.
    pub fn url(&self, path: &str) -> String {
        let host = path.split('/').nth(1).unwrap_or_default();
        format!("http://127.0.0.1{host}:{}{path}", self.port)
    }

    /// From here on it answers at once, and honestly; what it holds back it lets go.
    pub fn calm_down(&self) {
        self.site.calm.store(true, SeqCst);
    }

    /// Closes all its connections.
    pub fn hang_up(&self) {
        for connection in lock(&self.site.connections).drain(..) {
            connection.shutdown(Shutdown::Both).ok();
        }
    }

    /// How many requests have come.
    pub fn requests(&self) -> u64 {
        self.site.requests.load(SeqCst)
    }
}

impl Site {
    /// Serves a connection to its end. The book and the air have copies of it, so it is closed by hand; and
    /// it is reset only where the last copy is gone.
    fn serve(&self, mut stream: TcpStream) {
        if self.talk(&mut stream).is_ok_and(|end| end == End::Reset) {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).ok();
            let me = stream.peer_addr().ok();
            lock(&self.connections).retain(|other| other.peer_addr().ok() != me);
        } else {
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    fn talk(&self, stream: &mut TcpStream) -> io::Result<End> {
        stream.set_nodelay(true)?;
        let mut unread = Vec::new();
        loop {
            let request = read_request(stream, &mut unread)?;
            let number = self.requests.fetch_add(1, SeqCst);
            let mut rng = self.plan.rng(REQUESTS + number);
            match self.answer(stream, &request, &mut rng)? {
                End::Keep => {}
                end => return Ok(end),
            }
        }
    }

    fn answer(&self, stream: &mut TcpStream, request: &Request, rng: &mut Rng) -> io::Result<End> {
        let asked = request.asked();
        let flying = self
            .air
            .enter(&asked.key, stream, &self.ledger, self.plan.slack)
            .ok_or(io::ErrorKind::Other)?;
        let script = if request.path.contains("loop=") {
            script::around(&request.path)
        } else {
            script::write(&asked, &self.ledger, rng, self.calm.load(SeqCst))
        };
        let Script { pieces, end, serial } = script;
        let last = pieces.iter().rposition(|piece| matches!(piece, Piece::Send(_)));
        let sent = pieces.iter().enumerate().try_for_each(|(number, piece)| match piece {
            Piece::Send(bytes) => {
                if Some(number) == last && number + 1 == pieces.len() {
                    self.air.leave(&asked.key, &flying);
                    serial.inspect(|&serial| self.ledger.confirm(serial));
                }
                stream.write_all(bytes)
            }
            Piece::Wait(time) => self.wait(stream, *time),
        });
        self.air.leave(&asked.key, &flying);
        sent.map(|()| end)
    }

    /// Waits, unless the other side hangs up or the storm is over.
    fn wait(&self, stream: &TcpStream, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end && !self.calm.load(SeqCst) {
            if is_closed(stream) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// A request, as far as it matters.
struct Request {
    method: String,
    path: String,
    variant: String,
    validator: Option<String>,
    body: Vec<u8>,
}

impl Request {
    /// A redirect takes along what it was asked for: a POST that is redirected may arrive as a GET.
    fn asked(&self) -> Asked {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let value = |name: &str| {
            let found = query.split('&').find_map(|pair| pair.strip_prefix(name));
            found.and_then(|pair| pair.strip_prefix('='))
        };
        let body = String::from_utf8_lossy(&self.body);
        let own = format!("{}:{body}:{}", self.method, self.variant);
        let variant = value("for").map_or(own, str::to_owned);
        Asked {
            key: Key { name: path.to_owned(), variant },
            hops: value("hops").and_then(|hops| hops.parse().ok()).unwrap_or(0),
            validator: self.validator.clone(),
        }
    }
}

fn read_request(stream: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<Request> {
    loop {
        if let Some((mut request, head, body)) = parse(unread)? {
            while unread.len() < head + body {
                read_more(stream, unread)?;
            }
            request.body = unread[head..head + body].to_vec();
            unread.drain(..head + body);
            return Ok(request);
        }
        read_more(stream, unread)?;
    }
}

fn read_more(stream: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 4096];
    match stream.read(&mut chunk)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        length => {
            unread.extend_from_slice(&chunk[..length]);
            Ok(())
        }
    }
}

/// A request without its body, and the lengths of its head and its body; `None` if there is no whole head.
fn parse(bytes: &[u8]) -> io::Result<Option<(Request, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Request::new(&mut headers);
    let status = parsed.parse(bytes).map_err(io::Error::other)?;
    let httparse::Status::Complete(head) = status else {
        return Ok(None);
    };
    let header = |name: &str| {
        let found = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value).into_owned())
    };
    let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: parsed.path.unwrap_or_default().to_owned(),
        variant: header("x-variant").unwrap_or_default(),
        validator: header("if-none-match").or_else(|| header("if-modified-since")),
        body: Vec::new(),
    };
    Ok(Some((request, head, length)))
}
