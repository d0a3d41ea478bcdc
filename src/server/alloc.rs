//! The module's memory is Redis's, so that `maxmemory`, `INFO` and `MEMORY` see it.
//!
//! The server's allocator aligns as `malloc` does, whichever one the server was built with. What must be
//! aligned more strictly gets a larger block, in which it begins where it must; the block's own address
//! stands in the word before it. (The allocator that comes with the `redis-module` crate relies on jemalloc
//! there. It also copies whenever something grows.)

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;

use super::api::raw;

/// See the file's head.
pub struct RedisAllocator;

/// What `malloc` aligns to, on 64-bit machines.
const NATURAL: usize = 16;

/// Where the block's address stands, before what was given out.
const WORD: usize = size_of::<*mut u8>();

// SAFETY: blocks come from the server's allocator, which is thread-safe, and go back to it once; each is as
// large as its layout says, and aligned as it says (`strictly`). The functions are there: nothing of this
// library runs before `RedisModule_Init` has filled them in.
unsafe impl GlobalAlloc for RedisAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= NATURAL {
            // SAFETY: as said above.
            return unsafe { block(layout.size()) };
        }
        strictly(layout)
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: `start` is what `alloc` gave for this layout, so that it is a block's address itself, or
        // has that before it.
        unsafe {
            let block = if layout.align() <= NATURAL {
                start
            } else {
                start.sub(WORD).cast::<*mut u8>().read_unaligned()
            };
            let Some(free) = raw::RedisModule_Free else { std::process::abort() };
            free(block.cast::<c_void>());
        }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: where `start` is a block's address itself, the server may grow it; else the caller gives a
        // size that fits such a layout, and both rooms are as large as what is copied.
        unsafe {
            if layout.align() <= NATURAL {
                let Some(grow) = raw::RedisModule_Realloc else { std::process::abort() };
                return grow(start.cast::<c_void>(), size).cast();
            }
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            new.copy_from_nonoverlapping(start, layout.size().min(size));
            self.dealloc(start, layout);
            new
        }
    }
}

/// A block of at least this size. The server ends itself rather than give none.
///
/// # Safety
/// The API's functions are filled in.
unsafe fn block(size: usize) -> *mut u8 {
    // SAFETY: as the caller promises.
    unsafe {
        let Some(alloc) = raw::RedisModule_Alloc else { std::process::abort() };
        alloc(size).cast()
    }
}

/// Room that is aligned more strictly than a block: a block is longer by the alignment, so that there is an
/// aligned place behind its first word.
fn strictly(layout: Layout) -> *mut u8 {
    // SAFETY: the place lies behind the block's beginning by a word at least, since blocks and places are
    // both aligned to more than one, and the block is long enough from there.
    unsafe {
        let block = block(layout.size() + layout.align());
        let start = block.add(layout.align() - block.addr() % layout.align());
        start.sub(WORD).cast::<*mut u8>().write_unaligned(block);
        start
    }
}
