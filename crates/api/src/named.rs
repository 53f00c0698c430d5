//! Whether what somebody asks the log for is there at all: an empty answer would leave a mistyped name unnoticed. A function that has
//! printed nothing is there, and so is the log of one that was deleted.

use std::sync::Arc;

use aloft_base::{ErrorKind, FunctionName};
use aloft_log::{FUNCTIONS, group_of};
use aloft_observe::Notice;
use aloft_store::layout::Namespace;

use crate::Account;
use crate::error::Error;
use crate::handler::Parts;
use crate::history::{GROUPS, Wanted};

/// Refuses what names nothing: a function that is not there and has left no log, or a call of which nothing is known. One that is followed
/// may be a call that comes.
pub(crate) async fn check(
    parts: &Parts,
    account: &Account,
    wanted: &Wanted,
    recent: &[Arc<Notice>],
    is_following: bool,
) -> Result<(), Error> {
    let namespace = &account.namespace;
    let failed = |error: aloft_log::Error| Error::new(error.kind(), error.to_string());
    if let Some(function) = &wanted.function {
        let is_there = parts.catalogue.of_project(&account.function(function)).is_some()
            || is_made(parts, namespace, function).await?
            || match parts.logs.group(namespace, &group_of(function)).await {
                Ok(_) => true,
                Err(aloft_log::Error::NoGroup(_)) => false,
                Err(error) => return Err(failed(error)),
            };
        if !is_there {
            let message =
                format!("there is no function \"{function}\", and no log of one that had this name");
            return Err(Error::new(ErrorKind::Missing, message));
        }
    }
    let Some(id) = wanted.invocation.filter(|_| !is_following) else {
        return Ok(());
    };
    let of_function = |function: &FunctionName| wanted.function.as_ref().is_none_or(|name| name == function);
    let is_heard = recent.iter().any(|notice| match &**notice {
        Notice::Log(line) => line.invocation == Some(id) && of_function(&line.function),
        Notice::Invocation(record) => record.invocation == id && of_function(&record.function),
        Notice::Build(_) | Notice::Reload(_) => false,
    });
    if is_heard {
        return Ok(());
    }
    let groups = parts
        .logs
        .groups_of(namespace, FUNCTIONS, id, GROUPS)
        .await
        .map_err(failed)?;
    let function = wanted.function.as_ref().map(group_of);
    if groups
        .iter()
        .any(|group| function.as_ref().is_none_or(|name| name == group))
    {
        return Ok(());
    }
    let of = wanted
        .function
        .as_ref()
        .map(|name| format!(" of {name}"))
        .unwrap_or_default();
    let message = format!(
        "nothing is known of an invocation {id}{of}: it is not there, has said nothing yet, or its log is not kept any more"
    );
    Err(Error::new(ErrorKind::Missing, message))
}

/// Whether a function is there that a user has made.
async fn is_made(parts: &Parts, namespace: &Namespace, function: &FunctionName) -> Result<bool, Error> {
    match parts.functions.get(namespace, function, 0).await {
        Ok(_) => Ok(true),
        Err(aloft_function::Error::Missing { .. }) => Ok(false),
        Err(error) => Err(Error::new(error.kind(), error.to_string())),
    }
}
