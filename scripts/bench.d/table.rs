//! Samples, bounds, and how they are printed.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// What was measured, once a round.
#[derive(Clone, Default)]
pub struct Sample(Vec<f64>);

impl Sample {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    pub fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    pub fn add_millis(&mut self, time: Duration) {
        self.add(time.as_secs_f64() * 1e3);
    }

    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let half = sorted.len() / 2;
        if sorted.len() % 2 == 1 {
            sorted[half]
        } else {
            f64::midpoint(sorted[half - 1], sorted[half])
        }
    }

    pub fn smallest(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub fn largest(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// From the smallest to the largest, as it is written.
    pub fn spread(&self, unit: Unit) -> String {
        format!("{} - {}", unit.number(self.smallest()), unit.number(self.largest()))
    }

    /// This against another, round by round.
    pub fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(this, other)| this / other).collect())
    }

    /// What this has more than another, round by round.
    pub fn less(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(this, other)| this - other).collect())
    }

    /// A value a round.
    pub fn values(&self) -> &[f64] {
        &self.0
    }
}

/// What a median must reach.
#[derive(Clone, Copy)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

/// How a number is written.
#[derive(Clone, Copy, PartialEq)]
pub enum Unit {
    /// Of something beside it.
    Times,
    Millis,
    Seconds,
    PerSecond,
    Count,
    Kib,
    Bytes,
    Micros,
}

impl Unit {
    pub fn write(self, value: f64) -> String {
        format!("{}{}", self.number(value), self.name())
    }

    fn number(self, value: f64) -> String {
        match self {
            Self::Times => format!("{value:.3}"),
            Self::Seconds | Self::Micros => format!("{value:.2}"),
            Self::Millis if value < 0.1 => format!("{value:.3}"),
            Self::Millis if value < 10.0 => format!("{value:.2}"),
            Self::Millis => format!("{value:.0}"),
            Self::PerSecond | Self::Kib | Self::Bytes | Self::Count => thousands(value),
        }
    }

    /// What it is called among the results.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Times => "x",
            Self::Millis => "ms",
            Self::Seconds => "s",
            Self::PerSecond => "/s",
            Self::Kib => "KiB",
            Self::Bytes => "B",
            Self::Micros => "us",
            Self::Count => "",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Times => "x",
            Self::Millis => " ms",
            Self::Seconds => " s",
            Self::PerSecond => "/s",
            Self::Kib => " KiB",
            Self::Bytes => " B",
            Self::Micros => " µs",
            Self::Count => "",
        }
    }
}

/// One line of the table.
pub struct Row {
    pub what: String,
    pub unit: Unit,
    pub asked: Bound,
    pub measured: Sample,
    /// What the machine does without the module, and what else there is to know.
    pub beside: String,
}

/// The table of what is promised, printed line by line as the rows come in, a
/// part for each scenario.
#[derive(Default)]
pub struct Table {
    rows: usize,
    missed: usize,
    has_header: bool,
}

impl Table {
    pub fn begin_scenario(&mut self, name: &str) {
        println!("\n=== {name} ===");
        self.has_header = false;
    }

    pub fn add(&mut self, row: &Row) {
        let Row { unit, measured, .. } = row;
        let holds = row.asked.holds(measured.median());
        let asked = match row.asked {
            Bound::AtLeast(bound) => format!("≥ {}", unit.write(bound)),
            Bound::AtMost(bound) => format!("≤ {}", unit.write(bound)),
        };
        self.rows += 1;
        self.missed += usize::from(!holds);
        clear_progress();
        if !self.has_header {
            println!();
            line(["", "asked", "median", "from - to", "", "beside it"]);
            self.has_header = true;
        }
        line([
            &row.what,
            &asked,
            &unit.write(measured.median()),
            &measured.spread(*unit),
            if holds { "holds" } else { "MISSED" },
            &row.beside,
        ]);
    }

    pub fn end(&self) {
        let Self { rows, missed, .. } = self;
        if *rows == 0 {
            return;
        }
        println!("\n{} of {rows} bounds hold, {missed} are missed.", rows - missed);
    }
}

fn line(cells: [&str; 6]) {
    let [what, asked, median, spread, holds, beside] = cells;
    println!("{what:<46}{asked:>10}{median:>11}{spread:>18}  {holds:<8}{beside}");
}

/// Tells what is being waited for, where somebody is looking.
pub fn progress(what: impl Display) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K  ... {what}");
        io::stderr().flush().ok();
    }
}

pub fn clear_progress() {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}

/// A whole number with its thousands set apart.
fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::from(if value <= -0.5 { "-" } else { "" });
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
