//! The request loop of one connection: read a request, enter it in the book,
//! write the answer, and again, until either side hangs up.
//!
//! While an answer is held back the connection is read all the same, so that
//! a client that hangs up is noticed at once and its request leaves the air.

use std::future::Future;
use std::io::{self, ErrorKind};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Site;
use super::book::Request;
use super::reply::Reply;

/// More headers than any client of ours sends.
const MAX_HEADERS: usize = 64;

/// Serves one connection to its end.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    site: &Site,
) -> io::Result<()> {
    let mut wire = Wire { stream, unread: Vec::new() };
    while let Some(request) = wire.request().await? {
        let in_the_air = site.book.enter(&request);
        let reply = site.answer(&request);
        wire.answer(&reply).await?;
        in_the_air.answered();
        if reply.close {
            break;
        }
    }
    wire.stream.shutdown().await
}

struct Wire<S> {
    stream: S,
    /// What has arrived and was not yet understood.
    unread: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// The next request; `None` when the client has hung up between two.
    async fn request(&mut self) -> io::Result<Option<Request>> {
        loop {
            if let Some((mut request, head, body)) = parse(&self.unread)? {
                while self.unread.len() < head + body {
                    self.more().await?;
                }
                request.body = self.unread[head..head + body].to_vec();
                self.unread.drain(..head + body);
                return Ok(Some(request));
            }
            match self.more().await {
                Err(end) if end.kind() == ErrorKind::UnexpectedEof && self.unread.is_empty() => {
                    return Ok(None);
                }
                more => more?,
            }
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.unread).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn answer(&mut self, reply: &Reply) -> io::Result<()> {
        if let Some(delay) = reply.delay {
            self.hold(tokio::time::sleep(delay)).await?;
        }
        if let Some(gate) = &reply.before_head {
            self.hold(gate.passed()).await?;
        }
        let mut out = reply.head();
        let mut rest = &reply.body[..];
        if let Some((after, gate)) = &reply.within_body {
            let (first, second) = rest.split_at(*after);
            out.extend(reply.framed(first));
            self.stream.write_all(&out).await?;
            self.stream.flush().await?;
            self.hold(gate.passed()).await?;
            out.clear();
            rest = second;
        }
        out.extend(reply.framed(rest));
        out.extend_from_slice(reply.end());
        self.stream.write_all(&out).await?;
        self.stream.flush().await
    }

    /// Waits for `passed`, or fails as soon as the client hangs up.
    async fn hold(&mut self, passed: impl Future<Output = ()>) -> io::Result<()> {
        tokio::pin!(passed);
        loop {
            tokio::select! {
                () = &mut passed => return Ok(()),
                more = self.more() => more?,
            }
        }
    }
}

/// A request (without its body), the length of its head, and of its body;
/// `None` if there is not yet a whole head.
fn parse(bytes: &[u8]) -> io::Result<Option<(Request, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let status =
        parsed.parse(bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    let httparse::Status::Complete(head) = status else {
        return Ok(None);
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let request = Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: parsed.path.unwrap_or_default().to_owned(),
        headers: parsed.headers.iter().map(|h| (h.name.to_lowercase(), text(h.value))).collect(),
        body: Vec::new(),
    };
    let body = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    Ok(Some((request, head, body)))
}
