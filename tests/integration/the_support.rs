//! The support itself, on a server without the module: if these fail, the
//! other failures say nothing.

use crate::support::{Gate, Origin, Reply, Server, Value, until};

#[test]
fn a_server_starts_restarts_and_ends_in_good_order() {
    let mut server = Server::builder().without_module().start();
    server.client().ok(&["SET", "key", "value"]);
    server.client().ok(&["SAVE"]);
    server.restart();
    assert_eq!(server.client().text(&["GET", "key"]), "value");
    assert!(server.is_alive());
    assert!(server.shutdown_nosave());
}

#[test]
fn a_client_reads_every_kind_of_reply() {
    let server = Server::builder().without_module().start();
    let mut client = server.client();
    client.ok(&[b"SET".as_ref(), b"key", &[0, 255, b'\r', b'\n']]);
    assert_eq!(client.bytes(&["GET", "key"]), [0, 255, b'\r', b'\n']);
    client.null(&["GET", "no such key"]);
    assert_eq!(client.int(&["DBSIZE"]), 1);
    assert_eq!(client.error(&["INCR", "key"]), "ERR value is not an integer or out of range");
    assert_eq!(client.array(&["MGET", "none"]), [Value::Nil]);
    let mut client = client.resp3();
    client.null(&["GET", "no such key"]);
    let big = "x".repeat(100 << 20);
    client.ok(&["SET", "big", &big]);
    assert_eq!(client.bytes(&["GET", "big"]).len(), big.len());
}

#[test]
fn a_gauge_is_waited_for() {
    let server = Server::builder().without_module().start();
    let waiting = server.clients(3).into_iter().map(|mut client| {
        client.send(&["BLPOP", "list", "0"]);
        client
    });
    let mut waiting: Vec<_> = waiting.collect();
    server.until_gauge("blocked_clients", 3);
    drop(waiting.pop());
    server.until_gauge("blocked_clients", 2);
}

#[test]
fn an_origin_holds_an_answer_until_its_gate_opens() {
    use std::io::{Read, Write};
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/held", Reply::ok("body").gate(&gate).close_after());
    origin.on("/half", Reply::ok("body").chunked(3).gate_body(2, &gate).close_after());

    let ask = |path: &str| {
        let address = origin.url("").replace("http://", "");
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        stream
    };
    let mut held = ask("/held");
    let mut half = ask("/half");
    drop(ask("/held"));
    origin.until_hits("/held", 2);
    origin.until_hits("/half", 1);
    origin.until_in_the_air(2); // the one that hung up is gone
    gate.open();
    let mut answers = [String::new(), String::new()];
    held.read_to_string(&mut answers[0]).unwrap();
    half.read_to_string(&mut answers[1]).unwrap();
    assert_eq!(answers[0], "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody");
    assert!(answers[1].ends_with("\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"), "{}", answers[1]);
    until("the air to be empty", || origin.in_the_air() == 0);
    assert_eq!(origin.total(), 3);
    assert_eq!(origin.requests()[0].header("host"), Some("h"));
}
