//! What was measured of whom, and in which case: printed as it comes, and
//! kept as JSON for the charts.
//!
//! A figure is a sample, one value a round. Rounds are taken in turn, so that
//! ratios are made round by round: they hold where the machine's speed does not.

use std::path::PathBuf;
use std::{env, fs};

use serde_json::{Map, Value, json};

use crate::machine::Machine;
use crate::table::{Sample, Unit, clear_progress};

/// What is measured, and in what unit.
#[derive(Clone, Copy, PartialEq)]
pub struct Metric {
    pub name: &'static str,
    pub unit: Unit,
}

impl Metric {
    pub const fn new(name: &'static str, unit: Unit) -> Self {
        Self { name, unit }
    }
}

/// What a figure was measured with: the size of a body, the number of clients.
#[derive(Clone, PartialEq)]
pub struct Case {
    /// As a person reads it.
    title: String,
    /// As the charts read it.
    values: Map<String, Value>,
}

impl Case {
    pub fn named(title: impl Into<String>) -> Self {
        Self { title: title.into(), values: Map::new() }
    }

    pub fn title(&self) -> &str {
        &self.title
    }

    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.values.insert(name.to_owned(), value.into());
        self
    }
}

struct Figure {
    peer: &'static str,
    metric: Metric,
    case: Case,
    sample: Sample,
}

/// The figures of a scenario.
pub struct Figures {
    scenario: &'static str,
    all: Vec<Figure>,
}

impl Figures {
    pub const fn of(scenario: &'static str) -> Self {
        Self { scenario, all: Vec::new() }
    }

    /// Adds a round's value.
    pub fn add(&mut self, case: &Case, peer: &'static str, metric: Metric, value: f64) {
        let known = self.all.iter().position(|figure| figure.is(case, peer, metric));
        let at = known.unwrap_or_else(|| {
            let sample = Sample::new();
            self.all.push(Figure { peer, metric, case: case.clone(), sample });
            self.all.len() - 1
        });
        self.all[at].sample.add(value);
    }

    /// What was measured.
    ///
    /// # Panics
    /// It was not.
    pub fn sample(&self, case: &Case, peer: &str, metric: Metric) -> &Sample {
        let found = self.find(case, peer, metric);
        found.unwrap_or_else(|| panic!("{peer} was not measured: {}", case.title))
    }

    /// Its median, as it is written.
    pub fn median(&self, case: &Case, peer: &str, metric: Metric) -> String {
        metric.unit.write(self.sample(case, peer, metric).median())
    }

    fn find(&self, case: &Case, peer: &str, metric: Metric) -> Option<&Sample> {
        let figure = self.all.iter().find(|figure| figure.is(case, peer, metric));
        figure.map(|figure| &figure.sample)
    }

    /// Who was measured in a case, in the order of their first turn.
    pub fn peers(&self, case: &Case) -> Vec<&'static str> {
        let mut peers = vec![];
        for figure in self.all.iter().filter(|figure| figure.case == *case) {
            if !peers.contains(&figure.peer) {
                peers.push(figure.peer);
            }
        }
        peers
    }

    /// One peer's against another's, round by round.
    ///
    /// # Panics
    /// They were not both measured.
    pub fn ratio(&self, case: &Case, metric: Metric, [peer, other]: [&str; 2]) -> Sample {
        self.sample(case, peer, metric).over(self.sample(case, other, metric))
    }

    /// What one has more than another.
    ///
    /// # Panics
    /// They were not both measured.
    pub fn difference(&self, case: &Case, metric: Metric, [peer, other]: [&str; 2]) -> Sample {
        self.sample(case, peer, metric).less(self.sample(case, other, metric))
    }

    /// Prints what was measured in a case: a line for each peer, the first metric with its spread.
    pub fn show(&self, case: &Case) {
        let mut metrics: Vec<Metric> = vec![];
        for figure in self.all.iter().filter(|figure| figure.case == *case) {
            if !metrics.contains(&figure.metric) {
                metrics.push(figure.metric);
            }
        }
        let Some((first, others)) = metrics.split_first() else { return };
        clear_progress();
        print!("\n{:<56}{:>12}{:>24}", case.title, first.name, "from - to");
        for metric in others {
            print!("{:>12}", metric.name);
        }
        println!();
        for peer in self.peers(case) {
            let median = |metric: Metric| {
                let sample = self.find(case, peer, metric);
                sample.map_or_else(|| "-".into(), |sample| metric.unit.write(sample.median()))
            };
            let spread = self.find(case, peer, *first).map(|sample| sample.spread(first.unit));
            print!("  {peer:<54}{:>12}{:>24}", median(*first), spread.unwrap_or_default());
            for metric in others {
                print!("{:>12}", median(*metric));
            }
            println!();
        }
    }

    /// Keeps them in the folder for results, in the place of those of an earlier run.
    pub fn keep(&self, machine: &Machine) {
        let mut whole = machine.to_json();
        whole["scenario"] = json!(self.scenario);
        whole["command"] = json!(format!("scripts/bench {}", self.scenario));
        let whole = serde_json::to_string_pretty(&whole).expect("these are plain values");
        let whole = whole.strip_suffix("\n}").expect("an object");
        // A figure a line: so it is short, and a later run's difference can be read.
        let figures: Vec<String> =
            self.all.iter().map(|f| format!("    {}", f.to_json())).collect();
        let text = format!("{whole},\n  \"figures\": [\n{}\n  ]\n}}\n", figures.join(",\n"));
        let folder = results();
        fs::create_dir_all(&folder).expect("the folder for results");
        let file = folder.join(format!("{}.json", self.scenario));
        fs::write(file, text).expect("the folder for results can be written to");
    }
}

impl Figure {
    fn is(&self, case: &Case, peer: &str, metric: Metric) -> bool {
        self.peer == peer && self.metric == metric && self.case == *case
    }

    fn to_json(&self) -> Value {
        // Four digits are more than these are worth, and keep the files small.
        let rounds: Vec<Value> = self.sample.values().iter().map(|value| rounded(*value)).collect();
        json!({
            "peer": self.peer,
            "metric": self.metric.name,
            "unit": self.metric.unit.symbol(),
            "case": self.case.values,
            "rounds": rounds,
        })
    }
}

/// With four digits that say something.
fn rounded(value: f64) -> Value {
    let text = format!("{value:.3e}");
    let value: f64 = text.parse().expect("a number that was just written");
    json!(value)
}

/// Where `scripts/bench` keeps them.
fn results() -> PathBuf {
    env::var_os("CACHE_GET_BENCH_RESULTS").map_or_else(|| "target/bench".into(), PathBuf::from)
}
