//! The forms that Lambda's model gives to the members of a statement. Written out: there are few, and no other needs a regular expression.

use super::super::list::is_region;
use crate::input::Constraints;

pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// The form of a member in Lambda's model.
pub(super) struct Form {
    pattern: &'static str,
    /// Its bound in bytes; none of what it may hold takes more than one each.
    most: usize,
    is_right: fn(&str) -> bool,
}

pub(super) const ID: Form = Form {
    pattern: "([a-zA-Z0-9-_]+)",
    most: 100,
    is_right: |text| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    },
};
pub(super) const ACTION: Form = Form {
    pattern: "(lambda:[*]|lambda:[a-zA-Z]+|[*])",
    most: 10_000,
    is_right: |text| {
        let is_word = |action: &str| !action.is_empty() && action.bytes().all(|b| b.is_ascii_alphabetic());
        text == "*"
            || text
                .strip_prefix("lambda:")
                .is_some_and(|action| action == "*" || is_word(action))
    },
};
pub(super) const PRINCIPAL: Form = Form {
    pattern: "[^\\s]+",
    most: 2_048,
    is_right: |text| !text.contains(char::is_whitespace),
};
pub(super) const ACCOUNT: Form = Form {
    pattern: "\\d{12}",
    most: 12,
    is_right: is_account,
};
pub(super) const TOKEN: Form = Form {
    pattern: "[a-zA-Z0-9._\\-]+",
    most: 256,
    is_right: |text| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    },
};
pub(super) const ORGANISATION: Form = Form {
    pattern: "o-[a-z0-9]{10,32}",
    most: 34,
    is_right: |text| {
        let is_id = |id: &str| id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        text.strip_prefix("o-")
            .is_some_and(|id| id.len() >= 10 && is_id(id))
    },
};

/// Notes what breaks the form of a member.
pub(super) fn constrained(rules: &mut Constraints, at: &str, value: Option<&str>, form: &Form) {
    let Some(value) = value else { return };
    let shown = format!("Value '{}'", short(value));
    if value.len() > form.most {
        let rule = format!("Member must have length less than or equal to {}", form.most);
        rules.broken(&shown, at, &rule);
    }
    if value.is_empty() || !(form.is_right)(value) {
        let rule = format!("Member must satisfy regular expression pattern: {}", form.pattern);
        rules.broken(&shown, at, &rule);
    }
}

pub(super) const SOURCE: &str = "Member must satisfy regular expression pattern: \
    arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1})?:(\\d{12})?:(.*)";

/// Whether it is the ARN of what may call. Its region is one of AWS's, or the one that the request was made to, which an operator may have
/// called otherwise.
pub(super) fn is_source(text: &str, here: &str) -> bool {
    let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, service, region, account, _resource] = parts.as_slice() else {
        return false;
    };
    text.len() <= 10_000
        && partition.starts_with("aws")
        && is_word(partition)
        && !service.is_empty()
        && is_word(service)
        && (region.is_empty() || *region == here || is_region(region))
        && (account.is_empty() || is_account(account))
}

pub(super) fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_arn() {
        for good in [
            "arn:aws:s3:::bucket",
            "arn:aws:events:us-east-1:000000000000:rule/x",
            "arn:aws-us-gov:sns:us-gov-west-1:000000000000:x",
            "arn:aws-iso-b:sns:us-isob-east-1:000000000000:x",
            "arn:aws-eusc:sns:eusc-de-east-1:000000000000:x",
            "arn:aws:sns:MY_PLACE:000000000000:x",
            "arn:aws:sns:::",
        ] {
            assert!(is_source(good, "MY_PLACE"), "{good}");
        }
        for bad in [
            "",
            "bucket",
            "arn:gcp:s3:::bucket",
            "arn:aws::::bucket",
            "arn:aws:s 3:::bucket",
            "arn:aws:sns:useast1:000000000000:x",
            "arn:aws:sns:us-east-11:000000000000:x",
            "arn:aws:sns:us-east-1:0:x",
            "arn:aws:sns:YOUR_PLACE:000000000000:x",
        ] {
            assert!(!is_source(bad, "MY_PLACE"), "{bad}");
        }
    }
}
