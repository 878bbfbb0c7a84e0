//! The upstream budget: how often a cloud is called, so that Cambio never causes the throttling of everybody else.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::exchange::CloudRefusal;

/// What upstream calls are counted against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// For example `aws_sts/123456789012`, `gcp_sts/<project number>`, `azure_entra/<tenant>`.
    pub key: String,
    /// Calls a second, for all replicas together (LIMITS.md).
    pub per_second: u32,
}

/// The budgets of all upstreams of this process; cheap to clone.
#[derive(Clone, Debug)]
pub struct Budget {
    replicas: u32,
    upstreams: Arc<Mutex<HashMap<Upstream, Arc<Account>>>>,
}

#[derive(Debug)]
struct Account {
    limiter: DefaultDirectRateLimiter,
    paused_until: Mutex<Option<Instant>>,
}

impl Budget {
    /// Divides every budget by the number of replicas.
    pub fn new(replicas: NonZeroU32) -> Self {
        Self {
            replicas: replicas.get(),
            upstreams: Arc::default(),
        }
    }

    /// Waits for a turn, at most two seconds.
    ///
    /// # Errors
    /// Refuses where the turn would come later, or the cloud asked for a longer pause.
    pub async fn turn(&self, upstream: &Upstream) -> Result<(), CloudRefusal> {
        let account = self.account(upstream);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let wait = match account.pause() {
                Some(wait) => wait,
                None => match account.limiter.check() {
                    Ok(()) => return Ok(()),
                    Err(later) => later.wait_time_from(governor::clock::Clock::now(account.limiter.clock())),
                },
            };
            if Instant::now() + wait > deadline {
                return Err(CloudRefusal::BudgetSpent {
                    upstream: upstream.key.clone(),
                    retry_after: wait,
                });
            }
            tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
        }
    }

    /// Obeys a cloud's Retry-After: no call to `upstream` before it has passed; at most five minutes.
    pub fn pause(&self, upstream: &Upstream, retry_after: Duration) {
        let until = Instant::now() + retry_after.min(MAX_PAUSE);
        let account = self.account(upstream);
        let mut paused = account.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        *paused = Some(paused.map_or(until, |earlier| earlier.max(until)));
    }

    fn account(&self, upstream: &Upstream) -> Arc<Account> {
        let mut upstreams = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner);
        let account = upstreams.entry(upstream.clone()).or_insert_with(|| {
            let per_second = NonZeroU32::new(upstream.per_second / self.replicas).unwrap_or(NonZeroU32::MIN);
            Arc::new(Account {
                limiter: RateLimiter::direct(Quota::per_second(per_second)),
                paused_until: Mutex::default(),
            })
        });
        Arc::clone(account)
    }
}

impl Account {
    fn pause(&self) -> Option<Duration> {
        let until = (*self.paused_until.lock().unwrap_or_else(PoisonError::into_inner))?;
        until
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
    }
}

/// A request waits this long for its turn: well below the 30 s a whole request may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// A hostile Retry-After must not silence a cloud for ever.
const MAX_PAUSE: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(per_second: u32) -> Upstream {
        Upstream {
            key: "aws_sts/123456789012".to_owned(),
            per_second,
        }
    }

    #[tokio::test]
    async fn a_burst_of_one_second_passes_and_the_next_call_waits() {
        let budget = Budget::new(NonZeroU32::MIN);
        let started = Instant::now();

        for _ in 0..10 {
            budget.turn(&upstream(10)).await.unwrap();
        }
        let burst = started.elapsed();
        budget.turn(&upstream(10)).await.unwrap();

        assert!(burst < Duration::from_millis(90), "{burst:?}");
        assert!(started.elapsed() >= Duration::from_millis(90));
    }

    #[tokio::test]
    async fn the_budget_is_divided_by_the_replicas() {
        let budget = Budget::new(NonZeroU32::new(10).unwrap());
        let started = Instant::now();

        budget.turn(&upstream(10)).await.unwrap();
        budget.turn(&upstream(10)).await.unwrap();

        assert!(started.elapsed() >= Duration::from_millis(900));
    }

    #[tokio::test]
    async fn obeys_a_pause_longer_than_its_patience_by_refusing() {
        let budget = Budget::new(NonZeroU32::MIN);

        budget.pause(&upstream(10), Duration::from_mins(1));
        let refused = budget.turn(&upstream(10)).await;

        assert!(matches!(refused, Err(CloudRefusal::BudgetSpent { .. })), "{refused:?}");
    }
}
