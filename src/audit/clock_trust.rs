//! Whether the wall clock may be believed (TM-53).
//!
//! Never repairs itself: once the clock lay before the last checkpoint or jumped, an operator has to confirm it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use super::trail::TrailError;
use crate::clock::{self, Clock};

/// Watches the wall clock against the last checkpoint and against the time that passed.
#[derive(Debug)]
pub(in crate::audit) struct ClockTrust {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The wall clock must not lie further before this than [`TOLERANCE`].
    floor: SystemTime,
    /// What the clock showed when it was last believed, and the uptime then.
    believed: (SystemTime, Duration),
    distrust: Option<Distrust>,
}

#[derive(Clone, Debug)]
struct Distrust {
    found: SystemTime,
    expected: SystemTime,
}

impl ClockTrust {
    /// Begins to watch; `floor` is the latest moment that the store knows of.
    pub(in crate::audit) fn new(clock: Arc<dyn Clock>, floor: SystemTime) -> Self {
        let state = State {
            floor,
            believed: (clock.now(), clock.uptime()),
            distrust: None,
        };
        Self {
            clock,
            state: Mutex::new(state),
        }
    }

    /// Returns the present moment if the clock may be believed.
    pub(in crate::audit) fn now(&self) -> Result<SystemTime, TrailError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, uptime) = (self.clock.now(), self.clock.uptime());
        if state.distrust.is_none() {
            state.distrust = state.doubt(now, uptime);
        }
        match &state.distrust {
            None => {
                state.believed = (now, uptime);
                Ok(now)
            }
            Some(doubt) => Err(TrailError::ClockUntrusted {
                found: clock::rfc3339(doubt.found),
                expected: clock::rfc3339(doubt.expected),
            }),
        }
    }

    /// Notes a checkpoint: the clock must not fall behind it.
    pub(in crate::audit) fn checkpointed(&self, at: SystemTime) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).floor = at;
    }

    /// Believes what the clock shows now; returns it.
    pub(in crate::audit) fn confirm(&self) -> SystemTime {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        *state = State {
            floor: now,
            believed: (now, self.clock.uptime()),
            distrust: None,
        };
        now
    }

    /// Returns what the clock shows, believed or not, and whether it is believed.
    pub(in crate::audit) fn glance(&self) -> (SystemTime, bool) {
        let trusted = self.now().is_ok();
        (self.clock.now(), trusted)
    }
}

impl State {
    fn doubt(&self, now: SystemTime, uptime: Duration) -> Option<Distrust> {
        let (shown, then) = self.believed;
        let expected = shown + uptime.saturating_sub(then);
        let apart = match now.duration_since(expected) {
            Ok(ahead) => ahead,
            Err(behind) => behind.duration(),
        };
        if apart > JUMP {
            return Some(Distrust { found: now, expected });
        }
        (now + TOLERANCE < self.floor).then_some(Distrust {
            found: now,
            expected: self.floor,
        })
    }
}

/// FLOWS.md: a clock that lies further than this before the last checkpoint is not believed.
const TOLERANCE: Duration = Duration::from_mins(1);

/// FLOWS.md: a jump further than this is not believed.
const JUMP: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::FakeClock;

    fn watched(floor: &str, now: &str) -> (Arc<FakeClock>, ClockTrust) {
        let clock = FakeClock::at(now);
        let floor = clock::parse_rfc3339(floor).unwrap();
        (Arc::clone(&clock), ClockTrust::new(clock, floor))
    }

    #[test]
    fn tm_53_believes_a_clock_60_s_before_the_checkpoint_and_not_61_s() {
        let (_clock, at_60) = watched("2026-01-16T14:41:00Z", "2026-01-16T14:40:00Z");
        let (_clock, at_61) = watched("2026-01-16T14:41:01Z", "2026-01-16T14:40:00Z");

        assert!(at_60.now().is_ok());
        assert!(
            matches!(at_61.now(), Err(TrailError::ClockUntrusted { found, expected })
            if found == "2026-01-16T14:40:00Z" && expected == "2026-01-16T14:41:01Z")
        );
    }

    #[test]
    fn tm_53_believes_a_jump_of_10_min_and_not_1_s_more_either_way() {
        for (jump, forward, believed) in [
            (600, true, true),
            (601, true, false),
            (600, false, true),
            (601, false, false),
        ] {
            let (clock, trust) = watched("2020-01-01T00:00:00Z", "2026-01-16T14:40:00Z");
            clock.advance(Duration::from_hours(1));
            let by = Duration::from_secs(jump);
            clock.set(if forward { clock.now() + by } else { clock.now() - by });

            assert_eq!(trust.now().is_ok(), believed, "{jump} s, forward: {forward}");
        }
    }

    #[test]
    fn tm_53_time_that_passes_is_no_jump() {
        let (clock, trust) = watched("2020-01-01T00:00:00Z", "2026-01-16T14:40:00Z");

        clock.advance(Duration::from_hours(24));

        assert!(trust.now().is_ok());
    }

    #[test]
    fn tm_53_distrust_stays_until_it_is_confirmed() {
        let (clock, trust) = watched("2020-01-01T00:00:00Z", "2026-01-16T14:40:00Z");
        let right = clock.now();
        clock.set(right + Duration::from_hours(24));
        assert!(trust.now().is_err());
        clock.set(right);
        assert!(trust.now().is_err());

        trust.confirm();

        assert_eq!(trust.now().ok(), Some(right));
    }

    #[test]
    fn tm_53_survives_the_ends_of_time() {
        for text in ["1970-01-01T00:00:00Z", "2038-01-19T03:14:08Z", "2106-02-07T06:28:16Z"] {
            let (clock, trust) = watched("2020-01-01T00:00:00Z", "2026-01-16T14:40:00Z");
            clock.set(clock::parse_rfc3339(text).unwrap());

            assert!(trust.now().is_err(), "{text}");
        }
    }
}
