//! `GetRandomPassword`: drawn from the node's randomness, kept nowhere.

use aloft_call::Principal;
use serde_json::{Value as Json, json};

use super::{Context, invalid, number, text};
use crate::Error as Refused;
use crate::input::Members;

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
/// How long it is if nobody says, and at most: the service's numbers.
const LENGTH: u64 = 32;
const LONGEST: i64 = 4_096;

/// It tells nothing of the account: whoever may ask at all may ask this.
pub(super) fn draw(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    if context.caller.principal == Principal::Anonymous {
        return Err(Refused::NotSigned);
    }
    let length = number(&mut input, "PasswordLength", 1, LONGEST)?.unwrap_or(LENGTH);
    let length = usize::try_from(length).unwrap_or_default();
    let excluded = text(&mut input, "ExcludeCharacters", 0, 4_096)?.unwrap_or_default();
    let mut groups: Vec<Vec<char>> = Vec::new();
    for (parameter, letters, is_left_out) in [
        ("ExcludeLowercase", LOWER, true),
        ("ExcludeUppercase", UPPER, true),
        ("ExcludeNumbers", DIGITS, true),
        ("ExcludePunctuation", PUNCTUATION, true),
        ("IncludeSpace", " ", false),
    ] {
        if input.boolean(parameter)?.unwrap_or(false) != is_left_out {
            groups.push(
                letters
                    .chars()
                    .filter(|letter| !excluded.contains(*letter))
                    .collect(),
            );
        }
    }
    groups.retain(|group| !group.is_empty());
    let one_of_each = input.boolean("RequireEachIncludedType")?.unwrap_or(true);
    let all: Vec<char> = groups.concat();
    if all.is_empty() {
        return Err(invalid(
            "All characters are excluded: none is left for a password.",
        ));
    }
    if one_of_each && length < groups.len() {
        return Err(invalid(format!(
            "A password of {length} characters cannot have one of each of {} types: raise PasswordLength or set \
             RequireEachIncludedType to false.",
            groups.len()
        )));
    }
    // Drawn anew until it has one of each: putting one of each in and shuffling would favour some passwords. The rarest case, five
    // characters of five types of which four have one character, takes some sixteen thousand draws.
    loop {
        let letter = |_| {
            let index = context.chance.below(all.len() as u64);
            all.get(usize::try_from(index).unwrap_or_default())
                .copied()
                .unwrap_or('a')
        };
        let password: String = (0..length).map(letter).collect();
        let has = |group: &Vec<char>| password.chars().any(|letter| group.contains(&letter));
        if !one_of_each || groups.iter().all(has) {
            return Ok(json!({ "RandomPassword": password }));
        }
    }
}
