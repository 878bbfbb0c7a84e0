//! Names that tables give themselves and each other.

use std::collections::BTreeMap;

use super::{
    diagnostic::{Fault, Problems},
    path::KeyPath,
};
use crate::name::{Name, nearest::nearest};

/// The names of one kind of table, each with the position of the table that bears it.
#[derive(Debug)]
pub(super) struct Names {
    kind: &'static str,
    known: BTreeMap<String, usize>,
}

impl Names {
    /// Returns the empty set of names of `kind`, as people say it.
    pub(super) fn of(kind: &'static str) -> Self {
        Self {
            kind,
            known: BTreeMap::new(),
        }
    }

    /// Takes the name of the table at `index` of the list at `list`; refuses one that is not a name or taken.
    pub(super) fn declare<Of>(
        &mut self,
        text: &str,
        index: usize,
        list: &KeyPath,
        problems: &mut Problems,
    ) -> Option<Name<Of>> {
        let place = list.index(index).key("name");
        if let Some(first) = self.known.get(text) {
            let found = format!("`{text}`, the name of `{}` already", list.index(*first));
            let expected = format!("a name that no other {} has", self.kind);
            problems.refuse(&place, Fault::new("config.name_duplicate", found, expected));
            return None;
        }
        self.known.insert(text.to_owned(), index);
        problems.take(&place, parse(text))
    }

    /// Reads the name of another table; refuses one that no table has.
    pub(super) fn refer<Of>(&self, text: &str, place: &KeyPath, problems: &mut Problems) -> Option<Name<Of>> {
        if self.known.contains_key(text) {
            // What is not a name was refused where it was declared.
            return parse(text).ok();
        }
        let expected = format!("the name of one of the {} in this file", plural(self.kind));
        let fault = Fault::new("config.name_unknown", format_args!("`{text}`"), expected);
        let fault = match nearest(text, self.known.keys().map(String::as_str)) {
            Some(near) => fault.hint(format!("did you mean `{near}`?")),
            None => fault.hint(format!("add a [[{}]] of this name", self.kind.replace(' ', "_"))),
        };
        problems.refuse(place, fault);
        None
    }
}

fn parse<Of>(text: &str) -> Result<Name<Of>, Fault> {
    Name::parse(text).map_err(|why| {
        Fault::new(
            "config.name_invalid",
            format_args!("`{}`", why.found),
            "1 to 64 characters of a-z, 0-9, `-`, `_`, the first a letter or digit",
        )
    })
}

fn plural(kind: &str) -> String {
    kind.strip_suffix('y')
        .map_or_else(|| format!("{kind}s"), |stem| format!("{stem}ies"))
}
