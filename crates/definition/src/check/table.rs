//! Tables.

use aloft_base::TableName;

use super::Names;
use crate::keys::{self, Key};
use crate::problem::nearest;
use crate::read::{Block, Checker, Entry, Located, quoted};
use crate::types::{KeyKind, KeySchema, Table};

/// DynamoDB's bound on the name of a key's attribute.
const MAX_ATTRIBUTE_NAME: usize = 255;

pub(super) fn check(checker: &mut Checker<'_>, entry: &Entry<'_>) -> Option<(TableName, Table)> {
    let name: Option<TableName> = checker.name(entry, "table");
    let title = format!("[tables.{}]", entry.name);
    let block = checker.block(entry, &title, "a table with hash")?;
    checker.unknown_keys(&block, keys::TABLE.keys);
    let [hash, range] = keys::TABLE.keys else {
        return None;
    };
    let hash = read_key(checker, &block, hash);
    let range = read_key(checker, &block, range);
    if let (Some((hash, _)), Some((range, at))) = (&hash, &range)
        && hash.name == range.name
    {
        let message = format!(
            "\"range\" and \"hash\" are the same attribute {}",
            quoted(&range.name)
        );
        checker.report(at, message, "another attribute");
    }
    Some((
        name?,
        Table {
            hash: hash?.0,
            range: range.map(|(range, _)| range),
        },
    ))
}

fn read_key(
    checker: &mut Checker<'_>,
    block: &Block<'_>,
    key: &Key,
) -> Option<(KeySchema, crate::source::Span)> {
    let found = checker.text(block, key)?;
    let (name, kind) = found.text.rsplit_once(':').unwrap_or((found.text, ""));
    let is_named = !name.is_empty() && name.len() <= MAX_ATTRIBUTE_NAME;
    let kind = match kind {
        "S" if is_named => KeyKind::Text,
        "N" if is_named => KeyKind::Number,
        "B" if is_named => KeyKind::Bytes,
        other => {
            let upper = other.to_uppercase();
            let near =
                (is_named && matches!(upper.as_str(), "S" | "N" | "B")).then(|| format!("{name}:{upper}"));
            let message = format!("{} is not a key", quoted(found.text));
            checker.report_near(&found.at, message, key.expected(), near);
            return None;
        }
    };
    Some((
        KeySchema {
            name: name.to_owned(),
            kind,
        },
        found.at,
    ))
}

/// Whether the file defines a table of that name; notes it if not.
pub(super) fn is_known(checker: &mut Checker<'_>, found: &Located<'_>, names: &Names<'_>) -> bool {
    let is_known = names.tables.contains(found.text);
    if !is_known {
        let message = format!("there is no table {}", quoted(found.text));
        let near = nearest(found.text, names.tables.iter().copied());
        checker.report_near(&found.at, message, "a table that this file defines", near);
    }
    is_known
}
