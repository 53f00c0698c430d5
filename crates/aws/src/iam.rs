//! IAM, API version 2010-05-08: the roles that every tool makes before it makes a function. They are kept and shown; what a function may do is
//! decided elsewhere, as `docs/lambda.md` says.

mod policy;
mod tags;

use aloft_access::{Action, Resource, decide};
use aloft_base::Timestamp;
use aloft_call::Caller;
use aloft_role::{Role, Roles};
use aloft_store::layout::Namespace;
use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::Error as Refused;
use crate::query::{Form, element};

/// The namespace of its answers.
pub(crate) const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";
const VERSION: &str = "2010-05-08";
/// Roles, and what is listed of one, of one page, as on IAM.
const PAGE: usize = 100;
/// Policy documents are percent-encoded in answers (RFC 3986).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    AttachRolePolicy,
    CreateRole,
    DeleteRole,
    DeleteRolePolicy,
    DetachRolePolicy,
    GetRole,
    GetRolePolicy,
    ListAttachedRolePolicies,
    ListInstanceProfilesForRole,
    ListRolePolicies,
    ListRoleTags,
    ListRoles,
    PutRolePolicy,
    TagRole,
    UntagRole,
    UpdateAssumeRolePolicy,
    UpdateRole,
}

impl Operation {
    pub(crate) const ALL: [Self; 17] = [
        Self::AttachRolePolicy,
        Self::CreateRole,
        Self::DeleteRole,
        Self::DeleteRolePolicy,
        Self::DetachRolePolicy,
        Self::GetRole,
        Self::GetRolePolicy,
        Self::ListAttachedRolePolicies,
        Self::ListInstanceProfilesForRole,
        Self::ListRolePolicies,
        Self::ListRoleTags,
        Self::ListRoles,
        Self::PutRolePolicy,
        Self::TagRole,
        Self::UntagRole,
        Self::UpdateAssumeRolePolicy,
        Self::UpdateRole,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AttachRolePolicy => "AttachRolePolicy",
            Self::CreateRole => "CreateRole",
            Self::DeleteRole => "DeleteRole",
            Self::DeleteRolePolicy => "DeleteRolePolicy",
            Self::DetachRolePolicy => "DetachRolePolicy",
            Self::GetRole => "GetRole",
            Self::GetRolePolicy => "GetRolePolicy",
            Self::ListAttachedRolePolicies => "ListAttachedRolePolicies",
            Self::ListInstanceProfilesForRole => "ListInstanceProfilesForRole",
            Self::ListRolePolicies => "ListRolePolicies",
            Self::ListRoleTags => "ListRoleTags",
            Self::ListRoles => "ListRoles",
            Self::PutRolePolicy => "PutRolePolicy",
            Self::TagRole => "TagRole",
            Self::UntagRole => "UntagRole",
            Self::UpdateAssumeRolePolicy => "UpdateAssumeRolePolicy",
            Self::UpdateRole => "UpdateRole",
        }
    }

    /// The operation that a form wants.
    pub(crate) fn of(form: &Form) -> Result<Self, Refused> {
        form.find(&Self::ALL, VERSION, Self::name)
    }
}

/// Why an operation of IAM's was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The roles'.
    #[error(transparent)]
    Role(#[from] aloft_role::Error),
    /// There is no such policy.
    #[error("{0}")]
    NoPolicy(String),
    /// A policy that is none.
    #[error("{0}")]
    Malformed(String),
    /// A value that cannot be what it is given for.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// The code and the status.
    pub(crate) fn code(&self) -> (&'static str, StatusCode) {
        use aloft_role::Error as E;
        match self {
            Self::Role(E::Missing(_)) | Self::NoPolicy(_) => ("NoSuchEntity", StatusCode::NOT_FOUND),
            Self::Role(E::Exists(_)) => ("EntityAlreadyExists", StatusCode::CONFLICT),
            Self::Role(E::InUse(_)) => ("DeleteConflict", StatusCode::CONFLICT),
            Self::Role(E::TooMany(_)) => ("LimitExceeded", StatusCode::CONFLICT),
            Self::Role(E::Contended(_)) => ("ConcurrentModification", StatusCode::CONFLICT),
            Self::Role(E::Store(_)) => ("ServiceFailure", StatusCode::INTERNAL_SERVER_ERROR),
            Self::Malformed(_) => ("MalformedPolicyDocument", StatusCode::BAD_REQUEST),
            Self::Invalid(_) => ("InvalidInput", StatusCode::BAD_REQUEST),
        }
    }

    /// Whether the failure is ours, so that the log must tell of it.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Self::Role(aloft_role::Error::Store(_)))
    }
}

/// For whom an operation is done, and on what.
pub(crate) struct Context<'a> {
    pub(crate) roles: &'a Roles,
    pub(crate) caller: &'a Caller,
    pub(crate) namespace: &'a Namespace,
    pub(crate) form: &'a Form,
}

/// Does it, and gives what stands in the answer's result; nothing for an operation that answers nothing.
pub(crate) async fn run(operation: Operation, context: &Context<'_>) -> Result<Option<String>, Refused> {
    decide(context.caller, Action::Manage, Resource::Functions)?;
    use Operation as O;
    match operation {
        O::CreateRole => create(context).await.map(Some),
        O::GetRole => Ok(Some(context.shown(&context.role().await?))),
        O::ListRoles => list(context).await.map(Some),
        O::DeleteRole => {
            let deleted = context.roles.delete(context.namespace, &context.name()?).await;
            deleted.map(|()| None).map_err(|error| Error::from(error).into())
        }
        O::UpdateRole => {
            let description = description(context.form)?;
            let session = session(context.form)?;
            context
                .change(|role| {
                    if let Some(description) = &description {
                        role.description.clone_from(description);
                    }
                    role.session = session.unwrap_or(role.session);
                })
                .await?;
            Ok(Some(String::new()))
        }
        O::UpdateAssumeRolePolicy => {
            let trust = policy::document(context.form, "PolicyDocument", policy::Kind::Trust)?;
            context.change(|role| role.trust.clone_from(&trust)).await?;
            Ok(None)
        }
        O::PutRolePolicy => {
            let name = policy::name(context.form)?;
            let text = policy::document(context.form, "PolicyDocument", policy::Kind::Identity)?;
            let put = |role: &mut Role| drop(role.policies.insert(name.clone(), text.clone()));
            context.change(put).await?;
            Ok(None)
        }
        O::GetRolePolicy => {
            let name = policy::name(context.form)?;
            let role = context.role().await?;
            let text = role.policies.get(&name).ok_or_else(|| no_policy(&name))?;
            let text = utf8_percent_encode(text, ENCODED).to_string();
            let parts = [
                element("RoleName", &role.name),
                element("PolicyName", &name),
                element("PolicyDocument", &text),
            ];
            Ok(Some(parts.concat()))
        }
        O::DeleteRolePolicy => {
            let name = policy::name(context.form)?;
            let was_there = context
                .change(|role| role.policies.remove(&name).is_some())
                .await?;
            was_there.then_some(None).ok_or_else(|| no_policy(&name).into())
        }
        O::AttachRolePolicy => {
            let arn = policy::arn(context.form)?;
            context.change(|role| role.attached.insert(arn.clone())).await?;
            Ok(None)
        }
        O::DetachRolePolicy => {
            let arn = context.form.required("PolicyArn", "policyArn")?;
            let was_there = context.change(|role| role.attached.remove(&arn)).await?;
            let missing = || Error::NoPolicy(format!("Policy {arn} was not found."));
            was_there.then_some(None).ok_or_else(|| missing().into())
        }
        O::ListRolePolicies => {
            let page = context.page()?;
            let role = context.role().await?;
            let members = role.policies.keys().map(|name| (name, element("member", name)));
            Ok(Some(page.of("PolicyNames", members)))
        }
        O::ListAttachedRolePolicies => {
            let page = context.page()?;
            let role = context.role().await?;
            // A managed policy's path is what its ARN has between `policy` and the name.
            let prefix = context.form.get("PathPrefix").unwrap_or("/");
            let is_in = |arn: &&String| {
                // What is none was taken once, and must be seen to be detached.
                let path = arn.split_once(":policy").map_or("/", |(_, path)| path);
                path.starts_with(prefix)
            };
            let members = role.attached.iter().filter(is_in).map(|arn| {
                let name = arn.rsplit('/').next().unwrap_or(arn);
                let parts = [element("PolicyName", name), element("PolicyArn", arn)];
                (arn, format!("<member>{}</member>", parts.concat()))
            });
            Ok(Some(page.of("AttachedPolicies", members)))
        }
        // There are none here; tools ask before they delete a role.
        O::ListInstanceProfilesForRole => {
            let page = context.page()?;
            context.role().await?;
            Ok(Some(page.of("InstanceProfiles", std::iter::empty())))
        }
        O::ListRoleTags => {
            let page = context.page()?;
            let role = context.role().await?;
            let members = role.tags.iter().map(|(key, value)| (key, tag((key, value))));
            Ok(Some(page.of("Tags", members)))
        }
        O::TagRole => {
            let given = tags::given(context.form)?;
            context.change(|role| tags::put(&mut role.tags, &given)).await?;
            Ok(None)
        }
        O::UntagRole => {
            let keys = context.form.list("TagKeys");
            context.change(|role| tags::remove(&mut role.tags, &keys)).await?;
            Ok(None)
        }
    }
}

impl Context<'_> {
    /// The role's name that the form has.
    fn name(&self) -> Result<String, Refused> {
        let name = self.form.required("RoleName", "roleName")?;
        if name.len() > 64 || !name.bytes().all(policy::is_word) {
            let name: String = name.chars().take(200).collect();
            return Err(Refused::Validation(format!(
                "1 validation error detected: Value '{name}' at 'roleName' failed to satisfy constraint: Member must satisfy regular \
                 expression pattern: [\\w+=,.@-]{{1,64}}"
            )));
        }
        Ok(name)
    }

    async fn role(&self) -> Result<Role, Refused> {
        let found = self.roles.get(self.namespace, &self.name()?).await;
        found.map_err(|error| Error::from(error).into())
    }

    async fn change<T>(&self, change: impl Fn(&mut Role) -> T) -> Result<T, Refused> {
        let name = self.name()?;
        let changed = self
            .roles
            .change(self.namespace, &name, |role| Ok(change(role)))
            .await;
        changed.map_err(|error| Error::from(error).into())
    }

    /// How many a page has at most, if the form says so.
    fn limit(&self) -> Result<Option<usize>, Refused> {
        let Some(text) = self.form.get("MaxItems") else {
            return Ok(None);
        };
        let limit = text.parse().ok().filter(|limit| (1..=1_000).contains(limit));
        limit.map(Some).ok_or_else(|| {
            let text: String = text.chars().take(100).collect();
            Refused::Validation(format!(
                "1 validation error detected: Value '{text}' at 'maxItems' failed to satisfy constraint: Member must be a number from 1 \
                 to 1000"
            ))
        })
    }

    /// The page of a list that the form asks for.
    fn page(&self) -> Result<Page<'_>, Refused> {
        Ok(Page {
            after: self.form.get("Marker"),
            limit: self.limit()?.unwrap_or(PAGE),
        })
    }

    fn shown(&self, role: &Role) -> String {
        format!("<Role>{}</Role>", self.members(role))
    }

    fn members(&self, role: &Role) -> String {
        let arn = format!(
            "arn:aws:iam::{}:role{}{}",
            self.caller.tenant, role.path, role.name
        );
        let mut parts = vec![
            element("Path", &role.path),
            element("RoleName", &role.name),
            element("RoleId", &format!("AROA{:017X}", role.id)),
            element("Arn", &arn),
            element("CreateDate", &time(role.created)),
            element(
                "AssumeRolePolicyDocument",
                &utf8_percent_encode(&role.trust, ENCODED).to_string(),
            ),
            element("MaxSessionDuration", &role.session.to_string()),
        ];
        if !role.description.is_empty() {
            parts.push(element("Description", &role.description));
        }
        if !role.tags.is_empty() {
            let tags: String = role.tags.iter().map(tag).collect();
            parts.push(format!("<Tags>{tags}</Tags>"));
        }
        parts.concat()
    }
}

async fn create(context: &Context<'_>) -> Result<String, Refused> {
    let form = context.form;
    if form.get("PermissionsBoundary").is_some() {
        return Err(Refused::Validation(
            "PermissionsBoundary is not supported yet".to_owned(),
        ));
    }
    let path = form.get("Path").unwrap_or("/").to_owned();
    if !path.starts_with('/') || !path.ends_with('/') || path.len() > 512 {
        return Err(Refused::Validation(format!(
            "1 validation error detected: Value '{}' at 'path' failed to satisfy constraint: Member must begin and end with /",
            path.chars().take(200).collect::<String>()
        )));
    }
    let role = Role {
        name: context.name()?,
        path,
        trust: policy::document(form, "AssumeRolePolicyDocument", policy::Kind::Trust)?,
        description: description(form)?.unwrap_or_default(),
        session: session(form)?.unwrap_or(3_600),
        tags: tags::given(form)?,
        ..Role::default()
    };
    let made = context.roles.create(context.namespace, role).await;
    Ok(context.shown(&made.map_err(Error::from)?))
}

async fn list(context: &Context<'_>) -> Result<String, Refused> {
    let Page { after, limit } = context.page()?;
    let prefix = context.form.get("PathPrefix").unwrap_or("/");
    let page = context.roles.list(context.namespace, after, limit).await;
    let (roles, more) = page.map_err(Error::from)?;
    let members: String = roles
        .iter()
        .filter(|role| role.path.starts_with(prefix))
        .map(|role| format!("<member>{}</member>", context.members(role)))
        .collect();
    let marker = roles.last().filter(|_| more);
    let marker = marker.map_or_else(String::new, |last| element("Marker", &last.name));
    Ok(format!(
        "<Roles>{members}</Roles><IsTruncated>{more}</IsTruncated>{marker}"
    ))
}

/// A part of a list.
struct Page<'a> {
    /// The last of the former page.
    after: Option<&'a str>,
    /// The most members.
    limit: usize,
}

impl Page<'_> {
    /// Its members out of all, which come in the order of their names, and the marker of the next page if there is one.
    fn of<'a>(&self, name: &str, all: impl Iterator<Item = (&'a String, String)>) -> String {
        let is_later = |name: &str| self.after.is_none_or(|after| name > after);
        let mut rest = all.filter(|(name, _)| is_later(name)).peekable();
        let (mut members, mut last) = (String::new(), None);
        for (name, member) in rest.by_ref().take(self.limit) {
            members.push_str(&member);
            last = Some(name);
        }
        let is_truncated = rest.peek().is_some();
        let marker = last.filter(|_| is_truncated);
        let marker = marker.map_or_else(String::new, |last| element("Marker", last));
        format!("<{name}>{members}</{name}><IsTruncated>{is_truncated}</IsTruncated>{marker}")
    }
}

fn tag((key, value): (&String, &String)) -> String {
    format!(
        "<member>{}{}</member>",
        element("Key", key),
        element("Value", value)
    )
}

/// A role's description; an empty one takes it away.
fn description(form: &Form) -> Result<Option<String>, Refused> {
    let given = form.given("Description");
    if given.is_some_and(|text| text.chars().count() > 1_000) {
        return Err(Refused::Validation(
            "1 validation error detected: Value at 'description' failed to satisfy constraint: Member must have length less than or \
             equal to 1000"
                .to_owned(),
        ));
    }
    Ok(given.map(str::to_owned))
}

fn session(form: &Form) -> Result<Option<u32>, Refused> {
    let Some(text) = form.get("MaxSessionDuration") else {
        return Ok(None);
    };
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (3_600..=43_200).contains(seconds));
    seconds.map(Some).ok_or_else(|| {
        let text: String = text.chars().take(100).collect();
        Refused::Validation(format!(
            "1 validation error detected: Value '{text}' at 'maxSessionDuration' failed to satisfy constraint: Member must be a number from \
             3600 to 43200"
        ))
    })
}

fn no_policy(name: &str) -> Error {
    Error::NoPolicy(format!("The role policy with name {name} cannot be found."))
}

/// `2026-01-31T12:34:56Z`.
fn time(at: Timestamp) -> String {
    let (year, month, day, hour, minute, second, _) = at.civil();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}
