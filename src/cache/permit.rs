//! The right, and the duty, to land one flight.
//!
//! Whoever fills a flight holds its permit. Completing consumes it, so that a flight cannot be landed
//! twice; dropping it, in a panic for one, lands the flight with an error, so that none of its waiters
//! is ever forgotten.

use super::error::FetchError;
use super::flights::FlightId;

/// How a flight ended: what it brought home, or why it brought nothing.
pub type Outcome<V> = Result<V, FetchError>;

type Report<V> = Box<dyn FnOnce(FlightId, Outcome<V>) + Send>;

/// The leader's permit; see the module's essay.
pub struct Permit<V> {
    flight: FlightId,
    report: Option<Report<V>>,
}

impl<V> Permit<V> {
    /// A permit for `flight`, whose outcome goes to `report`, once.
    pub fn new(
        flight: FlightId,
        report: impl FnOnce(FlightId, Outcome<V>) + Send + 'static,
    ) -> Self {
        Self { flight, report: Some(Box::new(report)) }
    }

    /// Lands the flight.
    pub fn complete(mut self, outcome: Outcome<V>) {
        self.settle(outcome);
    }

    fn settle(&mut self, outcome: Outcome<V>) {
        if let Some(report) = self.report.take() {
            report(self.flight, outcome);
        }
    }
}

impl<V> Drop for Permit<V> {
    fn drop(&mut self) {
        self.settle(Err(FetchError::failed("the download was abandoned")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn completing_reports_once() {
        let (sender, outcomes) = mpsc::channel();
        let permit = Permit::new(FlightId::from_number(7), move |id, outcome| {
            sender.send((id, outcome)).unwrap();
        });
        permit.complete(Ok("body"));
        assert_eq!(outcomes.iter().collect::<Vec<_>>(), [(FlightId::from_number(7), Ok("body"))]);
    }

    #[test]
    fn a_panicking_leader_lands_its_flight_with_an_error() {
        let (sender, outcomes) = mpsc::channel();
        let permit: Permit<()> = Permit::new(FlightId::from_number(7), move |_, outcome| {
            sender.send(outcome).unwrap();
        });
        let leader = std::thread::spawn(move || {
            let _held = permit;
            panic!("as a broken download would");
        });
        assert!(leader.join().is_err());
        assert!(matches!(outcomes.recv(), Ok(Err(FetchError::Failed(_)))));
    }
}
