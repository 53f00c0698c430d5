//! Code: what `CreateFunction` and `UpdateFunctionCode` are given, taken in.

use aloft_function::{Artifact, Configuration, Program, Publish, Update};
use aloft_http::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;

use super::names::revision;
use super::{Context, Error, describe, layers, settings};
use crate::Error as Refused;
use crate::input::Members;

/// Where code can lie on Lambda and not here.
const ELSEWHERE: &[&str] = &[
    "S3Bucket",
    "S3Key",
    "S3ObjectVersion",
    "S3ObjectStorageMode",
    "ImageUri",
    "SourceKMSKeyArn",
];

/// How WebAssembly begins, and how the name of its file ends.
const WASM: &[u8] = b"\0asm";
const WASM_END: &str = ".wasm";

/// Takes in the zip that the members hold, or, as a function's code, a component as it is.
pub(super) async fn taken(
    context: &Context<'_>,
    mut input: Members,
    function: Option<&Configuration>,
) -> Result<Artifact, Refused> {
    if let Some(name) = ELSEWHERE.iter().find(|name| input.take(name).is_some()) {
        return Err(Error::Invalid(format!(
            "{name} is not supported yet: give the code as ZipFile (the CLI's --zip-file fileb://code.zip)"
        ))
        .into());
    }
    let text = input.text("ZipFile")?.unwrap_or_default();
    if text.is_empty() {
        return Err(Error::Invalid("Please provide a source for function code: ZipFile".to_owned()).into());
    }
    let code = STANDARD
        .decode(&text)
        .map_err(|error| Refused::Serialization(format!("ZipFile is not valid Base64: {error}")))?;
    drop(text);
    let component = function.filter(|_| code.starts_with(WASM));
    let name = component.map(file_of_component).transpose()?;
    let (builder, code) = (&context.parts.builder, Bytes::from(code));
    let taken = match name {
        Some(name) => builder.take_in_file(name, code).await,
        None => builder.take_in(code).await,
    };
    let zip = taken.map_err(|error| match error {
        aloft_build::Error::Zip(error) => Error::Invalid(format!(
            "Could not unzip uploaded file. Please check your file, then try to upload again: {error}"
        )),
        error => Error::Build(error),
    })?;
    Ok(Artifact {
        blob: zip.artifact,
        bytes: zip.bytes,
        content: zip.looked.bytes,
    })
}

/// The name of the file that a component becomes which was given as it is.
fn file_of_component(function: &Configuration) -> Result<String, Error> {
    let Configuration { runtime, handler, .. } = function;
    if runtime != Program::WASM {
        return Err(Error::Invalid(format!(
            "The code is WebAssembly, which the runtime {runtime} does not run: give a zip of what it runs, or use the runtime {}",
            Program::WASM
        )));
    }
    let is_file = handler
        .strip_suffix(WASM_END)
        .is_some_and(|stem| !stem.is_empty());
    is_file.then(|| handler.clone()).ok_or_else(|| {
        Error::Invalid(format!(
            "The code is a component and no zip, and becomes the file that the handler names; the handler \"{handler}\" does not end \
             in {WASM_END}, as app{WASM_END} does"
        ))
    })
}

pub(super) async fn update(context: &Context<'_>, body: Bytes) -> Result<Response, Refused> {
    let named = context.own_latest()?;
    let mut input = Members::parse(&body)?;
    drop(body);
    settings::architectures(&mut input)?;
    let is_published = input.boolean("Publish")?.unwrap_or_default();
    let is_dry = input.boolean("DryRun")?.unwrap_or_default();
    let expected = input.text("RevisionId")?.map(|text| revision(&text));
    if input.take("PublishTo").is_some() {
        return Err(settings::not_supported("PublishTo"));
    }
    let functions = &context.parts.functions;
    // Before the code is taken in, so that nothing is kept of what changes nothing.
    let latest = functions.get(context.namespace, &named.function, 0).await;
    let mut latest = latest.map_err(|error| context.failed(&named, error))?;
    let artifact = taken(context, input, Some(&latest.configuration)).await?;
    layers::check_size(&latest.configuration.layers, artifact)?;
    if is_dry {
        if expected.is_some_and(|expected| expected != latest.revision) {
            return Err(Error::Stale.into());
        }
        latest.artifact = artifact;
        let members = describe::function(context.caller, &named.function, &latest, None);
        return Ok(super::json(StatusCode::OK, &members.into()));
    }
    let update = Update {
        configuration: None,
        artifact: Some(artifact),
        revision: expected,
    };
    let updated = functions
        .update(context.namespace, &named.function, &update)
        .await;
    let mut published = updated.map_err(|error| context.failed(&named, error))?;
    if is_published {
        let publish = Publish {
            blob: Some(artifact.blob),
            ..Publish::default()
        };
        let version = functions
            .publish(context.namespace, &named.function, &publish)
            .await;
        published = version.map_err(|error| context.failed(&named, error))?;
    }
    let asked = is_published.then(|| published.qualifier());
    let members = describe::function(context.caller, &named.function, &published, asked.as_ref());
    Ok(super::json(StatusCode::OK, &members.into()))
}
