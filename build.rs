//! Lists the presets of the `oidc` attestor and their how-to pages, so that a vendor is added by adding files.
//!
//! It must never do more: nothing that is compiled depends on the machine, the time or a program that is found.

use std::{collections::BTreeMap, env, error::Error, fmt::Write as _, fs, path::Path};

const PRESETS: &str = "src/attest/oidc/presets";
const PAGES: &str = "src/manual";

#[expect(
    clippy::disallowed_methods,
    reason = "the environment is how cargo speaks to a build script"
)]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PRESETS}");
    println!("cargo::rerun-if-changed={PAGES}");
    let root = env::var("CARGO_MANIFEST_DIR")?;
    let out = env::var("OUT_DIR")?;
    let presets = names(&Path::new(&root).join(PRESETS))?;

    let mut list = String::from("&[\n");
    for (name, file) in &presets {
        writeln!(list, "    ({name:?}, include_str!({file:?})),")?;
    }
    list.push_str("]\n");
    fs::write(Path::new(&out).join("presets.rs"), list)?;

    let mut modules = String::new();
    let mut list = String::new();
    for name in presets.keys() {
        let page = format!("{}.md", name.replace('_', "-"));
        let file = Path::new(&root).join(PAGES).join(&page);
        if let Some(file) = file.to_str().filter(|_| file.exists()) {
            let module = format!("#[doc = include_str!({file:?})]\npub mod {name} {{}}");
            writeln!(modules, "{module}")?;
            writeln!(list, "    ({page:?}, include_str!({file:?})),")?;
        }
    }
    write!(
        modules,
        "\n/// The how-to pages of the presets by their files.\npub const PAGES: &[(&str, &str)] = &[\n{list}];\n"
    )?;
    fs::write(Path::new(&out).join("guides.rs"), modules)?;
    Ok(())
}

/// Returns the presets' files by their names.
fn names(folder: &Path) -> Result<BTreeMap<String, String>, Box<dyn Error>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml")
            && let Some(name) = path.file_stem().and_then(|name| name.to_str())
            && let Some(file) = path.to_str()
        {
            found.insert(name.to_owned(), file.to_owned());
        }
    }
    Ok(found)
}
