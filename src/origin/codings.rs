//! Which codings a response's body is in, by its head (RFC 9110 section 8.4, RFC 9112 section 7).
//!
//! A coding list may come in one line or in several, in any case, with empty members and with `identity`.
//! Either every coding of it is decoded, or none is: a body in a content coding that is not known is passed on
//! as it comes, and its header with it. A transfer coding that is not known is an error, since its header is
//! never passed on (RFC 9110 section 7.6.1).

use crate::cache::error::FetchError;

/// A coding that can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950 by the letter of RFC 9110; many origins send RFC 1951 without that frame.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

/// The most codings that one body may be in.
const MOST_CODINGS: usize = 4;
/// The most memory that the decoders of one body may take together.
const MOST_MEMORY: usize = 32 << 20;

impl Coding {
    fn parse(name: &[u8]) -> Option<Self> {
        match name.to_ascii_lowercase().as_slice() {
            b"gzip" | b"x-gzip" => Some(Self::Gzip),
            b"deflate" => Some(Self::Deflate),
            b"br" => Some(Self::Brotli),
            b"zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Its name in a header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// The most memory that its decoder takes: a window of 32 KiB, of 8 MiB (RFC 9659) or of 16 MiB (RFC 7932
    /// section 9.1), its tables, and for gzip the names and comments of a member's head.
    const fn memory(self) -> usize {
        match self {
            Self::Gzip | Self::Deflate => 256 << 10,
            Self::Zstd => 9 << 20,
            Self::Brotli => 20 << 20,
        }
    }
}

/// What is to be done with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codings {
    /// What is to be decoded, in the order in which it was applied: the last is decoded first.
    pub applied: Vec<Coding>,
    /// Whether `Content-Encoding` still describes the body after that.
    pub keeps_header: bool,
}

impl Codings {
    /// By all values of `Content-Encoding`, and all of `Transfer-Encoding`, in their order.
    ///
    /// # Errors
    /// [`FetchError::Failed`], which names the coding that cannot be decoded, or the limit.
    pub fn of<'a>(
        content: impl Iterator<Item = &'a [u8]>,
        transfer: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Self, FetchError> {
        let content: Vec<_> = members(content).map(Coding::parse).collect();
        let keeps_header = content.iter().any(Option::is_none);
        let mut applied: Vec<_> =
            if keeps_header { vec![] } else { content.into_iter().flatten().collect() };
        let mut transfer: Vec<_> = members(transfer).collect();
        // The HTTP library has taken the chunks apart, which are the last to be applied.
        transfer.pop_if(|last| last.eq_ignore_ascii_case(b"chunked"));
        for name in transfer {
            applied.push(Coding::parse(name).ok_or_else(|| {
                let name = String::from_utf8_lossy(name);
                FetchError::failed(&format!("transfer coding '{name}' is not supported"))
            })?);
        }
        if applied.len() > MOST_CODINGS {
            let reason = format!(
                "the body has {} codings, one upon the other; at most {MOST_CODINGS} are decoded",
                applied.len()
            );
            return Err(FetchError::failed(&reason));
        }
        if applied.iter().map(|coding| coding.memory()).sum::<usize>() > MOST_MEMORY {
            let names: Vec<_> = applied.iter().map(|coding| coding.name()).collect();
            let reason = format!(
                "decoding '{}' takes more than {} MiB of memory",
                names.join(", "),
                MOST_MEMORY >> 20
            );
            return Err(FetchError::failed(&reason));
        }
        Ok(Self { applied, keeps_header })
    }
}

/// The members of a list, but for those that do nothing.
fn members<'a>(values: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = &'a [u8]> {
    values
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(content: &[&str], transfer: &[&str]) -> Result<Codings, String> {
        let [content, transfer] =
            [content, transfer].map(|values| values.iter().map(|v| v.as_bytes()));
        Codings::of(content, transfer).map_err(|error| error.to_string())
    }

    #[test]
    fn a_list_reads_the_same_in_one_line_and_in_several() {
        use Coding::{Brotli, Deflate, Gzip, Zstd};
        for (content, transfer, applied) in [
            (&[][..], &[][..], &[][..]),
            (&["gzip"], &["chunked"], &[Gzip]),
            (&[" GZip "], &["CHUNKED"], &[Gzip]),
            (&["gzip, gzip"], &[], &[Gzip, Gzip]),
            (&["gzip", "X-Gzip"], &[], &[Gzip, Gzip]),
            (&["identity, ,gzip,", "", "Identity"], &[], &[Gzip]),
            (&["identity"], &["identity"], &[]),
            (&["deflate,br", "zstd"], &[], &[Deflate, Brotli, Zstd]),
            (&[], &["gzip, chunked"], &[Gzip]),
            (&[], &["x-gzip", "chunked"], &[Gzip]),
            (&["br"], &["deflate"], &[Brotli, Deflate]),
        ] {
            let codings = Codings { applied: applied.to_vec(), keeps_header: false };
            assert_eq!(of(content, transfer), Ok(codings), "{content:?} {transfer:?}");
        }
    }

    #[test]
    fn a_content_coding_that_is_not_known_keeps_all_as_it_comes() {
        for content in
            ["compress", "aws-chunked", "gzip, aws-chunked", "?, gzip", "gzip;q=1", "gzip br"]
        {
            let codings = Codings { applied: vec![], keeps_header: true };
            assert_eq!(of(&[content], &["chunked"]), Ok(codings), "{content}");
        }
        let codings = Codings { applied: vec![Coding::Gzip], keeps_header: true };
        assert_eq!(of(&["?"], &["gzip, chunked"]), Ok(codings));
    }

    #[test]
    fn what_cannot_be_decoded_is_named() {
        for (content, transfer, named) in [
            ("", "compress, chunked", "'compress'"),
            ("", "chunked, gzip", "'chunked'"),
            ("", "chunked, chunked", "'chunked'"),
            ("gzip,gzip,gzip,gzip,gzip", "", "5 codings"),
            ("gzip,gzip,gzip", "gzip,gzip,chunked", "5 codings"),
            ("br, br", "", "'br, br' takes more than 32 MiB"),
        ] {
            let error = of(&[content], &[transfer]).unwrap_err();
            assert!(error.starts_with("FETCHFAILED ") && error.contains(named), "{error}");
        }
        assert!(of(&["br, zstd"], &[]).is_ok());
        assert!(of(&["zstd, zstd, zstd"], &[]).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_panic_a_list(value in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Codings::of([&value[..]].into_iter(), [&value[..]].into_iter());
        }
    }
}
