//! What the origin answers, and what it holds back until when.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::gate::Gate;

/// One answer. Cheap to clone: the body is shared.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Arc<[u8]>,
    pub(super) framing: Framing,
    pub(super) close: bool,
    pub(super) delay: Option<Duration>,
    pub(super) before_head: Option<Gate>,
    pub(super) within_body: Option<(usize, Gate)>,
}

/// How the client learns where the body ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Framing {
    /// `Content-Length`.
    Length,
    /// `Transfer-Encoding: chunked`, in chunks of this many bytes.
    Chunked(usize),
    /// The end of the connection.
    Close,
    /// The body is the whole answer, head and all, sent as it is.
    Raw,
}

impl Reply {
    /// `200 OK` with this body and its length.
    pub fn ok(body: impl AsRef<[u8]>) -> Self {
        Self { body: body.as_ref().into(), ..Self::status(200, "OK") }
    }

    /// `200 OK` with this body in gzip.
    pub fn gzip(body: impl AsRef<[u8]>) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body.as_ref()).expect("a vector takes all");
        let body = encoder.finish().expect("a vector takes all");
        Self::ok(body).header("Content-Encoding", "gzip")
    }

    /// Any status, with an empty body.
    pub fn status(status: u16, reason: &str) -> Self {
        Self {
            status,
            reason: reason.to_owned(),
            headers: Vec::new(),
            body: Arc::default(),
            framing: Framing::Length,
            close: false,
            delay: None,
            before_head: None,
            within_body: None,
        }
    }

    /// `302 Found`, to this place.
    pub fn redirect(location: &str) -> Self {
        Self::status(302, "Found").header("Location", location)
    }

    /// These very bytes, then the end of the connection.
    pub fn raw(bytes: impl AsRef<[u8]>) -> Self {
        Self { framing: Framing::Raw, close: true, ..Self::ok(bytes) }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends the body in chunks of this many bytes, without a length.
    pub fn chunked(mut self, chunk: usize) -> Self {
        self.framing = Framing::Chunked(chunk);
        self
    }

    /// Sends neither length nor chunks: the body ends with the connection.
    pub fn until_close(mut self) -> Self {
        self.framing = Framing::Close;
        self.close_after()
    }

    /// Closes the connection after the answer.
    pub fn close_after(mut self) -> Self {
        self.close = true;
        self
    }

    /// Sends nothing, not even the head, until the gate is open.
    pub fn gate(mut self, gate: &Gate) -> Self {
        self.before_head = Some(gate.clone());
        self
    }

    /// Sends the head and this many bytes of the body (for [`Reply::raw`], of
    /// the whole answer), and the rest when the gate is open.
    pub fn gate_body(mut self, after: usize, gate: &Gate) -> Self {
        self.within_body = Some((after, gate.clone()));
        self
    }

    /// Waits this long before the head: an origin that is slow by nature, for
    /// the demo and the benchmark. Tests use a gate.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// The head, or nothing if the body brings its own.
    pub(super) fn head(&self) -> Vec<u8> {
        if self.framing == Framing::Raw {
            return Vec::new();
        }
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, self.reason);
        let mut add = |name: &str, value: &str| head.extend([name, ": ", value, "\r\n"]);
        match self.framing {
            // RFC 9110, 8.6: these two have no body and must not claim one.
            Framing::Length if matches!(self.status, 204 | 304) => {}
            Framing::Length => add("Content-Length", &self.body.len().to_string()),
            Framing::Chunked(_) => add("Transfer-Encoding", "chunked"),
            Framing::Close | Framing::Raw => {}
        }
        if self.close {
            add("Connection", "close");
        }
        for (name, value) in &self.headers {
            add(name, value);
        }
        head += "\r\n";
        head.into_bytes()
    }

    /// One piece of the body as it goes over the wire.
    pub(super) fn framed(&self, piece: &[u8]) -> Vec<u8> {
        let Framing::Chunked(size) = self.framing else {
            return piece.to_vec();
        };
        let mut framed = Vec::with_capacity(piece.len() + 16);
        for chunk in piece.chunks(size.max(1)) {
            framed.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            framed.extend_from_slice(chunk);
            framed.extend_from_slice(b"\r\n");
        }
        framed
    }

    /// What marks the end of the body on the wire.
    pub(super) fn end(&self) -> &'static [u8] {
        if matches!(self.framing, Framing::Chunked(_)) { b"0\r\n\r\n" } else { b"" }
    }
}
