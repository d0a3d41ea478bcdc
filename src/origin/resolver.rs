//! Name resolution under the guard.
//!
//! `reqwest` connects to what this resolver gives it and to nothing else, for the first URL and for each
//! redirect. So the address that is vetted is the address that is used, and DNS that answers differently
//! a second time ("rebinding") gains nothing. Hosts that are addresses never come here; `http.rs` has
//! them vetted before the connection.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::cache::error::Denied;
use crate::cache::guard::Guard;

/// The system's resolver, whose answers are vetted.
pub struct GuardedResolver {
    guard: Arc<Guard>,
}

impl GuardedResolver {
    /// Vets by this guard.
    pub fn new(guard: Arc<Guard>) -> Self {
        Self { guard }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = Arc::clone(&self.guard);
        Box::pin(async move {
            // Port 0 stands for the URL's own.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let open: Vec<SocketAddr> =
                found.filter(|address| guard.vet_address(address.ip()).is_ok()).collect();
            if open.is_empty() {
                return Err(Denied::Address.into());
            }
            let addresses: Addrs = Box::new(open.into_iter());
            Ok(addresses)
        })
    }
}
