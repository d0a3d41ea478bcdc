//! The module's memory is Redis's, so that `maxmemory`, `INFO` and `MEMORY` see it.
//!
//! The server's allocator aligns to a word and promises no more: a server that is built for a C library
//! without `malloc_usable_size` keeps each block's size in the word before it (`PREFIX_SIZE` in `zmalloc.c`),
//! and moves `malloc`'s 16-byte alignment by that word. What must be aligned more strictly gets a larger
//! block, in which it begins where it must; the block's own address stands in the word before it. (The
//! allocator that comes with the `redis-module` crate relies on jemalloc there. It also copies whenever
//! something grows.)

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;

use super::api::raw;

/// See the file's head.
pub struct RedisAllocator;

/// Where the block's address stands, before what was given out.
const WORD: usize = size_of::<*mut u8>();

/// What every server's allocator aligns to.
const NATURAL: usize = WORD;

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
    // SAFETY: the place lies behind the block's beginning by a word at least, since block and place are both
    // aligned to a word and the place is the next one that the block does not begin at; and the block is
    // long enough from there. A layout's size and alignment do not overflow when they are added.
    unsafe {
        let block = block(layout.size() + layout.align());
        let start = block.add(room_before(block.addr(), layout.align()));
        start.sub(WORD).cast::<*mut u8>().write_unaligned(block);
        start
    }
}

/// How far behind a block's address the place begins: a word at least, the alignment at most.
const fn room_before(block: usize, align: usize) -> usize {
    align - block % align
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::c_void;

    /// As a server that keeps each block's size before it: aligned to a word, and never to two.
    unsafe extern "C" fn alloc(size: usize) -> *mut c_void {
        // SAFETY: the layout is not empty; the size goes where `free` looks for it.
        unsafe {
            let start = std::alloc::System.alloc(with_prefix(size));
            start.cast::<usize>().write_unaligned(size);
            start.add(WORD).cast()
        }
    }

    unsafe extern "C" fn free(block: *mut c_void) {
        // SAFETY: `block` is what `alloc` has given.
        unsafe {
            let start = block.cast::<u8>().sub(WORD);
            std::alloc::System.dealloc(start, with_prefix(start.cast::<usize>().read_unaligned()));
        }
    }

    unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
        // SAFETY: `block` is what `alloc` has given; both blocks are as large as what is copied.
        unsafe {
            let old = block.cast::<u8>().sub(WORD).cast::<usize>().read_unaligned();
            let new = alloc(size);
            new.cast::<u8>().copy_from_nonoverlapping(block.cast(), old.min(size));
            free(block);
            new
        }
    }

    fn with_prefix(size: usize) -> Layout {
        Layout::from_size_align(size + WORD, 2 * WORD).unwrap()
    }

    #[test]
    fn every_layout_is_aligned_on_a_server_that_aligns_to_a_word() {
        // SAFETY: no other unit test uses these functions, and none runs a server.
        unsafe {
            raw::RedisModule_Alloc = Some(alloc);
            raw::RedisModule_Free = Some(free);
            raw::RedisModule_Realloc = Some(realloc);
        }
        for align in [1, 4, 8, 16, 32, 64, 4096] {
            for size in [1, 7, 8, 24, 100, 5000] {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the layout is not empty; what is given is used within its size, and freed once.
                unsafe {
                    let first = RedisAllocator.alloc(layout);
                    first.write_bytes(7, size);
                    let grown = RedisAllocator.realloc(first, layout, 2 * size);
                    for start in [first, grown] {
                        assert_eq!(start.addr() % align, 0, "{size} bytes, aligned to {align}");
                    }
                    let kept = std::slice::from_raw_parts(grown, size);
                    assert!(kept.iter().all(|&byte| byte == 7), "{size} bytes, aligned to {align}");
                    let layout = Layout::from_size_align(2 * size, align).unwrap();
                    RedisAllocator.dealloc(grown, layout);
                }
            }
        }
    }
}
