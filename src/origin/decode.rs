//! From the bytes on the wire to the body: content codings (RFC 9110 section 8.4), under a cap on either
//! side.
//!
//! `reqwest` could decode by itself, but then nobody sees how much comes over the wire, and a coding that
//! unpacks to nothing would be read for as long as an origin cares to send.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use crate::cache::error::FetchError;

/// What is asked for, `Accept-Encoding`: the codings that [`decoded`] knows.
pub const ACCEPTED: &str = "gzip, br, zstd";

/// How much is read from the wire at a time.
const CHUNK: usize = 16 * 1024;
/// The largest window of zstd that is let into memory, as a power of two: what RFC 9659 allows.
const ZSTD_WINDOW: u32 = 23;

/// A body's coding, where it is one that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

impl Coding {
    /// By the value of `Content-Encoding`. `None` for one that was not asked for: such a body is kept as it
    /// comes, its header with it.
    pub fn parse(value: &[u8]) -> Option<Self> {
        match value.trim_ascii().to_ascii_lowercase().as_slice() {
            b"gzip" | b"x-gzip" => Some(Self::Gzip),
            b"br" => Some(Self::Brotli),
            b"zstd" => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// The body of a response whose bytes come from `wire`, of which no more than `most` are read.
///
/// # Errors
/// The wire's; a body without a byte is one in any coding.
pub fn decoded<'a>(
    wire: impl Read + Send + 'a,
    coding: Option<Coding>,
    most: u64,
) -> io::Result<Box<dyn Read + 'a>> {
    let capped = Capped { wire, left: most };
    let Some(coding) = coding else {
        return Ok(Box::new(capped));
    };
    let mut wire = BufReader::with_capacity(CHUNK, capped);
    if wire.fill_buf()?.is_empty() {
        return Ok(Box::new(io::empty()));
    }
    Ok(match coding {
        Coding::Gzip => Box::new(MultiGzDecoder::new(wire)),
        Coding::Brotli => Box::new(brotli::Decompressor::new(wire, CHUNK)),
        Coding::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(wire)?;
            decoder.window_log_max(ZSTD_WINDOW)?;
            Box::new(decoder)
        }
    })
}

/// Reads up to a cap; what lies beyond is [`FetchError::TooLarge`].
struct Capped<R> {
    wire: R,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.wire.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other(FetchError::TooLarge)),
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write;

    const CODINGS: [Coding; 3] = [Coding::Gzip, Coding::Brotli, Coding::Zstd];

    fn encoded(coding: Coding, body: &[u8]) -> Vec<u8> {
        match coding {
            Coding::Gzip => {
                let mut encoder = GzEncoder::new(vec![], Compression::fast());
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

    fn read(wire: &[u8], coding: Coding, most: u64) -> io::Result<Vec<u8>> {
        let mut body = vec![];
        decoded(wire, Some(coding), most)?.read_to_end(&mut body)?;
        Ok(body)
    }

    #[test]
    fn each_coding_is_decoded_and_an_empty_body_is_empty() {
        let body = b"the body ".repeat(1000);
        for coding in CODINGS {
            let wire = encoded(coding, &body);
            assert_eq!(read(&wire, coding, 10_000).unwrap(), body, "{coding:?}");
            assert_eq!(read(&wire, coding, wire.len() as u64).unwrap(), body, "{coding:?}");
            assert_eq!(read(b"", coding, 0).unwrap(), b"", "{coding:?}");
        }
    }

    #[test]
    fn what_is_cut_short_or_no_coding_at_all_is_an_error() {
        for coding in CODINGS {
            let wire = encoded(coding, b"the body");
            assert!(read(&wire[..wire.len() - 1], coding, 10_000).is_err(), "{coding:?}");
            assert!(read(b"no such coding, surely", coding, 10_000).is_err(), "{coding:?}");
        }
    }

    #[test]
    fn more_than_the_cap_is_too_large_whatever_it_unpacks_to() {
        // A gzip member of nothing, over and over: as much as one likes on the wire, and no body.
        let wire = encoded(Coding::Gzip, b"").repeat(1000);
        assert_eq!(read(&wire, Coding::Gzip, wire.len() as u64).unwrap(), b"");
        let error = read(&wire, Coding::Gzip, wire.len() as u64 - 1).unwrap_err();
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<FetchError>());
        assert_eq!(cause, Some(&FetchError::TooLarge));
        let mut plain = decoded(&b"12345"[..], None, 4).unwrap();
        assert!(plain.read(&mut [0; 9]).is_err());
    }

    #[test]
    fn codings_go_by_their_names_in_any_case() {
        assert_eq!(Coding::parse(b" GZip "), Some(Coding::Gzip));
        assert_eq!(Coding::parse(b"br"), Some(Coding::Brotli));
        for unknown in [&b"deflate"[..], b"gzip, br", b"identity", b""] {
            assert_eq!(Coding::parse(unknown), None);
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
                let _ = read(&wire, coding, 10_000);
            }
        }

        #[test]
        fn no_bytes_panic_a_decoder(wire in prop::collection::vec(any::<u8>(), 0..300)) {
            for coding in CODINGS {
                let _ = read(&wire, coding, 200);
            }
        }
    }
}
