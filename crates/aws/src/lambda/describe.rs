//! Functions, versions and aliases as Lambda's clients read them.

use aloft_base::{FunctionName, Logging, Timestamp};
use aloft_call::{Caller, Qualifier};
use aloft_function::{Alias, Configuration, Published, UsedLayer, Version};
use aloft_store::blobs::BlobId;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

use super::names::{arn, uuid};
use super::settings;

/// This machine's architecture, by Lambda's name.
pub(super) const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "x86_64"
};

/// `FunctionConfiguration` of what was made by the API, with the ARN by which it was asked for.
pub(super) fn function(
    caller: &Caller,
    name: &FunctionName,
    published: &Published,
    asked: Option<&Qualifier>,
) -> Map<String, Json> {
    let Configuration {
        runtime,
        handler,
        role,
        description,
        timeout,
        memory,
        storage,
        environment,
        layers,
        logging,
        dead_letter,
    } = &published.configuration;
    let mut members = common(caller, name, runtime, handler, *logging, asked);
    let mut set = |member: &str, value: Json| members.insert(member.to_owned(), value);
    set("Role", json!(role));
    set("Description", json!(description));
    set("Timeout", json!(timeout));
    set("MemorySize", json!(memory));
    set("EphemeralStorage", json!({ "Size": storage }));
    set("CodeSize", json!(published.artifact.bytes));
    set("CodeSha256", json!(sha256(published.artifact.blob)));
    set("LastModified", json!(time(published.modified)));
    set("Version", json!(published.qualifier().to_string()));
    set("RevisionId", json!(uuid(published.revision)));
    if !environment.is_empty() {
        set("Environment", json!({ "Variables": environment }));
    }
    if !layers.is_empty() {
        let shown = |layer: &UsedLayer| json!({ "Arn": layer.arn, "CodeSize": layer.artifact.bytes });
        let layers: Vec<Json> = layers.iter().map(shown).collect();
        set("Layers", layers.into());
    }
    if let Some(arn) = dead_letter {
        set("DeadLetterConfig", json!({ "TargetArn": arn }));
    }
    members
}

/// `FunctionConfiguration` of a function of the project. What only a zip has (its size, its hash) is left out.
pub(super) fn of_project(caller: &Caller, version: &Version, asked: Option<&Qualifier>) -> Map<String, Json> {
    let runtime = version.program.runtime();
    let (function, logging) = (&version.function.name, version.logging);
    let mut members = common(caller, function, runtime, &version.handler, logging, asked);
    let mut set = |member: &str, value: Json| members.insert(member.to_owned(), value);
    let role = format!("arn:aws:iam::{}:role/{}", caller.tenant, function);
    set("Role", json!(role));
    set("Description", json!("defined in the project's aloft.toml"));
    set("Timeout", json!(version.timeout.as_secs_f64().ceil() as u64));
    set("MemorySize", json!(version.memory.bytes() >> 20));
    set(
        "EphemeralStorage",
        json!({ "Size": version.storage.bytes() >> 20 }),
    );
    set("Version", json!(Qualifier::Latest.to_string()));
    if !version.environment.is_empty() {
        let variables = version.environment.iter();
        let shown = variables.map(|(name, variable)| (name.clone(), json!(variable.to_string())));
        set(
            "Environment",
            json!({ "Variables": Json::Object(shown.collect()) }),
        );
    }
    members
}

/// What is the same for all. A function is ready as soon as it is answered, so the SDKs' waiters end at once.
fn common(
    caller: &Caller,
    name: &FunctionName,
    runtime: &str,
    handler: &str,
    logging: Logging,
    asked: Option<&Qualifier>,
) -> Map<String, Json> {
    let members = json!({
        "FunctionName": name.as_str(),
        "FunctionArn": arn(caller, name, asked),
        "Runtime": runtime,
        "Handler": handler,
        "PackageType": "Zip",
        "Architectures": [ARCHITECTURE],
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "TracingConfig": { "Mode": "PassThrough" },
        "SnapStart": { "ApplyOn": "None", "OptimizationStatus": "Off" },
        "LoggingConfig": logged(name, logging),
    });
    match members {
        Json::Object(members) => members,
        _ => Map::new(),
    }
}

/// `LoggingConfig`.
fn logged(name: &FunctionName, logging: Logging) -> Json {
    let group = settings::log_group(name.as_str());
    let mut members = json!({ "LogFormat": logging.format(), "LogGroup": group });
    if let (Logging::Json { application, system }, Some(members)) = (logging, members.as_object_mut()) {
        members.insert("ApplicationLogLevel".to_owned(), json!(application.name()));
        members.insert("SystemLogLevel".to_owned(), json!(system.name()));
    }
    members
}

/// `AliasConfiguration`.
pub(super) fn alias(caller: &Caller, function: &FunctionName, alias: &Alias) -> Json {
    let qualifier = Qualifier::Alias(alias.name.clone());
    let mut members = json!({
        "AliasArn": arn(caller, function, Some(&qualifier)),
        "Name": alias.name.as_str(),
        "FunctionVersion": Qualifier::numbered(alias.version).to_string(),
        "Description": alias.description,
        "RevisionId": uuid(alias.revision),
    });
    if let (Some((version, share)), Some(members)) = (alias.other, members.as_object_mut()) {
        let weights = Map::from_iter([(version.to_string(), json!(share))]);
        members.insert(
            "RoutingConfig".to_owned(),
            json!({ "AdditionalVersionWeights": weights }),
        );
    }
    members
}

/// A zip's hash as Lambda writes it.
pub(super) fn sha256(blob: BlobId) -> Option<String> {
    match blob {
        BlobId::Content(hash) => Some(STANDARD.encode(hash)),
        BlobId::Random(_) => None,
    }
}

/// `2026-01-31T12:34:56.789+0000`.
pub(super) fn time(at: Timestamp) -> String {
    let (year, month, day, hour, minute, second, millis) = at.civil();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}+0000")
}
