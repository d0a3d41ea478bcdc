//! The documents: what they show is what happens, and what they list is what there is.
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
//! ([`Tokens`]). A fraction of a second, in quotes, stands for any other ([`as_quick`]). The host is `shop.example`; what it has is in [`open_shop`].

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::scene::Scene;
use crate::support::client::{bytes_of, line};
use crate::support::{Client, Gate, Origin, Reply, Request, Server, Value};

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

#[test]
fn the_readme_lists_every_command() {
    let rows = rows_of_the_readme("command");
    let listed = rows.iter().map(|row| {
        let name = ticked(&row[0])[0].split(' ').next().unwrap_or_default().to_lowercase();
        let link = format!("(docs/commands/{name}.md)");
        assert!(row[1].contains(&link), "the row of {name} has no link to its page");
        name
    });
    assert_eq!(listed.collect::<BTreeSet<_>>(), commands(&mut Server::start().client()));
}

#[test]
fn every_command_has_a_page_and_they_all_have_one_form() {
    let server = Server::start();
    let mut client = server.client();
    let commands = commands(&mut client);
    let pages = pages();
    let named = pages.iter().map(|page| page.file_stem().unwrap().to_string_lossy().into_owned());
    assert_eq!(named.collect::<BTreeSet<_>>(), commands);
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        let name = page.file_stem().unwrap().to_string_lossy().to_uppercase();
        assert!(text.starts_with(&format!("# {name}\n\n```\n{name} ")), "{name}: its beginning");
        let headings: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(headings, HEADINGS, "{name}");
        for fact in ["Available since", "Complexity", "Flags", "ACL"] {
            assert!(text.contains(&format!("\n- **{fact}:** ")), "{name} does not tell: {fact}");
        }
        let info = client.array(&["COMMAND", "INFO", &name]).remove(0);
        for flag in FLAGS {
            let told = text
                .lines()
                .any(|line| line.starts_with("- **Flags:**") && ticked(line).contains(&flag));
            assert_eq!(told, mentions(&info, flag), "{name}: the flag {flag}");
        }
        if let Some(categories) = categories(&mut client, &info) {
            assert_eq!(categories_told(&text), categories, "{name}: its ACL categories");
        }
        let docs = Value::Array(client.array(&["COMMAND", "DOCS", &name]));
        let syntax = text.split("```").nth(1).unwrap_or_default();
        for option in OPTIONS {
            assert_eq!(syntax.contains(option), mentions(&docs, option), "{name}: {option}");
        }
    }
}

/// The headings of a command's page.
const HEADINGS: [&str; 6] = ["Arguments", "Reply", "Errors", "Examples", "Notes", "See also"];
/// The flags that say what a command is to the server.
const FLAGS: [&str; 6] = ["write", "readonly", "blocking", "fast", "denyoom", "admin"];
/// The words that commands know.
const OPTIONS: [&str; 9] =
    ["STALE", "REFRESH", "NOWAIT", "METHOD", "BODY", "HEADER", "TTL", "TIED", "COUNT"];

/// A command's ACL categories, with our own, which an older server lacks; `None` if it lacks all of them.
fn categories(client: &mut Client, info: &Value) -> Option<BTreeSet<String>> {
    let Value::Array(parts) = info else {
        panic!("no information: {info:?}");
    };
    let (Value::Array(categories) | Value::Set(categories)) = parts[6].clone() else {
        panic!("no categories: {info:?}");
    };
    let mut categories: BTreeSet<_> = categories.into_iter().map(text_of).collect();
    let known = client.array(&["ACL", "CAT"]).into_iter().map(text_of).any(|name| name == "cache");
    let is_for_all = !categories.is_empty() && !categories.contains("@admin");
    if !known && is_for_all {
        categories.insert("@cache".to_owned());
    }
    (!categories.is_empty()).then_some(categories)
}

/// Those that its page tells of.
fn categories_told(page: &str) -> BTreeSet<String> {
    let fact = page.split("\n- **ACL:**").nth(1).and_then(|rest| rest.split("\n\n").next());
    let words = ticked(fact.unwrap_or_default()).into_iter();
    words.filter(|word| word.starts_with('@') && *word != "@all").map(str::to_owned).collect()
}

#[test]
fn the_readme_lists_every_setting_with_its_default() {
    let server = Server::builder()
        .config("cache.allowed-networks", "")
        .config("cache.allowed-ports", "80 443")
        .start();
    let settings = server.client().array(&["CONFIG", "GET", "cache.*"]);
    let texts: Vec<_> = settings.into_iter().map(text_of).collect();
    let settings: BTreeSet<_> =
        texts.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    let listed = rows_of_the_readme("setting").into_iter().map(|row| {
        let default = ticked(&row[1]).first().copied().unwrap_or_default().to_owned();
        (ticked(&row[0])[0].to_owned(), default)
    });
    assert_eq!(listed.collect::<BTreeSet<_>>(), settings);
}

#[test]
fn the_readme_lists_every_field_of_info() {
    let info = Server::start().client().text(&["INFO", "cache"]);
    let fields = info.lines().filter_map(|line| Some(line.split_once(':')?.0.to_owned()));
    let rows = rows_of_the_readme("field");
    let listed = rows.iter().flat_map(|row| ticked(&row[0]));
    assert_eq!(
        listed.map(|field| format!("cache_{field}")).collect::<BTreeSet<_>>(),
        fields.collect::<BTreeSet<_>>()
    );
}

#[test]
fn every_link_leads_to_a_file() {
    let mut documents = pages();
    documents.extend(
        ["README.md", "docs/architecture.md", "docs/security.md"].map(|path| root().join(path)),
    );
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let file = document.with_file_name(link);
            let there = link.is_empty() || link.contains("://") || file.exists();
            assert!(there, "{} has a link to {link}", document.display());
        }
    }
}

#[test]
fn the_security_page_names_settings_and_tests_that_there_are() {
    let sources = sources(&root().join("src")) + &sources(&root().join("tests"));
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    for setting in ticked(&page).into_iter().filter(|word| word.starts_with("cache.")) {
        let name = setting.split(' ').next().unwrap_or_default();
        let known = name == "cache.*" || readme.contains(&format!("| `{name}` |"));
        assert!(known, "there is no {name}");
    }
    assert!(!page.contains("TEST:"), "a defence without a test");
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let tests: Vec<_> = rows.filter_map(|row| row.split('|').nth(4)).flat_map(ticked).collect();
    assert!(tests.len() > 50, "where are the tests?");
    for test in tests {
        assert!(sources.contains(&format!("fn {test}(")), "there is no test {test}");
    }
}

/// The text of all sources in a folder.
fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let text = entries.map(|path| match path.extension() {
        _ if path.is_dir() => sources(&path),
        Some(extension) if extension == "rs" => fs::read_to_string(&path).unwrap(),
        _ => String::new(),
    });
    text.collect()
}

/// The cells of the table whose first column has this title.
fn rows_of_the_readme(title: &str) -> Vec<Vec<String>> {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let head = format!("| {title} | ");
    let table = readme.lines().skip_while(|line| !line.starts_with(&head)).skip(2);
    let rows = table.take_while(|line| line.starts_with("| "));
    let cells = |row: &str| row.trim_matches(['|', ' ']).split(" | ").map(str::to_owned).collect();
    rows.map(cells).collect()
}

/// What stands between backticks.
fn ticked(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn commands(client: &mut Client) -> BTreeSet<String> {
    let all = client.array(&["COMMAND", "LIST", "FILTERBY", "MODULE", "cache"]);
    all.into_iter().map(text_of).collect()
}

fn text_of(value: Value) -> String {
    String::from_utf8(bytes_of(value)).unwrap()
}

/// Whether this word is anywhere in a reply.
fn mentions(value: &Value, word: &str) -> bool {
    match value {
        Value::Array(items) | Value::Set(items) => items.iter().any(|item| mentions(item, word)),
        Value::Int(_) | Value::Nil => false,
        text => bytes_of(text.clone()) == word.as_bytes(),
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The commands' pages.
fn pages() -> Vec<PathBuf> {
    let folder = fs::read_dir(root().join("docs/commands")).unwrap();
    let mut pages: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    pages
}
