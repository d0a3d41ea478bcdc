//! The system's certificate authorities, without which no certificate can be checked. Small images have none.

use std::fmt;

/// How many there are, where the environment or the system keeps them.
pub fn count() -> usize {
    rustls_native_certs::load_native_certs().certs.len()
}

/// There are none.
#[derive(Debug, Clone, Copy)]
pub struct NoAuthorities;

impl fmt::Display for NoAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "no CA certificates: install ca-certificates, or set SSL_CERT_FILE for the server",
        )
    }
}

impl std::error::Error for NoAuthorities {}
