//! The reference page's tables, written from the declarations.

use std::fmt::Write;

use crate::keys::{Absent, Bounded, FUNCTION, Form, Key, RESERVED, SECTIONS};
use crate::read::Unit;

/// The reference of every key, in Markdown: what stands between the marks of `docs/aloft-toml.md`.
pub fn reference() -> String {
    let mut page = String::new();
    for section in SECTIONS {
        // Writing to a string does not fail.
        let _ = write!(page, "## `[{}]`\n\n{}\n\n", section.title, section.what);
        if section.keys.is_empty() {
            continue;
        }
        page.push_str("| key | value | default | what it does | example |\n|---|---|---|---|---|\n");
        for key in section.keys {
            let (value, default) = (value(key), default(key));
            let _ = writeln!(
                page,
                "| `{}` | {value} | {default} | {} | `{} = {}` |",
                key.name, key.what, key.name, key.example
            );
        }
        page.push('\n');
        if std::ptr::eq(section, &FUNCTION) {
            let names = RESERVED.map(|name| format!("`{name}`")).join(", ");
            let _ = write!(
                page,
                "Variables that the platform sets, and a definition may not: {names}.\n\n"
            );
        }
    }
    page
}

fn value(key: &Key) -> String {
    match &key.form {
        Form::Text(what) | Form::Table(what) => (*what).to_owned(),
        Form::Size(bounds) => range(bounds),
        Form::Duration(bounds) => range(bounds),
        Form::Count(bounds) => range(bounds),
    }
}

fn range<U: Unit>(bounds: &Bounded<U>) -> String {
    format!(
        "{}, `{}` to `{}`",
        U::WHAT,
        bounds.least.show(),
        bounds.most.show()
    )
}

fn default(key: &Key) -> String {
    match (&key.absent, &key.form) {
        (Absent::Refused, _) => "required".to_owned(),
        (Absent::Means(what), _) => (*what).to_owned(),
        (Absent::Bounds, Form::Size(bounds)) => format!("`{}`", bounds.default.show()),
        (Absent::Bounds, Form::Duration(bounds)) => format!("`{}`", bounds.default.show()),
        (Absent::Bounds, Form::Count(bounds)) => format!("`{}`", bounds.default.show()),
        (Absent::Bounds, Form::Text(_) | Form::Table(_)) => "none".to_owned(),
    }
}
