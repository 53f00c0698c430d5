//! CloudWatch Logs, API version 2014-03-28: groups, streams and events over `aloft-log`. What goes down is names, times and patterns; what
//! the service calls its errors stops here.
//!
//! A parameter that the service itself says it ignores (`sequenceToken`, `interleaved`) is looked at for its type and passed over; every
//! other one of its model is done or refused by its name.

mod events;
mod groups;
mod put;
mod streams;
mod tags;

use aloft_access::{Action, Resource, decide};
use aloft_base::{ErrorKind, Timestamp};
use aloft_call::Caller;
use aloft_log::Logs;
use aloft_store::layout::Namespace;
use http::StatusCode;
use http::request::Parts;
use serde_json::Value as Json;

use crate::Error as Refused;
use crate::input::{Constraints, Members};
use crate::service::Service;
use crate::target::target as targeted;

/// How the header with an operation's name begins.
const TARGET: &str = "Logs_20140328.";

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    CreateLogGroup,
    CreateLogStream,
    DeleteLogGroup,
    DeleteLogStream,
    DeleteRetentionPolicy,
    DescribeLogGroups,
    DescribeLogStreams,
    FilterLogEvents,
    GetLogEvents,
    ListTagsForResource,
    PutLogEvents,
    PutRetentionPolicy,
    TagResource,
    UntagResource,
}

impl Operation {
    pub(crate) const ALL: [Self; 14] = [
        Self::PutLogEvents,
        Self::GetLogEvents,
        Self::FilterLogEvents,
        Self::CreateLogGroup,
        Self::CreateLogStream,
        Self::DeleteLogGroup,
        Self::DeleteLogStream,
        Self::DeleteRetentionPolicy,
        Self::DescribeLogGroups,
        Self::DescribeLogStreams,
        Self::ListTagsForResource,
        Self::PutRetentionPolicy,
        Self::TagResource,
        Self::UntagResource,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CreateLogGroup => "CreateLogGroup",
            Self::CreateLogStream => "CreateLogStream",
            Self::DeleteLogGroup => "DeleteLogGroup",
            Self::DeleteLogStream => "DeleteLogStream",
            Self::DeleteRetentionPolicy => "DeleteRetentionPolicy",
            Self::DescribeLogGroups => "DescribeLogGroups",
            Self::DescribeLogStreams => "DescribeLogStreams",
            Self::FilterLogEvents => "FilterLogEvents",
            Self::GetLogEvents => "GetLogEvents",
            Self::ListTagsForResource => "ListTagsForResource",
            Self::PutLogEvents => "PutLogEvents",
            Self::PutRetentionPolicy => "PutRetentionPolicy",
            Self::TagResource => "TagResource",
            Self::UntagResource => "UntagResource",
        }
    }

    fn action(self) -> Action {
        match self {
            Self::DescribeLogGroups
            | Self::DescribeLogStreams
            | Self::FilterLogEvents
            | Self::GetLogEvents
            | Self::ListTagsForResource => Action::Read,
            Self::PutLogEvents => Action::Write,
            Self::CreateLogGroup
            | Self::CreateLogStream
            | Self::DeleteLogGroup
            | Self::DeleteLogStream
            | Self::DeleteRetentionPolicy
            | Self::PutRetentionPolicy
            | Self::TagResource
            | Self::UntagResource => Action::Manage,
        }
    }
}

/// Why an operation of CloudWatch's was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A parameter.
    #[error("{0}")]
    Invalid(String),
    /// The log's.
    #[error(transparent)]
    Log(#[from] aloft_log::Error),
    /// More tags than there may be.
    #[error("{0}")]
    TooManyTags(String),
}

impl Error {
    /// The code and the status.
    pub(crate) fn code(&self) -> (&'static str, StatusCode) {
        use aloft_log::Error as E;
        let name = match self {
            Self::Invalid(_) | Self::Log(E::Invalid(_)) => "InvalidParameterException",
            Self::Log(E::NoGroup(_) | E::NoStream(_)) => "ResourceNotFoundException",
            Self::Log(E::GroupExists(_) | E::StreamExists(_)) => "ResourceAlreadyExistsException",
            Self::Log(E::TooMany(_)) => "LimitExceededException",
            Self::Log(E::Contended(_)) => "OperationAbortedException",
            Self::Log(E::Store(error)) if error.kind() == ErrorKind::Throttled => "ThrottlingException",
            Self::Log(E::Store(_)) => {
                return ("ServiceUnavailableException", StatusCode::INTERNAL_SERVER_ERROR);
            }
            Self::TooManyTags(_) => "TooManyTagsException",
        };
        (name, StatusCode::BAD_REQUEST)
    }

    /// Whether the failure is ours, so that the log must tell of it.
    pub(crate) fn is_ours(&self) -> bool {
        self.code().1.is_server_error()
    }
}

impl From<aloft_log::Error> for Refused {
    fn from(error: aloft_log::Error) -> Self {
        Self::Logs(error.into())
    }
}

/// The operation that a request wants.
pub(crate) fn target(head: &Parts) -> Result<Operation, Refused> {
    targeted(
        head,
        TARGET,
        Operation::PutLogEvents,
        &Operation::ALL,
        Operation::name,
    )
}

/// For whom an operation is done, and on what.
pub(crate) struct Context<'a> {
    pub(crate) logs: &'a Logs,
    pub(crate) caller: &'a Caller,
    pub(crate) namespace: &'a Namespace,
    pub(crate) now: Timestamp,
}

/// Does it. What breaks a rule of the model is told in this service's own word.
pub(crate) async fn run(
    operation: Operation,
    context: &Context<'_>,
    input: Members,
) -> Result<Vec<u8>, Refused> {
    decide(context.caller, operation.action(), Resource::Logs)?;
    let done = match operation {
        Operation::CreateLogGroup => groups::create(context, input).await,
        Operation::CreateLogStream => streams::create(context, input).await,
        Operation::DeleteLogGroup => groups::delete(context, input).await,
        Operation::DeleteLogStream => streams::delete(context, input).await,
        Operation::DeleteRetentionPolicy => groups::keep_for_good(context, input).await,
        Operation::DescribeLogGroups => groups::describe(context, input).await,
        Operation::DescribeLogStreams => streams::describe(context, input).await,
        Operation::FilterLogEvents => events::filter(context, input).await,
        Operation::GetLogEvents => events::get(context, input).await,
        Operation::ListTagsForResource => tags::list(context, input).await,
        Operation::PutLogEvents => put::put(context, input).await,
        Operation::PutRetentionPolicy => groups::keep_for_days(context, input).await,
        Operation::TagResource => tags::add(context, input).await,
        Operation::UntagResource => tags::remove(context, input).await,
    };
    match done {
        Ok(Json::Null) => Ok(Vec::new()),
        Ok(output) => crate::answer::json(&output),
        Err(Refused::Validation(text)) => Err(Error::Invalid(text).into()),
        Err(error) => Err(error),
    }
}

impl Context<'_> {
    /// A group's ARN in the region that the request was signed for.
    fn arn(&self, group: &str) -> String {
        let Caller { tenant, region, .. } = self.caller;
        format!("arn:aws:logs:{region}:{tenant}:log-group:{group}")
    }

    /// The group in the ARN that is given as `parameter`. One of another account or region is refused by what is not the caller's: its
    /// namesake here is another group.
    fn group_in(&self, parameter: &str, arn: &str) -> Result<String, Refused> {
        let Caller { tenant, region, .. } = self.caller;
        let refused = |why: String| invalid(format!("{parameter} \"{}\" {why}", short(arn)));
        let parts: Vec<&str> = arn.splitn(7, ':').collect();
        let ["arn", "aws", service, in_region, account, "log-group", name] = parts.as_slice() else {
            let form = format!("arn:aws:logs:{region}:{tenant}:log-group:NAME");
            return Err(refused(format!(
                "is no ARN of a log group: it has the form {form}"
            )));
        };
        if *service != Service::Logs.name() {
            return Err(refused("is of another service than logs".to_owned()));
        }
        if *account != tenant.as_str() {
            let account = short(account);
            return Err(refused(format!(
                "is of the account {account}, and you are {tenant}"
            )));
        }
        if *in_region != region.as_str() {
            let other = short(in_region);
            return Err(refused(format!(
                "is of the region {other}, and this request was made to {region}"
            )));
        }
        Ok(name.strip_suffix(":*").unwrap_or(name).to_owned())
    }

    /// The group of `logGroupName` or, instead, `logGroupIdentifier`, which may be an ARN.
    fn group_or_identifier(&self, input: &mut Members) -> Result<String, Refused> {
        let (name, identifier) = (input.text("logGroupName")?, input.text("logGroupIdentifier")?);
        match (name, identifier) {
            (Some(name), None) => Ok(name),
            (None, Some(arn)) if arn.starts_with("arn:") => self.group_in("logGroupIdentifier", &arn),
            (None, Some(name)) => Ok(name),
            (None, None) | (Some(_), Some(_)) => Err(invalid(
                "exactly one of logGroupName and logGroupIdentifier must be given",
            )),
        }
    }
}

fn invalid(text: impl Into<String>) -> Refused {
    Error::Invalid(text.into()).into()
}

/// What is shown of a value that a client gave.
fn short(text: &str) -> String {
    text.chars().take(300).collect()
}

/// A text that must be there.
fn required(input: &mut Members, name: &str) -> Result<String, Refused> {
    let text = input.text(name)?;
    let mut rules = Constraints::default();
    rules.required(text.is_some(), name);
    rules.check()?;
    Ok(text.unwrap_or_default())
}

/// A number from `least` to `most`, if it is given.
fn number(input: &mut Members, name: &str, least: i64, most: i64) -> Result<Option<u64>, Refused> {
    let number = input.integer(name)?;
    let mut rules = Constraints::default();
    rules.in_range(number, name, least, most);
    rules.check()?;
    Ok(number.and_then(|number| u64::try_from(number).ok()))
}

/// How many of something come at once.
fn limit(input: &mut Members, most: u32) -> Result<usize, Refused> {
    let limit = number(input, "limit", 1, most.into())?;
    Ok(limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(most as usize))
}

/// A token that is none of ours.
fn not_ours() -> Refused {
    invalid("The specified nextToken is invalid.")
}
