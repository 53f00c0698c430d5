//! Secrets Manager, API version 2017-10-17: secrets, their versions and labels over `aloft-secret`. What goes down is names, values and
//! labels; ARNs and what the service calls its errors stop here.
//!
//! Not here: rotation and replicas, which are refused by name; keys of KMS (values are sealed under the node's master key); resource
//! policies, of which there are none to get. `LastAccessedDate` is not shown, since it is not kept.

mod change;
mod describe;
mod labels;
mod lists;
mod password;
mod values;

use aloft_access::{Action, Resource, decide};
use aloft_base::{Chance, ErrorKind, Timestamp};
use aloft_call::Caller;
use aloft_observe::Redaction;
use aloft_secret::{Secret, Secrets};
use aloft_store::layout::Namespace;
use http::StatusCode;
use http::request::Parts;
use serde_json::{Value as Json, json};

use crate::Error as Refused;
use crate::input::{Constraints, Members};
use crate::target::target as targeted;

/// How the header with an operation's name begins.
const TARGET: &str = "secretsmanager.";

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    BatchGetSecretValue,
    CancelRotateSecret,
    CreateSecret,
    DeleteSecret,
    DescribeSecret,
    GetRandomPassword,
    GetResourcePolicy,
    GetSecretValue,
    ListSecretVersionIds,
    ListSecrets,
    PutSecretValue,
    RestoreSecret,
    RotateSecret,
    TagResource,
    UntagResource,
    UpdateSecret,
    UpdateSecretVersionStage,
}

impl Operation {
    pub(crate) const ALL: [Self; 17] = [
        Self::BatchGetSecretValue,
        Self::CancelRotateSecret,
        Self::CreateSecret,
        Self::DeleteSecret,
        Self::DescribeSecret,
        Self::GetRandomPassword,
        Self::GetResourcePolicy,
        Self::GetSecretValue,
        Self::ListSecretVersionIds,
        Self::ListSecrets,
        Self::PutSecretValue,
        Self::RestoreSecret,
        Self::RotateSecret,
        Self::TagResource,
        Self::UntagResource,
        Self::UpdateSecret,
        Self::UpdateSecretVersionStage,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BatchGetSecretValue => "BatchGetSecretValue",
            Self::CancelRotateSecret => "CancelRotateSecret",
            Self::CreateSecret => "CreateSecret",
            Self::DeleteSecret => "DeleteSecret",
            Self::DescribeSecret => "DescribeSecret",
            Self::GetRandomPassword => "GetRandomPassword",
            Self::GetResourcePolicy => "GetResourcePolicy",
            Self::GetSecretValue => "GetSecretValue",
            Self::ListSecretVersionIds => "ListSecretVersionIds",
            Self::ListSecrets => "ListSecrets",
            Self::PutSecretValue => "PutSecretValue",
            Self::RestoreSecret => "RestoreSecret",
            Self::RotateSecret => "RotateSecret",
            Self::TagResource => "TagResource",
            Self::UntagResource => "UntagResource",
            Self::UpdateSecret => "UpdateSecret",
            Self::UpdateSecretVersionStage => "UpdateSecretVersionStage",
        }
    }
}

/// Why an operation of Secrets Manager's was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A parameter.
    #[error("{0}")]
    Invalid(String),
    /// What is not built.
    #[error("{0}")]
    NotBuilt(&'static str),
    /// A token that is none of ours.
    #[error("The NextToken is not one that this operation gave.")]
    NextToken,
    /// The secrets' own.
    #[error(transparent)]
    Secret(#[from] aloft_secret::Error),
}

impl Error {
    /// The code and the status.
    pub(crate) fn code(&self) -> (&'static str, StatusCode) {
        use aloft_secret::Error as E;
        let internal = ("InternalServiceError", StatusCode::INTERNAL_SERVER_ERROR);
        let of_store = |kind| match kind {
            ErrorKind::Throttled => ("ThrottlingException", StatusCode::BAD_REQUEST),
            _ => internal,
        };
        let name = match self {
            Self::Invalid(_) | Self::Secret(E::Invalid(_)) => "InvalidParameterException",
            Self::NotBuilt(_) | Self::Secret(E::State(_)) => "InvalidRequestException",
            Self::NextToken => "InvalidNextTokenException",
            Self::Secret(E::Missing(_) | E::NoVersion(_)) => "ResourceNotFoundException",
            Self::Secret(E::Exists(_) | E::Taken(_)) => "ResourceExistsException",
            Self::Secret(E::TooMany(_)) => "LimitExceededException",
            Self::Secret(E::Contended(_)) => "ThrottlingException",
            Self::Secret(E::Seal(aloft_seal::Error::Store(error)) | E::Store(error)) => {
                return of_store(error.kind());
            }
            Self::Secret(E::Seal(aloft_seal::Error::Unreadable { .. })) => "DecryptionFailure",
            Self::Secret(E::Seal(_)) => return internal,
        };
        (name, StatusCode::BAD_REQUEST)
    }

    /// Whether the failure is ours, so that the log must tell of it.
    pub(crate) fn is_ours(&self) -> bool {
        let (name, status) = self.code();
        status.is_server_error() || name == "DecryptionFailure"
    }
}

impl From<aloft_secret::Error> for Refused {
    fn from(error: aloft_secret::Error) -> Self {
        Self::Secrets(error.into())
    }
}

/// The operation that a request wants.
pub(crate) fn target(head: &Parts) -> Result<Operation, Refused> {
    targeted(
        head,
        TARGET,
        Operation::GetSecretValue,
        &Operation::ALL,
        Operation::name,
    )
}

/// For whom an operation is done, and on what.
pub(crate) struct Context<'a> {
    pub(crate) secrets: &'a Secrets,
    pub(crate) caller: &'a Caller,
    pub(crate) namespace: &'a Namespace,
    pub(crate) chance: &'a dyn Chance,
    /// What must not be shown of the instance that asks, if one does.
    pub(crate) redaction: Option<&'a Redaction>,
}

/// Does it. What breaks a rule of the model is told in this service's own word.
pub(crate) async fn run(
    operation: Operation,
    context: &Context<'_>,
    input: Members,
) -> Result<Vec<u8>, Refused> {
    let done = match operation {
        Operation::BatchGetSecretValue => values::batch(context, input).await,
        Operation::CreateSecret => change::create(context, input).await,
        Operation::DeleteSecret => change::delete(context, input).await,
        Operation::DescribeSecret => describe::describe(context, input).await,
        Operation::GetRandomPassword => password::draw(context, input),
        Operation::GetResourcePolicy => describe::policy(context, input).await,
        Operation::GetSecretValue => values::get(context, input).await,
        Operation::ListSecretVersionIds => lists::versions(context, input).await,
        Operation::ListSecrets => lists::secrets(context, input).await,
        Operation::PutSecretValue => values::put(context, input).await,
        Operation::RestoreSecret => change::restore(context, input).await,
        Operation::RotateSecret | Operation::CancelRotateSecret => rotate(context, input).await,
        Operation::TagResource => labels::tag(context, input).await,
        Operation::UntagResource => labels::untag(context, input).await,
        Operation::UpdateSecret => change::update(context, input).await,
        Operation::UpdateSecretVersionStage => labels::shift(context, input).await,
    };
    match done {
        Ok(Json::Null) => Ok(b"{}".to_vec()),
        Ok(output) => crate::answer::json(&output),
        Err(Refused::Validation(text)) => Err(invalid(text)),
        Err(error) => Err(error),
    }
}

/// Secrets are changed by whoever knows what they open.
async fn rotate(context: &Context<'_>, mut input: Members) -> Result<Json, Refused> {
    context.named(Action::Manage, &mut input).await?;
    Err(Error::NotBuilt(
        "rotation is not supported yet: put a new value with PutSecretValue, and move its labels with UpdateSecretVersionStage",
    )
    .into())
}

impl Context<'_> {
    /// The name of the secret that `SecretId` means, if the caller may do this to it.
    async fn named(&self, action: Action, input: &mut Members) -> Result<String, Refused> {
        let id = input.text("SecretId")?;
        let mut rules = Constraints::default();
        rules.required(id.is_some(), "secretId");
        rules.check()?;
        self.resolve(action, &id.unwrap_or_default()).await
    }

    /// The name that a name or an ARN means, if the caller may do this to it. An ARN may lack its last six letters; those of another secret
    /// that had the name mean none.
    async fn resolve(&self, action: Action, id: &str) -> Result<String, Refused> {
        if !(1..=2_048).contains(&id.len()) {
            return Err(invalid(
                "SecretId has 1 to 2,048 characters: it is a secret's name or its ARN.",
            ));
        }
        let name = match id.starts_with("arn:") {
            true => self.in_arn(id).await?,
            false => id.to_owned(),
        };
        decide(self.caller, action, Resource::Secret(&name))?;
        check_name(&name, "SecretId")?;
        Ok(name)
    }

    async fn in_arn(&self, arn: &str) -> Result<String, Refused> {
        let parts: Vec<&str> = arn.splitn(7, ':').collect();
        let ["arn", "aws", "secretsmanager", _, account, "secret", rest] = parts.as_slice() else {
            return Err(invalid(format!(
                "SecretId \"{}\" is no ARN of a secret: it has the form {}",
                short(arn),
                self.arn("NAME", "xxxxxx")
            )));
        };
        if *account != self.caller.tenant.as_str() {
            return Err(Refused::OtherAccount(short(arn)));
        }
        let Some((name, suffix)) = rest.rsplit_once('-').filter(|(_, suffix)| suffix.len() == 6) else {
            return Ok((*rest).to_owned());
        };
        if check_name(name, "SecretId").is_ok() {
            match self.secrets.get(self.namespace, name).await {
                Ok(secret) if secret.suffix == suffix => return Ok(name.to_owned()),
                Ok(_) | Err(aloft_secret::Error::Missing(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok((*rest).to_owned())
    }

    /// A secret's ARN in the region that the request was signed for.
    fn arn(&self, name: &str, suffix: &str) -> String {
        let Caller { tenant, region, .. } = self.caller;
        format!("arn:aws:secretsmanager:{region}:{tenant}:secret:{name}-{suffix}")
    }

    /// What most operations answer with.
    fn shown(&self, secret: &Secret) -> Json {
        json!({ "ARN": self.arn(&secret.name, &secret.suffix), "Name": secret.name })
    }
}

fn invalid(text: impl Into<String>) -> Refused {
    Error::Invalid(text.into()).into()
}

fn check_name(name: &str, parameter: &str) -> Result<(), Refused> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte);
    if (1..=512).contains(&name.len()) && name.bytes().all(is_good) {
        return Ok(());
    }
    Err(invalid(format!(
        "Invalid name. {parameter} \"{}\" must have 1 to 512 characters of a-z, A-Z, 0-9 and /_+=.@-",
        short(name)
    )))
}

/// What is shown of a value that a client gave.
fn short(text: &str) -> String {
    text.chars().take(300).collect()
}

/// A text of bounded length, if it is given.
fn text(input: &mut Members, name: &str, least: usize, most: usize) -> Result<Option<String>, Refused> {
    let text = input.text(name)?;
    match text.as_deref().map(|text| text.chars().count()) {
        Some(count) if !(least..=most).contains(&count) => Err(invalid(format!(
            "{name} has {count} characters; it must have {least} to {most}."
        ))),
        _ => Ok(text),
    }
}

/// A number in its range, if it is given.
fn number(input: &mut Members, name: &str, least: i64, most: i64) -> Result<Option<u64>, Refused> {
    let number = input.integer(name)?;
    match number {
        Some(given) if !(least..=most).contains(&given) => Err(invalid(format!(
            "The {name} value must be between {least} and {most} (inclusive), not {given}."
        ))),
        number => Ok(number.and_then(|number| u64::try_from(number).ok())),
    }
}

/// A list of texts of bounded lengths, if it is given.
fn texts(
    input: &mut Members,
    name: &str,
    counts: std::ops::RangeInclusive<usize>,
    lengths: std::ops::RangeInclusive<usize>,
) -> Result<Option<Vec<String>>, Refused> {
    let Some(list) = input.list(name)? else {
        return Ok(None);
    };
    if !counts.contains(&list.len()) {
        return Err(invalid(format!(
            "{name} has {} entries; it must have {} to {}.",
            list.len(),
            counts.start(),
            counts.end()
        )));
    }
    let texts = list.into_iter().map(|json| match json {
        Json::String(text) if lengths.contains(&text.chars().count()) => Ok(text),
        Json::String(text) => Err(invalid(format!(
            "\"{}\" in {name} must have {} to {} characters.",
            short(&text),
            lengths.start(),
            lengths.end()
        ))),
        _ => Err(Refused::Serialization(format!("{name} is a list of strings"))),
    });
    texts.collect::<Result<_, _>>().map(Some)
}

/// A time as the protocol has it: seconds with a fraction.
fn seconds(time: Timestamp) -> Json {
    json!(time.as_millis() as f64 / 1_000.0)
}

fn set(output: &mut Json, name: &str, value: Json) {
    if let Some(members) = output.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}
