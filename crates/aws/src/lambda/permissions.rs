//! Resource policies: `AddPermission`, `GetPolicy`, `RemovePermission`. They are kept and shown; while there is one account, they decide
//! nothing.

mod forms;

use aloft_http::Response;
use http::StatusCode;
use serde_json::{Map, Value as Json, json};

use forms::{
    ACCOUNT, ACTION, ID, ORGANISATION, PRINCIPAL, SOURCE, TOKEN, constrained, is_account, is_source, short,
};

use super::names::{Named, arn, revision, uuid};
use super::{Context, Error, nothing};
use crate::Error as Refused;
use crate::input::{Constraints, Members};

/// The action that is called at a function's own address.
const BY_URL: &str = "lambda:InvokeFunctionUrl";

pub(super) async fn add(context: &Context<'_>, body: &[u8]) -> Result<Response, Refused> {
    let (named, qualifier) = context.own_name()?;
    let mut input = Members::parse(body)?;
    let expected = input.text("RevisionId")?.map(|text| revision(&text));
    let (id, text) = statement(context, &named, &mut input)?;
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

/// The statement that a request gives: its id and its text.
fn statement(context: &Context<'_>, named: &Named, input: &mut Members) -> Result<(String, String), Refused> {
    let (id, action, principal) = (
        input.text("StatementId")?,
        input.text("Action")?,
        input.text("Principal")?,
    );
    let region = context.caller.region.as_str();
    let mut rules = Constraints::default();
    rules.required(id.is_some(), "statementId");
    rules.required(action.is_some(), "action");
    rules.required(principal.is_some(), "principal");
    constrained(&mut rules, "statementId", id.as_deref(), &ID);
    constrained(&mut rules, "action", action.as_deref(), &ACTION);
    constrained(&mut rules, "principal", principal.as_deref(), &PRINCIPAL);
    let url = input.text("FunctionUrlAuthType")?;
    rules.one_of(
        url.as_deref(),
        "functionUrlAuthType",
        &[("NONE", ()), ("AWS_IAM", ())],
    );
    let source = input.text("SourceArn")?;
    if let Some(source) = &source
        && !is_source(source, region)
    {
        rules.broken(&format!("Value '{}'", short(source)), "sourceArn", SOURCE);
    }
    let mut equals = Map::new();
    for (member, at, key, form) in [
        ("SourceAccount", "sourceAccount", "AWS:SourceAccount", &ACCOUNT),
        (
            "EventSourceToken",
            "eventSourceToken",
            "lambda:EventSourceToken",
            &TOKEN,
        ),
        (
            "PrincipalOrgID",
            "principalOrgID",
            "aws:PrincipalOrgID",
            &ORGANISATION,
        ),
    ] {
        let value = input.text(member)?;
        constrained(&mut rules, at, value.as_deref(), form);
        equals.extend(value.map(|value| (key.to_owned(), json!(value))));
    }
    rules.check()?;
    let (id, action) = (id.unwrap_or_default(), action.unwrap_or_default());
    let who = who(&principal.unwrap_or_default()).ok_or_else(|| {
        let text = "The provided principal was invalid. Please check the principal and try again.";
        Error::Invalid(text.to_owned())
    })?;
    if url.is_some() && action != BY_URL {
        let text = format!("FunctionUrlAuthType is only supported for {BY_URL} action");
        return Err(Error::Invalid(text).into());
    }
    let mut statement = json!({
        "Sid": id,
        "Effect": "Allow",
        "Principal": who,
        "Action": action,
        "Resource": arn(context.caller, &named.function, named.qualifier.as_ref()),
    });
    equals.extend(url.map(|kind| ("lambda:FunctionUrlAuthType".to_owned(), json!(kind))));
    let condition = condition(input, equals, source)?;
    if let (false, Some(members)) = (condition.is_empty(), statement.as_object_mut()) {
        members.insert("Condition".to_owned(), condition.into());
    }
    Ok((id, statement.to_string()))
}

/// When a statement holds.
fn condition(
    input: &mut Members,
    equals: Map<String, Json>,
    source: Option<String>,
) -> Result<Map<String, Json>, Refused> {
    let mut condition = Map::new();
    if !equals.is_empty() {
        condition.insert("StringEquals".to_owned(), equals.into());
    }
    if let Some(source) = source {
        condition.insert("ArnLike".to_owned(), json!({ "AWS:SourceArn": source }));
    }
    if let Some(is_by_url) = input.boolean("InvokedViaFunctionUrl")? {
        let text = is_by_url.to_string();
        condition.insert("Bool".to_owned(), json!({ "lambda:InvokedViaFunctionUrl": text }));
    }
    Ok(condition)
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

/// A principal as policies write it: an account, an ARN, a service or everybody. Nothing if it is none of these.
fn who(principal: &str) -> Option<Json> {
    let is_service = |name: &str| {
        let is_word = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        name.contains('.') && name.split('.').all(is_word)
    };
    let parts: Vec<&str> = principal.splitn(6, ':').collect();
    match parts.as_slice() {
        ["*"] => Some(json!("*")),
        [account] if is_account(account) => Some(json!({ "AWS": format!("arn:aws:iam::{account}:root") })),
        [service] if is_service(service) => Some(json!({ "Service": service })),
        ["arn", partition, service, _region, _account, resource]
            if partition.starts_with("aws") && !service.is_empty() && !resource.is_empty() =>
        {
            Some(json!({ "AWS": principal }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_is_an_account_an_arn_a_service_or_everybody() {
        let arn = "arn:aws:iam::111111111111:role/x";
        for (given, expected) in [
            ("*", json!("*")),
            ("111111111111", json!({ "AWS": "arn:aws:iam::111111111111:root" })),
            (arn, json!({ "AWS": arn })),
            ("s3.amazonaws.com", json!({ "Service": "s3.amazonaws.com" })),
        ] {
            assert_eq!(who(given), Some(expected), "{given}");
        }
        for bad in [
            "",
            "s3",
            "11111111111",
            "**",
            "arn:aws",
            "arn:aws:iam::1:",
            ".",
            "s3.",
            "a:b.c",
        ] {
            assert_eq!(who(bad), None, "{bad}");
        }
    }
}
