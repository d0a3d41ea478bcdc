//! Symbols that no other library of the process may answer.
//!
//! Servers load modules in different ways. Valkey 8.1 and newer use `RTLD_DEEPBIND`: our `malloc` and `free`
//! are then the C library's, while the process as a whole, the C library's own calls included, allocates from
//! jemalloc. Memory must not cross that border:
//!
//! - *Weak symbols.* The TLS library calls `sdallocx` in place of `free` where there is one. With
//!   `RTLD_DEEPBIND` it found the server's jemalloc, which then freed memory of the C library. The same holds
//!   for its hooks `OPENSSL_memory_*`. Here they are made hidden: the linker then answers them with null when it
//!   makes this library, and the TLS library calls `free`, which always belongs to our `malloc`.
//! - *C functions that hand out memory.* `realpath` may return memory of the server's jemalloc, which Rust's
//!   standard library frees with our `free`. So this library has its own, which allocates with our `malloc`.
//!   Pairs such as `getaddrinfo` and `freeaddrinfo` stay within the C library.
//!
//! `tests/integration/symbols.rs` reads the built library and names every symbol that would break this.

#[cfg(target_env = "gnu")]
use std::ffi::{c_char, c_int};

// A weak reference that is hidden too is null for good, unless this library itself has the symbol.
#[cfg(target_os = "linux")]
std::arch::global_asm!(
    ".weak sdallocx",
    ".hidden sdallocx",
    ".weak OPENSSL_memory_alloc",
    ".hidden OPENSSL_memory_alloc",
    ".weak OPENSSL_memory_free",
    ".hidden OPENSSL_memory_free",
    ".weak OPENSSL_memory_get_size",
    ".hidden OPENSSL_memory_get_size",
    ".weak OPENSSL_memory_realloc",
    ".hidden OPENSSL_memory_realloc",
    ".weak ZSTD_trace_decompress_begin",
    ".hidden ZSTD_trace_decompress_begin",
    ".weak ZSTD_trace_decompress_end",
    ".hidden ZSTD_trace_decompress_end",
);

// The definition below, which is not to be seen from outside.
#[cfg(target_env = "gnu")]
std::arch::global_asm!(".hidden realpath");

#[cfg(target_env = "gnu")]
unsafe extern "C" {
    /// `realpath` with a buffer of this size; it never allocates.
    fn __realpath_chk(path: *const c_char, resolved: *mut c_char, size: usize) -> *mut c_char;
}

/// `realpath`, whose result is always memory of our own `malloc`.
///
/// # Safety
/// As `realpath(3)` asks: `path` is a C string, and `resolved` is null or has `PATH_MAX` bytes.
#[cfg(target_env = "gnu")]
#[unsafe(no_mangle)]
unsafe extern "C" fn realpath(path: *const c_char, resolved: *mut c_char) -> *mut c_char {
    const SIZE: usize = libc::PATH_MAX.unsigned_abs() as usize;
    // SAFETY: the buffer is the caller's, which has `PATH_MAX` bytes, or our own, which has as many; ours is
    // freed here or handed to the caller, who frees it as `realpath(3)` says. `errno` is this thread's own.
    unsafe {
        if !resolved.is_null() {
            return __realpath_chk(path, resolved, SIZE);
        }
        let room = libc::malloc(SIZE).cast::<c_char>();
        if room.is_null() {
            return room;
        }
        let found = __realpath_chk(path, room, SIZE);
        if found.is_null() {
            let errno: c_int = *libc::__errno_location();
            libc::free(room.cast());
            *libc::__errno_location() = errno;
        }
        found
    }
}
