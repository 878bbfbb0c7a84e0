//! Questions to the trail: their parameters, and the answer's lines.
//!
//! Never returns an unbounded answer.

use serde::Deserialize;

use super::chain::line;
use crate::{
    clock,
    store::{Store, StoreError, TrailFilter},
};

/// The parameters of a question, as the admin socket and the command line take them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Query {
    /// Only of this writer.
    pub writer: Option<String>,
    /// Only after this position in the writer's chain.
    pub after: Option<u64>,
    /// Only of this exchange.
    pub exchange_id: Option<String>,
    /// Only of this workload.
    pub spiffe_id: Option<String>,
    /// Only of this relying party.
    pub relying_party: Option<String>,
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only with this refusal code.
    pub code: Option<String>,
    /// Only from this moment, RFC 3339.
    pub since: Option<String>,
    /// Only before this moment, RFC 3339.
    pub until: Option<String>,
    /// Only intents without an outcome.
    pub open: bool,
    /// From the beginning instead of the end.
    pub oldest: bool,
    /// How many entries; 100 where it is left out.
    pub limit: Option<u32>,
}

/// A parameter cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryRefused {
    /// A position without the chain it is in.
    #[error("`after` is {found}, which needs `writer`: every chain counts for itself")]
    AfterWithoutWriter {
        /// The position.
        found: u64,
    },
    /// More than one answer holds, or none at all.
    #[error("`limit` is {found}, expected 1 to {max}", max = TrailFilter::MAX_ROWS)]
    Limit {
        /// What was asked.
        found: u32,
    },
    /// Not a moment.
    #[error("`{parameter}` is `{found}`, expected a moment like 2026-01-16T14:40:00Z")]
    Moment {
        /// The parameter.
        parameter: &'static str,
        /// What was found.
        found: String,
    },
}

impl Query {
    /// Returns the filter that this question comes to.
    ///
    /// # Errors
    /// Refuses a moment that is none, and a limit that no answer holds.
    pub fn filter(self) -> Result<TrailFilter, QueryRefused> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if limit == 0 || limit > TrailFilter::MAX_ROWS {
            return Err(QueryRefused::Limit { found: limit });
        }
        if let (Some(found), None) = (self.after, &self.writer) {
            return Err(QueryRefused::AfterWithoutWriter { found });
        }
        Ok(TrailFilter {
            writer: self.writer,
            after_sequence: self.after,
            exchange_id: self.exchange_id,
            spiffe_id: self.spiffe_id,
            relying_party: self.relying_party,
            kind: self.kind,
            code: self.code,
            since_seconds: moment("since", self.since)?,
            until_seconds: moment("until", self.until)?,
            open: self.open,
            newest: !self.oldest && self.after.is_none(),
            limit,
        })
    }
}

/// Returns the entries that match, one JSON object a line, exactly as they were hashed, with their hash.
///
/// # Errors
/// Fails where the store does.
pub async fn lines(store: &dyn Store, filter: TrailFilter) -> Result<Vec<String>, StoreError> {
    Ok(store.trail(filter).await?.iter().map(line).collect())
}

fn moment(parameter: &'static str, text: Option<String>) -> Result<Option<u64>, QueryRefused> {
    text.map(|found| match clock::parse_rfc3339(&found) {
        Some(moment) => Ok(clock::unix_seconds(moment)),
        None => Err(QueryRefused::Moment { parameter, found }),
    })
    .transpose()
}

/// About what a terminal shows in a few screens.
const DEFAULT_LIMIT: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_for_the_newest_hundred_where_nothing_is_said() {
        let filter = Query::default().filter().unwrap();

        assert!(filter.newest);
        assert_eq!(filter.rows(), 100);
    }

    #[test]
    fn takes_a_limit_of_10_000_and_refuses_10_001_and_0() {
        let asked = |limit| {
            Query {
                limit: Some(limit),
                ..Query::default()
            }
            .filter()
            .map(|filter| filter.rows())
        };

        assert_eq!(asked(10_000), Ok(10_000));
        assert_eq!(asked(10_001), Err(QueryRefused::Limit { found: 10_001 }));
        assert_eq!(asked(0), Err(QueryRefused::Limit { found: 0 }));
    }

    #[test]
    fn refuses_a_moment_that_is_none() {
        let query = Query {
            since: Some("yesterday".to_owned()),
            ..Query::default()
        };

        assert_eq!(
            query.filter().map(|filter| filter.rows()),
            Err(QueryRefused::Moment {
                parameter: "since",
                found: "yesterday".to_owned()
            })
        );
    }

    #[test]
    fn refuses_a_position_without_its_chain() {
        let query = Query {
            after: Some(7),
            ..Query::default()
        };

        assert_eq!(
            query.filter().map(|filter| filter.rows()),
            Err(QueryRefused::AfterWithoutWriter { found: 7 })
        );
    }
}
