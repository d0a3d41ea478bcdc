//! Downloads over HTTP, by one `reqwest` client that all threads share: its connections are kept and
//! used again, whichever thread comes next. A guard that changes gets a client of its own.

use std::error::Error as _;
use std::io::{self, Read};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
};
use reqwest::redirect::Policy;
use reqwest::{Proxy, StatusCode};

use super::authorities::{self, NoAuthorities};
use super::decode::{ACCEPTED, Coding, decoded};
use super::resolver::GuardedResolver;
use crate::cache::error::{Denied, FetchError};
use crate::cache::guard::Guard;
use crate::cache::headers::Headers;
use crate::cache::incoming::Incoming;
use crate::cache::origin::{Fetched, Origin, Request, Sink, is_success};
use crate::cache::variant::Method;

/// How the cache names itself to origins.
const USER_AGENT: &str = concat!("cache-get/", env!("CARGO_PKG_VERSION"));

/// How long an idle connection is kept; each costs some 40 KiB.
const KEPT: Duration = Duration::from_secs(30);

/// The most bytes of headers that a response may have, names and values.
const MOST_HEADERS: u32 = 64 * 1024;

/// The origin side of all flights.
pub struct HttpOrigin {
    policies: Policies,
    vetted: RwLock<Vetted>,
}

/// A client, and what all its connections were made under.
#[derive(Clone)]
struct Vetted {
    guard: Arc<Guard>,
    client: Client,
    /// How many authorities there were when it was built.
    authorities: usize,
    /// Whether it could take any of them, and so can check certificates.
    has_authorities: bool,
}

/// What is asked anew for each request, since settings change.
pub struct Policies {
    /// The guard in force.
    pub guard: Box<dyn Fn() -> Arc<Guard> + Send + Sync>,
    /// The most redirects that are followed.
    pub max_redirects: Arc<dyn Fn() -> usize + Send + Sync>,
}

impl HttpOrigin {
    /// Builds the client.
    ///
    /// # Errors
    /// Why there can be none.
    pub fn new(policies: Policies) -> Result<Self, String> {
        let guard = (policies.guard)();
        let vetted = Vetted::new(guard, &policies).map_err(|error| innermost(&error))?;
        Ok(Self { policies, vetted: RwLock::new(vetted) })
    }

    /// Whether https can work, as far as was seen of late.
    pub fn has_authorities(&self) -> bool {
        self.vetted.read().unwrap_or_else(PoisonError::into_inner).has_authorities
    }

    /// The guard in force, and a client that has no connection but such as were made under it: one that
    /// was kept from before would be a way around a guard that has been tightened since. Where TLS is needed and
    /// no authority was known, looks again: they may have been installed.
    fn vetted(&self, needs_tls: impl Fn(&Guard) -> bool) -> Result<Vetted, FetchError> {
        let guard = (self.policies.guard)();
        {
            let vetted = self.vetted.read().unwrap_or_else(PoisonError::into_inner);
            let will_do = vetted.has_authorities
                || !needs_tls(&guard)
                || vetted.authorities == authorities::count();
            if vetted.guard == guard && will_do {
                return Ok(vetted.clone());
            }
        }
        let vetted = Vetted::new(guard, &self.policies).map_err(|error| explain(&error))?;
        *self.vetted.write().unwrap_or_else(PoisonError::into_inner) = vetted.clone();
        Ok(vetted)
    }
}

impl Vetted {
    fn new(guard: Arc<Guard>, policies: &Policies) -> reqwest::Result<Self> {
        let authorities = authorities::count();
        // It is also an error if there are some and none is valid.
        let whole = if authorities > 0 { build(&guard, policies, true).ok() } else { None };
        let has_authorities = whole.is_some();
        let client = match whole {
            Some(client) => client,
            None => build(&guard, policies, false)?,
        };
        Ok(Self { guard, client, authorities, has_authorities })
    }
}

fn build(
    guard: &Arc<Guard>,
    policies: &Policies,
    has_authorities: bool,
) -> reqwest::Result<Client> {
    let max_redirects = Arc::clone(&policies.max_redirects);
    let redirect_guard = Arc::clone(guard);
    // The environment's proxies are not heeded: `no_proxy` forgets them.
    let mut builder = Client::builder().no_proxy();
    if let Some(proxy) = &guard.proxy {
        builder = builder.proxy(Proxy::all(proxy.as_str())?);
    }
    if !has_authorities {
        // The system's are not asked then: without any there would be no client at all.
        builder = builder.tls_certs_only([]);
    }
    builder
        .user_agent(USER_AGENT)
        .http2_max_header_list_size(MOST_HEADERS)
        .referer(false) // it would tell where a redirect leads the query of the URL that it came from
        .timeout(None)
        .pool_idle_timeout(KEPT)
        .dns_resolver(Arc::new(GuardedResolver::new(Arc::clone(guard))))
        .redirect(Policy::custom(move |attempt| {
            if attempt.previous().len() > max_redirects() {
                return attempt.error(TooManyRedirects);
            }
            if !has_authorities && attempt.url().scheme() == "https" {
                return attempt.error(NoAuthorities);
            }
            match redirect_guard.vet_redirect(attempt.previous().last(), attempt.url()) {
                Ok(()) => attempt.follow(),
                Err(denied) => attempt.error(denied),
            }
        }))
        .build()
}

impl Origin for HttpOrigin {
    fn fetch(&self, request: &Request, sink: &mut dyn Sink) -> Result<Fetched, FetchError> {
        let needs_tls = |guard: &Guard| {
            let through = guard.proxy.as_ref().map(|proxy| proxy.scheme() == "https");
            request.url.scheme() == "https" || through == Some(true)
        };
        let Vetted { guard, client, has_authorities, .. } = self.vetted(needs_tls)?;
        guard.vet_url(&request.url).map_err(FetchError::Denied)?;
        if !has_authorities && needs_tls(&guard) {
            return Err(FetchError::failed(&NoAuthorities.to_string()));
        }
        let response = compose(&client, request).send().map_err(|error| explain(&error))?;
        if header_bytes(&response) > u64::from(MOST_HEADERS) {
            return Err(FetchError::failed("the response's headers are too large"));
        }
        let status = response.status();
        if status == StatusCode::NOT_MODIFIED && request.validators.is_some() {
            return Ok(Fetched::NotModified(headers(&response)));
        }
        if !is_success(status.as_u16()) {
            let reason = status.canonical_reason().unwrap_or_default();
            return Err(FetchError::Status(status.as_u16(), reason));
        }
        let mut length = response.content_length();
        if length.is_some_and(|length| length > request.max_body) {
            return Err(FetchError::TooLarge);
        }
        let mut headers = headers(&response);
        let coding = response.headers().get(CONTENT_ENCODING);
        let coding = coding.and_then(|value| Coding::parse(value.as_bytes()));
        if coding.is_some() {
            // They describe the body as it came over the wire.
            length = None;
            let of_the_wire = [CONTENT_ENCODING.as_str(), CONTENT_LENGTH.as_str()];
            headers.retain(|(name, _)| !of_the_wire.contains(&name.as_str()));
        }
        let incoming = sink.begin(status.as_u16(), &headers, length);
        read_body(response, coding, request.max_body, incoming)?;
        Ok(Fetched::Whole)
    }
}

fn compose(client: &Client, request: &Request) -> RequestBuilder {
    let method = match request.variant.method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
    };
    // A timeout of the request, unlike one of the client, is a deadline for the whole of it.
    let mut builder = client
        .request(method, request.url.clone())
        .timeout(request.time_left)
        .header(ACCEPT_ENCODING, ACCEPTED);
    if let Some(body) = &request.variant.body {
        builder = builder.body(body.clone());
    }
    for (name, value) in &request.variant.headers {
        builder = builder.header(name, value.as_slice());
    }
    if let Some(validators) = &request.validators {
        for (name, value) in
            [(IF_NONE_MATCH, &validators.etag), (IF_MODIFIED_SINCE, &validators.last_modified)]
        {
            if let Some(value) = value {
                builder = builder.header(name, value.as_slice());
            }
        }
    }
    builder
}

fn header_bytes(response: &Response) -> u64 {
    let sizes = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    sizes.sum::<usize>() as u64
}

fn headers(response: &Response) -> Headers {
    let pairs = response.headers().iter();
    pairs.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

/// What comes out of the decoder is under the same cap, which `incoming` knows: a small body may unpack to a
/// huge one.
fn read_body(
    response: Response,
    coding: Option<Coding>,
    max: u64,
    incoming: &mut Incoming,
) -> Result<(), FetchError> {
    let mut body = decoded(response, coding, max).map_err(|error| explain_read(&error))?;
    loop {
        match body.read(incoming.room()) {
            Ok(0) => return Ok(()),
            Ok(count) => incoming.arrived(count)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(explain_read(&error)),
        }
    }
}

/// More redirects than `max-redirects`.
#[derive(Debug)]
struct TooManyRedirects;

impl std::fmt::Display for TooManyRedirects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("too many redirects")
    }
}

impl std::error::Error for TooManyRedirects {}

fn explain_read(error: &io::Error) -> FetchError {
    if let Some(ours) = error.get_ref().and_then(|inner| inner.downcast_ref::<FetchError>()) {
        return ours.clone();
    }
    match error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>()) {
        Some(inner) => explain(inner),
        None if error.kind() == io::ErrorKind::TimedOut => FetchError::Timeout,
        None => FetchError::failed(&innermost(error)),
    }
}

/// Turns the client's error into ours, by type: what a guard said lies somewhere in its chain of causes.
fn explain(error: &reqwest::Error) -> FetchError {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(denied) = inner.downcast_ref::<Denied>() {
            return FetchError::Denied(*denied);
        }
        cause = inner.source();
    }
    if error.is_timeout() { FetchError::Timeout } else { FetchError::failed(&innermost(error)) }
}

/// The last cause of a chain: the one that says what happened, and no URL.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
