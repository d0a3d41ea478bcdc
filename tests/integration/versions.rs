//! A new version of the library, in a server that goes on: under a file name of its own it runs, in the place of the
//! old one it does not.

use std::fs;
use std::path::{Path, PathBuf};

use crate::scene::{BODY, Scene};
use crate::support::server::Builder;
use crate::support::tmp::TempDir;
use crate::support::{Reply, Server, module, until};

fn copy_to(path: &Path) {
    fs::copy(module::path(), path).unwrap();
}

fn load(server: &Server, path: &Path) {
    let opened = ["cache.allowed-networks", "127.0.0.0/8", "CONFIG", "cache.allowed-ports", ""];
    let call = [&["MODULE", "LOADEX", path.to_str().unwrap(), "CONFIG"], &opened[..]].concat();
    server.call(&call).unwrap_or_else(|error| panic!("{error}: {}", server.log()));
}

/// Unloads as soon as no download is ending.
fn unload(server: &Server) {
    until("the module to be unloaded", || server.call(&["MODULE", "UNLOAD", "cache"]).is_ok());
}

/// The files that the server has mapped code from, below a folder; one that is not there any more says so.
fn mapped(server: &Server, folder: &TempDir) -> Vec<String> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", server.pid())).unwrap();
    let code = maps.lines().filter(|line| line.contains(" r-xp "));
    let prefix = format!("{}/", folder.path().display());
    let name = |line: &str| line.split_once(&prefix).map(|(_, name)| name.to_owned());
    let mut names: Vec<_> = code.filter_map(name).collect();
    names.sort();
    names.dedup();
    names
}

fn scene_with(folder: &TempDir) -> (Scene, PathBuf) {
    let scene = Scene::with(Builder::without_module);
    let old = folder.path().join("old.so");
    copy_to(&old);
    load(&scene.server, &old);
    (scene, old)
}

#[test]
fn a_new_version_under_a_name_of_its_own_runs() {
    let folder = TempDir::new();
    let (mut scene, old) = scene_with(&folder);
    let url = scene.serve("/a", Reply::ok(BODY));
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    scene.client.text(&["PING"]);
    scene.until_all_landed();
    let new = folder.path().join("new.so");
    copy_to(&new);
    for (round, path) in [&new, &old, &new].into_iter().enumerate() {
        unload(&scene.server);
        load(&scene.server, path);
        assert_eq!(mapped(&scene.server, &folder), ["new.so", "old.so"]);
        assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY, "kept over the change");
        let other = scene.serve(&format!("/{round}"), Reply::ok(BODY));
        assert_eq!(scene.client.text(&["CACHE.GET", &other]), BODY);
        assert_eq!(scene.server.gauge("cache_downloads"), 1);
        scene.client.text(&["PING"]);
    }
    assert_eq!(scene.origin.hits("/a"), 1);
}

#[test]
fn a_new_version_in_the_place_of_the_old_runs_after_a_restart_alone() {
    let folder = TempDir::new();
    let (mut scene, old) = scene_with(&folder);
    let new = folder.path().join("new.so");
    copy_to(&new);
    fs::rename(&new, &old).unwrap();
    unload(&scene.server);
    load(&scene.server, &old);
    assert_eq!(mapped(&scene.server, &folder), ["old.so (deleted)"], "the README says otherwise");
    scene.client.null(&["CACHE.PEEK", "key"]);
    scene.server.restart_as(|server| server.module(&old));
    scene.client = scene.server.client();
    assert_eq!(mapped(&scene.server, &folder), ["old.so"]);
    scene.client.null(&["CACHE.PEEK", "key"]);
}
