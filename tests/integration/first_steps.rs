//! The README's first steps, and where a stock server refuses them: what its table quotes is what servers say.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::docs::{root, rows_of_the_readme, ticked};
use crate::support::server::Builder;
use crate::support::tmp::TempDir;
use crate::support::{Client, Server, module};

/// The row that quotes these words of a server's, and the words.
fn quoted(words: &str) -> &'static str {
    let rows = rows_of_the_readme("the server says");
    assert!(rows.len() >= 4, "where is the table?");
    let row = rows.iter().find(|row| ticked(&row[0]).contains(&words));
    assert!(row.is_some(), "the README does not quote {words:?}: {rows:?}");
    words.to_owned().leak()
}

/// Asserts that the library at this path is not loaded, and that the server logs these words.
fn is_refused(server: &Server, library: &Path, words: &str) {
    let call = ["MODULE", "LOAD", library.to_str().unwrap()];
    let error = server.client().error(&call);
    assert!(error.starts_with("ERR Error loading the extension"), "{error}");
    server.until_log(quoted(words));
}

#[test]
fn module_load_and_unload_need_a_setting_that_is_made_at_the_start_and_loadmodule_does_not() {
    let words = quoted("MODULE command not allowed");
    let library = module::path_text();
    let stock = |builder: Builder| builder.config("enable-module-command", "no").start();
    let empty = stock(Server::builder().without_module());
    let loaded = stock(Server::builder());
    loaded.client().null(&["CACHE.PEEK", "http://a/"]);
    for (server, call) in [
        (&empty, &["MODULE", "LOAD", &library][..]),
        (&empty, &["MODULE", "LOADEX", &library, "CONFIG", "cache.default-expiry", "600"]),
        (&loaded, &["MODULE", "UNLOAD", "cache"]),
    ] {
        let error = server.client().error(call);
        assert!(error.contains(words) && error.contains("enable-module-command"), "{error}");
    }
    let error = loaded.client().error(&["CONFIG", "SET", "enable-module-command", "yes"]);
    assert!(error.contains("can't set immutable config"), "{error}");
    for value in ["local", "yes"] {
        let builder = Server::builder().without_module().config("enable-module-command", value);
        let server = builder.start();
        server.client().ok(&[
            "MODULE",
            "LOADEX",
            &library,
            "CONFIG",
            "cache.default-expiry",
            "600",
        ]);
        server.client().ok(&["MODULE", "UNLOAD", "cache"]);
    }
}

#[test]
fn a_library_without_its_execute_bit_is_refused() {
    let folder = TempDir::new();
    let library = folder.path().join("libcache_get.so");
    fs::copy(module::path(), &library).unwrap();
    let server = Server::builder().without_module().start();
    fs::set_permissions(&library, fs::Permissions::from_mode(0o644)).unwrap();
    is_refused(&server, &library, "It does not have execute permissions");
    fs::set_permissions(&library, fs::Permissions::from_mode(0o755)).unwrap();
    server.client().ok(&["MODULE", "LOAD", library.to_str().unwrap()]);
}

#[test]
fn a_library_that_the_server_cannot_see_is_refused() {
    let server = Server::builder().without_module().start();
    is_refused(&server, Path::new("/nowhere/libcache_get.so"), "cannot open shared object file");
}

/// Mounts a folder ($0) from which nothing may be executed, puts a file ($1) there, and becomes the rest.
const NO_EXEC: &str =
    "mount -t tmpfs -o noexec tmpfs \"$0\" && cp \"$1\" \"$0\" && shift && exec \"$@\"";

#[test]
fn a_library_where_nothing_may_be_executed_is_refused() {
    let folder = TempDir::new();
    let (place, library) = (folder.path().to_str().unwrap(), module::path_text());
    let words = ["unshare", "-rm", "sh", "-c", NO_EXEC, place, &library];
    let mut probe = Command::new("sh");
    probe.args(["-c", "exec \"$@\"", "sh"]).args(words).arg("true");
    if !probe.stderr(Stdio::null()).status().unwrap().success() {
        eprintln!("skipped: this user may not mount a folder without execution (unshare -rm)");
        return;
    }
    let server = Server::builder().without_module().under(&words).start();
    let library = folder.path().join(PathBuf::from(&library).file_name().unwrap());
    is_refused(&server, &library, "failed to map segment from shared object");
}

/// What Debian's and Ubuntu's packages give to systemd, where one is installed.
const UNITS: [&str; 4] = [
    "/usr/lib/systemd/system/redis-server.service",
    "/lib/systemd/system/redis-server.service",
    "/usr/lib/systemd/system/valkey-server.service",
    "/lib/systemd/system/valkey-server.service",
];

#[test]
fn debians_service_lets_libraries_be_mapped_from_where_the_readme_says() {
    let Some(unit) = UNITS.iter().find_map(|unit| fs::read_to_string(unit).ok()) else {
        eprintln!("skipped: no package has brought a service: {UNITS:?}");
        return;
    };
    let lines: Vec<_> = unit.lines().collect();
    let has = |line: &str| assert!(lines.contains(&line), "the service has no {line}");
    has("NoExecPaths=/");
    has("ProtectHome=true");
    has("PrivateTmp=true");
    let open = lines.iter().find_map(|line| line.strip_prefix("ExecPaths="));
    let open: Vec<_> = open.expect("it opens no path").split(' ').collect();
    let folders: Vec<_> = open.iter().filter(|path| !path.ends_with("-server")).collect();
    assert_eq!(folders, [&"/usr/lib", &"/lib"]);

    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for word in ["`/usr/lib`", "`/lib`", "`NoExecPaths=/`", "`ProtectHome`", "`PrivateTmp`"] {
        assert!(readme.contains(word), "the README does not say {word}");
    }
}

#[test]
fn info_shows_our_fields_where_the_readme_says() {
    let server = Server::start();
    let shows = |client: &mut Client, call: &[&str]| client.text(call).contains("cache_hits:");
    let mut client = server.client();
    for section in ["cache", "modules", "everything"] {
        assert!(shows(&mut client, &["INFO", section]), "INFO {section}");
    }
    assert!(!shows(&mut client, &["INFO"]));
    assert!(!shows(&mut client, &["INFO", "all"]));
    assert!(!shows(&mut client, &["INFO", "default"]));
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.contains("plain `INFO` and `INFO all` do not"), "what does the README say?");
}
