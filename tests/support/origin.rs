//! An HTTP/1.1 origin inside the test's own process.
//!
//! It answers by path as it is told ([`Origin::on`], [`Origin::on_fn`]),
//! holds an answer back until a [`Gate`] opens, and keeps a book of what it
//! was asked ([`Origin::hits`], [`Origin::requests`]), so that a test can
//! wait for a request to arrive, act, and then let the answer go. Nothing is
//! timed: that is what makes the tests certain.
//!
//! The request loop is written by hand over plain TCP (`wire.rs`), because an
//! HTTP library would not let a test send half a chunk or a false length. It
//! runs on a small runtime of its own, which ends with the `Origin`.

mod book;
mod gate;
mod reply;
mod tls;
mod wire;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Instant;

use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;

use super::until::until_equal;
use book::Book;
pub use book::Request;
pub use gate::Gate;
pub use reply::Reply;
use tls::Identity;

/// Connections that may wait to be accepted: a benchmark opens thousands at once.
const BACKLOG: u32 = 4096;

type Handler = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// The origin; it stops answering when dropped.
pub struct Origin {
    address: SocketAddr,
    site: Arc<Site>,
    identity: Option<Identity>,
    runtime: Option<Runtime>,
}

/// What its connections share: what to answer, and what was asked.
struct Site {
    routes: RwLock<HashMap<String, Handler>>,
    otherwise: RwLock<Handler>,
    book: Book,
}

impl Origin {
    /// An origin that speaks plain HTTP.
    pub fn start() -> Self {
        Self::listen(None)
    }

    /// An origin that speaks HTTPS, with a certificate of its own authority:
    /// give the server `SSL_CERT_FILE` = [`Origin::ca_file`].
    pub fn tls() -> Self {
        Self::listen(Some(Identity::new()))
    }

    fn listen(identity: Option<Identity>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("origin")
            .enable_all()
            .build()
            .expect("cannot start a runtime");
        let inside = runtime.enter();
        let socket = TcpSocket::new_v4().expect("cannot make a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("no free port");
        let listener = socket.listen(BACKLOG).expect("cannot listen");
        let address = listener.local_addr().expect("a bound socket has an address");
        let site = Arc::new(Site {
            routes: RwLock::default(),
            otherwise: RwLock::new(Arc::new(|_| Reply::status(404, "Not Found"))),
            book: Book::default(),
        });
        let acceptor = identity.as_ref().map(Identity::acceptor);
        let shared = Arc::clone(&site);
        runtime.spawn(async move {
            loop {
                let accepted = listener.accept().await;
                let (stream, _) = accepted.expect("cannot accept; is `ulimit -n` too low?");
                tokio::spawn(connection(stream, acceptor.clone(), Arc::clone(&shared)));
            }
        });
        drop(inside);
        Self { address, site, identity, runtime: Some(runtime) }
    }

    /// Answers every request for this path (with its query string, if the
    /// path has one) with this reply.
    pub fn on(&self, path: &str, reply: Reply) {
        self.on_fn(path, move |_| reply.clone());
    }

    /// Answers every request for this path with what `handler` makes of it.
    pub fn on_fn(&self, path: &str, handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        self.site.routes.write().unwrap().insert(path.to_owned(), Arc::new(handler));
    }

    /// Answers what no path was set for; at first that is `404 Not Found`.
    pub fn otherwise(&self, handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        *self.site.otherwise.write().unwrap() = Arc::new(handler);
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        self.url_at("127.0.0.1", path)
    }

    /// The URL of a path, with another name for this machine in it.
    pub fn url_at(&self, host: &str, path: &str) -> String {
        let scheme = if self.is_tls() { "https" } else { "http" };
        format!("{scheme}://{host}:{}{path}", self.port())
    }

    /// The port it listens on.
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Whether it speaks HTTPS.
    pub const fn is_tls(&self) -> bool {
        self.identity.is_some()
    }

    /// The PEM file of the authority that vouches for [`Origin::tls`].
    pub fn ca_file(&self) -> &Path {
        self.identity.as_ref().expect("only a TLS origin has an authority").ca_file()
    }

    /// Requests seen for this path.
    pub fn hits(&self, path: &str) -> u64 {
        self.site.book.read(|page| page.paths.get(path).map_or(0, |path| path.hits))
    }

    /// When the first request for this path had its last byte.
    pub fn first_answered(&self, path: &str) -> Option<Instant> {
        self.site.book.read(|page| page.paths.get(path)?.first_answered)
    }

    /// Requests seen in all.
    pub fn total(&self) -> u64 {
        self.site.book.read(|page| page.total)
    }

    /// Requests that came while none for the same path was in the air: how many there are, if nobody asks for
    /// what somebody else is already being told.
    pub fn waves(&self) -> u64 {
        self.site.book.read(|page| page.waves)
    }

    /// Requests begun and not yet answered to the last byte.
    pub fn in_the_air(&self) -> u64 {
        self.site.book.read(|page| page.in_the_air)
    }

    /// The most requests that were in the air at one moment.
    pub fn most_in_the_air(&self) -> u64 {
        self.site.book.read(|page| page.most_in_the_air)
    }

    /// The first requests seen (some thousands; a benchmark makes more), in
    /// the order of their arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.site.book.read(|page| page.requests.clone())
    }

    /// Waits until this many requests for this path have arrived.
    pub fn until_hits(&self, path: &str, wanted: u64) {
        until_equal(&format!("the requests for {path}"), &wanted, || self.hits(path));
    }

    /// Waits until this many requests have arrived in all.
    pub fn until_total(&self, wanted: u64) {
        until_equal("the requests in all", &wanted, || self.total());
    }

    /// Waits until this many requests are in the air.
    pub fn until_in_the_air(&self, wanted: u64) {
        until_equal("the requests in the air", &wanted, || self.in_the_air());
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background(); // a held reply must not hold us
        }
    }
}

impl Site {
    fn answer(&self, request: &Request) -> Reply {
        let found = self.routes.read().unwrap().get(&request.path).cloned();
        let handler = found.unwrap_or_else(|| Arc::clone(&self.otherwise.read().unwrap()));
        handler(request)
    }
}

async fn connection(stream: TcpStream, tls: Option<tokio_rustls::TlsAcceptor>, site: Arc<Site>) {
    stream.set_nodelay(true).ok();
    // How a connection ends is the client's business; the book has what counts.
    match tls {
        None => wire::serve(stream, &site).await.ok(),
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => wire::serve(stream, &site).await.ok(),
            Err(_distrusted) => None,
        },
    };
}
