//! Downloads over HTTP, by one `reqwest` client that all threads share: its connections are kept and
//! used again, whichever thread comes next. A guard that changes gets a client of its own.

use std::error::Error as _;
use std::io::{self, Read};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderValue, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, LAST_MODIFIED, LOCATION, TRANSFER_ENCODING,
};
use reqwest::redirect::Policy;
use reqwest::{Proxy, StatusCode};

use super::authorities::{self, NoAuthorities};
use super::codings::{Coding, Codings};
use super::decode::{ACCEPTED, decoded};
use super::resolver::GuardedResolver;
use crate::cache::entry::Validators;
use crate::cache::error::{Denied, FetchError};
use crate::cache::guard::Guard;
use crate::cache::headers::{Headers, MOST_BYTES, too_much};
use crate::cache::incoming::Incoming;
use crate::cache::origin::{Fetched, Origin, Request, Sink, is_success};
use crate::cache::variant::Method;

/// How the cache names itself to origins.
const USER_AGENT: &str = concat!("cache-get/", env!("CARGO_PKG_VERSION"));

/// How long an idle connection is kept; each costs some 40 KiB.
const KEPT: Duration = Duration::from_secs(30);

/// Headers that describe a body as it came over the wire, and so none that has been decoded (RFC 9110 section 8.6,
/// RFC 9530).
const OF_THE_WIRE: [&str; 5] =
    ["content-length", "content-digest", "content-md5", "repr-digest", "digest"];

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
        .http2_max_header_list_size(u32::try_from(MOST_BYTES).unwrap_or(u32::MAX))
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
        let deadline = Instant::now() + request.time_left;
        let mut validators = request.validators.as_ref();
        let mut response = ask(&client, request, validators, deadline)?;
        if let Some(asked) = validators
            && response.status() == StatusCode::NOT_MODIFIED
        {
            if names_what_was_asked(&response, asked) {
                return Ok(Fetched::NotModified(headers(&response)));
            }
            // It speaks of a version that the cache does not have: no answer to what was asked.
            validators = None;
            response = ask(&client, request, validators, deadline)?;
        }
        let status = response.status();
        if !is_success(status.as_u16()) {
            if leads_elsewhere(&response) {
                return Err(FetchError::Denied(Denied::Scheme));
            }
            let reason = status.canonical_reason().unwrap_or_default();
            return Err(FetchError::Status(status.as_u16(), reason));
        }
        let mut length = response.content_length();
        if length.is_some_and(|length| length > request.max_body) {
            return Err(FetchError::TooLarge);
        }
        let mut headers = headers(&response);
        keep_true_length(&mut headers, response.headers().contains_key(TRANSFER_ENCODING));
        let codings = codings(&response)?;
        if !codings.keeps_header {
            headers.retain(|(name, _)| name != CONTENT_ENCODING.as_str());
        }
        if !codings.applied.is_empty() {
            length = None;
            headers.retain(|(name, _)| !OF_THE_WIRE.contains(&name.as_str()));
        }
        let incoming = sink.begin(status.as_u16(), &headers, length);
        read_body(response, &codings.applied, request.max_body, incoming)?;
        Ok(Fetched::Whole)
    }
}

/// Leaves out a length that a transfer coding overrides (RFC 9112 section 6.3), and one that is said twice.
fn keep_true_length(headers: &mut Headers, is_overridden: bool) {
    let mut is_said = is_overridden;
    headers.retain(|(name, _)| {
        name != CONTENT_LENGTH.as_str() || !std::mem::replace(&mut is_said, true)
    });
}

/// Sends a request; the head of the response is within its limits.
fn ask(
    client: &Client,
    request: &Request,
    validators: Option<&Validators>,
    deadline: Instant,
) -> Result<Response, FetchError> {
    let time_left = deadline.saturating_duration_since(Instant::now());
    let request = compose(client, request, validators).timeout(time_left);
    let response = request.send().map_err(|error| explain(&error))?;
    let fields = response.headers().iter();
    if too_much(fields.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))) {
        return Err(FetchError::failed("the response's headers are too large"));
    }
    Ok(response)
}

fn compose(client: &Client, request: &Request, validators: Option<&Validators>) -> RequestBuilder {
    let method = match request.variant.method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
    };
    // A timeout of the request, unlike one of the client, is a deadline for the whole of it.
    let mut builder = client.request(method, request.url.clone()).header(ACCEPT_ENCODING, ACCEPTED);
    match (&request.variant.body, request.variant.method) {
        (Some(body), _) if !body.is_empty() => builder = builder.body(body.clone()),
        // What has no body says so (RFC 9110 section 8.6); the HTTP library says nothing of it.
        (_, Method::Post) => builder = builder.header(CONTENT_LENGTH, 0),
        (_, Method::Get) => {}
    }
    for (name, value) in &request.variant.headers {
        builder = builder.header(name, value.as_slice());
    }
    if let Some(validators) = validators {
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

/// Whether a 304 speaks of the version that it was asked about.
fn names_what_was_asked(response: &Response, asked: &Validators) -> bool {
    let all = |name| response.headers().get_all(name).iter().map(HeaderValue::as_bytes);
    asked.are_of(all(ETAG), all(LAST_MODIFIED))
}

/// Whether a response is a redirect that the HTTP library does not take for one, since it leads neither to http nor
/// to https.
fn leads_elsewhere(response: &Response) -> bool {
    const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];
    let place = response
        .headers()
        .get(LOCATION)
        .filter(|_| REDIRECTS.contains(&response.status().as_u16()));
    let place = place.and_then(|place| std::str::from_utf8(place.as_bytes()).ok());
    let place = place.and_then(|place| response.url().join(place).ok());
    place.is_some_and(|place| !matches!(place.scheme(), "http" | "https"))
}

fn codings(response: &Response) -> Result<Codings, FetchError> {
    let all = |name| response.headers().get_all(name).iter().map(HeaderValue::as_bytes);
    Codings::of(all(CONTENT_ENCODING), all(TRANSFER_ENCODING))
}

fn headers(response: &Response) -> Headers {
    let pairs = response.headers().iter();
    pairs.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

/// What comes out of the decoder is under the same cap, which `incoming` knows: a small body may unpack to a
/// huge one.
fn read_body(
    response: Response,
    applied: &[Coding],
    max: u64,
    incoming: &mut Incoming,
) -> Result<(), FetchError> {
    let mut body = decoded(response, applied, max);
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
