//! Where time comes from, and how it is written.
//!
//! Only `main` and the tests make a clock; everything else takes `now` or a `&dyn Clock`.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Tells the wall-clock time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Returns the present moment.
    fn now(&self) -> SystemTime;

    /// Returns the time that has passed since some fixed moment, which nobody can set; a jump of `now` shows against it.
    fn uptime(&self) -> Duration;
}

/// Returns the host's clock.
pub fn system() -> Arc<dyn Clock> {
    Arc::new(SystemClock {
        started: Instant::now(),
    })
}

#[derive(Debug)]
struct SystemClock {
    started: Instant,
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the host")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct FakeClock {
    shown: Mutex<Shown>,
}

#[derive(Clone, Copy, Debug)]
struct Shown {
    now: SystemTime,
    uptime: Duration,
}

impl FakeClock {
    /// Returns a clock that shows the RFC 3339 moment `text`; the epoch if `text` is not one.
    pub fn at(text: &str) -> Arc<Self> {
        let now = parse_rfc3339(text).unwrap_or(UNIX_EPOCH);
        Arc::new(Self {
            shown: Mutex::new(Shown {
                now,
                uptime: Duration::ZERO,
            }),
        })
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.now += by;
        shown.uptime += by;
    }

    /// Sets the clock to any moment, also an earlier one, without time passing: a jump.
    pub fn set(&self, to: SystemTime) {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).now = to;
    }

    fn shown(&self) -> Shown {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for FakeClock {
    fn now(&self) -> SystemTime {
        self.shown().now
    }

    fn uptime(&self) -> Duration {
        self.shown().uptime
    }
}

/// Returns whole seconds since 1970, 0 for anything earlier.
pub fn unix_seconds(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Returns the moment `seconds` after 1970, or `None` past what the platform can hold.
pub fn from_unix_seconds(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Writes a moment as RFC 3339 in whole seconds with `Z`.
///
/// Whole seconds, because google-auth and botocore parse no fraction.
pub fn rfc3339(moment: SystemTime) -> String {
    i64::try_from(unix_seconds(moment))
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_else(|| "9999-12-31T23:59:59Z".to_owned())
}

/// Reads an RFC 3339 moment; `None` if it is not one or lies before 1970.
pub fn parse_rfc3339(text: &str) -> Option<SystemTime> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    from_unix_seconds(u64::try_from(moment.unix_timestamp()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_whole_seconds_and_reads_them_back() {
        let moment = parse_rfc3339("2026-01-16T14:40:00Z").unwrap();

        assert_eq!(rfc3339(moment + Duration::from_millis(900)), "2026-01-16T14:40:00Z");
        assert_eq!(unix_seconds(moment), 1_768_574_400);
    }

    #[test]
    fn a_fake_clock_moves_only_when_told() {
        let clock = FakeClock::at("2026-01-16T14:40:00Z");
        let before = clock.now();

        clock.advance(Duration::from_secs(5));

        assert_eq!(clock.now(), before + Duration::from_secs(5));
        assert_eq!(clock.uptime(), Duration::from_secs(5));
    }

    #[test]
    fn a_fake_clock_that_is_set_lets_no_time_pass() {
        let clock = FakeClock::at("2026-01-16T14:40:00Z");

        clock.set(UNIX_EPOCH);

        assert_eq!(clock.now(), UNIX_EPOCH);
        assert_eq!(clock.uptime(), Duration::ZERO);
    }
}
