//! The origin's book: what it was asked, and how much of it at once.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

/// How many requests are kept whole; the counters go on without end.
const KEPT: usize = 4096;

/// One request, as the origin saw it.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, as a rule.
    pub method: String,
    /// The path with its query string, as it stood in the request line.
    pub path: String,
    /// Names in lower case, in the order of their arrival.
    pub headers: Vec<(String, String)>,
    /// What came after the head.
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

/// The book itself, shared by all connections.
#[derive(Default)]
pub(super) struct Book(Mutex<Page>);

#[derive(Default)]
pub(super) struct Page {
    pub(super) paths: HashMap<String, OfPath>,
    pub(super) total: u64,
    /// Requests that came while none for the same path was in the air.
    pub(super) waves: u64,
    pub(super) in_the_air: u64,
    pub(super) most_in_the_air: u64,
    pub(super) requests: Vec<Request>,
}

/// What there is to tell of one path.
#[derive(Default)]
pub(super) struct OfPath {
    pub(super) hits: u64,
    in_the_air: u64,
    /// When its first request had its last byte.
    pub(super) first_answered: Option<Instant>,
}

impl Book {
    pub(super) fn read<T>(&self, read: impl FnOnce(&Page) -> T) -> T {
        read(&self.0.lock().unwrap())
    }

    /// Enters a request; it is in the air until the entry is dropped.
    pub(super) fn enter<'a>(&'a self, request: &'a Request) -> InTheAir<'a> {
        let mut page = self.0.lock().unwrap();
        let page = &mut *page;
        let of_path = match page.paths.get_mut(&request.path) {
            Some(known) => known,
            None => page.paths.entry(request.path.clone()).or_default(),
        };
        page.waves += u64::from(of_path.in_the_air == 0);
        of_path.in_the_air += 1;
        of_path.hits += 1;
        page.total += 1;
        page.in_the_air += 1;
        page.most_in_the_air = page.most_in_the_air.max(page.in_the_air);
        if page.requests.len() < KEPT {
            page.requests.push(request.clone());
        }
        InTheAir { book: self, path: &request.path, is_answered: false }
    }
}

/// A request that is being answered.
pub(super) struct InTheAir<'a> {
    book: &'a Book,
    path: &'a str,
    is_answered: bool,
}

impl InTheAir<'_> {
    /// It has its last byte.
    pub(super) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for InTheAir<'_> {
    fn drop(&mut self) {
        let mut page = self.book.0.lock().unwrap();
        page.in_the_air -= 1;
        let of_path = page.paths.get_mut(self.path).expect("it was entered");
        of_path.in_the_air -= 1;
        if self.is_answered {
            of_path.first_answered.get_or_insert_with(Instant::now);
        }
    }
}
