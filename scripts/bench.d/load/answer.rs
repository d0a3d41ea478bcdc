//! The answer that must come, and how much of it has come: byte for byte, whatever pieces it comes in.

use std::sync::Arc;

/// Room for an HTTP head; those that come here are a third of that.
const HEAD: usize = 2 << 10;

/// What a peer must answer.
#[derive(Clone)]
pub enum Answer {
    /// These very bytes.
    Exact(Arc<[u8]>),
    /// HTTP's `200 OK` with this body; its headers are the peer's own.
    Http(Arc<[u8]>),
}

impl Answer {
    /// About how many bytes it takes.
    pub fn len(&self) -> usize {
        match self {
            Self::Exact(bytes) => bytes.len(),
            Self::Http(body) => body.len() + HEAD,
        }
    }

    /// The same, so many times: what a pipeline brings.
    pub fn repeat(&self, times: usize) -> Answers {
        match self {
            Self::Exact(bytes) if times > 1 => Answers::of(bytes.repeat(times).into(), 1, None),
            Self::Exact(bytes) => Answers::of(Arc::clone(bytes), times, None),
            Self::Http(body) => Answers::of(Arc::clone(body), times, Some(Vec::new())),
        }
    }
}

impl From<&[u8]> for Answer {
    fn from(bytes: &[u8]) -> Self {
        Self::Exact(bytes.into())
    }
}

impl From<&Vec<u8>> for Answer {
    fn from(bytes: &Vec<u8>) -> Self {
        bytes.as_slice().into()
    }
}

/// As many answers as requests were sent, and what of them has come. Clones share the bytes.
#[derive(Clone)]
pub struct Answers {
    body: Arc<[u8]>,
    times: usize,
    left: usize,
    /// Of the present one's body.
    came: usize,
    /// What there is of the head before that; none where the body is all.
    head: Option<Vec<u8>>,
    is_http: bool,
}

impl Answers {
    fn of(body: Arc<[u8]>, times: usize, head: Option<Vec<u8>>) -> Self {
        let is_http = head.is_some();
        Self { body, times, left: times, came: 0, head, is_http }
    }

    /// Expects them all anew.
    pub const fn again(&mut self) {
        self.left = self.times;
    }

    pub const fn are_here(&self) -> bool {
        self.left == 0
    }

    /// Takes in what has come.
    ///
    /// # Panics
    /// It is not what must come.
    pub fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            assert!(self.left > 0, "more than was asked for: {}", shown(bytes));
            if let Some(head) = &mut self.head {
                let Some(rest) = head_taken(head, bytes, self.body.len()) else { return };
                self.head = None;
                bytes = rest;
            }
            bytes = same(&mut self.came, &self.body, bytes);
            if self.came == self.body.len() {
                self.left -= 1;
                self.came = 0;
                self.head = self.is_http.then(Vec::new);
            }
        }
    }
}

/// Takes what of `bytes` belongs to an HTTP head, and hands on the rest once it is whole.
fn head_taken<'a>(before: &mut Vec<u8>, bytes: &'a [u8], body: usize) -> Option<&'a [u8]> {
    let had = before.len();
    // As a rule it comes in one piece, with the body behind it, and is not copied.
    if had > 0 {
        before.extend_from_slice(bytes);
    }
    let whole: &[u8] = if had > 0 { before.as_slice() } else { bytes };
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Response::new(&mut headers);
    let status = parsed.parse(whole).expect("an HTTP answer");
    let httparse::Status::Complete(length) = status else {
        if had == 0 {
            before.extend_from_slice(bytes);
        }
        return None;
    };
    assert_eq!(parsed.code, Some(200), "{}", shown(whole));
    let claimed = parsed.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
    let claimed = claimed.unwrap_or_else(|| panic!("no length: {}", shown(whole)));
    assert_eq!(claimed.value, body.to_string().as_bytes(), "a body of another length");
    Some(&bytes[length - had..])
}

/// Compares, and hands on what is left over.
fn same<'a>(came: &mut usize, whole: &[u8], bytes: &'a [u8]) -> &'a [u8] {
    let (these, rest) = bytes.split_at(bytes.len().min(whole.len() - *came));
    assert!(whole[*came..].starts_with(these), "a wrong answer: {}", shown(these));
    *came += these.len();
    rest
}

fn shown(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(300)]))
}
