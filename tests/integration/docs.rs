//! The documents' lists: what they list is what there is. What they show is played in `sessions`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::client::bytes_of;
use crate::support::{Client, Server, Value};

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
const OPTIONS: [&str; 10] =
    ["STALE", "REFRESH", "NOWAIT", "METHOD", "BODY", "HEADER", "TTL", "TIED", "COUNT", "FORCE"];

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
pub fn rows_of_the_readme(title: &str) -> Vec<Vec<String>> {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let head = format!("| {title} | ");
    let table = readme.lines().skip_while(|line| !line.starts_with(&head)).skip(2);
    let rows = table.take_while(|line| line.starts_with("| "));
    let cells = |row: &str| row.trim_matches(['|', ' ']).split(" | ").map(str::to_owned).collect();
    rows.map(cells).collect()
}

/// What stands between backticks.
pub fn ticked(text: &str) -> Vec<&str> {
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

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The commands' pages.
pub fn pages() -> Vec<PathBuf> {
    let folder = fs::read_dir(root().join("docs/commands")).unwrap();
    let mut pages: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    pages
}
