//! The environment of a function's process: Lambda's variables, ours, and those of the definition.

use std::collections::BTreeMap;
use std::ffi::OsString;

use aloft_base::{Logging, Region, Timestamp};
use aloft_call::{Qualifier, log_stream};
use aloft_function::{Program, Version};

use super::Credentials;
use crate::runtime::Initialization;

/// All variables but the addresses of the listeners, which the sandbox announces itself.
pub(crate) fn environment(
    version: &Version,
    region: &Region,
    credentials: Credentials,
    theirs: &BTreeMap<String, String>,
    (initialization, now): (Initialization, Timestamp),
) -> Vec<(OsString, OsString)> {
    let number = Qualifier::numbered(version.number).to_string();
    let stream = log_stream(&version.id, version.number, now);
    let memory_mb = version.memory.bytes() >> 20;
    let ours = [
        ("_HANDLER", version.handler.clone()),
        ("AWS_REGION", region.to_string()),
        ("AWS_DEFAULT_REGION", region.to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", version.function.name.to_string()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory_mb.to_string()),
        ("AWS_LAMBDA_FUNCTION_VERSION", number.clone()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", initialization.name().to_owned()),
        (
            "AWS_LAMBDA_LOG_GROUP_NAME",
            format!("/aws/lambda/{}", version.function.name),
        ),
        ("AWS_LAMBDA_LOG_STREAM_NAME", stream),
        ("AWS_ACCESS_KEY_ID", credentials.key_id),
        ("AWS_SECRET_ACCESS_KEY", credentials.secret),
        ("AWS_SESSION_TOKEN", credentials.token),
        ("LAMBDA_TASK_ROOT", super::start::TASK.to_owned()),
        ("LAMBDA_RUNTIME_DIR", super::start::RUNTIME.to_owned()),
        // The SDKs' look for credentials and regions elsewhere would wait for a network that is not there.
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        // Nothing of the sandbox but /tmp can be written, and it does not live long.
        ("HOME", "/tmp".to_owned()),
        ("TMPDIR", "/tmp".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("TZ", ":UTC".to_owned()),
        ("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin".to_owned()),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
    ];
    // The definition's own come last: those that Lambda reserves were refused when it was read, the others may be set.
    let theirs = theirs.iter().map(|(name, value)| (name.clone(), value.clone()));
    let mut all: Vec<(String, String)> = ours
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    if let Logging::Json { application, .. } = version.logging {
        let set = [
            ("AWS_LAMBDA_LOG_FORMAT", version.logging.format()),
            ("AWS_LAMBDA_LOG_LEVEL", application.name()),
        ];
        all.extend(set.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    if version.program.contract() == Program::LAMBDA && version.program.interpreter().is_some() {
        let environment = format!("AWS_Lambda_{}", version.program.runtime());
        all.push(("AWS_EXECUTION_ENV".to_owned(), environment));
    }
    for (name, value) in theirs {
        all.retain(|(former, _)| *former != name);
        all.push((name, value));
    }
    all.into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}
