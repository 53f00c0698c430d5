//! A function's configuration as requests give it.

use aloft_base::{Level, Logging, SystemLevel};
use aloft_function::Configuration;
use serde_json::Value as Json;

use super::Error;
use super::describe::ARCHITECTURE;
use crate::Error as Refused;
use crate::input::{Constraints, Members};

/// Members of the model that nothing here stands behind.
const NOT_BUILT: &[&str] = &[
    "ImageConfig",
    "CapacityProviderConfig",
    "TenancyConfig",
    "DurableConfig",
    "RuntimeConfig",
    "AcceleratorConfig",
    "PublishTo",
];

/// What a request says of a configuration and is to be looked up before it is part of it.
pub(super) struct Wanted {
    /// The ARNs of layers.
    pub(super) layers: Option<Vec<String>>,
    /// The ARN of who gets the events of calls that are given up; an empty one takes it away.
    pub(super) dead_letter: Option<String>,
}

/// Takes what a request says of the configuration of the function of this name, and leaves the rest as it is; gives what is to be looked
/// up.
///
/// # Errors
/// When a value breaks a rule, or asks for what is not built.
pub(super) fn apply(
    input: &mut Members,
    rules: &mut Constraints,
    name: &str,
    configuration: &mut Configuration,
) -> Result<Wanted, Refused> {
    for (member, at, to) in [
        ("Runtime", "runtime", &mut configuration.runtime),
        ("Handler", "handler", &mut configuration.handler),
        ("Role", "role", &mut configuration.role),
        ("Description", "description", &mut configuration.description),
    ] {
        if let Some(text) = input.text(member)? {
            if member == "Role" && !is_role(&text) {
                let rule = "Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+";
                rules.broken(&format!("Value '{}'", short(&text)), at, rule);
            }
            *to = text;
        }
    }
    number(
        input,
        rules,
        "Timeout",
        "timeout",
        (1, 900),
        &mut configuration.timeout,
    )?;
    number(
        input,
        rules,
        "MemorySize",
        "memorySize",
        (128, 10_240),
        &mut configuration.memory,
    )?;
    if let Some(mut storage) = input.object("EphemeralStorage")? {
        let at = "ephemeralStorage.size";
        number(
            &mut storage,
            rules,
            "Size",
            at,
            (512, 10_240),
            &mut configuration.storage,
        )?;
    }
    if let Some(mut environment) = input.object("Environment")? {
        configuration.environment = environment.texts("Variables")?.unwrap_or_default();
    }
    if let Some(mut given) = input.object("LoggingConfig")? {
        logging(&mut given, rules, name, &mut configuration.logging)?;
    }
    let layers = input.list("Layers")?;
    let layers = layers.map(|layers| {
        let text = |layer: Json| match layer {
            Json::String(arn) => Ok(arn),
            other => Err(Refused::Serialization(format!("{other} is no layer's ARN"))),
        };
        layers.into_iter().map(text).collect::<Result<Vec<_>, _>>()
    });
    let dead_letter = dead_letter(input, rules)?;
    refuse(input)?;
    Ok(Wanted {
        layers: layers.transpose()?,
        dead_letter,
    })
}

/// Takes who gets what is given up.
fn dead_letter(input: &mut Members, rules: &mut Constraints) -> Result<Option<String>, Refused> {
    let Some(mut config) = input.object("DeadLetterConfig")? else {
        return Ok(None);
    };
    let target = config.text("TargetArn")?.unwrap_or_default();
    if !target.is_empty() && !is_arn(&target) {
        let rule = "Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()";
        rules.broken(
            &format!("Value '{}'", short(&target)),
            "deadLetterConfig.targetArn",
            rule,
        );
    }
    Ok(Some(target))
}

/// Whether it is an ARN of any service.
fn is_arn(text: &str) -> bool {
    let mut parts = text.splitn(4, ':');
    let is_service = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
    };
    parts.next() == Some("arn")
        && parts
            .next()
            .is_some_and(|part| part.is_empty() || part.starts_with("aws"))
        && parts.next().is_some_and(is_service)
        && parts.next().is_some()
}

/// What may be spelt out as long as it says that there is none of it, as infrastructure tools do.
fn refuse(input: &mut Members) -> Result<(), Refused> {
    for (member, inner) in [
        ("VpcConfig", &["SubnetIds", "SecurityGroupIds"][..]),
        ("FileSystemConfigs", &[]),
    ] {
        let asks = match input.take(member) {
            Some(Json::Array(list)) => !list.is_empty(),
            Some(Json::Object(object)) => object.iter().any(|(name, value)| match value {
                Json::Null | Json::Bool(false) => false,
                Json::Array(list) => !list.is_empty() || !inner.contains(&name.as_str()),
                _ => true,
            }),
            Some(_) => true,
            None => false,
        };
        if asks {
            return Err(not_supported(member));
        }
    }
    for member in ["KMSKeyArn", "CodeSigningConfigArn"] {
        if input.text(member)?.is_some_and(|text| !text.is_empty()) {
            return Err(not_supported(member));
        }
    }
    for (member, inner, plain) in [
        ("TracingConfig", "Mode", "PassThrough"),
        ("SnapStart", "ApplyOn", "None"),
    ] {
        if let Some(mut object) = input.object(member)? {
            let value = object.text(inner)?;
            if value.as_deref().is_some_and(|value| value != plain) {
                return Err(not_supported(&format!("{member}.{inner}")));
            }
            if let Some((rest, _)) = object.into_entries().find(|(_, value)| !value.is_null()) {
                return Err(not_supported(&format!("{member}.{rest}")));
            }
        }
    }
    if let Some(kind) = input.text("PackageType")?.filter(|kind| kind != "Zip") {
        return Err(not_supported(&format!("PackageType {}", short(&kind))));
    }
    architectures(input)?;
    match NOT_BUILT.iter().find(|name| input.take(name).is_some()) {
        Some(name) => Err(not_supported(name)),
        None => Ok(()),
    }
}

/// Code runs as it is, so it must be this machine's.
pub(super) fn architectures(input: &mut Members) -> Result<(), Refused> {
    let given = input.list("Architectures")?.unwrap_or_default();
    match given.iter().find(|architecture| *architecture != ARCHITECTURE) {
        Some(other) => Err(Error::Invalid(format!(
            "Architectures {other} is not supported: this machine runs {ARCHITECTURE}"
        ))
        .into()),
        None => Ok(()),
    }
}

/// Takes a part of how the log is written. What is not given stays; of a log that was text until now, the levels are the default ones.
fn logging(
    input: &mut Members,
    rules: &mut Constraints,
    name: &str,
    logging: &mut Logging,
) -> Result<(), Refused> {
    let at = |member: &str| format!("loggingConfig.{member}");
    let format = input.text("LogFormat")?;
    let format = rules.one_of(
        format.as_deref(),
        &at("logFormat"),
        &[("JSON", true), ("Text", false)],
    );
    let level = input.text("ApplicationLogLevel")?;
    let level = rules.one_of(level.as_deref(), &at("applicationLogLevel"), &Level::ALL);
    let system_level = input.text("SystemLogLevel")?;
    let system_level = rules.one_of(system_level.as_deref(), &at("systemLogLevel"), &SystemLevel::ALL);
    let group = input.text("LogGroup")?;
    if let Some(group) = group.filter(|group| *group != log_group(name)) {
        let group = short(&group);
        return Err(not_supported(&format!(
            "LoggingConfig.LogGroup {group}: a log group other than {}",
            log_group(name)
        )));
    }
    let former = match *logging {
        Logging::Json { application, system } => Some((application, system)),
        Logging::Text => None,
    };
    if format.unwrap_or(former.is_some()) {
        let (application, system) = former.unwrap_or_default();
        *logging = Logging::Json {
            application: level.unwrap_or(application),
            system: system_level.unwrap_or(system),
        };
        return Ok(());
    }
    *logging = Logging::Text;
    if level.is_some() || system_level.is_some() {
        let text = "Log level is not supported when the LogFormat is set to Text. Remove the log level from your request or \
                    change the LogFormat to JSON and try again.";
        return Err(Error::Invalid(text.to_owned()).into());
    }
    Ok(())
}

/// The group in which a function's log lies.
pub(super) fn log_group(name: &str) -> String {
    format!("/aws/lambda/{name}")
}

fn number(
    input: &mut Members,
    rules: &mut Constraints,
    member: &str,
    at: &str,
    (least, most): (i64, i64),
    to: &mut u32,
) -> Result<(), Refused> {
    let given = input.integer(member)?;
    rules.in_range(given, at, least, most);
    if let Some(given) = given.and_then(|given| u32::try_from(given).ok()) {
        *to = given;
    }
    Ok(())
}

fn is_role(text: &str) -> bool {
    let mut parts = text.splitn(6, ':');
    let is_arn = parts.next() == Some("arn")
        && parts.next().is_some_and(|partition| partition.starts_with("aws"))
        && parts.next() == Some("iam")
        && parts.next() == Some("");
    let account = parts.next().unwrap_or_default();
    let role = parts.next().and_then(|role| role.strip_prefix("role"));
    is_arn
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && role.is_some_and(|role| {
            role.len() > 1
                && role
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-/".contains(&b))
        })
}

fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

/// What is said of a parameter that is not built yet.
pub(super) fn not_supported(name: &str) -> Refused {
    Error::Invalid(format!("{name} is not supported yet")).into()
}

/// What is said of an ARN of a service that is not here, or may not be used so.
pub(super) fn no_service(arn: &str) -> Refused {
    let service = arn.split(':').nth(2).unwrap_or_default();
    Error::Invalid(format!(
        "The provided target arn {} is invalid: the service \"{}\" does not exist here yet",
        short(arn),
        short(service)
    ))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_an_arn_of_iam() {
        assert!(is_role("arn:aws:iam::000000000000:role/x"));
        assert!(is_role(
            "arn:aws-cn:iam::000000000000:role/service-role/a+b=c,d.e@f_g-h"
        ));
        for bad in [
            "x",
            "arn:aws:iam::000000000000:user/x",
            "arn:aws:iam::0:role/x",
            "arn:aws:iam:us-east-1:000000000000:role/x",
            "arn:aws:iam::000000000000:role",
            "arn:aws:iam::000000000000:role/ä",
        ] {
            assert!(!is_role(bad), "{bad}");
        }
    }
}
