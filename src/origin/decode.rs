//! From the bytes on the wire to the body, under a cap on what comes from each step.
//!
//! `reqwest` could decode by itself, but then nobody sees how much comes over the wire, and a coding that
//! unpacks to nothing would be read for as long as an origin cares to send.
//!
//! What a decoder takes is bounded (`codings`), and it takes nothing before [`CHUNK`] bytes of its input are
//! there, or all of it. Where a body is whole but something follows, that is read and left out, as browsers do;
//! a body that ends too early is an error.

use std::cell::Cell;
use std::error::Error as StdError;
use std::io::{self, BufRead, ErrorKind, Read};
use std::rc::Rc;

use brotli::reader::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use flate2::bufread::GzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::codings::Coding;
use super::window::Windows;
use crate::cache::error::FetchError;

/// What is asked for, `Accept-Encoding`.
pub const ACCEPTED: &str = "gzip, br, zstd";

/// How much is read from the wire at a time.
const CHUNK: usize = 16 * 1024;
/// The largest window of zstd that is let into memory, as a power of two: what RFC 9659 allows.
const ZSTD_WINDOW: u32 = 23;

/// The body of a response whose bytes come from `wire`, and to which these codings were applied one upon the
/// other. Of the wire, and of what comes out of each decoder, no more than `most` bytes are read.
pub fn decoded<'a>(wire: impl Read + 'a, applied: &[Coding], most: u64) -> Box<dyn Read + 'a> {
    let mut body: Box<dyn Read + 'a> = Box::new(Capped { source: wire, left: most });
    for &coding in applied.iter().rev() {
        let feed = Feed::new(body);
        let step: Box<dyn Step + 'a> = match coding {
            Coding::Gzip => Box::new(Gzip { member: None, feed: Some(feed) }),
            Coding::Deflate => Box::new(Deflate { feed, inflate: None, done: false }),
            Coding::Brotli => Box::new(Brotli::new(feed, most)),
            Coding::Zstd => Box::new(Zstd { feed, decoder: None, between: true, begun: false }),
        };
        body = Box::new(Capped { source: Named { coding, step }, left: most });
    }
    body
}

/// Reads up to a cap; what lies beyond is [`FetchError::TooLarge`].
struct Capped<R> {
    source: R,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => return Err(too_large()),
        }
        Ok(count)
    }
}

fn too_large() -> io::Error {
    io::Error::other(FetchError::TooLarge)
}

/// One decoder, reading.
trait Step: Read {
    /// Whether it was its input that failed.
    fn was_cut(&self) -> bool;
}

/// A decoder whose errors name its coding.
struct Named<'a> {
    coding: Coding,
    step: Box<dyn Step + 'a>,
}

impl Read for Named<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.step.read(buffer).map_err(|error| {
            let ours = error.get_ref().is_some_and(<dyn StdError + Send + Sync>::is::<FetchError>);
            if ours || self.step.was_cut() {
                return error;
            }
            let name = self.coding.name();
            let reason = if error.kind() == ErrorKind::UnexpectedEof {
                format!("the body ends before its {name} does")
            } else {
                format!("the body is not {name}: {error}")
            };
            io::Error::other(FetchError::failed(&reason))
        })
    }
}

/// The input of a decoder.
struct Feed<R> {
    source: R,
    /// What has been read and not yet taken lies from `start` to `end`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    failed: bool,
}

impl<R: Read> Feed<R> {
    const fn new(source: R) -> Self {
        Self { source, buffer: Vec::new(), start: 0, end: 0, failed: false }
    }

    /// What is there, once it is at least so much, or all that is left.
    fn at_least(&mut self, wanted: usize) -> io::Result<&[u8]> {
        if self.end - self.start < wanted {
            self.buffer.resize(CHUNK, 0);
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        while self.end - self.start < wanted.min(CHUNK) {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failed = true;
                    return Err(error);
                }
            }
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// Reads to the end, and leaves out what comes.
    fn drain(&mut self) -> io::Result<usize> {
        loop {
            match self.at_least(1)?.len() {
                0 => return Ok(0),
                count => self.consume(count),
            }
        }
    }
}

impl<R: Read> Read for Feed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Feed<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.at_least(1)
    }

    fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start + count);
    }
}

/// Members of gzip, one after the other (RFC 1952 section 2.2).
struct Gzip<R> {
    /// The member that is being read; it has the feed then.
    member: Option<GzDecoder<Feed<R>>>,
    /// `None` at the end.
    feed: Option<Feed<R>>,
}

impl<R: Read> Step for Gzip<R> {
    fn was_cut(&self) -> bool {
        let feed = self.member.as_ref().map(GzDecoder::get_ref).or(self.feed.as_ref());
        feed.is_some_and(|feed| feed.failed)
    }
}

impl<R: Read> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(feed) = &mut self.feed {
            if feed.at_least(CHUNK)?.is_empty() {
                return Ok(0);
            }
            self.member = self.feed.take().map(GzDecoder::new);
        }
        while let Some(member) = &mut self.member {
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            if member.get_mut().at_least(3)?.starts_with(b"\x1f\x8b\x08") {
                self.member = self.member.take().map(|ended| GzDecoder::new(ended.into_inner()));
            } else {
                member.get_mut().drain()?;
                self.member = None;
            }
        }
        Ok(0)
    }
}

/// Deflate, in its frame of zlib or without.
struct Deflate<R> {
    feed: Feed<R>,
    inflate: Option<Decompress>,
    done: bool,
}

impl<R: Read> Step for Deflate<R> {
    fn was_cut(&self) -> bool {
        self.feed.failed
    }
}

impl<R: Read> Read for Deflate<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.inflate.is_none() {
            let start = self.feed.at_least(CHUNK)?;
            if start.is_empty() {
                return Ok(0);
            }
            self.inflate = Some(Decompress::new(begins_as_zlib(start)));
        }
        let mut wanted = 0; // what is ready is given before more is read
        while let Some(inflate) = self.inflate.as_mut().filter(|_| !self.done) {
            let input = self.feed.at_least(wanted)?;
            let ended = input.len() < wanted;
            let (taken, given) = (inflate.total_in(), inflate.total_out());
            let status = inflate
                .decompress(input, buffer, FlushDecompress::None)
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            let taken = size(inflate.total_in() - taken);
            wanted = input.len() - taken + 1;
            self.feed.consume(taken);
            self.done = status == Status::StreamEnd;
            let count = size(inflate.total_out() - given);
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            if ended && !self.done {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        self.feed.drain()
    }
}

fn size(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Whether these bytes begin as zlib does (RFC 1950 section 2.2). Deflate alone begins so only where a stored
/// block's padding is not zero, which no encoder makes.
fn begins_as_zlib(start: &[u8]) -> bool {
    let Some(&[method, flags]) = start.first_chunk() else {
        return false;
    };
    method & 0x0f == 8 && method >> 4 <= 7 && u16::from_be_bytes([method, flags]) % 31 == 0
}

/// A stream of brotli, of at most the window that RFC 7932 knows: no "large" one.
struct Brotli<R> {
    feed: Feed<R>,
    state: Option<Box<BrotliState<Windows, StandardAlloc, StandardAlloc>>>,
    most: u64,
    /// Set when it would take a window that only a body above `most` needs.
    refused: Rc<Cell<bool>>,
    done: bool,
}

impl<R: Read> Brotli<R> {
    fn new(feed: Feed<R>, most: u64) -> Self {
        Self { feed, state: None, most, refused: Rc::default(), done: false }
    }
}

impl<R: Read> Step for Brotli<R> {
    fn was_cut(&self) -> bool {
        self.feed.failed
    }
}

impl<R: Read> Read for Brotli<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.state.is_none() {
            if self.feed.at_least(CHUNK)?.is_empty() {
                return Ok(0);
            }
            let windows = Windows::new(self.most, Rc::clone(&self.refused));
            let tables = (StandardAlloc::default(), StandardAlloc::default());
            self.state = Some(Box::new(BrotliState::new_strict(windows, tables.0, tables.1)));
        }
        let mut wanted = 0; // what is ready is given before more is read
        while let Some(state) = self.state.as_mut().filter(|_| !self.done) {
            let input = self.feed.at_least(wanted)?;
            let ended = input.len() < wanted;
            let (mut left, mut taken) = (input.len(), 0);
            let (mut room, mut count, mut total) = (buffer.len(), 0, 0);
            let result = BrotliDecompressStream(
                &mut left, &mut taken, input, &mut room, &mut count, buffer, &mut total, state,
            );
            wanted = input.len() - taken + 1;
            self.feed.consume(taken);
            match result {
                BrotliResult::ResultSuccess => self.done = true,
                BrotliResult::ResultFailure if self.refused.get() => return Err(too_large()),
                BrotliResult::ResultFailure => return Err(ErrorKind::InvalidData.into()),
                BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
            }
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            if ended && !self.done {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        self.state = None;
        self.done = true;
        self.feed.drain()
    }
}

/// Frames of zstd, one after the other (RFC 8878 section 3).
struct Zstd<R> {
    feed: Feed<R>,
    decoder: Option<Decoder<'static>>,
    /// Whether a frame has ended and none has begun since.
    between: bool,
    begun: bool,
}

impl<R: Read> Step for Zstd<R> {
    fn was_cut(&self) -> bool {
        self.feed.failed
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.begun {
            if self.feed.at_least(CHUNK)?.is_empty() {
                return Ok(0);
            }
            let mut decoder = Decoder::new()?;
            decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW))?;
            (self.decoder, self.begun) = (Some(decoder), true);
            self.between = false;
        }
        let mut wanted = 0; // what is ready is given before more is read
        while let Some(decoder) = &mut self.decoder {
            if self.between && !begins_a_frame(self.feed.at_least(4)?) {
                self.decoder = None;
                break;
            }
            let input = self.feed.at_least(wanted)?;
            let (ended, length) = (input.len() < wanted, input.len());
            let (mut input, mut output) = (InBuffer::around(input), OutBuffer::around(buffer));
            let missing = decoder.run(&mut input, &mut output)?;
            let (taken, count) = (input.pos(), output.pos());
            self.between = missing == 0;
            wanted = length - taken + 1;
            self.feed.consume(taken);
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            if ended && !self.between {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        self.feed.drain()
    }
}

/// Whether these bytes begin a frame of zstd, or one that is to be skipped.
fn begins_a_frame(start: &[u8]) -> bool {
    let Some(&magic) = start.first_chunk() else {
        return false;
    };
    let magic = u32::from_le_bytes(magic);
    magic == 0xfd2f_b528 || magic & !0xf == 0x184d_2a50
}

#[cfg(test)]
mod tests;
