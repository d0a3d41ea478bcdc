//! The dynamic symbols of the built library: nothing that another library of the process may answer in its own
//! way, and nothing that brings memory of another allocator.
//!
//! Servers load modules with `RTLD_DEEPBIND` or without, and have jemalloc linked in, loaded, or not at all. What
//! is safe in each of these cases is said in `src/server/symbols.rs`.

use std::fs;

use object::{Object, ObjectSymbol};

use crate::scene::BODY;
use crate::support::{Origin, Reply, Server, module};

/// Weak references that may stay open, and why.
const WEAK: [(&str, &str); 8] = [
    ("_ITM_deregisterTMCloneTable", "the compiler's start-up code; transactional memory only"),
    ("_ITM_registerTMCloneTable", "the compiler's start-up code; transactional memory only"),
    ("__gmon_start__", "the compiler's start-up code; profiling only"),
    ("__cxa_finalize", "the C library's; runs this library's destructors"),
    ("__cxa_thread_atexit_impl", "the C library's; Rust's thread-local destructors"),
    ("getrandom", "the C library's; fills a buffer of ours"),
    ("gettid", "the C library's; a number"),
    ("statx", "the C library's; fills a buffer of ours"),
];

/// Functions of the C library whose result the caller is to give to `free`.
const HAND_OUT_MEMORY: [&str; 27] = [
    "aligned_alloc",
    "asprintf",
    "__asprintf_chk",
    "backtrace_symbols",
    "canonicalize_file_name",
    "get_current_dir_name",
    "getdelim",
    "__getdelim",
    "getifaddrs",
    "getline",
    "memalign",
    "open_memstream",
    "open_wmemstream",
    "pvalloc",
    "realpath",
    "reallocarray",
    "scandir",
    "scandir64",
    "strdup",
    "__strdup",
    "strndup",
    "tempnam",
    "valloc",
    "vasprintf",
    "__vasprintf_chk",
    "wcsdup",
    "glob",
];

/// A dynamic symbol: its name, whether this library lacks it, and whether it may be absent.
struct Symbol {
    name: String,
    is_undefined: bool,
    is_weak: bool,
}

fn dynamic_symbols() -> Vec<Symbol> {
    let library = fs::read(module::path()).unwrap();
    let library = object::File::parse(&*library).expect("the library is no object file");
    let symbols: Vec<_> = library
        .dynamic_symbols()
        .map(|symbol| Symbol {
            name: symbol.name().unwrap().to_owned(),
            is_undefined: symbol.is_undefined(),
            is_weak: symbol.is_weak(),
        })
        .collect();
    let has = |name: &str| symbols.iter().any(|symbol| symbol.name == name);
    assert!(has("RedisModule_OnLoad") && has("free"), "these are not the dynamic symbols");
    symbols
}

#[test]
fn no_weak_symbol_is_left_for_others_to_answer() {
    let known = |name: &str| WEAK.iter().any(|(weak, _)| *weak == name);
    let open: Vec<_> = dynamic_symbols()
        .into_iter()
        .filter(|symbol| symbol.is_undefined && symbol.is_weak && !known(&symbol.name))
        .map(|symbol| symbol.name)
        .collect();
    assert!(
        open.is_empty(),
        "close these in src/server/symbols.rs, or give a reason here: {open:?}"
    );
}

#[test]
fn no_function_is_imported_that_hands_out_memory() {
    let imported: Vec<_> = dynamic_symbols()
        .into_iter()
        .filter(|symbol| symbol.is_undefined && HAND_OUT_MEMORY.contains(&&*symbol.name))
        .map(|symbol| symbol.name)
        .collect();
    assert!(imported.is_empty(), "their memory may be of another allocator: {imported:?}");
}

#[test]
fn no_symbol_of_an_allocator_is_exported() {
    let exported: Vec<_> = dynamic_symbols()
        .into_iter()
        .filter(|symbol| !symbol.is_undefined)
        .map(|symbol| symbol.name)
        .filter(|name| name.contains("alloc") || name == "realpath" || name == "free")
        .collect();
    assert!(exported.is_empty(), "others in the process may bind to these: {exported:?}");
}

/// Each handshake takes and frees memory of the TLS library: keys, certificates, tickets.
#[test]
fn https_works_whatever_allocator_the_server_has() {
    let [origin, stranger] = [Origin::tls(), Origin::tls()];
    origin.otherwise(|_| Reply::ok(BODY));
    let server = Server::builder().env("SSL_CERT_FILE", origin.ca_file()).start();
    let mut client = server.client();
    for n in 0..8 {
        for host in ["127.0.0.1", "localhost"] {
            let url = origin.url_at(host, &format!("/{n}"));
            assert_eq!(client.text(&["CACHE.GET", &url]), BODY, "{url}");
        }
        let error = client.error(&["CACHE.GET", &stranger.url("/")]);
        assert!(error.starts_with("FETCHFAILED "), "{error}");
    }
    assert_eq!(origin.total(), 16);
}
