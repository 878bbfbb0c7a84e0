//! Where copies of the entries go after the commit.
//!
//! A sink never holds up the writer: what it does not take in time is counted and left out; the store holds it.

pub mod file;
pub mod stdout;

use std::{
    collections::VecDeque,
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, task::JoinSet, time};

use crate::store::BoxFuture;

/// Takes copies of entries and checkpoints, one JSON object a line.
pub trait Sink: Send + Sync + fmt::Debug {
    /// Returns its name for metrics and logs.
    fn name(&self) -> &str;

    /// Writes `lines`, each without its line feed.
    ///
    /// # Errors
    /// The same lines are offered again after a pause.
    fn write<'a>(&'a self, lines: &'a [String]) -> BoxFuture<'a, Result<(), SinkFailed>>;
}

/// A sink did not take what it was given.
#[derive(Debug, thiserror::Error)]
#[error("sink `{sink}` did not take {lines} lines")]
pub struct SinkFailed {
    /// The sink.
    pub sink: String,
    /// How many lines.
    pub lines: usize,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// How a sink is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkHealth {
    /// Its name.
    pub name: String,
    /// Lines that wait.
    pub waiting: usize,
    /// Lines it took.
    pub written: u64,
    /// Lines left out because too many waited.
    pub dropped: u64,
    /// Why it last failed; `None` once it took something again.
    pub last_error: Option<String>,
}

/// The bounded spool before a sink.
#[derive(Debug)]
pub(in crate::audit) struct Spool {
    queue: Arc<Queue>,
}

#[derive(Debug)]
struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    batches: VecDeque<Arc<[String]>>,
    health: SinkHealth,
    open: bool,
}

impl Spool {
    /// Starts the task that feeds `sink`.
    pub(in crate::audit) fn start(sink: Arc<dyn Sink>, tasks: &mut JoinSet<()>) -> Self {
        let queue = Arc::new(Queue {
            state: Mutex::new(State {
                batches: VecDeque::new(),
                health: SinkHealth {
                    name: sink.name().to_owned(),
                    ..SinkHealth::default()
                },
                open: true,
            }),
            changed: Notify::new(),
        });
        tasks.spawn(feed(sink, Arc::clone(&queue)));
        Self { queue }
    }

    /// Spools `lines`, or counts them as dropped where too many wait.
    pub(in crate::audit) fn offer(&self, lines: Arc<[String]>) {
        let mut state = self.queue.state();
        if state.health.waiting + lines.len() > SPOOL_LINES {
            state.health.dropped += lines.len() as u64;
        } else {
            state.health.waiting += lines.len();
            state.batches.push_back(lines);
        }
        drop(state);
        self.queue.changed.notify_one();
    }

    /// Takes nothing more; the task ends when the spool is empty.
    pub(in crate::audit) fn end(&self) {
        self.queue.state().open = false;
        self.queue.changed.notify_one();
    }

    /// Returns how the sink is doing.
    pub(in crate::audit) fn health(&self) -> SinkHealth {
        self.queue.state().health.clone()
    }
}

impl Queue {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the oldest batch, which stays spooled until it was taken; `None` at the end.
    async fn next(&self) -> Option<Arc<[String]>> {
        loop {
            {
                let state = self.state();
                if let Some(lines) = state.batches.front() {
                    return Some(Arc::clone(lines));
                }
                if !state.open {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    fn taken(&self, lines: usize) {
        let mut state = self.state();
        state.batches.pop_front();
        state.health.waiting = state.health.waiting.saturating_sub(lines);
        state.health.written += lines as u64;
        state.health.last_error = None;
    }
}

async fn feed(sink: Arc<dyn Sink>, queue: Arc<Queue>) {
    while let Some(lines) = queue.next().await {
        match sink.write(&lines).await {
            Ok(()) => queue.taken(lines.len()),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a sink did not take entries");
                queue.state().health.last_error = Some(error.to_string());
                time::sleep(AGAIN_AFTER).await;
            }
        }
    }
}

/// Returns `lines` with their line feeds, to be written at once.
fn joined(lines: &[String]) -> String {
    let mut text = String::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// Runs what blocks where it may.
async fn blocking<F>(sink: &str, lines: usize, write: F) -> Result<(), SinkFailed>
where
    F: FnOnce() -> io::Result<()> + Send + 'static,
{
    let failed = |source| SinkFailed {
        sink: sink.to_owned(),
        lines,
        source,
    };
    match tokio::task::spawn_blocking(write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(failed(Box::new(error) as Box<dyn std::error::Error + Send + Sync>)),
        Err(error) => Err(failed(Box::new(error))),
    }
}

/// About 10 MiB of entries.
const SPOOL_LINES: usize = 10_000;

/// How long a sink that failed is left alone.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
