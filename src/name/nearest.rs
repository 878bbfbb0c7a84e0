//! Which known word somebody may have meant.
//!
//! Never takes a word in the place of the one that was written: it is only ever shown.

/// Returns the known word nearest to `word`, if any is near.
///
/// Near is at most a third of the word's length in edits, and at least one.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().take(MAX_CHARACTERS).count();
    let limit = (length / 3).max(1);
    known
        .into_iter()
        // Each character more or less is one edit at least.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= limit)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Counts the insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().take(MAX_CHARACTERS).collect();
    let other: Vec<char> = other.chars().take(MAX_CHARACTERS).collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, from) in one.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, to) in other.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut cost = (at(&last, column) + usize::from(from != to))
                .min(at(&last, column + 1) + 1)
                .min(at(&current, column) + 1);
            let swapped = row > 0 && column > 0 && one.get(row - 1) == Some(to) && other.get(column - 1) == Some(from);
            if swapped {
                cost = cost.min(at(&before_last, column - 1) + 1);
            }
            current.push(cost);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or(0)
}

/// No key of ours is longer; a megabyte of key must not cost a quadratic search.
const MAX_CHARACTERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_typing_mistake() {
        let known = ["issuer", "exchange_url", "listen"];

        assert_eq!(nearest("isuer", known), Some("issuer"));
        assert_eq!(nearest("exchagne_url", known), Some("exchange_url"));
        assert_eq!(nearest("lissten", known), Some("listen"));
    }

    #[test]
    fn guesses_nothing_far_away() {
        assert_eq!(nearest("replicas", ["issuer", "listen"]), None);
        assert_eq!(nearest("ab", ["xy"]), None);
    }

    #[test]
    fn counts_a_swap_of_neighbours_as_one() {
        assert_eq!(distance("kidn", "kind"), 1);
        assert_eq!(distance("", "kind"), 4);
        assert_eq!(distance("kind", "kind"), 0);
    }
}
