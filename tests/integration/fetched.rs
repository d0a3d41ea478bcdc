//! What `CACHE.FETCH` answers, read from either protocol.

use crate::support::client::bytes_of;
use crate::support::{Client, Value};

/// The map, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Fetched {
    pub status: i64,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub age: Option<i64>,
    pub ttl: Option<i64>,
    pub cache: String,
}

impl Fetched {
    /// Reads a reply; panics if it is not of the documented form.
    pub fn read(reply: Value) -> Self {
        let pairs: Vec<(Value, Value)> = match reply {
            Value::Map(pairs) => pairs,
            Value::Array(flat) => {
                assert_eq!(flat.len() % 2, 0, "{flat:?}");
                flat.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
            }
            other => panic!("wanted a map, got {other:?}"),
        };
        let names: Vec<_> = pairs.iter().map(|(name, _)| text(name)).collect();
        assert_eq!(names, ["status", "headers", "body", "age", "ttl", "cache"]);
        let at = |place: usize| &pairs[place].1;
        Self {
            status: seconds(at(0)).expect("a status is never null"),
            headers: elements(at(1)).iter().map(pair).collect(),
            body: bytes_of(at(2).clone()),
            age: seconds(at(3)),
            ttl: seconds(at(4)),
            cache: text(at(5)),
        }
    }

    /// The values of a header, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let of_name = self.headers.iter().filter(|(given, _)| given == name);
        of_name.map(|(_, value)| value.as_str()).collect()
    }
}

/// Calls, and reads the map that must come.
pub fn fetch(client: &mut Client, args: &[impl AsRef<[u8]>]) -> Fetched {
    Fetched::read(client.call(args).expect("CACHE.FETCH fails"))
}

fn text(value: &Value) -> String {
    String::from_utf8(bytes_of(value.clone())).unwrap()
}

fn seconds(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Nil => None,
        other => panic!("wanted an integer or null, got {other:?}"),
    }
}

fn elements(value: &Value) -> &[Value] {
    match value {
        Value::Array(elements) => elements,
        other => panic!("wanted an array, got {other:?}"),
    }
}

fn pair(value: &Value) -> (String, String) {
    match elements(value) {
        [name, value] => (text(name), text(value)),
        other => panic!("wanted a pair, got {other:?}"),
    }
}
