//! Policies as forms give them: their names, ARNs and documents.
//!
//! Nothing here reads what a document allows. It is looked at as far as IAM's grammar says what every statement has
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>), so that what IAM would not take is not taken here.

use aloft_role::Roles;
use serde_json::{Map, Value as Json};

use super::Error;
use crate::Error as Refused;
use crate::query::Form;

/// What a document is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Who may take a role.
    Trust,
    /// What whoever has it may do.
    Identity,
}

/// The name of a role's own policy.
pub(super) fn name(form: &Form) -> Result<String, Refused> {
    let name = form.required("PolicyName", "policyName")?;
    if name.len() > 128 || !name.bytes().all(is_word) {
        return Err(broken(
            &name,
            "policyName",
            "Member must satisfy regular expression pattern: [\\w+=,.@-]{1,128}",
        ));
    }
    Ok(name)
}

/// The ARN of a managed policy that is to be attached.
pub(super) fn arn(form: &Form) -> Result<String, Refused> {
    let arn = form.required("PolicyArn", "policyArn")?;
    for (is_right, rule) in [
        (
            arn.len() >= 20,
            "Member must have length greater than or equal to 20",
        ),
        (
            arn.len() <= 2_048,
            "Member must have length less than or equal to 2048",
        ),
    ] {
        if !is_right {
            return Err(broken(&arn, "policyArn", rule));
        }
    }
    if !is_policy(&arn) {
        return Err(Error::Invalid(format!("ARN {} is not valid.", short(&arn))).into());
    }
    Ok(arn)
}

/// Whether an ARN is a managed policy's, an account's own or one of AWS's: `arn:aws:iam::aws:policy/path/name`.
fn is_policy(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts.as_slice() else {
        return false;
    };
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let Some((_, name)) = resource
        .strip_prefix("policy/")
        .map(|rest| rest.rsplit_once('/').unwrap_or(("", rest)))
    else {
        return false;
    };
    let is_printable = resource.bytes().all(|b| b.is_ascii_graphic());
    partition.starts_with("aws")
        && (is_account || *account == "aws")
        && is_printable
        && !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(is_word)
}

/// A policy document.
pub(super) fn document(form: &Form, parameter: &str, kind: Kind) -> Result<String, Refused> {
    let text = form.required(parameter, "policyDocument")?;
    if text.chars().count() > Roles::POLICIES {
        let most = Roles::POLICIES;
        return Err(Refused::Validation(format!(
            "1 validation error detected: Value at '{parameter}' failed to satisfy constraint: Member must have length less than or equal to {most}"
        )));
    }
    let checked = match serde_json::from_str::<Json>(&text) {
        Ok(Json::Object(members)) => grammar(&members, kind),
        Ok(_) => Err("Syntax errors in policy: it is no object".to_owned()),
        Err(error) => Err(format!("This policy contains invalid Json: {error}")),
    };
    checked.map_err(Error::Malformed)?;
    Ok(text)
}

/// What is wrong with a document's members.
fn grammar(members: &Map<String, Json>, kind: Kind) -> Result<(), String> {
    match members.get("Version") {
        None => {}
        Some(Json::String(version)) if version == "2012-10-17" || version == "2008-10-17" => {}
        Some(other) => {
            return Err(format!(
                "Syntax errors in policy: there is no version {}",
                short(&other.to_string())
            ));
        }
    }
    let statements = match members.get("Statement") {
        Some(Json::Array(statements)) if !statements.is_empty() => statements.as_slice(),
        Some(one @ Json::Object(_)) => std::slice::from_ref(one),
        Some(_) => {
            return Err("Syntax errors in policy: Statement is a statement, or a list of some".to_owned());
        }
        None => return Err("Missing required field Statement".to_owned()),
    };
    statements.iter().try_for_each(|statement| match statement {
        Json::Object(statement) => of_statement(statement, kind),
        _ => Err("Syntax errors in policy: a statement is an object".to_owned()),
    })
}

fn of_statement(statement: &Map<String, Json>, kind: Kind) -> Result<(), String> {
    match statement.get("Effect") {
        None => return Err("Missing required field Effect".to_owned()),
        Some(Json::String(effect)) if effect == "Allow" || effect == "Deny" => {}
        Some(other) => return Err(format!("Invalid effect: {}", short(&other.to_string()))),
    }
    let (needed, barred) = match kind {
        Kind::Trust => (["Action", "Principal"], ["Resource", "NotResource"]),
        Kind::Identity => (["Action", "Resource"], ["Principal", "NotPrincipal"]),
    };
    let is_there = |field: &str| statement.get(field).is_some_and(|value| !is_empty(value));
    if let Some(missing) = needed
        .iter()
        .find(|field| !is_there(field) && !is_there(&format!("Not{field}")))
    {
        return Err(format!("Missing required field {missing}"));
    }
    match barred.iter().find(|field| statement.contains_key(**field)) {
        Some(field) => Err(format!("Has prohibited field {field}")),
        None => Ok(()),
    }
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::String(text) => text.is_empty(),
        Json::Array(list) => list.is_empty(),
        Json::Object(members) => members.is_empty(),
        Json::Bool(_) | Json::Number(_) => false,
    }
}

/// A byte of a name.
pub(super) fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b)
}

fn broken(value: &str, at: &str, rule: &str) -> Refused {
    let value = short(value);
    Refused::Validation(format!(
        "1 validation error detected: Value '{value}' at '{at}' failed to satisfy constraint: {rule}"
    ))
}

fn short(text: &str) -> String {
    text.chars().take(200).collect()
}
