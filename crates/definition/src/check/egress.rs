//! Where a function may connect to.

use aloft_base::{Destination, Egress};
use toml::de::DeValue;

use crate::keys::Key;
use crate::problem::nearest;
use crate::read::{Block, Checker, describe, quoted};

pub(super) fn read(checker: &mut Checker<'_>, block: &Block<'_>, key: &Key) -> Egress {
    let Some(entry) = block.get(key.name) else {
        return Egress::None;
    };
    let at = entry.value.span();
    match entry.value.get_ref() {
        DeValue::String(word) => match &**word {
            "none" => return Egress::None,
            "any" => return Egress::Any,
            place => {
                let message = format!("\"egress\" is {}", quoted(place));
                let near = match place.parse::<Destination>() {
                    Ok(place) => Some(format!("[\"{place}\"]")),
                    Err(_) => nearest(place, ["none", "any"]),
                };
                checker.report_near(&at, message, key.expected(), near);
            }
        },
        DeValue::Array(places) => {
            if places.len() > Egress::MOST {
                let message = format!("\"egress\" has {} places", places.len());
                checker.report(&at, message, format!("at most {}", Egress::MOST));
                return Egress::None;
            }
            let mut found = Vec::new();
            for place in places.iter() {
                let at = place.span();
                let DeValue::String(text) = place.get_ref() else {
                    let message = format!("a place of \"egress\" is {}", describe(place.get_ref()));
                    checker.report(&at, message, Egress::PLACE);
                    continue;
                };
                match text.parse() {
                    Ok(place) => found.push(place),
                    Err(error) => {
                        let message = format!("{} is no place to connect to: {error}", quoted(text));
                        checker.report(&at, message, Egress::PLACE);
                    }
                }
            }
            return Egress::Only(found);
        }
        other => checker.report(&at, format!("\"egress\" is {}", describe(other)), key.expected()),
    }
    Egress::None
}
