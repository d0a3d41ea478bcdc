//! The origin's book: what it was asked, and how much of it at once.

use std::collections::HashMap;
use std::sync::Mutex;

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
    pub(super) hits: HashMap<String, u64>,
    pub(super) total: u64,
    pub(super) in_the_air: u64,
    pub(super) most_in_the_air: u64,
    pub(super) requests: Vec<Request>,
}

impl Book {
    pub(super) fn read<T>(&self, read: impl FnOnce(&Page) -> T) -> T {
        read(&self.0.lock().unwrap())
    }

    /// Enters a request; it is in the air until the entry is dropped.
    pub(super) fn enter(&self, request: &Request) -> InTheAir<'_> {
        let mut page = self.0.lock().unwrap();
        *page.hits.entry(request.path.clone()).or_default() += 1;
        page.total += 1;
        page.in_the_air += 1;
        page.most_in_the_air = page.most_in_the_air.max(page.in_the_air);
        if page.requests.len() < KEPT {
            page.requests.push(request.clone());
        }
        InTheAir(self)
    }
}

/// A request that is being answered.
pub(super) struct InTheAir<'a>(&'a Book);

impl Drop for InTheAir<'_> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().in_the_air -= 1;
    }
}
