//! Filling: a lease's holder brings the value, and its flight lands with that.

use super::filled::{Filled, Life};
use super::landing::{self, Landing, Ready};
use super::waiting::Room;
use super::{lease, takeoff, telling};
use crate::cache::entry::{self, Stored};
use crate::cache::error::{CacheError, FetchError};
use crate::cache::flights::{FlightId, FlightKey};
use crate::cache::headers::StoreHeaders;
use crate::cache::lease::{Filler, Token};
use crate::cache::seconds::Millis;
use crate::cache::stats::NotStored;
use crate::clock;
use crate::module::{self, Module, STATS};
use crate::server::args::Arg;
use crate::server::blocked::Blocked;
use crate::server::ctx::Ctx;
use crate::server::main_thread;

/// The largest value that is copied on the main thread; a larger one blocks its client for the time that
/// takes on another.
const SMALL: usize = 64 * 1024;

/// How long a large value may take to be copied before its flight is given up: the bound on what a hanging
/// thread could cost.
const COPYING: Millis = 60_000;

/// What a holder brings.
pub struct Fill<'a> {
    /// The key that it has leased.
    pub key: FlightKey,
    /// Its token.
    pub token: Token,
    /// The value.
    pub value: Arg<'a>,
    /// For how long it will do.
    pub life: Life,
    /// Whether it is to be kept past its expiry, which takes a head.
    pub keeps_stale: bool,
}

impl Fill<'_> {
    /// Lands the holder's flight with its value, and answers the holder.
    ///
    /// # Errors
    /// The lease is lost, or the server did not take the value.
    pub fn land(self, ctx: &Ctx, module: &Module) -> Result<(), CacheError> {
        let Some(flight) = lease::held(module, &self.key, self.token) else {
            let repeated = module.filled_tokens().has(self.token, &self.key);
            if !repeated {
                return Err(lease::lost());
            }
            ctx.reply_ok();
            return Ok(());
        };
        // What cannot block is copied here, as in MULTI.
        if self.value.bytes().len() > SMALL
            && ctx.may_block()
            && let Some(holder) = Blocked::briefly::<Room>(ctx)
        {
            self.land_later(ctx, module, flight, holder);
            return Ok(());
        }
        let waiting = module.flights().waiting(flight);
        let mut filled = self.recipe().make(self.value.bytes(), || waiting)?;
        if !telling::may_answer_inline(waiting, filled.stored().len()) {
            filled.make_copy();
        }
        let landing = landing::touch_down(ctx, module, flight, filled, Ready::default());
        self.receipt().settle(module, landing)?;
        ctx.reply_ok();
        Ok(())
    }

    /// The same for a large value: it is copied off the main thread, and its client waits for that.
    fn land_later(self, ctx: &Ctx, module: &Module, flight: FlightId, client: Blocked) {
        let (recipe, receipt) = (self.recipe(), self.receipt());
        let deadline = takeoff::deadline(ctx, flight, (Filler::Copier, COPYING));
        let lease_ends = {
            let mut flights = module.flights();
            flights.retire(flight, Filler::Copier);
            flights.deadline_mut(flight).and_then(|ends| ends.replace(deadline))
        };
        if let Some(lease_ends) = lease_ends {
            lease_ends.stop(ctx);
        }
        module.filled_tokens().insert(self.token, &self.key, clock::monotonic());
        let waiting = module.waiting_for(flight);
        self.value.hold(move |_, value| {
            module::get().answerer().run(move || {
                let filled = recipe.make(value.bytes(), waiting);
                main_thread::post(move |ctx| {
                    drop(value);
                    land_copied(ctx, flight, filled, client, receipt);
                });
            });
        });
    }

    fn recipe(&self) -> Recipe {
        Recipe { life: self.life, keeps_stale: self.keeps_stale }
    }

    fn receipt(&self) -> Receipt {
        Receipt { key: self.key.clone(), token: self.token }
    }
}

/// How a value becomes what is stored.
struct Recipe {
    life: Life,
    keeps_stale: bool,
}

impl Recipe {
    /// Bare, so that plain `GET` reads it; but a value that would be mistaken for one with a head gets one.
    fn make(&self, bytes: &[u8], waiting: impl FnOnce() -> usize) -> Result<Filled, FetchError> {
        if !self.keeps_stale && matches!(entry::decode(bytes), Stored::Bare(_)) {
            return Filled::bare(bytes, self.life);
        }
        let head = entry::encode_head(200, &vec![], &StoreHeaders::default());
        Filled::seal(([&head, bytes].concat(), head.len()), self.life, waiting)
    }
}

/// What a holder is told about its value, and what is remembered of it.
struct Receipt {
    key: FlightKey,
    token: Token,
}

impl Receipt {
    fn settle(self, module: &Module, landing: Landing) -> Result<(), CacheError> {
        let error = match landing {
            Some(Ok(())) => {
                STATS.leases_filled.bump();
                module.filled_tokens().insert(self.token, &self.key, clock::monotonic());
                return Ok(());
            }
            Some(Err(NotStored::Void(_))) | None => lease::lost(),
            Some(Err(reason)) => CacheError::NotStored(reason),
        };
        module.filled_tokens().forget(self.token);
        Err(error)
    }
}

/// Lands a flight with a value that has been copied, and answers its holder, who waits for that.
fn land_copied(
    ctx: &Ctx,
    flight: FlightId,
    filled: Result<Filled, FetchError>,
    holder: Blocked,
    receipt: Receipt,
) {
    let module = module::get();
    match filled {
        Ok(filled) => {
            let then = Box::new(move |landing| {
                holder.answer_outcome(receipt.settle(&module::get(), landing));
            });
            let ready = Ready { then: Some(then), ..Ready::default() };
            landing::approach(ctx, &module, flight, filled, ready);
        }
        Err(error) => {
            module.filled_tokens().forget(receipt.token);
            if let Some(landed) = landing::take_down(ctx, &module, flight) {
                landing::fail(ctx, &module, landed, &error);
            }
            holder.answer_outcome(Err(error.into()));
        }
    }
}
