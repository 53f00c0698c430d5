//! Lists: `ListSecrets` with its filters, `ListSecretVersionIds`.
//!
//! Secrets come in order of their names. The service can sort by dates, too; that would read all of an account's secrets for each page, and
//! is refused by its name.

use aloft_access::{Action, Resource, decide};
use aloft_secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};

use super::{Context, Error, describe, invalid, number, seconds, set, texts};
use crate::Error as Refused;
use crate::input::{Constraints, Members};

/// Secrets that are looked at at once.
const PAGE: usize = 100;
/// Pages that one request looks through at most; then it answers with what it has and a token.
const PAGES: usize = 10;

/// What is looked for. All of it must be there, and of each one of its words.
pub(super) struct Filter {
    key: Attribute,
    words: Vec<String>,
}

#[derive(Clone, Copy)]
enum Attribute {
    Description,
    Name,
    TagKey,
    TagValue,
    /// A replica's home or another service's name, which no secret here has.
    Nothing,
    All,
}

impl Filter {
    /// Beginnings are compared, those of names and tags by case; `!` before a word means those that do not begin so.
    fn fits(&self, secret: &Secret) -> bool {
        let texts: Vec<&str> = match self.key {
            Attribute::Description => vec![&secret.description],
            Attribute::Name => vec![&secret.name],
            Attribute::TagKey => secret.tags.keys().map(String::as_str).collect(),
            Attribute::TagValue => secret.tags.values().map(String::as_str).collect(),
            Attribute::Nothing => vec![],
            Attribute::All => {
                let tags = secret
                    .tags
                    .iter()
                    .flat_map(|(key, value)| [key.as_str(), value.as_str()]);
                [secret.name.as_str(), &secret.description]
                    .into_iter()
                    .chain(tags)
                    .collect()
            }
        };
        self.words.iter().any(|word| match word.strip_prefix('!') {
            Some(word) => !self.begins(&texts, word),
            None => self.begins(&texts, word),
        })
    }

    fn begins(&self, texts: &[&str], word: &str) -> bool {
        let lower = |text: &str| text.to_lowercase();
        match self.key {
            Attribute::Description => texts.iter().any(|text| lower(text).starts_with(&lower(word))),
            // Each word of what is looked for, anywhere.
            Attribute::All => {
                let texts: Vec<String> = texts.iter().map(|text| lower(text)).collect();
                let word = lower(word);
                let mut words = word.split_whitespace();
                words.all(|word| texts.iter().any(|text| text.contains(word)))
            }
            Attribute::Name | Attribute::TagKey | Attribute::TagValue | Attribute::Nothing => {
                texts.iter().any(|text| text.starts_with(word))
            }
        }
    }
}

/// `Filters`, if they are given.
pub(super) fn filters(input: &mut Members) -> Result<Option<Vec<Filter>>, Refused> {
    const KEYS: [(&str, Attribute); 7] = [
        ("description", Attribute::Description),
        ("name", Attribute::Name),
        ("tag-key", Attribute::TagKey),
        ("tag-value", Attribute::TagValue),
        ("primary-region", Attribute::Nothing),
        ("owning-service", Attribute::Nothing),
        ("all", Attribute::All),
    ];
    let Some(list) = input.list("Filters")? else {
        return Ok(None);
    };
    if list.len() > 10 {
        return Err(invalid(format!(
            "Filters has {} entries; it must have at most 10.",
            list.len()
        )));
    }
    let filters = list.into_iter().map(|json| {
        let mut filter = Members::from_json(json)?;
        let key = filter.text("Key")?;
        let words = texts(&mut filter, "Values", 1..=10, 1..=512)?;
        let mut rules = Constraints::default();
        rules.required(key.is_some(), "filters.key");
        rules.required(words.is_some(), "filters.values");
        let key = rules.one_of(key.as_deref(), "filters.key", &KEYS);
        rules.check()?;
        Ok(Filter {
            key: key.unwrap_or(Attribute::All),
            words: words.unwrap_or_default(),
        })
    });
    filters.collect::<Result<_, _>>().map(Some)
}

/// Secrets that fit, in order of their names, and the token of what follows.
pub(super) async fn page(
    context: &Context<'_>,
    filters: &[Filter],
    token: Option<&str>,
    limit: usize,
    with_deleted: bool,
) -> Result<(Vec<Secret>, Option<String>), Refused> {
    let mut after = token.map(read_token).transpose()?;
    let mut found = Vec::new();
    for _ in 0..PAGES {
        let wanted = (limit - found.len()).clamp(1, PAGE);
        let page = context.secrets.list(context.namespace, after.as_deref(), wanted);
        let (secrets, last, more) = page.await?;
        found.extend(secrets.into_iter().filter(|secret| {
            (with_deleted || secret.deleted.is_none()) && filters.iter().all(|filter| filter.fits(secret))
        }));
        if !more {
            return Ok((found, None));
        }
        after = last;
        if found.len() >= limit {
            break;
        }
    }
    Ok((found, after.map(|after| URL_SAFE_NO_PAD.encode(after))))
}

pub(super) async fn secrets(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    decide(context.caller, Action::Read, Resource::Secrets)?;
    let filters = filters(&mut input)?.unwrap_or_default();
    let limit = number(&mut input, "MaxResults", 1, PAGE as i64)?;
    let limit = limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(PAGE);
    let token = input.text("NextToken")?;
    let with_deleted = input.boolean("IncludePlannedDeletion")? == Some(true);
    for (parameter, only) in [("SortBy", "name"), ("SortOrder", "asc")] {
        if let Some(other) = input.text(parameter)?.filter(|given| given != only) {
            return Err(invalid(format!(
                "{parameter} \"{}\" is not supported yet: secrets are listed in order of their names, which is \"{only}\"",
                super::short(&other)
            )));
        }
    }
    let (found, next) = page(context, &filters, token.as_deref(), limit, with_deleted).await?;
    let shown = found
        .iter()
        .map(|secret| describe::shown(context, secret, "SecretVersionsToStages"));
    let mut output = json!({ "SecretList": shown.collect::<Vec<Json>>() });
    if let Some(next) = next {
        set(&mut output, "NextToken", json!(next));
    }
    Ok(output)
}

/// At most a hundred, which fit in one answer; whoever asks for fewer gets pages.
pub(super) async fn versions(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    let name = context.named(Action::Read, &mut input).await?;
    let with_deprecated = input.boolean("IncludeDeprecated")? == Some(true);
    let limit = number(&mut input, "MaxResults", 1, PAGE as i64)?;
    let limit = limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(PAGE);
    let after = input.text("NextToken")?.as_deref().map(read_token).transpose()?;
    let secret = context.secrets.get(context.namespace, &name).await?;
    let versions = secret.versions.iter();
    let mut versions = versions
        .filter(|version| with_deprecated || !version.stages.is_empty())
        // One that was dropped since: nothing follows it.
        .skip_while(|version| after.as_ref().is_some_and(|after| version.id != *after))
        .skip(usize::from(after.is_some()));
    let page: Vec<_> = versions.by_ref().take(limit).collect();
    let next = versions
        .next()
        .and(page.last())
        .map(|last| URL_SAFE_NO_PAD.encode(&last.id));
    let shown: Vec<Json> = page
        .iter()
        .map(|version| {
            let mut shown = json!({ "VersionId": version.id, "CreatedDate": seconds(version.created) });
            if !version.stages.is_empty() {
                set(&mut shown, "VersionStages", json!(version.stages));
            }
            shown
        })
        .collect();
    let mut output = context.shown(&secret);
    set(&mut output, "Versions", json!(shown));
    if let Some(next) = next {
        set(&mut output, "NextToken", json!(next));
    }
    Ok(output)
}

fn read_token(token: &str) -> Result<String, Refused> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.filter(|text| (1..=512).contains(&text.len()))
        .ok_or_else(|| Error::NextToken.into())
}
