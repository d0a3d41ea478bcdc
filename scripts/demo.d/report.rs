//! What the demo prints at its end.

use std::fmt::Write;
use std::time::Duration;

/// One exercise, as it went.
pub struct Row {
    pub exercise: String,
    pub cold: Duration,
    pub warm: Duration,
    /// Calls of `CACHE.GET` in all.
    pub asked: usize,
    /// Downloads that the origin saw, and how many it should have seen.
    pub downloads: u64,
    pub wanted: u64,
}

impl Row {
    /// What is wrong with it, if anything is.
    pub fn complaint(&self) -> Option<String> {
        let Self { exercise, downloads, wanted, .. } = self;
        let told = format!("{exercise}: the origin saw {downloads} downloads instead of {wanted}");
        (downloads != wanted).then_some(told)
    }

    fn times_faster(&self) -> f64 {
        self.cold.as_secs_f64() / self.warm.as_secs_f64()
    }
}

/// The exercises, side by side.
pub fn table(rows: &[Row]) -> String {
    let mut out = String::new();
    let mut line = |cells: [&str; 6]| {
        let [what, cold, warm, faster, asked, loads] = cells;
        let _ = writeln!(out, "  {what:<24}{cold:>10}{warm:>12}{faster:>15}{asked:>10}{loads:>12}");
    };
    line(["", "cold", "warm", "times faster", "answers", "downloads"]);
    for row in rows {
        line([
            &row.exercise,
            &format!("{:.3} s", row.cold.as_secs_f64()),
            &format!("{:.4} s", row.warm.as_secs_f64()),
            &format!("{:.0}", row.times_faster()),
            &row.asked.to_string(),
            &row.downloads.to_string(),
        ]);
    }
    format!("\n{out}  Every answer, cold and warm, had the very bytes of its file.")
}

/// How the reader comes by all this.
pub fn load_it_yourself(library: &str) -> String {
    format!(
        "\nTo load it into a server of your own:

  redis-server --loadmodule {library}

or in redis.conf:    loadmodule {library}
or while it runs:    MODULE LOAD {library}
                     (it must have been started with enable-module-command local)

and then:            CACHE.GET https://www.rust-lang.org/ 3600

It fetches from public addresses at ports 80 and 443 alone, until cache.allowed-networks and
cache.allowed-ports name others; this demo has set them for the origin it brought along.
"
    )
}
