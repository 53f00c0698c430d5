//! Asynchronous calls: accepting them, and what becomes of them: `PutFunctionEventInvokeConfig`, `UpdateFunctionEventInvokeConfig`,
//! `GetFunctionEventInvokeConfig`, `ListFunctionEventInvokeConfigs`, `DeleteFunctionEventInvokeConfig`.

use std::time::Duration;

use aloft_base::{FunctionName, InvocationId};
use aloft_call::{Lineage, Qualifier};
use aloft_deferred::{Bounds, Item, MAX_PAYLOAD};
use aloft_function::EventInvoke;
use aloft_http::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value as Json, json};

use super::names::{Named, arn};
use super::{Context, Error, nothing, settings};
use crate::Error as Refused;
use crate::answer::REQUEST_ID;
use crate::input::{Constraints, Members};
use crate::service::Service;

/// Configurations of one page, as on Lambda.
const PAGE: usize = 50;

/// Accepts a call: when this answers, it is durable.
pub(super) async fn accept(
    context: &Context<'_>,
    named: &Named,
    payload: Bytes,
    lineage: Lineage,
) -> Result<Response, Refused> {
    if payload.len() > MAX_PAYLOAD {
        return Err(Error::TooLarge {
            bytes: MAX_PAYLOAD,
            operation: "InvokeFunction",
            is_invocation: true,
        }
        .into());
    }
    let qualifier = named.qualifier.clone().unwrap_or_default();
    let item = Item {
        bounds: bounds(context, named, &qualifier).await?,
        function: named.function.clone(),
        // In records a call that named no version has `$LATEST`, as Lambda's have.
        arn: arn(context.caller, &named.function, Some(&qualifier)),
        qualifier,
        payload,
        // As on Lambda, where only a call that is waited for has one of its caller's.
        context: None,
        trace: context.trace,
    };
    let id = InvocationId::draw(context.chance);
    let accepted = async {
        let queues = context.parts.deferred.of(&context.namespace.tenant).await?;
        queues.accept(&item, id, lineage).await
    };
    accepted.await.map_err(|error| match error {
        aloft_deferred::Error::Loop(_) => Error::Loop(error.to_string()),
        error => Error::Deferred(error),
    })?;
    let mut response = nothing(StatusCode::ACCEPTED);
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    Ok(response)
}

/// What becomes of a call by this name, which must be there.
async fn bounds(context: &Context<'_>, named: &Named, qualifier: &Qualifier) -> Result<Bounds, Refused> {
    if *qualifier == Qualifier::Latest && context.of_project(&named.function).is_some() {
        return Ok(Bounds::default());
    }
    let functions = &context.parts.functions;
    let of_call = functions.events_of_call(context.namespace, &named.function, qualifier);
    let of_call = of_call.await.map_err(|error| context.failed(named, error))?;
    let events = &of_call.events;
    let target = |arn: &Option<String>| {
        let named = Named::read(context.caller, arn.as_deref()?, None).ok()?;
        Some((named.function, named.qualifier.unwrap_or_default()))
    };
    Ok(Bounds {
        retries: events.retries.unwrap_or(EventInvoke::RETRIES),
        maximum_age: Duration::from_secs(events.maximum_age.unwrap_or(EventInvoke::MAXIMUM_AGE).into()),
        on_success: target(&events.on_success),
        on_failure: target(&events.on_failure),
        dead_letter: target(&of_call.dead_letter),
    })
}

/// Sets all of it (`Put`), or what is given (`Update`).
pub(super) async fn set(context: &Context<'_>, body: &[u8], is_whole: bool) -> Result<Response, Refused> {
    let (named, qualifier) = context.own_name()?;
    let given = read(context, &named, body).await?;
    let merged = |former: Option<EventInvoke>| {
        let former = match (former, is_whole) {
            (Some(former), _) => former,
            (None, true) => EventInvoke::default(),
            (None, false) => return Err(missing(&named)),
        };
        let or = |given: &Option<String>, former: Option<String>| match given {
            // An empty one takes it away.
            Some(given) => Some(given.clone()).filter(|given| !given.is_empty()),
            None => former.filter(|_| !is_whole),
        };
        Ok(Some(EventInvoke {
            retries: given.retries.or(former.retries.filter(|_| !is_whole)),
            maximum_age: given.maximum_age.or(former.maximum_age.filter(|_| !is_whole)),
            on_success: or(&given.on_success, former.on_success.clone()),
            on_failure: or(&given.on_failure, former.on_failure.clone()),
            ..former
        }))
    };
    let functions = &context.parts.functions;
    let set = functions
        .set_events(context.namespace, &named.function, &qualifier, merged)
        .await;
    let events = set.map_err(|error| failed(context, &named, &qualifier, error))?;
    let events = events.unwrap_or_default();
    Ok(super::json(
        StatusCode::OK,
        &describe(context, &named.function, &qualifier, &events),
    ))
}

pub(super) async fn get(context: &Context<'_>) -> Result<Response, Refused> {
    let (named, qualifier) = context.name()?;
    let functions = &context.parts.functions;
    // Nothing is said of a function of the project.
    let found = match context.of_project(&named.function) {
        Some(_) => None,
        None => {
            let found = functions.events(context.namespace, &named.function, &qualifier);
            found
                .await
                .map_err(|error| failed(context, &named, &qualifier, error))?
        }
    };
    let events = found.ok_or_else(|| failed(context, &named, &qualifier, missing(&named)))?;
    Ok(super::json(
        StatusCode::OK,
        &describe(context, &named.function, &qualifier, &events),
    ))
}

pub(super) async fn delete(context: &Context<'_>) -> Result<Response, Refused> {
    let (named, qualifier) = context.own_name()?;
    let functions = &context.parts.functions;
    let deleted = functions
        .set_events(context.namespace, &named.function, &qualifier, |former| {
            former.map(|_| None).ok_or_else(|| missing(&named))
        })
        .await;
    deleted.map_err(|error| failed(context, &named, &qualifier, error))?;
    Ok(nothing(StatusCode::NO_CONTENT))
}

pub(super) async fn list(context: &Context<'_>) -> Result<Response, Refused> {
    let (named, _) = context.name()?;
    let (after, limit) = context.page(PAGE)?;
    if context.of_project(&named.function).is_some() {
        return Ok(super::json(
            StatusCode::OK,
            &json!({ "FunctionEventInvokeConfigs": [] }),
        ));
    }
    let after = after.map(str::parse::<Qualifier>).transpose();
    let after =
        after.map_err(|_| Error::Invalid("Marker is not the NextMarker of a former page".to_owned()))?;
    let functions = &context.parts.functions;
    let page = functions
        .all_events(context.namespace, &named.function, after.as_ref(), limit)
        .await;
    let (page, has_more) = page.map_err(|error| context.failed(&named, error))?;
    let all: Vec<Json> = page
        .iter()
        .map(|(qualifier, events)| describe(context, &named.function, qualifier, events))
        .collect();
    let mut answer = json!({ "FunctionEventInvokeConfigs": all });
    if let (true, Some((last, _)), Some(answer)) = (has_more, page.last(), answer.as_object_mut()) {
        answer.insert("NextMarker".to_owned(), json!(last.to_string()));
    }
    Ok(super::json(StatusCode::OK, &answer))
}

/// Nobody has said what becomes of calls by this name.
fn missing(named: &Named) -> aloft_function::Error {
    aloft_function::Error::Missing {
        function: named.function.clone(),
        qualifier: None,
    }
}

fn failed(
    context: &Context<'_>,
    named: &Named,
    qualifier: &Qualifier,
    error: aloft_function::Error,
) -> Refused {
    match error {
        aloft_function::Error::Missing { qualifier: None, .. } => {
            let arn = arn(context.caller, &named.function, Some(qualifier));
            Error::Missing(format!("The function {arn} doesn't have an EventInvokeConfig")).into()
        }
        error => context.failed(named, error),
    }
}

/// What a request gives, whose destinations are there.
async fn read(context: &Context<'_>, named: &Named, body: &[u8]) -> Result<EventInvoke, Refused> {
    let mut input = Members::parse(body)?;
    let mut rules = Constraints::default();
    let retries = input.integer("MaximumRetryAttempts")?;
    rules.in_range(retries, "maximumRetryAttempts", 0, EventInvoke::RETRIES.into());
    let age = input.integer("MaximumEventAgeInSeconds")?;
    let (least, most) = (EventInvoke::LEAST_AGE.into(), EventInvoke::MAXIMUM_AGE.into());
    rules.in_range(age, "maximumEventAgeInSeconds", least, most);
    rules.check()?;
    let mut events = EventInvoke {
        retries: retries.and_then(|retries| u32::try_from(retries).ok()),
        maximum_age: age.and_then(|age| u32::try_from(age).ok()),
        ..EventInvoke::default()
    };
    let destinations = input.object("DestinationConfig")?;
    if retries.is_none() && age.is_none() && destinations.is_none() {
        let text = "You must specify at least one of error handling or destination setting.";
        return Err(Error::Invalid(text.to_owned()).into());
    }
    if let Some(mut destinations) = destinations {
        for (member, at, to) in [
            ("OnSuccess", "onSuccess", &mut events.on_success),
            ("OnFailure", "onFailure", &mut events.on_failure),
        ] {
            if let Some(mut destination) = destinations.object(member)? {
                let arn = destination.text("Destination")?.unwrap_or_default();
                if !arn.is_empty() {
                    check(context, named, at, &arn).await?;
                }
                *to = Some(arn);
            }
        }
    }
    Ok(events)
}

/// Whether a destination is another function that is there.
async fn check(context: &Context<'_>, named: &Named, at: &str, arn: &str) -> Result<(), Refused> {
    let mut rules = Constraints::default();
    if !is_destination(arn) {
        let shown: String = arn.chars().take(200).collect();
        let rule = "Member must be the ARN of a function, such as arn:aws:lambda:us-east-1:000000000000:function:name";
        let at = format!("destinationConfig.{at}.destination");
        rules.broken(&format!("Value '{shown}'"), &at, rule);
    }
    rules.check()?;
    let target = target(context, arn)?;
    if target.function == named.function {
        let text = "You can't specify the function as a destination for itself.";
        return Err(Error::Invalid(text.to_owned()).into());
    }
    is_there(context, &target, arn).await
}

/// The function of this account and region that is to get what another leaves.
pub(super) fn target(context: &Context<'_>, arn: &str) -> Result<Named, Refused> {
    let parts: Vec<&str> = arn.split(':').collect();
    if parts.get(2) != Some(&Service::Lambda.name()) {
        return Err(settings::no_service(arn));
    }
    let [_, "aws", _, in_region, _, "function", ..] = parts.as_slice() else {
        return Err(invalid_target(arn, "it names no function"));
    };
    let region = &context.caller.region;
    if *in_region != region.as_str() {
        let in_region: String = in_region.chars().take(40).collect();
        let why = format!("it is of the region {in_region}, and this request was made to {region}");
        return Err(invalid_target(arn, &why));
    }
    Named::read(context.caller, arn, None)
}

pub(super) fn invalid_target(arn: &str, why: &str) -> Refused {
    let arn: String = arn.chars().take(200).collect();
    Error::Invalid(format!("The provided target arn {arn} is invalid: {why}")).into()
}

/// Whether the function that an ARN names is there.
pub(super) async fn is_there(context: &Context<'_>, target: &Named, arn: &str) -> Result<(), Refused> {
    let qualifier = target.qualifier.clone().unwrap_or_default();
    if qualifier == Qualifier::Latest && context.of_project(&target.function).is_some() {
        return Ok(());
    }
    let found = context.published(target).await;
    found
        .map(drop)
        .map_err(|_| invalid_target(arn, "there is no such function"))
}

/// Whether a text is the ARN of something of a service, as far as can be told without knowing the service.
fn is_destination(text: &str) -> bool {
    let mut parts = text.splitn(6, ':');
    let mut is_word = |may_be_empty: bool| {
        let part = parts.next()?;
        let is_word = part
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (is_word && (may_be_empty || !part.is_empty())).then_some(part)
    };
    let (scheme, partition, service) = (is_word(false), is_word(false), is_word(false));
    let (region, account) = (is_word(true), is_word(true));
    let is_account = account.is_some_and(|account| {
        account.is_empty() || account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())
    });
    scheme == Some("arn")
        && partition.is_some_and(|partition| partition.starts_with("aws"))
        && service.is_some()
        && region.is_some()
        && is_account
        && parts.next().is_some()
        && text.len() <= 350
}

fn describe(
    context: &Context<'_>,
    function: &FunctionName,
    qualifier: &Qualifier,
    events: &EventInvoke,
) -> Json {
    let mut members = Map::new();
    let mut set = |member: &str, value: Json| members.insert(member.to_owned(), value);
    set(
        "FunctionArn",
        json!(arn(context.caller, function, Some(qualifier))),
    );
    set("LastModified", json!(events.modified.as_millis() as f64 / 1e3));
    if let Some(retries) = events.retries {
        set("MaximumRetryAttempts", json!(retries));
    }
    if let Some(age) = events.maximum_age {
        set("MaximumEventAgeInSeconds", json!(age));
    }
    let destination = |arn: &Option<String>| match arn {
        Some(arn) => json!({ "Destination": arn }),
        None => json!({}),
    };
    let destinations = json!({
        "OnSuccess": destination(&events.on_success),
        "OnFailure": destination(&events.on_failure),
    });
    set("DestinationConfig", destinations);
    members.into()
}
