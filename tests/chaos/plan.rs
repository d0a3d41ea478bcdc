//! What a run is given: how long it lasts, how patient it is, and the seed that its choices come from.
//!
//! | variable                  | meaning                                                | else   |
//! | ------------------------- | ------------------------------------------------------ | ------ |
//! | `CACHE_GET_CHAOS_SECONDS` | how long the storm lasts                               | 60     |
//! | `CACHE_GET_CHAOS_SEED`    | the seed                                               | random |
//! | `CACHE_GET_CHAOS_CLIENTS` | how many clients there are                             | 24     |
//! | `CACHE_GET_CHAOS_SLACK`   | seconds that an answer may be late, for a busy machine | 3      |
//!
//! The seed decides what each client, the origin and the troublemaker do, and in which order each does it.
//! It does not decide how their threads interleave: a seed brings the same storm again, not the same race.

use std::env;
use std::str::FromStr;
use std::time::Duration;

use fastrand::Rng;

/// The databases that clients work in.
pub const DATABASES: usize = 3;

/// Bounds of the times that the storm sets, in seconds; what is checked is computed from them.
pub mod bounds {
    /// `cache.max-timeout` is between these.
    pub const MAX_TIMEOUT: (f64, f64) = (2.0, 4.0);
    /// `cache.default-timeout` is between these.
    pub const DEFAULT_TIMEOUT: (f64, f64) = (0.3, 2.0);
    /// No expiry is longer, but on the keys that are made to last.
    pub const EXPIRY: f64 = 3.0;
    /// No flight is in the air for longer: the longest timeout, or `cache.fetch-timeout`.
    pub const SPAN: f64 = 4.0;
    /// The smallest `cache.max-body-size`.
    pub const BODY: usize = 64 * 1024;
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub seed: u64,
    pub length: Duration,
    pub clients: usize,
    pub slack: Duration,
}

impl Plan {
    pub fn from_environment() -> Self {
        Self {
            seed: given("CACHE_GET_CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000)),
            length: Duration::from_secs(given("CACHE_GET_CHAOS_SECONDS").unwrap_or(60)),
            clients: given("CACHE_GET_CHAOS_CLIENTS").unwrap_or(24),
            slack: Duration::from_secs(given("CACHE_GET_CHAOS_SLACK").unwrap_or(3)),
        }
    }

    /// The choices of one of the actors: each has a stream of its own.
    pub fn rng(&self, actor: u64) -> Rng {
        // An odd multiplier spreads neighbouring actors over the whole space of seeds.
        Rng::with_seed(self.seed ^ actor.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

fn given<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Seconds as a duration.
pub fn seconds(number: f64) -> Duration {
    Duration::from_secs_f64(number)
}

/// One of several.
pub fn one<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())]
}

/// Whether something happens that happens so many times in a hundred.
pub fn chance(rng: &mut Rng, percent: u32) -> bool {
    rng.u32(..100) < percent
}
