//! The book against the sources: each code has its page, each page its code, and each link leads somewhere.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use cambio::manual;

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let codes = codes();
    let pages = pages_of_errors();

    let without_page: Vec<_> = codes.difference(&pages).collect();
    let without_code: Vec<_> = pages.difference(&codes).collect();
    assert!(
        without_page.is_empty(),
        "no page in src/manual/errors: {without_page:?}"
    );
    assert!(without_code.is_empty(), "no code for the pages: {without_code:?}");
    // Were the reader of sources blind, both sets would be empty and agree.
    assert!(codes.len() >= 60, "found only {codes:?}");
}

#[test]
fn every_page_of_a_code_says_what_it_must() {
    for code in pages_of_errors() {
        let page = read(&errors().join(format!("{code}.md")));

        assert!(page.starts_with(&format!("# `{code}`\n")), "{code}: the title");
        for part in [
            "Found: ",
            "Expected: ",
            "| HTTP status |",
            "## What to do\n\n- ",
            "## Example\n\n```text\n",
        ] {
            assert!(page.contains(part), "{code}: no {part:?}");
        }
    }
}

#[test]
fn the_table_of_codes_lists_all_of_them() {
    let page = read(&book().join("http.md"));
    let listed = page
        .lines()
        .filter_map(|line| line.strip_prefix("| [`"))
        .filter_map(|line| line.split('`').next());

    assert_eq!(listed.map(str::to_owned).collect::<BTreeSet<_>>(), codes());
}

#[test]
fn every_code_of_the_configuration_is_explained() {
    let explained = read(&book().join("configuration.md")) + &read(&errors().join("config.md"));
    let mut found = BTreeSet::new();
    for text in production_sources() {
        found.extend(quoted(&text).filter(|word| word.starts_with("config.") && is_code(word)));
    }

    let missing: Vec<_> = found
        .iter()
        .filter(|code| !explained.contains(&format!("| `{code}` |")))
        .collect();
    assert!(
        missing.is_empty(),
        "not in configuration.md or errors/config.md: {missing:?}"
    );
    let rows = explained.lines().filter_map(|line| line.strip_prefix("| `config."));
    let invented: Vec<_> = rows
        .filter_map(|row| row.split('`').next())
        .filter(|name| !found.contains(&format!("config.{name}")))
        .collect();
    assert!(invented.is_empty(), "in the manual, but in no source: {invented:?}");
}

#[test]
fn every_page_is_compiled_into_the_documentation() {
    let module = read(&book().join("mod.rs"));

    for page in markdown() {
        let name = page
            .strip_prefix(book())
            .expect("a page of the book")
            .display()
            .to_string();
        let guide = manual::guides::PAGES.iter().any(|(file, _)| *file == name);
        assert!(
            guide || module.contains(&format!("\"{name}\"")),
            "src/manual/mod.rs leaves out {name}"
        );
    }
    for (kind, page) in manual::plugins() {
        assert!(
            module.contains(&format!("/{kind}/manual.md\"")),
            "src/manual/mod.rs leaves out the page of {kind}"
        );
        assert!(!page.trim().is_empty(), "the page of {kind} is empty");
    }
}

#[test]
fn every_link_of_the_book_and_the_readme_leads_to_a_file_and_a_heading() {
    let mut pages = markdown();
    pages.extend(["README.md", "CHANGELOG.md", "tests/live/README.md"].map(|name| root().join(name)));
    let mut seen = 0;

    for page in pages {
        for link in links(&read(&page)) {
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => page.clone(),
                _ => page.parent().expect("a folder").join(file),
            };
            assert!(target.exists(), "{}: `{link}` leads nowhere", page.display());
            let found = heading.is_empty() || headings(&read(&target)).any(|found| found == heading);
            assert!(found, "{}: `{link}` has no such heading", page.display());
            seen += 1;
        }
    }
    assert!(seen > 60, "found only {seen} links");
}

/// Returns the codes of all `fn code(&self) -> &'static str` in production sources.
fn codes() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for text in production_sources() {
        for body in text.split("fn code(&self) -> &'static str {").skip(1) {
            let body = body.split("\n    }\n").next().unwrap_or_default();
            found.extend(quoted(body).filter(|word| is_code(word)));
        }
    }
    found
}

/// Tells whether `word` is a stable code: `step.noun`.
fn is_code(word: &str) -> bool {
    let lower = |part: &str| part.len() > 1 && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    word.split_once('.')
        .is_some_and(|(step, noun)| lower(step) && lower(noun))
}

fn quoted(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split('"').skip(1).map(str::to_owned)
}

fn pages_of_errors() -> BTreeSet<String> {
    let names = fs::read_dir(errors())
        .expect("src/manual/errors")
        .map(|entry| entry.expect("an entry").path());
    names
        .filter_map(|path| Some(path.file_name()?.to_str()?.strip_suffix(".md")?.to_owned()))
        .filter(|name| name != "config")
        .collect()
}

fn markdown() -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(&book(), "md", &mut found);
    found
}

/// Returns the sources without their tests.
fn production_sources() -> Vec<String> {
    let mut files = Vec::new();
    collect(&root().join("src"), "rs", &mut files);
    let is_test = |path: &Path| {
        let mut names = path.components().filter_map(|part| part.as_os_str().to_str());
        names.any(|name| matches!(name, "fixture.rs" | "sim" | "tests" | "tests.rs"))
    };
    let production = files
        .iter()
        .filter(|path| !is_test(path.strip_prefix(root()).expect("a source")));
    production
        .map(|path| {
            let text = read(path);
            text.split("#[cfg(test)]\nmod tests")
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

/// Returns the targets of links that stay in the repository; code is no place for links.
fn links(page: &str) -> Vec<String> {
    let mut in_code = false;
    let mut found = Vec::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        found.extend(targets.filter(|target| !target.contains("://")).map(str::to_owned));
    }
    found
}

/// Returns the names under which a page's headings can be linked.
fn headings(page: &str) -> impl Iterator<Item = String> + '_ {
    page.lines().filter(|line| line.starts_with('#')).map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

fn collect(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, extension, found);
        } else if path.extension().is_some_and(|end| end == extension) {
            found.push(path);
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

fn book() -> PathBuf {
    root().join("src/manual")
}

fn errors() -> PathBuf {
    book().join("errors")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
