//! `ListFunctions`: the project's functions and those that were made, in one order of their names; with all versions, each function's
//! `$LATEST` and then its versions by number. A page's marker is the last name that it has, with the version's number where there are several.

use std::sync::Arc;

use aloft_base::FunctionName;
use aloft_call::Qualifier;
use aloft_function::{Error as Failed, Published, Version};
use aloft_http::Response;
use http::StatusCode;
use serde_json::{Value as Json, json};

use super::{Context, Error, describe};
use crate::Error as Refused;
use crate::input::Constraints;

/// Functions or versions of one page, as on Lambda.
const PAGE: usize = 50;

/// A function that is listed.
enum Listed {
    OfProject(Arc<Version>),
    Made(FunctionName, Box<Published>),
}

pub(super) async fn run(context: &Context<'_>) -> Result<Response, Refused> {
    let (after, limit) = context.page(PAGE)?;
    let (listed, last) = match which(context)? {
        Which::None => (Vec::new(), None),
        Which::Latest => {
            let (page, last) = page(context, after, limit).await?;
            let shown = page.iter().map(|(_, listed)| described(context, listed, None));
            (shown.collect(), last)
        }
        Which::All => versions(context, after, limit).await?,
    };
    let mut answer = json!({ "Functions": listed });
    if let (Some(last), Some(answer)) = (last, answer.as_object_mut()) {
        answer.insert("NextMarker".to_owned(), json!(last));
    }
    Ok(super::json(StatusCode::OK, &answer))
}

/// What a list is to have.
enum Which {
    /// Each function's `$LATEST`.
    Latest,
    /// All versions, too.
    All,
    /// Nothing: replicas of functions of another region.
    None,
}

fn which(context: &Context<'_>) -> Result<Which, Refused> {
    let (version, region) = (
        context.route.parameter("FunctionVersion"),
        context.route.parameter("MasterRegion"),
    );
    let mut rules = Constraints::default();
    rules.one_of(version, "functionVersion", &[("ALL", ())]);
    if let Some(region) = region.filter(|region| *region != "ALL" && !is_region(region)) {
        let region: String = region.chars().take(100).collect();
        let rule = "Member must be ALL or a region's name";
        rules.broken(&format!("Value '{region}'"), "masterRegion", rule);
    }
    rules.check()?;
    match (version, region) {
        (None, None) => Ok(Which::Latest),
        (None, Some(_)) => {
            let text = "FunctionVersion must be ALL where MasterRegion is given.";
            Err(Error::Invalid(text.to_owned()).into())
        }
        (Some(_), None | Some("ALL")) => Ok(Which::All),
        // No function is replicated: each one's master is here.
        (Some(_), Some(region)) if region == context.caller.region.as_str() => Ok(Which::All),
        (Some(_), Some(_)) => Ok(Which::None),
    }
}

/// The model's pattern: `(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}`.
pub(super) fn is_region(text: &str) -> bool {
    let is_word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let text = text.strip_prefix("eusc-").unwrap_or(text);
    let parts: Vec<&str> = text.split('-').collect();
    let (country, place, number) = match parts.as_slice() {
        [country, place, number] => (country, place, number),
        [country, part, place, number]
            if *part == "gov" || part.starts_with("iso") && part.len() <= 4 && is_word(part) =>
        {
            (country, place, number)
        }
        _ => return false,
    };
    let is_digit = number.len() == 1 && number.bytes().all(|byte| byte.is_ascii_digit());
    country.len() == 2 && is_word(country) && is_word(place) && is_digit
}

/// At most `limit` functions after a name, each with its own; and the last name that was looked at, if there are more.
async fn page(
    context: &Context<'_>,
    after: Option<&str>,
    limit: usize,
) -> Result<(Vec<(String, Listed)>, Option<String>), Refused> {
    let functions = &context.parts.functions;
    let made = functions.list(context.namespace, after, limit).await;
    let (made, more) = made.map_err(Error::Catalogue)?;
    // What comes behind the last one that the store looked at is of its next page.
    let is_of_page = |name: &str| more.as_deref().is_none_or(|last| name <= last);
    let mut all = Vec::new();
    for (name, latest) in made {
        if let Ok(function) = name.parse() {
            all.push((name, Listed::Made(function, Box::new(latest))));
        }
    }
    for version in context.parts.catalogue.project(&context.namespace.tenant) {
        let name = version.function.name.to_string();
        if after.is_none_or(|after| name.as_str() > after) && is_of_page(&name) {
            all.retain(|(other, _)| *other != name);
            all.push((name, Listed::OfProject(version)));
        }
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    let last = if all.len() > limit {
        all.truncate(limit);
        all.last().map(|(name, _)| name.clone())
    } else {
        more
    };
    Ok((all, last))
}

/// At most `limit` versions of all functions after a marker, and the next page's marker if there are more.
async fn versions(
    context: &Context<'_>,
    marker: Option<&str>,
    limit: usize,
) -> Result<(Vec<Json>, Option<String>), Refused> {
    // One more than is shown tells that there are more.
    let (most, mut all) = (limit + 1, Vec::new());
    let mut after = None;
    if let Some(marker) = marker {
        let (function, number) = place(marker)?;
        after = Some(function.to_string());
        published(context, &function, number, most, &mut all).await?;
    }
    while all.len() < most {
        let (page, last) = page(context, after.as_deref(), limit).await?;
        for (name, listed) in page {
            if all.len() == most {
                break;
            }
            let latest = Some(&Qualifier::Latest);
            all.push((format!("{name}:0"), described(context, &listed, latest)));
            if let Listed::Made(function, _) = listed {
                published(context, &function, 0, most, &mut all).await?;
            }
        }
        match last {
            Some(last) => after = Some(last),
            None => break,
        }
    }
    let has_more = all.len() > limit;
    all.truncate(limit);
    let last = all.last().map(|(marker, _)| marker.clone());
    let shown = all.into_iter().map(|(_, members)| members).collect();
    Ok((shown, last.filter(|_| has_more)))
}

/// Adds a function's published versions after a number, until there are `most`.
async fn published(
    context: &Context<'_>,
    function: &FunctionName,
    after: u64,
    most: usize,
    all: &mut Vec<(String, Json)>,
) -> Result<(), Refused> {
    let functions = &context.parts.functions;
    let room = most.saturating_sub(all.len());
    if room == 0 || context.of_project(function).is_some() {
        return Ok(());
    }
    let page = functions.versions(context.namespace, function, after, room).await;
    let versions = match page {
        Ok((versions, _)) => versions,
        // It was deleted meanwhile.
        Err(Failed::Missing { .. }) => Vec::new(),
        Err(error) => return Err(Error::Catalogue(error).into()),
    };
    for version in versions {
        let (marker, asked) = (format!("{function}:{}", version.number), version.qualifier());
        let members = describe::function(context.caller, function, &version, Some(&asked));
        all.push((marker, members.into()));
    }
    Ok(())
}

/// Where a page of versions begins: after this version of this function.
fn place(marker: &str) -> Result<(FunctionName, u64), Refused> {
    let parts = marker.rsplit_once(':');
    let place = parts.and_then(|(name, number)| Some((name.parse().ok()?, number.parse().ok()?)));
    place.ok_or_else(|| {
        let marker: String = marker.chars().take(200).collect();
        Error::Invalid(format!(
            "Marker \"{marker}\" is not valid: it is the NextMarker of a former page with the same FunctionVersion"
        ))
        .into()
    })
}

fn described(context: &Context<'_>, listed: &Listed, asked: Option<&Qualifier>) -> Json {
    match listed {
        Listed::OfProject(version) => describe::of_project(context.caller, version, asked).into(),
        Listed::Made(function, latest) => describe::function(context.caller, function, latest, asked).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_named_as_in_the_model() {
        for region in [
            "us-east-1",
            "us-gov-west-1",
            "us-iso-east-1",
            "us-isob-east-1",
            "eusc-de-east-1",
        ] {
            assert!(is_region(region), "{region}");
        }
        for other in [
            "",
            "us",
            "US-east-1",
            "us-east-11",
            "us-x-east-1",
            "us-isobb-east-1",
            "u-east-1",
            "us--1",
        ] {
            assert!(!is_region(other), "{other}");
        }
    }
}
