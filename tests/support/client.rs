//! One connection to the server, and nothing clever in it.
//!
//! The `redis` crate brings the protocol; its own connections do not fit
//! here, because the tests must see an error's whole line, send commands
//! whose replies they read much later (that is how one thread plays two
//! hundred waiting clients), and hang up in the middle of anything.

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};

pub use redis::Value;
use redis::{Parser, ServerError};

use super::until::PATIENCE;

/// A blocking connection. Dropping it hangs up.
pub struct Client {
    stream: TcpStream,
    parser: Parser,
}

impl Client {
    /// Connects to the server on this port of the loopback address.
    pub fn connect(port: u16) -> Self {
        Self::try_connect(port).expect("cannot connect to the server")
    }

    /// As [`Client::connect`], for a server that may not be there.
    pub fn try_connect(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, parser: Parser::new() })
    }

    /// Sends a command and does not wait for its reply.
    pub fn send(&mut self, args: &[impl AsRef<[u8]>]) {
        self.try_send(args).expect("cannot send to the server");
    }

    /// As [`Client::send`], for a server that may be gone.
    pub fn try_send(&mut self, args: &[impl AsRef<[u8]>]) -> std::io::Result<()> {
        self.stream.write_all(&packed(args))
    }

    /// Sends bytes as they are, in one write: several [`packed`] commands, say.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("cannot send to the server");
    }

    /// Reads one reply; an error reply is `Err` with its whole line.
    ///
    /// A connection that ends, or that stays silent for [`PATIENCE`], is an
    /// `Err` too; its text starts with `no reply`, as no error reply does.
    pub fn reply(&mut self) -> Result<Value, String> {
        match self.parser.parse_value(&mut self.stream) {
            Ok(Value::ServerError(error)) => Err(line(&error)),
            Ok(value) => Ok(value),
            Err(error) => Err(format!("no reply: {error}")),
        }
    }

    /// Sends a command and reads its reply.
    pub fn call(&mut self, args: &[impl AsRef<[u8]>]) -> Result<Value, String> {
        self.send(args);
        self.reply()
    }

    /// The bytes of a bulk or simple string that must come.
    pub fn bytes(&mut self, args: &[impl AsRef<[u8]>]) -> Vec<u8> {
        self.send(args);
        self.reply_bytes()
    }

    /// As [`Client::bytes`], for a command sent before.
    pub fn reply_bytes(&mut self) -> Vec<u8> {
        match self.reply() {
            Ok(value) => bytes_of(value),
            Err(line) => panic!("wanted bytes, got {line:?}"),
        }
    }

    /// The text of a bulk, simple or verbatim string that must come.
    pub fn text(&mut self, args: &[impl AsRef<[u8]>]) -> String {
        String::from_utf8(self.bytes(args)).expect("the reply is not text")
    }

    /// The integer that must come.
    pub fn int(&mut self, args: &[impl AsRef<[u8]>]) -> i64 {
        match self.call(args) {
            Ok(Value::Int(number)) => number,
            other => panic!("wanted an integer, got {other:?}"),
        }
    }

    /// The `OK` that must come.
    pub fn ok(&mut self, args: &[impl AsRef<[u8]>]) {
        let reply = self.call(args);
        assert_eq!(reply, Ok(Value::Okay));
    }

    /// The null that must come.
    pub fn null(&mut self, args: &[impl AsRef<[u8]>]) {
        self.send(args);
        self.reply_null();
    }

    /// As [`Client::null`], for a command sent before.
    pub fn reply_null(&mut self) {
        let reply = self.reply();
        assert_eq!(reply, Ok(Value::Nil));
    }

    /// The whole line of the error that must come.
    pub fn error(&mut self, args: &[impl AsRef<[u8]>]) -> String {
        self.send(args);
        self.reply_error()
    }

    /// As [`Client::error`], for a command sent before.
    pub fn reply_error(&mut self) -> String {
        self.reply().expect_err("wanted an error")
    }

    /// The elements of the array that must come.
    pub fn array(&mut self, args: &[impl AsRef<[u8]>]) -> Vec<Value> {
        match self.call(args) {
            Ok(Value::Array(elements)) => elements,
            other => panic!("wanted an array, got {other:?}"),
        }
    }

    /// Switches the connection to RESP3.
    pub fn resp3(mut self) -> Self {
        self.call(&["HELLO", "3"]).expect("the server does not speak RESP3");
        self
    }

    /// The connection's id, as `CLIENT UNBLOCK` wants it.
    pub fn id(&mut self) -> String {
        self.int(&["CLIENT", "ID"]).to_string()
    }
}

/// A command as it goes over the wire.
pub fn packed(args: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.as_ref().to_vec()).collect();
    redis::pack_command(&args)
}

/// The bytes that a string reply holds; panics at any other.
pub fn bytes_of(value: Value) -> Vec<u8> {
    match value {
        Value::BulkString(bytes) => bytes,
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text.into_bytes(),
        Value::Okay => b"OK".to_vec(),
        other => panic!("wanted bytes, got {other:?}"),
    }
}

/// An error reply as it stood on the wire, without its minus sign.
pub fn line(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    }
}
