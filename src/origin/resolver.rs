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
            // With a proxy, that is whose name it is: the operator's choice, and all that is connected to.
            let may_use = |address: &SocketAddr| {
                guard.proxy.is_some() || guard.vet_address(address.ip()).is_ok()
            };
            let open: Vec<SocketAddr> = found.filter(may_use).collect();
            if open.is_empty() {
                return Err(Denied::Address.into());
            }
            let addresses: Addrs = Box::new(open.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::networks::Networks;

    /// What a guard that opens these networks lets through of this machine's own name.
    fn localhost(allowed: &str) -> Result<Vec<SocketAddr>, String> {
        let allowed = Networks::parse(allowed).unwrap();
        let guard = Guard { allowed, ..Guard::default() };
        let guarded = GuardedResolver::new(Arc::new(guard));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let found = runtime.block_on(guarded.resolve("localhost".parse().unwrap()));
        found.map(Iterator::collect).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_leads_to_what_passes_the_guard_and_nowhere_else() {
        assert_eq!(localhost(""), Err(Denied::Address.to_string()));
        assert_eq!(localhost("127.0.0.2 10.0.0.0/8"), Err(Denied::Address.to_string()));
        let open = localhost("127.0.0.1").unwrap();
        assert!(!open.is_empty());
        assert!(open.iter().all(|address| address.ip().to_string() == "127.0.0.1"), "{open:?}");
    }
}
