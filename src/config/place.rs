//! Finds the place of each problem in the file.

use std::{
    collections::BTreeSet,
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    diagnostic::{Diagnostic, Fault, Part, Place, Problem, Problems, Severity, shown},
    document::{Document, Origin, SyntaxError},
    excerpt::{Hidden, Lines},
    path::KeyPath,
};

/// Returns what stops the start apart from what does not, each in the order of the file.
pub(super) fn sorted(
    document: &Document,
    problems: Problems,
    mut further: Vec<Diagnostic>,
) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
    further.extend(diagnostics(document, problems.into_list()));
    further
        .into_iter()
        .partition(|diagnostic| diagnostic.severity == Severity::Error)
}

/// Returns the diagnostics of a parsed file, in its order.
fn diagnostics(document: &Document, problems: Vec<Problem>) -> Vec<Diagnostic> {
    let unknown: BTreeSet<KeyPath> = problems
        .iter()
        .filter(|problem| problem.fault.code == "config.unknown_key")
        .map(|problem| problem.path.clone())
        .collect();
    let hidden = Hidden::of(document, &unknown);
    let lines = Lines::of(document.text());
    let mut placed: Vec<(usize, Problem)> = problems
        .into_iter()
        .map(|problem| (offset(origin(document, &problem)), problem))
        .collect();
    placed.sort_by_key(|(offset, _)| *offset);
    let more = placed.len().saturating_sub(MAX_DIAGNOSTICS);
    let mut out: Vec<Diagnostic> = placed
        .into_iter()
        .take(MAX_DIAGNOSTICS)
        .map(|(_, problem)| {
            let place = match origin(document, &problem) {
                Some(Origin::File(span)) => at(document.file(), &lines, span, &hidden),
                Some(Origin::Environment(variable)) => environment(variable),
                None => whole(document.file()),
            };
            diagnostic(problem.severity, &problem.path, problem.fault, place)
        })
        .collect();
    if more > 0 {
        let fault = Fault::new(
            "config.too_many_problems",
            format_args!("{more} more problems"),
            "fewer",
        );
        out.push(of_file(document.file(), fault));
    }
    out
}

fn origin<'a>(document: &'a Document, problem: &Problem) -> Option<&'a Origin> {
    let (key, value) = document.locate(&problem.path)?;
    Some(match problem.part {
        Part::Key => key,
        Part::Value => value,
    })
}

/// Returns what problems are sorted by: the file as a whole first, the environment last.
fn offset(origin: Option<&Origin>) -> usize {
    match origin {
        Some(Origin::File(span)) => span.start,
        Some(Origin::Environment(_)) => usize::MAX,
        None => 0,
    }
}

/// Returns the diagnostics of a text that is not TOML.
pub(super) fn of_syntax(
    file: &Path,
    text: &str,
    errors: &[SyntaxError],
    known: impl Fn(&str) -> bool,
) -> Vec<Diagnostic> {
    let lines = Lines::of(text);
    let mut out: Vec<Diagnostic> = Vec::new();
    let mut errors: Vec<&SyntaxError> = errors.iter().collect();
    errors.sort_by_key(|error| error.span.start);
    for error in errors.into_iter().take(MAX_SYNTAX_ERRORS) {
        let position = lines.position(error.span.start);
        let place = Place::Position {
            file: file.to_owned(),
            line: position.line,
            column: position.column,
            excerpt: lines.raw_excerpt(&error.span, &known),
        };
        let fault = Fault::new(
            "config.syntax",
            format_args!("text that is not TOML ({})", error.message),
            "TOML",
        );
        let new = diagnostic(Severity::Error, &KeyPath::root(), fault, place);
        if !out.contains(&new) {
            out.push(new);
        }
    }
    out
}

/// Returns the diagnostic of a file as a whole.
pub(super) fn of_file(file: &Path, fault: Fault) -> Diagnostic {
    diagnostic(Severity::Error, &KeyPath::root(), fault, whole(file))
}

fn diagnostic(severity: Severity, path: &KeyPath, fault: Fault, place: Place) -> Diagnostic {
    Diagnostic {
        severity,
        code: fault.code,
        key: shown(&path.to_string()),
        place,
        found: fault.found,
        expected: fault.expected,
        hint: fault.hint,
    }
}

fn at(file: &Path, lines: &Lines<'_>, span: &Range<usize>, hidden: &Hidden) -> Place {
    let position = lines.position(span.start);
    Place::Position {
        file: file.to_owned(),
        line: position.line,
        column: position.column,
        excerpt: lines.excerpt(span, hidden),
    }
}

fn environment(variable: &str) -> Place {
    Place::Environment {
        variable: variable.to_owned(),
    }
}

fn whole(file: &Path) -> Place {
    Place::File {
        file: PathBuf::from(file),
    }
}

/// Nobody reads more.
pub(super) const MAX_DIAGNOSTICS: usize = 200;

/// After the first few, a parser guesses.
const MAX_SYNTAX_ERRORS: usize = 20;
