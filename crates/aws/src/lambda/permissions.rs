//! Resource policies: `AddPermission`, `GetPolicy`, `RemovePermission`. They are kept and shown; while there is one account, they decide
//! nothing.

use aloft_http::Response;
use http::StatusCode;
use serde_json::{Map, Value as Json, json};

use super::names::{arn, revision, uuid};
use super::{Context, Error, nothing};
use crate::Error as Refused;
use crate::input::{Constraints, Members};

pub(super) async fn add(context: &Context<'_>, body: &[u8]) -> Result<Response, Refused> {
    let (named, qualifier) = context.own_name()?;
    let mut input = Members::parse(body)?;
    let expected = input.text("RevisionId")?.map(|text| revision(&text));
    let (id, action, principal) = (
        input.text("StatementId")?,
        input.text("Action")?,
        input.text("Principal")?,
    );
    let mut rules = Constraints::default();
    rules.required(id.is_some(), "statementId");
    rules.required(action.is_some(), "action");
    rules.required(principal.is_some(), "principal");
    for (value, at, most, is_right) in [
        (
            &id,
            "statementId",
            100,
            (|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) as fn(u8) -> bool,
        ),
        (&action, "action", 200, |b| {
            b.is_ascii_alphabetic() || b":*".contains(&b)
        }),
        (&principal, "principal", 2_048, |b| b.is_ascii_graphic()),
    ] {
        if let Some(value) = value
            && (value.is_empty() || value.len() > most || !value.bytes().all(is_right))
        {
            let value: String = value.chars().take(200).collect();
            let rule = format!("Member must have 1 to {most} characters of those that it may have");
            rules.broken(&format!("Value '{value}'"), at, &rule);
        }
    }
    let url = input.text("FunctionUrlAuthType")?;
    rules.one_of(
        url.as_deref(),
        "functionUrlAuthType",
        &[("NONE", ()), ("AWS_IAM", ())],
    );
    rules.check()?;
    let (id, action) = (id.unwrap_or_default(), action.unwrap_or_default());
    let mut statement = json!({
        "Sid": id,
        "Effect": "Allow",
        "Principal": who(&principal.unwrap_or_default()),
        "Action": action,
        "Resource": arn(context.caller, &named.function, named.qualifier.as_ref()),
    });
    let mut equals = Map::new();
    for (member, key) in [
        ("SourceAccount", "AWS:SourceAccount"),
        ("EventSourceToken", "lambda:EventSourceToken"),
        ("PrincipalOrgID", "aws:PrincipalOrgID"),
    ] {
        equals.extend(input.text(member)?.map(|value| (key.to_owned(), json!(value))));
    }
    equals.extend(url.map(|kind| ("lambda:FunctionUrlAuthType".to_owned(), json!(kind))));
    let mut condition = Map::new();
    if !equals.is_empty() {
        condition.insert("StringEquals".to_owned(), equals.into());
    }
    if let Some(source) = input.text("SourceArn")? {
        condition.insert("ArnLike".to_owned(), json!({ "AWS:SourceArn": source }));
    }
    if let Some(is_by_url) = input.boolean("InvokedViaFunctionUrl")? {
        let text = is_by_url.to_string();
        condition.insert("Bool".to_owned(), json!({ "lambda:InvokedViaFunctionUrl": text }));
    }
    if let (false, Some(members)) = (condition.is_empty(), statement.as_object_mut()) {
        members.insert("Condition".to_owned(), condition.into());
    }
    let text = statement.to_string();
    let functions = &context.parts.functions;
    let added = functions.add_statement(
        context.namespace,
        &named.function,
        &qualifier,
        (&id, &text),
        expected,
    );
    added.await.map_err(|error| match error {
        aloft_function::Error::Exists { name, .. } => Error::Conflict(format!(
            "The statement id ({name}) provided already exists. Please provide a new statement id, or remove the existing statement."
        ))
        .into(),
        error => context.failed(&named, error),
    })?;
    Ok(super::json(StatusCode::CREATED, &json!({ "Statement": text })))
}

pub(super) async fn get(context: &Context<'_>) -> Result<Response, Refused> {
    let (named, qualifier) = context.name()?;
    let functions = &context.parts.functions;
    // Nothing is said of a function of the project.
    let policy = match context.of_project(&named.function) {
        Some(_) => None,
        None => {
            let policy = functions.policy(context.namespace, &named.function, &qualifier);
            policy.await.map_err(|error| context.failed(&named, error))?
        }
    };
    let policy =
        policy.ok_or_else(|| Error::Missing("The resource you requested does not exist.".to_owned()))?;
    let statements: Vec<Json> = policy
        .statements
        .iter()
        .filter_map(|(_, text)| serde_json::from_str(text).ok())
        .collect();
    let text = json!({ "Version": "2012-10-17", "Id": "default", "Statement": statements }).to_string();
    let answer = json!({ "Policy": text, "RevisionId": uuid(policy.revision) });
    Ok(super::json(StatusCode::OK, &answer))
}

pub(super) async fn remove(context: &Context<'_>) -> Result<Response, Refused> {
    let (named, qualifier) = context.own_name()?;
    let expected = context.route.parameter("RevisionId").map(revision);
    let functions = &context.parts.functions;
    let id = &context.route.name;
    let removed = functions.remove_statement(context.namespace, &named.function, &qualifier, id, expected);
    removed.await.map_err(|error| context.failed(&named, error))?;
    Ok(nothing(StatusCode::NO_CONTENT))
}

/// A principal as policies write it.
fn who(principal: &str) -> Json {
    let is_account = principal.len() == 12 && principal.bytes().all(|b| b.is_ascii_digit());
    match principal {
        "*" => json!("*"),
        account if is_account => json!({ "AWS": format!("arn:aws:iam::{account}:root") }),
        arn if arn.starts_with("arn:") => json!({ "AWS": arn }),
        service => json!({ "Service": service }),
    }
}
