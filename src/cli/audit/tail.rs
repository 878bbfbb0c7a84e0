//! `cambio audit tail`: the newest entries, and those that come.

use std::{collections::HashSet, time::Duration};

use super::{
    entry::Shown,
    filter::{self, AskArguments, FilterArguments, Trail},
};
use crate::{
    cli::{environment::Environment, failure::Failure, output::Output},
    clock::{parse_rfc3339, unix_seconds},
};

/// Arguments of `cambio audit tail`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    filter: FilterArguments,
    /// So many entries, 1 to 10000.
    #[arg(long, short = 'n', value_parser = filter::count, default_value = "20")]
    lines: u32,
    /// Goes on with entries as they come, until interrupted.
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    ask: AskArguments,
}

/// Prints the newest entries, oldest first.
///
/// # Errors
/// Fails where the gateway does not answer.
pub async fn run(arguments: &Arguments, environment: &Environment, output: &mut Output<'_>) -> Result<(), Failure> {
    let trail = Trail::of(&arguments.ask, environment)?;
    let mut parameters = arguments.filter.parameters();
    let mut newest = parameters.clone();
    newest.extend([("limit", arguments.lines.to_string()), ("newest", true.to_string())]);
    let lines = trail.ask(&newest).await?;
    let mut window = Window::default();
    trail.print(window.unseen(&lines).into_iter(), output)?;
    if !arguments.follow {
        return Ok(());
    }
    if lines.is_empty() {
        window.begin(unix_seconds(environment.clock.now()));
    }
    parameters.push(("limit", MOST.to_string()));
    loop {
        tokio::time::sleep(PAUSE).await;
        let mut next = parameters.clone();
        next.push(("since", window.since().to_string()));
        let lines = trail.ask(&next).await?;
        if lines.len() >= MOST {
            output.note("entries come faster than they can be followed, some are not shown: see cambio audit query");
        }
        trail.print(window.unseen(&lines).into_iter(), output)?;
    }
}

/// What was shown lately: chains of several replicas do not arrive in the order of their clocks.
#[derive(Debug, Default)]
struct Window {
    newest: u64,
    seen: HashSet<(u64, String, u64)>,
}

impl Window {
    fn begin(&mut self, seconds: u64) {
        self.newest = seconds;
    }

    /// From when to ask, in unix seconds.
    fn since(&self) -> u64 {
        self.newest.saturating_sub(OVERLAP.as_secs())
    }

    /// Returns the lines that were not returned before.
    fn unseen<'a>(&mut self, lines: &'a [String]) -> Vec<&'a str> {
        let mut fresh = Vec::new();
        for line in lines {
            let Some(Shown {
                writer, sequence, time, ..
            }) = Shown::read(line)
            else {
                continue;
            };
            let seconds = parse_rfc3339(&time).map_or(0, unix_seconds);
            self.newest = self.newest.max(seconds);
            if self.seen.insert((seconds, writer, sequence)) {
                fresh.push(line.as_str());
            }
        }
        let since = self.since();
        self.seen.retain(|(seconds, _, _)| *seconds >= since);
        fresh
    }
}

const PAUSE: Duration = Duration::from_secs(1);
/// Twice what the clocks of replicas may differ by without anybody noticing.
const OVERLAP: Duration = Duration::from_secs(10);
/// What one answer holds at most.
const MOST: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(writer: &str, sequence: u64, time: &str) -> String {
        format!(r#"{{"writer":"{writer}","sequence":{sequence},"time":"{time}","kind":"change"}}"#)
    }

    #[test]
    fn an_entry_is_shown_once_also_where_it_arrives_late() {
        let mut window = Window::default();
        let first = [
            line("a", 1, "2026-01-16T14:40:00Z"),
            line("a", 2, "2026-01-16T14:40:05Z"),
        ];
        assert_eq!(window.unseen(&first).len(), 2);

        let late = line("b", 1, "2026-01-16T14:39:58Z");
        let next = [first[0].clone(), late.clone(), first[1].clone()];

        assert_eq!(window.unseen(&next), [late.as_str()]);
        assert_eq!(window.newest - window.since(), 10);
    }

    #[test]
    fn what_can_no_longer_arrive_is_forgotten() {
        let mut window = Window::default();
        window.unseen(&[line("a", 1, "2026-01-16T14:40:00Z")]);
        window.unseen(&[line("a", 2, "2026-01-16T14:40:10Z")]);
        assert_eq!(window.seen.len(), 2);

        window.unseen(&[line("a", 3, "2026-01-16T14:40:11Z")]);

        assert_eq!(window.seen.len(), 2);
    }
}
