//! The sessions that the documents show, played: what they show is what happens.
//!
//! A fenced block of the README or of a page in `docs/commands/` that has a
//! prompt in it is a session. Each is played on a server and an origin of its
//! own, and what comes of it must be the block, to the letter:
//!
//! ```text
//! $ redis-cli -3                                  if it is to speak RESP3
//! redis> CACHE.GET https://shop.example/hello 60  a command
//! "Hello"                                         its reply, as redis-cli prints it
//! other> CACHE.LEASE board                        a command of another client; if no reply stands below
//!                                                 it, that client waits
//! # the other client is answered                  its reply, then
//! # a word to the reader
//! # once it has expired                           waits until the next command's key is not fresh
//! # once it has landed                            lets what the origin holds back go, and waits
//! ```
//!
//! Tokens are random: the first that a block shows stands for the first that the server gives, and so on
//! ([`Tokens`]). A fraction of a second, in quotes, stands for any other ([`as_quick`]). The host is
//! `shop.example`; what it has is in [`open_shop`].

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::docs::{pages, root};
use crate::scene::Scene;
use crate::support::client::{bytes_of, line};
use crate::support::{Gate, Origin, Reply, Request, Server, Value};

const SHOP: &str = "https://shop.example";
const PROMPT: &str = "redis> ";
const OTHER: &str = "other> ";
const ANSWERED: &str = "# the other client is answered";
const RESP3: &str = "$ redis-cli -3";
const EXPIRED: &str = "# once it has expired";
const LANDED: &str = "# once it has landed";

/// The documents show whole seconds. A session that took longer than this may have seen one pass: that it
/// differs then proves nothing, and it is played again.
const A_TICK: Duration = Duration::from_millis(400);
/// How often it is.
const TRIES: usize = 5;

/// Puts onto the shelves all that the documents ask for.
fn open_shop(origin: &Origin, gate: &Gate) {
    let text = |body: &str| Reply::ok(body).header("Content-Type", "text/plain");
    let json = |body: &str| Reply::ok(body).header("Content-Type", "application/json");
    origin.on("/hello", text("Hello").header("ETag", "\"v1\""));
    origin.on("/world", text("World"));
    origin.on("/empty", text(""));
    origin.on(
        "/cat.jpg",
        Reply::ok(b"\xff\xd8\xff\xe0\0\x10JFIF").header("Content-Type", "image/jpeg"),
    );
    // Takes its time.
    origin.on("/report", text("the report").gate(gate));
    // Each look at it finds one less.
    let sold = AtomicU64::new(0);
    origin.on_fn("/stock", move |_| {
        text(&format!("{} left", 42 - sold.fetch_add(1, Ordering::Relaxed)))
    });
    // Stays as it is, and says so.
    origin.on_fn("/prices", move |request| match request.header("if-none-match") {
        Some("\"spring\"") => Reply::status(304, "Not Modified"),
        _ => json("{\"tea\":3}").header("ETag", "\"spring\""),
    });
    // Answers once, and then no more.
    let asked = AtomicU64::new(0);
    origin.on_fn("/weather", move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => text("sunny"),
        _ => Reply::status(503, "Service Unavailable"),
    });
    origin.on_fn("/me", |request| match request.header("authorization") {
        Some("Bearer ada") => Reply::ok("Hello Ada"),
        Some("Bearer bob") => Reply::ok("Hello Bob"),
        _ => Reply::status(401, "Unauthorized"),
    });
    origin.on_fn("/mood", mood);
}

fn mood(request: &Request) -> Reply {
    match (request.method.as_str(), request.body.as_slice()) {
        ("POST", b"{\"text\":\"great\"}") => Reply::ok("{\"mood\":\"good\"}"),
        ("POST", b"{\"text\":\"awful\"}") => Reply::ok("{\"mood\":\"bad\"}"),
        ("POST", _) => Reply::status(400, "Bad Request"),
        _ => Reply::status(405, "Method Not Allowed"),
    }
}

#[test]
fn every_session_in_the_readme_is_what_happens() {
    let sessions = sessions(&root().join("README.md"));
    assert!(sessions.len() >= 3, "where are the readme's sessions?");
    play_all(&sessions);
}

#[test]
fn every_session_on_the_command_pages_is_what_happens() {
    for page in pages() {
        let sessions = sessions(&page);
        assert!(!sessions.is_empty(), "{} has no example", page.display());
        play_all(&sessions);
    }
}

/// A block that is played.
struct Session {
    /// Where it stands.
    place: String,
    lines: Vec<String>,
}

fn sessions(document: &Path) -> Vec<Session> {
    let text = fs::read_to_string(document).unwrap();
    let mut sessions = Vec::new();
    let mut block: Option<Session> = None;
    for (number, line) in text.lines().enumerate() {
        match (&mut block, line.starts_with("```")) {
            (None, true) => {
                let place = format!("{}:{}", document.display(), number + 2);
                block = Some(Session { place, lines: Vec::new() });
            }
            (Some(_), true) => sessions.extend(block.take()),
            (Some(session), false) => session.lines.push(line.to_owned()),
            (None, false) => {}
        }
    }
    assert!(block.is_none(), "a block of {} does not end", document.display());
    sessions.retain(|session| session.lines.iter().any(|line| line.starts_with(PROMPT)));
    sessions
}

fn play_all(sessions: &[Session]) {
    let wrong: Vec<_> = sessions.iter().filter_map(differs).collect();
    assert!(wrong.is_empty(), "what happens is this:\n\n{}", wrong.join("\n\n"));
}

/// What happens, if that is something else.
fn differs(session: &Session) -> Option<String> {
    let mut happened = Vec::new();
    for _ in 0..TRIES {
        let begin = Instant::now();
        happened = play(session);
        if happened == session.lines {
            return None;
        }
        if begin.elapsed() < A_TICK {
            break;
        }
    }
    Some(format!("{}\n{}", session.place, happened.join("\n")))
}

fn play(session: &Session) -> Vec<String> {
    let origin = Origin::tls();
    let gate = Gate::closed();
    open_shop(&origin, &gate);
    let server = Server::builder().env("SSL_CERT_FILE", origin.ca_file()).start();
    let scene = Scene { client: server.client(), server, origin };
    let base = scene.origin.url("");
    let (mut client, mut other) = (scene.server.client(), scene.server.client());
    let mut tokens = Tokens::default();
    let mut happened = Vec::new();
    let mut lines = session.lines.iter().peekable();
    while let Some(line) = lines.next() {
        happened.push(line.clone());
        let command = |text: &str, tokens: &Tokens| words(&tokens.given(text).replace(SHOP, &base));
        let mut reply = None;
        if line == RESP3 {
            client = client.resp3();
        } else if line == LANDED {
            gate.open();
            scene.until_all_landed();
        } else if line == EXPIRED {
            let next = lines.peek().and_then(|line| line.strip_prefix(PROMPT));
            let url = &words(next.unwrap_or_default())[1];
            scene.until_expired(&url.replace(SHOP, &base));
        } else if let Some(text) = line.strip_prefix(PROMPT) {
            reply = Some(client.call(&command(text, &tokens)));
        } else if let Some(text) = line.strip_prefix(OTHER) {
            let waiting = scene.server.gauge("cache_waiters");
            other.send(&command(text, &tokens));
            if lines.peek().is_some_and(|line| is_reply(line)) {
                reply = Some(other.reply());
            } else {
                scene.server.until_gauge("cache_waiters", waiting + 1);
            }
        } else if line == ANSWERED {
            reply = Some(other.reply());
        } else {
            assert!(line.starts_with("# "), "{}: nothing is said by {line:?}", session.place);
            assert!(!line.starts_with("# once"), "{}: unknown: {line:?}", session.place);
        }
        if let Some(reply) = reply {
            let reply = reply.map_or_else(|line| format!("(error) {line}"), |it| printed(&it, 0));
            let mut shown = String::new();
            while let Some(line) = lines.next_if(|line| is_reply(line)) {
                shown += line;
                shown.push('\n');
            }
            tokens.bind(&shown, &reply);
            let reply = tokens.shown(&reply).replace(&base, SHOP);
            let mut shown = shown.lines();
            happened.extend(reply.lines().map(|line| as_quick(line, shown.next())));
        }
    }
    happened
}

/// A line of a reply as the block shows it, if the two differ by a fraction of a second alone.
fn as_quick(line: &str, shown: Option<&str>) -> String {
    let apart = |line: &str| {
        let (start, fraction) = line.strip_suffix('"')?.rsplit_once('"')?;
        let seconds = fraction.parse::<f64>().ok().filter(|seconds| (0.0..1.0).contains(seconds));
        seconds.map(|_| start.to_owned())
    };
    let same = shown.filter(|shown| apart(line).is_some_and(|start| apart(shown) == Some(start)));
    same.unwrap_or(line).to_owned()
}

fn is_reply(line: &str) -> bool {
    ![PROMPT, OTHER, "# "].iter().any(|start| line.starts_with(start))
}

/// The tokens that a block shows, each with the one that the server has given in its place.
#[derive(Default)]
struct Tokens(Vec<(String, String)>);

impl Tokens {
    /// Takes note of the tokens that are new in a reply.
    fn bind(&mut self, shown: &str, given: &str) {
        let known =
            |token: &str| self.0.iter().any(|(shown, given)| token == shown || token == given);
        let new = |text: &str| {
            let tokens = tokens_in(text).filter(|token| !known(token));
            tokens.map(str::to_owned).collect::<Vec<_>>()
        };
        let pairs: Vec<_> = new(shown).into_iter().zip(new(given)).collect();
        self.0.extend(pairs);
    }

    /// A text of the block, with the server's tokens.
    fn given(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (shown, given)| text.replace(shown, given))
    }

    /// A text of the server's, with the block's tokens.
    fn shown(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (shown, given)| text.replace(given, shown))
    }
}

/// The words of 32 hexadecimal digits.
fn tokens_in(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The words of a command line: apart by blanks, but for those in quotes. In double ones a backslash
/// takes the next character as it is.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut chars = command.trim().chars().peekable();
    while let Some(&first) = chars.peek() {
        let mut word = String::new();
        if first == '"' || first == '\'' {
            chars.next();
            while let Some(c) = chars.next().filter(|&c| c != first) {
                let escaped = c == '\\' && first == '"';
                word.push(if escaped { chars.next().unwrap_or(c) } else { c });
            }
        } else {
            while let Some(c) = chars.next_if(|&c| c != ' ') {
                word.push(c);
            }
        }
        words.push(word);
        while chars.next_if_eq(&' ').is_some() {}
    }
    words
}

/// A reply as redis-cli prints it on a terminal, in the middle of a line that is `indent` wide; blanks at
/// the end of a line are left out.
fn printed(value: &Value, indent: usize) -> String {
    match value {
        Value::Nil => "(nil)".to_owned(),
        Value::Int(number) => format!("(integer) {number}"),
        Value::BulkString(bytes) => quoted(bytes),
        Value::ServerError(error) => format!("(error) {}", line(error)),
        Value::Array(items) if items.is_empty() => "(empty array)".to_owned(),
        Value::Array(items) => {
            numbered(')', items.len(), indent, |at, indent| printed(&items[at], indent))
        }
        Value::Map(pairs) => numbered('#', pairs.len(), indent, |at, indent| {
            let (name, item) = &pairs[at];
            let apart = match item {
                Value::Array(items) if !items.is_empty() => format!("\n{:indent$}", ""),
                _ => " ".to_owned(),
            };
            format!("{} =>{apart}{}", printed(name, indent), printed(item, indent))
        }),
        Value::Okay | Value::SimpleString(_) => String::from_utf8(bytes_of(value.clone())).unwrap(),
        other => panic!("no document shows {other:?}"),
    }
}

fn numbered(
    mark: char,
    count: usize,
    indent: usize,
    item: impl Fn(usize, usize) -> String,
) -> String {
    let width = count.to_string().len();
    let line = |at| format!("{:>width$}{mark} {}", at + 1, item(at, indent + width + 2));
    (0..count).map(line).collect::<Vec<_>>().join(&format!("\n{:indent$}", ""))
}

fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b'\n' => text += "\\n",
            b'\r' => text += "\\r",
            b'\t' => text += "\\t",
            b' '..=b'~' => text.push(char::from(byte)),
            _ => write!(text, "\\x{byte:02x}").unwrap(),
        }
    }
    text + "\""
}
