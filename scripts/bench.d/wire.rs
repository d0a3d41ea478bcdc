//! Commands, replies and bodies as they go over the wire, to be sent and
//! compared without a parser in between.

/// A command.
pub fn command(args: &[impl AsRef<[u8]>]) -> Vec<u8> {
    redis::pack_command(&args.iter().map(|arg| arg.as_ref().to_vec()).collect::<Vec<_>>())
}

/// The reply that is a bulk string.
pub fn bulk(body: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", body.len()).as_bytes(), body, b"\r\n"].concat()
}

/// A size as people write it.
pub fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

/// A body of this size that looks like no other: its seed is all through it,
/// and it does not compress.
pub fn body(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut body = Vec::with_capacity(size + 8);
    while body.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        body.extend_from_slice(&state.to_le_bytes());
    }
    body.truncate(size);
    body
}
