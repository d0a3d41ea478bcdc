//! Whatever comes: each coding is decoded, alone and upon others, and what is none is an error.

use super::*;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;
use std::io::Write;

const CODINGS: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

fn encoded(coding: Coding, body: &[u8]) -> Vec<u8> {
    match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(vec![], Compression::fast());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(vec![], Compression::fast());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Brotli => {
            let mut out = vec![];
            brotli::CompressorWriter::new(&mut out, CHUNK, 4, 20).write_all(body).unwrap();
            out
        }
        Coding::Zstd => zstd::encode_all(body, 1).unwrap(),
    }
}

fn raw_deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(vec![], Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// Gives a byte at a time, as the worst wire does.
struct Slowly<'a>(&'a [u8]);

impl Read for Slowly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(1);
        self.0.read(&mut buffer[..most])
    }
}

fn read(wire: &[u8], applied: &[Coding], most: u64) -> io::Result<Vec<u8>> {
    let mut body = vec![];
    decoded(wire, applied, most).read_to_end(&mut body)?;
    Ok(body)
}

fn ours(error: &io::Error) -> FetchError {
    error.get_ref().and_then(|cause| cause.downcast_ref::<FetchError>()).unwrap().clone()
}

/// Text that packs to some size: numbers, one after the other.
fn text(numbers: u32) -> Vec<u8> {
    (0..numbers)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_string().into_bytes())
        .collect()
}

#[test]
fn each_coding_is_decoded_and_an_empty_body_is_empty() {
    for body in [text(1), text(1000), text(30_000), vec![0; 3 << 20]] {
        for coding in CODINGS {
            let wire = encoded(coding, &body);
            let most = wire.len().max(body.len()) as u64;
            assert!(read(&wire, &[coding], most).unwrap() == body, "{coding:?}");
            if body.len() < 100_000 {
                let mut slow = vec![];
                decoded(Slowly(&wire), &[coding], most).read_to_end(&mut slow).unwrap();
                assert!(slow == body, "{coding:?}, byte by byte");
            }
            assert_eq!(read(b"", &[coding], 0).unwrap(), b"", "{coding:?}");
        }
        assert!(read(&raw_deflate(&body), &[Coding::Deflate], 4 << 20).unwrap() == body);
    }
}

#[test]
fn codings_upon_codings_are_decoded_in_their_order() {
    let body = text(5000);
    for first in CODINGS {
        for second in CODINGS {
            let wire = encoded(second, &encoded(first, &body));
            assert!(
                read(&wire, &[first, second], 1 << 20).unwrap() == body,
                "{first:?} {second:?}"
            );
        }
    }
}

#[test]
fn what_is_cut_short_or_no_coding_at_all_is_an_error_that_names_it() {
    for coding in CODINGS {
        let wire = encoded(coding, &text(100));
        for end in 1..wire.len() {
            let error = read(&wire[..end], &[coding], 10_000).unwrap_err();
            let FetchError::Failed(reason) = ours(&error) else { panic!("{error}") };
            assert!(reason.contains(coding.name()), "{coding:?} {end}: {reason}");
        }
        assert!(read(b"no such coding, surely", &[coding], 10_000).is_err(), "{coding:?}");
    }
    let raw = raw_deflate(&text(100));
    assert!(read(&raw[..raw.len() - 1], &[Coding::Deflate], 10_000).is_err());
}

#[test]
fn more_of_its_kind_goes_on_and_what_is_none_of_it_is_left_out() {
    let body = text(100);
    for coding in CODINGS {
        let wire = encoded(coding, &body);
        for after in
            [&b"\0"[..], b"\0\0\0\0\0\0\0\0\0", b"and more", b"\x1f\x8b", &vec![b'x'; 40_000]]
        {
            let wire = [&wire[..], after].concat();
            assert!(read(&wire, &[coding], 100_000).unwrap() == body, "{coding:?} {}", after.len());
        }
        let wire = [&wire[..], &vec![b'x'; 40_000]].concat();
        assert_eq!(ours(&read(&wire, &[coding], 40_000).unwrap_err()), FetchError::TooLarge);
    }
    for coding in [Coding::Gzip, Coding::Zstd] {
        let wire = encoded(coding, &body).repeat(3);
        assert!(read(&wire, &[coding], 10_000).unwrap() == body.repeat(3), "{coding:?}");
        let cut = [&wire[..], &encoded(coding, &body)[..9]].concat();
        assert!(read(&cut, &[coding], 10_000).is_err(), "{coding:?}: cut in a later one");
    }
    let skipped = [&b"\x50\x2a\x4d\x18\x03\0\0\0abc"[..], &encoded(Coding::Zstd, &body)].concat();
    assert!(read(&skipped, &[Coding::Zstd], 10_000).unwrap() == body);
}

#[test]
fn more_than_the_cap_is_too_large_whatever_it_unpacks_to() {
    // A gzip member of nothing, over and over: as much as one likes on the wire, and no body.
    let wire = encoded(Coding::Gzip, b"").repeat(1000);
    assert_eq!(read(&wire, &[Coding::Gzip], wire.len() as u64).unwrap(), b"");
    let error = read(&wire, &[Coding::Gzip], wire.len() as u64 - 1).unwrap_err();
    assert_eq!(ours(&error), FetchError::TooLarge);
    // The same, packed: little on the wire, and no body, but much in between.
    let packed = encoded(Coding::Zstd, &wire);
    assert!(packed.len() < 1000);
    let error = read(&packed, &[Coding::Gzip, Coding::Zstd], 10_000).unwrap_err();
    assert_eq!(ours(&error), FetchError::TooLarge);
    assert!(decoded(&b"12345"[..], &[], 4).read(&mut [0; 9]).is_err());
}

#[test]
fn a_window_larger_than_the_body_may_be_is_too_large() {
    // A window of 16 MiB, and a block of as many bytes, of which five come.
    let wire = b"\xcf\xff\xff\xffhello";
    let error = read(wire, &[Coding::Brotli], 4 << 20).unwrap_err();
    assert_eq!(ours(&error), FetchError::TooLarge);
    let error = read(wire, &[Coding::Brotli], 16 << 20).unwrap_err();
    assert_eq!(ours(&error), FetchError::failed("the body ends before its br does"));
    // The first byte of a "large window" stream, and a window of 1 GiB.
    let error = read(b"\x11\x1e\x80hello\x03", &[Coding::Brotli], 1 << 30).unwrap_err();
    assert!(matches!(ours(&error), FetchError::Failed(_)));
}

/// A wire that breaks off in an error.
struct Breaking<'a>(&'a [u8]);

impl Read for Breaking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(ErrorKind::ConnectionReset.into()),
            count => Ok(count),
        }
    }
}

#[test]
fn all_that_has_come_is_given_before_more_is_read_and_a_broken_wire_is_told_as_that() {
    let body = text(20_000);
    for coding in CODINGS {
        let wire = encoded(coding, &body);
        for room in [10, 1000, 100_000] {
            let (mut given, mut buffer) = (vec![], vec![0; room]);
            let mut reader = decoded(Breaking(&wire), &[coding], 1 << 20);
            let error = loop {
                match reader.read(&mut buffer) {
                    Ok(count) => given.extend_from_slice(&buffer[..count]),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{coding:?}");
            assert!(given == body, "{coding:?}, {room} at a time: {} bytes", given.len());
        }
    }
}

proptest! {
    #[test]
    fn no_damage_panics_a_decoder(
        body in prop::collection::vec(any::<u8>(), 0..300),
        at in 0..300_usize,
        byte: u8,
    ) {
        for coding in CODINGS {
            let mut wire = encoded(coding, &body);
            if let Some(hit) = wire.get_mut(at) {
                *hit = byte;
            }
            let _ = read(&wire, &[coding], 10_000);
        }
    }

    #[test]
    fn no_bytes_panic_a_decoder(wire in prop::collection::vec(any::<u8>(), 0..300)) {
        for coding in CODINGS {
            let _ = read(&wire, &[coding], 200);
        }
        let _ = read(&raw_deflate(&wire), &[Coding::Deflate], 200);
    }
}
