//! The texts of statements over many rows, in few sizes so that each is prepared once.
//!
//! Never takes a value into a text: only placeholders.

/// How many rows one statement takes at most; the widest row (11 columns) stays far below SQLite's 32,766 parameters.
pub(super) const ROWS_MAX: usize = 128;

/// Returns the size to write a statement for `rows` rows in; what is left over is filled with NULL.
pub(super) fn size_for(rows: usize) -> usize {
    rows.clamp(1, ROWS_MAX).next_power_of_two()
}

/// Returns `each` so many times, separated by commas.
pub(super) fn repeated(each: &str, rows: usize) -> String {
    let mut text = String::with_capacity((each.len() + 1) * rows);
    for row in 0..rows {
        if row > 0 {
            text.push(',');
        }
        text.push_str(each);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_the_next_power_of_two_up_to_128() {
        let found = [0, 1, 2, 3, 65, 127, 128, 300].map(size_for);

        assert_eq!(found, [1, 1, 2, 4, 128, 128, 128, 128]);
    }

    #[test]
    fn a_text_is_repeated_with_commas() {
        assert_eq!(repeated("(?,?)", 3), "(?,?),(?,?),(?,?)");
    }
}
