//! Layers: `PublishLayerVersion`, `GetLayerVersion`, `GetLayerVersionByArn`, `ListLayerVersions`, `ListLayers`, `DeleteLayerVersion`.

use aloft_base::Timestamp;
use aloft_call::Caller;
use aloft_codec::Unknown;
use aloft_function::{Artifact, Compatible, Configuration, LayerVersion, Program, UsedLayer};
use aloft_http::Response;
use http::StatusCode;
use serde_json::{Map, Value as Json, json};

use super::{Context, Error, code, describe, nothing};
use crate::Error as Refused;
use crate::input::{Constraints, Members};
use crate::service::Service;

/// Versions or layers of one page, as on Lambda.
const PAGE: usize = 50;
/// Lambda's bound of a function with its layers, unzipped.
const CONTENT: u64 = 250 << 20;

/// A layer as a request names it: its name, and its version if the ARN has one.
struct Named {
    name: String,
    version: Option<u64>,
}

pub(super) async fn publish(context: &Context<'_>, body: bytes::Bytes) -> Result<Response, Refused> {
    let name = subject(context)?;
    let mut input = Members::parse(&body)?;
    drop(body);
    let content = input.object("Content")?;
    let description = input.text("Description")?.unwrap_or_default();
    let license = input.text("LicenseInfo")?.unwrap_or_default();
    let mut rules = Constraints::default();
    let (runtimes, architectures) = (
        texts(&mut input, "CompatibleRuntimes")?,
        texts(&mut input, "CompatibleArchitectures")?,
    );
    listed(&mut rules, "compatibleRuntimes", &runtimes, &RUNTIMES);
    listed(
        &mut rules,
        "compatibleArchitectures",
        &architectures,
        &ARCHITECTURES,
    );
    rules.required(content.is_some(), "content");
    for (text, at, most) in [(&description, "description", 256), (&license, "licenseInfo", 512)] {
        if text.chars().count() > most {
            let rule = format!("Member must have length less than or equal to {most}");
            rules.broken("Value", at, &rule);
        }
    }
    rules.check()?;
    let artifact = code::taken(context, content.unwrap_or_default(), None).await?;
    let version = LayerVersion {
        number: 0,
        artifact,
        description,
        runtimes,
        architectures,
        license,
        created: Timestamp::default(),
        unknown: Unknown::default(),
    };
    let layers = &context.parts.layers;
    let published = layers.publish(context.namespace, &name, version).await;
    let published = published.map_err(Error::Catalogue)?;
    Ok(super::json(
        StatusCode::CREATED,
        &whole(context, &name, &published).into(),
    ))
}

pub(super) async fn get(context: &Context<'_>) -> Result<Response, Refused> {
    answer(context, &subject(context)?, number(&context.route.name)?).await
}

/// `GET /layers` with `find=LayerVersion` is another operation.
pub(super) async fn get_by_arn(context: &Context<'_>) -> Result<Response, Refused> {
    let mut rules = Constraints::default();
    let given = context.route.parameter("Arn");
    rules.required(given.is_some(), "arn");
    rules.check()?;
    let arn = given.unwrap_or_default();
    // A name alone can be read as a layer, too.
    let named = named(context.caller, arn)?;
    match named.version.filter(|_| arn.starts_with("arn:")) {
        Some(number) => answer(context, &named.name, number).await,
        None => {
            let (arn, example): (String, _) = (
                arn.chars().take(200).collect(),
                self::arn(context.caller, &named.name),
            );
            Err(Refused::Validation(format!(
                "1 validation error detected: Value '{arn}' at 'arn' failed to satisfy constraint: Member must be the ARN of a layer's \
                 version, such as {example}:1"
            )))
        }
    }
}

async fn answer(context: &Context<'_>, name: &str, number: u64) -> Result<Response, Refused> {
    let layers = &context.parts.layers;
    let found = layers.get(context.namespace, name, number).await;
    let found = found.map_err(Error::Catalogue)?;
    let version =
        found.ok_or_else(|| Error::Missing("The resource you requested does not exist.".to_owned()))?;
    Ok(super::json(
        StatusCode::OK,
        &whole(context, name, &version).into(),
    ))
}

pub(super) async fn delete(context: &Context<'_>) -> Result<Response, Refused> {
    let (name, number) = (subject(context)?, number(&context.route.name)?);
    let layers = &context.parts.layers;
    let deleted = layers.delete(context.namespace, &name, number).await;
    deleted.map_err(Error::Catalogue)?;
    Ok(nothing(StatusCode::NO_CONTENT))
}

pub(super) async fn list_versions(context: &Context<'_>) -> Result<Response, Refused> {
    let compatible = compatible(context)?;
    let name = subject(context)?;
    let (before, limit) = context.page(PAGE)?;
    let before = before.map(number).transpose()?;
    let layers = &context.parts.layers;
    let page = layers
        .versions(context.namespace, &name, &compatible, before, limit)
        .await;
    let (versions, has_more) = page.map_err(Error::Catalogue)?;
    let all: Vec<Json> = versions
        .iter()
        .map(|version| described(context.caller, &name, version).into())
        .collect();
    let mut answer = json!({ "LayerVersions": all });
    if let (true, Some(last), Some(answer)) = (has_more, versions.last(), answer.as_object_mut()) {
        answer.insert("NextMarker".to_owned(), json!(last.number.to_string()));
    }
    Ok(super::json(StatusCode::OK, &answer))
}

/// Which versions the query looks for.
fn compatible(context: &Context<'_>) -> Result<Compatible, Refused> {
    let (runtime, architecture) = (
        context.route.parameter("CompatibleRuntime"),
        context.route.parameter("CompatibleArchitecture"),
    );
    let mut rules = Constraints::default();
    if let Some(runtime) = runtime
        && !(RUNTIMES.is_one)(runtime)
    {
        let runtime: String = runtime.chars().take(100).collect();
        rules.broken(&format!("Value '{runtime}'"), "compatibleRuntime", RUNTIMES.rule);
    }
    if let Some(architecture) = architecture
        && !(ARCHITECTURES.is_one)(architecture)
    {
        let architecture: String = architecture.chars().take(100).collect();
        rules.broken(
            &format!("Value '{architecture}'"),
            "compatibleArchitecture",
            ARCHITECTURES.rule,
        );
    }
    rules.check()?;
    Ok(Compatible {
        runtime: runtime.map(str::to_owned),
        architecture: architecture.map(str::to_owned),
    })
}

pub(super) async fn list(context: &Context<'_>) -> Result<Response, Refused> {
    let compatible = compatible(context)?;
    let (after, limit) = context.page(PAGE)?;
    let layers = &context.parts.layers;
    let page = layers.list(context.namespace, &compatible, after, limit).await;
    let (found, last) = page.map_err(Error::Catalogue)?;
    let all: Vec<Json> = found
        .iter()
        .map(|(name, version)| {
            json!({
                "LayerName": name,
                "LayerArn": arn(context.caller, name),
                "LatestMatchingVersion": described(context.caller, name, version),
            })
        })
        .collect();
    let mut answer = json!({ "Layers": all });
    if let (Some(last), Some(answer)) = (last, answer.as_object_mut()) {
        answer.insert("NextMarker".to_owned(), json!(last));
    }
    Ok(super::json(StatusCode::OK, &answer))
}

/// The layers that a function is to use, by their ARNs.
pub(super) async fn used(context: &Context<'_>, arns: &[String]) -> Result<Vec<UsedLayer>, Refused> {
    let most = Configuration::LAYERS;
    if arns.len() > most {
        return Err(Error::Invalid(format!("Cannot reference more than {most} layers.")).into());
    }
    let mut used: Vec<UsedLayer> = Vec::with_capacity(arns.len());
    for arn in arns {
        let named = named(context.caller, arn)?;
        let missing = || Error::Invalid(format!("Layer version {arn} does not exist."));
        let number = named.version.ok_or_else(missing)?;
        let layer = self::arn(context.caller, &named.name);
        let is_twice = used.iter().any(|other| {
            other
                .arn
                .rsplit_once(':')
                .is_some_and(|(other, _)| other == layer)
        });
        if is_twice {
            let text = format!(
                "Two different versions of the same layer are not allowed to be referenced in the same function: {arn}"
            );
            return Err(Error::Invalid(text).into());
        }
        let layers = &context.parts.layers;
        let found = layers.get(context.namespace, &named.name, number).await;
        let version = found.map_err(Error::Catalogue)?.ok_or_else(missing)?;
        used.push(UsedLayer {
            arn: format!("{layer}:{number}"),
            artifact: version.artifact,
        });
    }
    Ok(used)
}

/// Whether code and layers are small enough together.
pub(super) fn check_size(layers: &[UsedLayer], code: Artifact) -> Result<(), Refused> {
    let of_layers = layers.iter().map(|layer| layer.artifact.content);
    let bytes = of_layers.fold(code.content, u64::saturating_add);
    let fits = bytes <= CONTENT;
    fits.then_some(()).ok_or_else(|| {
        Error::Invalid(format!(
            "Function code combined with layers exceeds the maximum allowed size of {CONTENT} bytes. The actual size is {bytes} bytes."
        ))
        .into()
    })
}

/// The layer that the path names: by its name, or by an ARN that says no version.
fn subject(context: &Context<'_>) -> Result<String, Refused> {
    let given = &context.route.subject;
    let Named { name, version } = named(context.caller, given)?;
    match version {
        None => Ok(name),
        Some(_) => Err(unnamed(given)),
    }
}

/// That this names no layer.
fn unnamed(given: &str) -> Refused {
    let given: String = given.chars().take(200).collect();
    Refused::Validation(format!(
        "1 validation error detected: Value '{given}' at 'layerName' failed to satisfy constraint: Member must be a name of 1 to 140 \
         characters of a-z, A-Z, 0-9, - and _, or a layer's ARN"
    ))
}

/// Reads a layer's name or ARN.
fn named(caller: &Caller, given: &str) -> Result<Named, Refused> {
    let invalid = || unnamed(given);
    let parts: Vec<&str> = given.split(':').collect();
    let (name, version) = match parts.as_slice() {
        [name] => (*name, None),
        ["arn", "aws", service, region, account, "layer", name, rest @ ..]
            if *service == Service::Lambda.name() =>
        {
            if *account != caller.tenant.as_str() {
                return Err(Refused::OtherAccount(given.chars().take(200).collect()));
            }
            let here = &caller.region;
            if *region != here.as_str() {
                let given: String = given.chars().take(200).collect();
                let text = format!(
                    "{given} is not in the region of this request. Layers are expected to be in region {here}."
                );
                return Err(Error::Invalid(text).into());
            }
            match rest {
                [] => (*name, None),
                [version] => (*name, Some(digits(version).ok_or_else(invalid)?)),
                _ => return Err(invalid()),
            }
        }
        _ => return Err(invalid()),
    };
    let is_word = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if name.is_empty() || name.len() > 140 || !is_word {
        return Err(invalid());
    }
    Ok(Named {
        name: name.to_owned(),
        version,
    })
}

/// A number that is written in digits alone.
fn digits(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

fn number(text: &str) -> Result<u64, Refused> {
    digits(text).ok_or_else(|| {
        let text: String = text.chars().take(100).collect();
        Refused::Validation(format!(
            "1 validation error detected: Value '{text}' at 'versionNumber' failed to satisfy constraint: Member must be a number"
        ))
    })
}

fn texts(input: &mut Members, name: &str) -> Result<Vec<String>, Refused> {
    let list = input.list(name)?.unwrap_or_default();
    let text = |json| match json {
        Json::String(text) => Ok(text),
        _ => Err(Refused::Serialization(format!("{name} is a list of words"))),
    };
    list.into_iter().map(text).collect()
}

/// Words that a layer may say that it goes with.
struct Words {
    most: usize,
    is_one: fn(&str) -> bool,
    rule: &'static str,
}

const ARCHITECTURES: Words = Words {
    most: 2,
    is_one: |word| word == "x86_64" || word == "arm64",
    rule: "Member must satisfy enum value set: [x86_64, arm64]",
};
/// Lambda's list ends with its newest release, and this machine may have newer ones: so what counts is the language.
const RUNTIMES: Words = Words {
    most: 15,
    is_one: is_runtime,
    rule: "Member must be a runtime's name, such as python3.12, nodejs22.x or provided.al2023",
};

fn is_runtime(word: &str) -> bool {
    let languages = [
        "nodejs",
        "python",
        "java",
        "dotnetcore",
        "dotnet",
        "go",
        "ruby",
        "provided",
    ];
    // `8.al2`, `4.3-edge`: numbers and words, apart.
    let is_version = |rest: &str| {
        let is_part = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        rest.starts_with(|first: char| first == '.' || first.is_ascii_digit())
            && rest
                .strip_prefix('.')
                .unwrap_or(rest)
                .split(['.', '-'])
                .all(is_part)
    };
    let is_of = |language: &&str| {
        word.strip_prefix(*language)
            .is_some_and(|rest| rest.is_empty() || is_version(rest))
    };
    word.len() <= 64 && (word == Program::WASM || word == "custom" || languages.iter().any(is_of))
}

/// Notes what breaks the rules of a list.
fn listed(rules: &mut Constraints, at: &str, list: &[String], words: &Words) {
    let shown: String = list.join(", ").chars().take(200).collect();
    let shown = format!("Value '[{shown}]'");
    if list.len() > words.most {
        let rule = format!("Member must have length less than or equal to {}", words.most);
        rules.broken(&shown, at, &rule);
    }
    if !list.iter().all(|word| (words.is_one)(word)) {
        rules.broken(&shown, at, words.rule);
    }
}

fn arn(caller: &Caller, name: &str) -> String {
    let Caller { tenant, region, .. } = caller;
    format!("arn:aws:lambda:{region}:{tenant}:layer:{name}")
}

/// A version with where its content is.
fn whole(context: &Context<'_>, name: &str, version: &LayerVersion) -> Map<String, Json> {
    let Artifact { blob, bytes, .. } = version.artifact;
    let location = context.downloads.address(context.headers, blob, context.now);
    let mut members = described(context.caller, name, version);
    members.insert("LayerArn".to_owned(), json!(arn(context.caller, name)));
    members.insert(
        "Content".to_owned(),
        json!({ "Location": location, "CodeSha256": describe::sha256(blob), "CodeSize": bytes }),
    );
    members
}

fn described(caller: &Caller, name: &str, version: &LayerVersion) -> Map<String, Json> {
    let mut members = Map::new();
    let mut set = |member: &str, value: Json| members.insert(member.to_owned(), value);
    set(
        "LayerVersionArn",
        json!(format!("{}:{}", arn(caller, name), version.number)),
    );
    set("Version", json!(version.number));
    set("Description", json!(version.description));
    set("CreatedDate", json!(describe::time(version.created)));
    if !version.runtimes.is_empty() {
        set("CompatibleRuntimes", json!(version.runtimes));
    }
    if !version.architectures.is_empty() {
        set("CompatibleArchitectures", json!(version.architectures));
    }
    if !version.license.is_empty() {
        set("LicenseInfo", json!(version.license));
    }
    members
}
