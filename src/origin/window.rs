//! The memory of a brotli decoder's window.
//!
//! A stream says in its first bytes how large a window it wants, and the decoder takes that at once: up to
//! 16 MiB, before anything has come of the body. So a large window is mapped from the system instead, which
//! gives its pages one by one as they are written to. The window then takes no more than what was decoded.

use std::cell::Cell;
use std::rc::Rc;

use brotli::{Allocator, SliceWrapper, SliceWrapperMut};
use memmap2::MmapMut;

/// From this size on, memory is mapped.
const LARGE: usize = 128 * 1024;
/// What a decoder may take for other things than its window: maps of contexts, and room beyond its end.
const OTHERWISE: usize = 64 * 1024;

/// Gives memory to one decoder.
pub struct Windows {
    most: usize,
    refused: Rc<Cell<bool>>,
}

impl Windows {
    /// For a body of at most so many bytes. `refused` is set when the decoder asks for a window that only a
    /// larger body needs: a window is never twice as large as what the stream has said to decode to.
    pub const fn new(max_body: u64, refused: Rc<Cell<bool>>) -> Self {
        #[allow(clippy::cast_possible_truncation)] // held against the bound first
        let body = if max_body < 1 << 30 { max_body as usize } else { 1 << 30 };
        Self { most: 2 * body + OTHERWISE, refused }
    }
}

/// A piece of memory; by default, none.
#[derive(Default)]
pub enum Window {
    /// None: what was asked for was refused.
    #[default]
    Nothing,
    /// A small one, from the allocator.
    Small(Vec<u8>),
    /// A large one, whose pages come as they are used.
    Large(MmapMut),
}

impl SliceWrapper<u8> for Window {
    fn slice(&self) -> &[u8] {
        match self {
            Self::Nothing => &[],
            Self::Small(bytes) => bytes,
            Self::Large(bytes) => bytes,
        }
    }
}

impl SliceWrapperMut<u8> for Window {
    fn slice_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Nothing => &mut [],
            Self::Small(bytes) => bytes,
            Self::Large(bytes) => bytes,
        }
    }
}

impl Allocator<u8> for Windows {
    type AllocatedMemory = Window;

    /// An empty one is how this interface says no.
    fn alloc_cell(&mut self, length: usize) -> Window {
        if length > self.most {
            self.refused.set(true);
            return Window::Nothing;
        }
        if length < LARGE {
            return Window::Small(vec![0; length]);
        }
        MmapMut::map_anon(length).map_or(Window::Nothing, Window::Large)
    }

    fn free_cell(&mut self, window: Window) {
        drop(window);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_zeros_of_the_size_asked_for_or_refused() {
        let refused = Rc::new(Cell::new(false));
        let mut windows = Windows::new(1 << 20, Rc::clone(&refused));
        for length in [0, 1, LARGE - 1, LARGE, 2 << 20] {
            let mut window = windows.alloc_cell(length);
            assert_eq!(window.slice().len(), length);
            assert!(window.slice().iter().all(|&byte| byte == 0));
            window.slice_mut().fill(1);
            windows.free_cell(window);
        }
        assert!(!refused.get());
        assert_eq!(windows.alloc_cell(4 << 20).slice().len(), 0);
        assert!(refused.get());
    }
}
