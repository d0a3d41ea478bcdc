//! Several servers: masters, their replicas, and what the tests wait for between them.

use crate::scene::Scene;
use crate::support::client::bytes_of;
use crate::support::server::Builder;
use crate::support::{Client, Server, Value, until};

/// A server that a replica follows without delay.
pub fn as_master(builder: Builder) -> Builder {
    builder.config("repl-diskless-sync-delay", "0")
}

/// A scene whose server is a master, and a replica of it that has the module.
pub fn master_and_replica() -> (Scene, Server) {
    let scene = Scene::with(as_master);
    let replica = replica_of(&scene.server, Server::builder());
    (scene, replica)
}

/// A new replica that is in sync with its master.
pub fn replica_of(master: &Server, builder: Builder) -> Server {
    let replica = as_master(builder).start();
    follow(&replica, master);
    replica
}

/// Makes a server another's replica, and returns when it is in sync.
pub fn follow(replica: &Server, master: &Server) {
    replica.client().ok(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    until_linked(replica);
}

/// Waits until a replica is in sync with its master.
pub fn until_linked(replica: &Server) {
    until("the link", || replica.info("master_link_status").as_deref() == Some("up"));
}

/// Makes a replica a master.
pub fn promote(replica: &Server) {
    replica.client().ok(&["REPLICAOF", "NO", "ONE"]);
}

/// Waits until a server has this role, `master` or `slave`. Who makes it that may hang up on everyone, and
/// so each look has a connection of its own.
pub fn until_role(server: &Server, role: &str) {
    until(role, || {
        server.client().call(&["ROLE"]).is_ok_and(|reply| match reply {
            Value::Array(words) => words[0] == Value::BulkString(role.into()),
            _ => false,
        })
    });
    server.reconnect();
}

/// Writes behind all that was written so far, and returns when a replica has it.
pub fn fence(master: &mut Client) {
    master.int(&["DEL", "fence"]);
    master.ok(&["SET", "fence", "1"]);
    assert_eq!(master.int(&["WAIT", "1", "20000"]), 1, "no replica has followed");
    master.int(&["DEL", "fence"]);
    assert_eq!(master.int(&["WAIT", "1", "20000"]), 1, "no replica has followed");
}

/// What a connection is told that waits on a master which becomes a replica. Redis closes it then, and may
/// do so before it has read that.
pub fn is_unblocked(error: &str) -> bool {
    error.starts_with("UNBLOCKED force unblock from blocking operation, instance state changed")
}

/// Asks for the lease of a key that has neither value nor flight; the token.
pub fn lease(client: &mut Client, key: &str, options: &[&str]) -> String {
    let reply = client.array(&[&["CACHE.LEASE", key], options].concat());
    token_of(reply)
}

/// The token in a reply that must be a lease.
pub fn token_of(reply: Vec<Value>) -> String {
    let mut words = reply.into_iter().map(bytes_of);
    assert_eq!(words.next().as_deref(), Some(&b"lease"[..]), "this is no lease");
    String::from_utf8(words.next().unwrap()).unwrap()
}

/// The last element of an array.
pub fn last_of(reply: Value) -> Value {
    match reply {
        Value::Array(mut elements) => elements.pop().expect("the array is empty"),
        other => panic!("wanted an array, got {other:?}"),
    }
}
