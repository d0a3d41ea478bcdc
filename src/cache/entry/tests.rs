//! Entries are encoded, decoded and renewed; any bytes at all may be given.

use super::*;
use crate::cache::freshness::LATEST;
use proptest::prelude::*;

fn all_headers() -> StoreHeaders {
    StoreHeaders::parse("*").unwrap()
}

fn encode(status: u16, headers: &Headers, times: (Millis, Millis), body: &[u8]) -> Vec<u8> {
    let mut bytes = encode_head(status, headers, &all_headers());
    let start = bytes.first_chunk_mut().unwrap();
    stamp(start, times.0, FreshUntil::from_stored(times.1));
    bytes.extend_from_slice(body);
    bytes
}

#[test]
fn the_message_reads_as_documented() {
    let headers = vec![("content-type".into(), b"text/plain".to_vec())];
    let bytes = encode(200, &headers, (1_700_000_000_000, 1_700_000_060_000), b"hi");
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        "HTTP/1.1 200 \r\n\
         cache-get: 1 1700000000000 1700000060000 00000094\r\n\
         content-type: text/plain\r\n\
         \r\n\
         hi"
    );
}

#[test]
fn eight_digits_are_eight_digits() {
    assert_eq!(eight_digits(*b"00000000"), Some(0));
    assert_eq!(eight_digits(*b"12345678"), Some(12_345_678));
    assert_eq!(eight_digits(*b"99999999"), Some(99_999_999));
    for at in 0..8 {
        for byte in (0..=255_u8).filter(|byte| !byte.is_ascii_digit()) {
            let mut digits = *b"12345678";
            digits[at] = byte;
            assert_eq!(eight_digits(digits), None, "{byte} at {at}");
        }
    }
}

#[test]
fn other_strings_are_bodies_and_other_versions_are_unknown() {
    for bare in [&b""[..], b"hello", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 \r\ncache-ge"] {
        assert_eq!(decode(bare), Stored::Bare(bare));
    }
    let good = encode(200, &vec![], (1, 2), b"body");
    assert!(matches!(decode(&good), Stored::Entry(_)));
    for (at, byte) in [(26, b'2'), (27, b'1'), (50, b' '), (63, b'0'), (56, b'9')] {
        let mut damaged = good.clone();
        damaged[at] = byte;
        assert_eq!(decode(&damaged), Stored::Unknown, "byte {at}");
    }
    assert_eq!(decode(&good[..60]), Stored::Unknown);
}

#[test]
fn a_header_that_would_break_the_message_is_left_out() {
    let headers =
        vec![("x-evil".into(), b"a\r\n\r\nbody".to_vec()), ("x-good".into(), b"b".to_vec())];
    let head = String::from_utf8(encode_head(200, &headers, &all_headers())).unwrap();
    assert!(!head.contains("x-evil"));
    assert!(head.ends_with("x-good: b\r\n\r\n"));
}

fn entry_of(bytes: &[u8]) -> Entry<'_> {
    match decode(bytes) {
        Stored::Entry(entry) => entry,
        other => panic!("no entry: {other:?}"),
    }
}

fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(name, value)| ((*name).into(), value.as_bytes().to_vec())).collect()
}

#[test]
fn headers_read_back_with_their_repeats() {
    let stored = headers(&[("link", "a"), ("x", ""), ("link", "b: c")]);
    let bytes = encode(203, &stored, (1, 2), b"link: no\r\n");
    let entry = entry_of(&bytes);
    let read: Vec<_> = entry.headers().collect();
    assert_eq!(read, [(&b"link"[..], &b"a"[..]), (b"x", b""), (b"link", b"b: c")]);
    assert_eq!((entry.status(), entry.fetched()), (203, 1));
    assert_eq!(entry_of(&encode(200, &vec![], (1, 2), b"a: b\r\n")).headers().count(), 0);
}

#[test]
fn only_an_entry_with_a_validator_can_be_asked_about() {
    let with = headers(&[("etag", "W/\"1\""), ("last-modified", "today")]);
    let validators = entry_of(&encode(200, &with, (1, 2), b"")).validators().unwrap();
    assert_eq!(validators.etag.unwrap(), b"W/\"1\"");
    assert_eq!(validators.last_modified.unwrap(), b"today");
    let without = headers(&[("date", "today")]);
    assert_eq!(entry_of(&encode(200, &without, (1, 2), b"")).validators(), None);
}

#[test]
fn a_304_replaces_what_it_names_but_not_what_describes_the_body() {
    let old = headers(&[("etag", "1"), ("content-length", "4"), ("vary", "a"), ("vary", "b")]);
    let bytes = encode(200, &old, (1, 2), b"body");
    let new = headers(&[("vary", "c"), ("content-length", "0"), ("date", "today")]);
    let mut head = entry_of(&bytes).updated_head(&new, &all_headers()).unwrap();
    head.extend_from_slice(b"body");
    let read: Vec<_> = entry_of(&head).headers().map(|(name, _)| name.to_vec()).collect();
    assert_eq!(read, [&b"etag"[..], b"content-length", b"vary", b"date"]);
}

#[test]
fn versions_are_compared_weakly() {
    for (one, other) in [("\"1\"", "\"1\""), ("W/\"1\"", "\"1\""), (" \"1\" ", "W/\"1\""), ("", "")]
    {
        assert!(is_same_version(one.as_bytes(), other.as_bytes()), "{one} {other}");
    }
    for (one, other) in
        [("\"1\"", "\"2\""), ("W/\"1\"", "W/\"2\""), ("\"1\"", "1"), ("\"a\"", "\"A\"")]
    {
        assert!(!is_same_version(one.as_bytes(), other.as_bytes()), "{one} {other}");
    }
}

#[test]
fn a_304_is_of_the_version_that_was_asked_about_or_of_another() {
    let (one, other) = ("Sat, 01 Nov 2025 10:00:00 GMT", "Sun, 02 Nov 2025 10:00:00 GMT");
    for (stored, named, is_same) in [
        ((Some("\"1\""), None), (None, None), true),
        ((Some("\"1\""), None), (Some("W/\"1\""), None), true),
        ((Some("\"1\""), None), (Some("\"2\""), None), false),
        ((Some("\"1\""), None), (None, Some(other)), true),
        ((Some("\"1\""), Some(one)), (Some("\"1\""), Some(other)), true),
        ((Some("\"1\""), Some(one)), (Some("\"2\""), Some(one)), false),
        ((Some("\"1\""), Some(one)), (None, Some(one)), true),
        ((Some("\"1\""), Some(one)), (None, Some(other)), false),
        ((None, Some(one)), (None, None), true),
        ((None, Some(one)), (None, Some(one)), true),
        ((None, Some(one)), (None, Some(other)), false),
        ((None, Some(one)), (Some("\"1\""), None), false),
        ((None, Some(one)), (Some("\"1\""), Some(one)), false),
        ((None, Some(one)), (Some("W/\"1\""), Some(one)), true),
        ((None, Some(one)), (Some("W/\"1\""), None), true),
        ((None, Some(one)), (Some("W/\"1\""), Some(other)), false),
    ] {
        let bytes = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
        let asked = Validators { etag: bytes(stored.0), last_modified: bytes(stored.1) };
        let lines = |text: Option<&'static str>| text.map(str::as_bytes).into_iter();
        assert_eq!(asked.are_of(lines(named.0), lines(named.1)), is_same, "{stored:?} {named:?}");
    }
}

#[test]
fn what_is_of_the_connection_is_not_stored_and_not_taken_over() {
    let of_one = headers(&[
        ("connection", "close, x-one, Etag"),
        ("etag", "1"),
        ("x-one", "1"),
        ("x-two", "2"),
    ]);
    let bytes = encode(200, &of_one, (1, 2), b"");
    let read: Vec<_> = entry_of(&bytes).headers().collect();
    assert_eq!(read, [(&b"x-two"[..], &b"2"[..])]);
    let new =
        headers(&[("connection", "x-two"), ("x-two", "3"), ("proxy-status", "a"), ("x-one", "1")]);
    let head = entry_of(&bytes).updated_head(&new, &all_headers()).unwrap();
    let read: Vec<_> = entry_of(&head).headers().collect();
    assert_eq!(read, [(&b"x-two"[..], &b"2"[..]), (b"x-one", b"1")]);
}

#[test]
fn how_a_body_is_to_be_decoded_is_kept_whatever_the_list_says() {
    let coded = headers(&[("content-encoding", "compress"), ("content-type", "a")]);
    let head = encode_head(200, &coded, &StoreHeaders::default());
    let read: Vec<_> = entry_of(&head).headers().collect();
    assert_eq!(read, [(&b"content-encoding"[..], &b"compress"[..])]);
}

#[test]
fn a_head_does_not_grow_beyond_what_a_received_one_may_have() {
    let many = |from: usize, to: usize| -> Headers {
        (from..to).map(|n| (format!("x-{n:05}"), b"v".repeat(10))).collect()
    };
    let mut old = many(0, 900);
    old.push(("etag".into(), b"1".to_vec()));
    let bytes = encode(200, &old, (1, 2), b"");
    let entry = entry_of(&bytes);
    let count = |head: &[u8]| entry_of(head).headers().count();
    let etag = |head: &[u8]| entry_of(head).validators().unwrap().etag.unwrap();
    // New names, as many as there is room for, are taken.
    let mut new = many(900, 999);
    new.push(("etag".into(), b"2".to_vec()));
    let head = entry.updated_head(&new, &all_headers()).unwrap();
    assert_eq!((count(&head), etag(&head)), (1000, b"2".to_vec()));
    // One more: none of the new names is, but what they say of the old ones.
    new.push(("x-new".into(), b"v".to_vec()));
    let head = entry.updated_head(&new, &all_headers()).unwrap();
    assert_eq!((count(&head), etag(&head)), (901, b"2".to_vec()));
    // Old names with values that are too long.
    let long = vec![("x-00000".into(), b"v".repeat(MOST_BYTES - 100))];
    assert_eq!(entry.updated_head(&long, &all_headers()), None);
}

#[test]
fn a_shorter_head_is_padded_to_the_place_of_a_longer_one() {
    let bytes = encode(200, &headers(&[("etag", "123456")]), (1, 2), b"body");
    let length = bytes.len() - 4;
    let mut head = encode_head(200, &headers(&[("etag", "12")]), &all_headers());
    assert!(pad_head(&mut head, length));
    assert_eq!(head.len(), length);
    head.extend_from_slice(b"body");
    let entry = entry_of(&head);
    assert_eq!(entry.body(), b"body");
    assert_eq!(entry.headers().collect::<Vec<_>>(), [(&b"etag"[..], &b"12"[..])]);
    assert!(!pad_head(&mut head.clone(), length - 1), "a longer one fits nowhere");
    let mut bare = encode_head(200, &vec![], &all_headers());
    assert!(!pad_head(&mut bare, length), "there is no line to pad");
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_itself(
        status in 100..1000_u16,
        headers in prop::collection::vec(("[a-z-]{1,12}", prop::collection::vec(any::<u8>(), 0..20)), 0..6),
        fetched in 0..=LATEST,
        fresh_until in 0..=LATEST,
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = encode(status, &headers, (fetched, fresh_until), &body);
        let Stored::Entry(entry) = decode(&bytes) else {
            return Err(TestCaseError::fail("no entry"));
        };
        prop_assert_eq!(entry.fresh_until, FreshUntil::from_stored(fresh_until));
        prop_assert_eq!(entry.body(), &body);
    }

    #[test]
    fn no_damaged_head_panics_what_reads_or_renews_it(
        damage in prop::collection::vec((0..200_usize, any::<u8>()), 0..4),
        old in prop::collection::vec(("[a-z-]{0,12}", prop::collection::vec(any::<u8>(), 0..20)), 0..6),
        new in prop::collection::vec(("[a-z-]{1,12}", prop::collection::vec(any::<u8>(), 0..20)), 0..6),
        length in 0..400_usize,
    ) {
        let mut bytes = encode(200, &old, (5, 6), b"body");
        for (at, byte) in damage {
            if let Some(hit) = bytes.get_mut(at) {
                *hit = byte;
            }
        }
        if let Stored::Entry(entry) = decode(&bytes) {
            let _ = (entry.status(), entry.fetched(), entry.body(), entry.validators());
            let mut head = entry.updated_head(&new, &all_headers()).unwrap();
            let whole = [&head[..], b"body"].concat();
            prop_assert!(matches!(decode(&whole), Stored::Entry(again) if again.body() == b"body"));
            if pad_head(&mut head, length) {
                head.extend_from_slice(b"body");
                prop_assert!(matches!(decode(&head), Stored::Entry(again) if again.body() == b"body"));
            }
        }
    }

    #[test]
    fn no_bytes_panic_the_decoder(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn no_damage_panics_the_decoder(
        at in 0..120_usize, byte: u8, cut in 0..130_usize, body in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = encode(200, &vec![("etag".into(), b"\"a\"".to_vec())], (5, 6), &body);
        if let Some(hit) = bytes.get_mut(at) {
            *hit = byte;
        }
        bytes.truncate(cut);
        let _ = decode(&bytes);
    }
}
