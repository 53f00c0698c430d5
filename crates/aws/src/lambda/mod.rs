//! Lambda, API version 2015-03-31: one file for each thing that operations are about. What users make lies in
//! `aloft_function::Functions`; the functions of the project are shown beside it and can be called, and are changed in their file.

mod aliases;
mod code;
mod concurrency;
mod dead_letter;
mod describe;
mod download;
mod error;
mod events;
mod functions;
mod invoke;
mod layers;
mod list;
mod names;
mod permissions;
mod provisioned;
mod route;
mod settings;
mod stream;
mod tags;
mod urls;
mod versions;

use std::sync::Arc;

use aloft_access::{Action, Resource, decide};
use aloft_base::{Chance, FunctionId, FunctionName, Timestamp};
use aloft_build::Builder;
use aloft_call::{Caller, Lineage, Qualifier, Streams, Trace};
use aloft_deferred::Queues;
use aloft_function::{Catalogue, Functions, Layers, Load, Published, Version, Warm};
use aloft_http::{Response, empty, full};
use aloft_store::layout::Namespace;
use bytes::Bytes;
use http::request::Parts as Head;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value as Json;

use crate::Error as Refused;
use crate::input::Constraints;
pub(crate) use download::{Downloads, answer as download};
pub(crate) use error::Error;
use names::Named;
pub(crate) use route::Route;

/// Bytes of a request with a zip of 50 MB, in base64: Lambda's bound.
const ZIP_REQUEST: usize = 69_905_067;
/// Lambda's bound of a payload.
const PAYLOAD: usize = 6 << 20;
/// All others are small.
const REQUEST: usize = 256 << 10;

/// What Lambda stands on.
#[derive(Clone)]
pub struct Parts {
    /// What users made.
    pub functions: Functions,
    /// What functions share.
    pub layers: Layers,
    /// Where the project's functions are found.
    pub catalogue: Arc<Catalogue>,
    /// Tells what this machine can run.
    pub load: Arc<dyn Load>,
    /// Takes zips in.
    pub builder: Builder,
    /// Accepts calls that are made later.
    pub deferred: Arc<dyn Queues>,
    /// Calls that run at once, at most, of an account for which nothing else was set.
    pub concurrency: usize,
    /// Tells what is loaded.
    pub warm: Arc<dyn Warm>,
}

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    AddPermission,
    CreateAlias,
    CreateFunction,
    DeleteAlias,
    DeleteFunction,
    DeleteFunctionEventInvokeConfig,
    GetAlias,
    GetFunction,
    GetFunctionCodeSigningConfig,
    GetFunctionConfiguration,
    GetFunctionEventInvokeConfig,
    GetPolicy,
    Invoke,
    InvokeAsync,
    ListAliases,
    ListFunctionEventInvokeConfigs,
    ListFunctions,
    ListTags,
    ListVersionsByFunction,
    PublishVersion,
    PutFunctionEventInvokeConfig,
    RemovePermission,
    DeleteLayerVersion,
    GetLayerVersion,
    GetLayerVersionByArn,
    ListLayerVersions,
    ListLayers,
    PublishLayerVersion,
    TagResource,
    UntagResource,
    UpdateAlias,
    UpdateFunctionCode,
    UpdateFunctionConfiguration,
    UpdateFunctionEventInvokeConfig,
    InvokeWithResponseStream,
    CreateFunctionUrlConfig,
    DeleteFunctionUrlConfig,
    GetFunctionUrlConfig,
    ListFunctionUrlConfigs,
    UpdateFunctionUrlConfig,
    DeleteFunctionConcurrency,
    GetAccountSettings,
    GetFunctionConcurrency,
    PutFunctionConcurrency,
    DeleteProvisionedConcurrencyConfig,
    GetProvisionedConcurrencyConfig,
    ListProvisionedConcurrencyConfigs,
    PutProvisionedConcurrencyConfig,
}

impl Operation {
    pub(crate) const ALL: [Self; 48] = [
        Self::Invoke,
        Self::CreateAlias,
        Self::CreateFunction,
        Self::DeleteAlias,
        Self::DeleteFunction,
        Self::GetAlias,
        Self::GetFunction,
        Self::GetFunctionCodeSigningConfig,
        Self::GetFunctionConfiguration,
        Self::ListAliases,
        Self::ListFunctions,
        Self::ListTags,
        Self::ListVersionsByFunction,
        Self::PublishVersion,
        Self::TagResource,
        Self::UntagResource,
        Self::UpdateAlias,
        Self::UpdateFunctionCode,
        Self::UpdateFunctionConfiguration,
        Self::InvokeAsync,
        Self::DeleteFunctionEventInvokeConfig,
        Self::GetFunctionEventInvokeConfig,
        Self::ListFunctionEventInvokeConfigs,
        Self::PutFunctionEventInvokeConfig,
        Self::UpdateFunctionEventInvokeConfig,
        Self::AddPermission,
        Self::GetPolicy,
        Self::RemovePermission,
        Self::DeleteLayerVersion,
        Self::GetLayerVersion,
        Self::GetLayerVersionByArn,
        Self::ListLayerVersions,
        Self::ListLayers,
        Self::PublishLayerVersion,
        Self::InvokeWithResponseStream,
        Self::CreateFunctionUrlConfig,
        Self::DeleteFunctionUrlConfig,
        Self::GetFunctionUrlConfig,
        Self::ListFunctionUrlConfigs,
        Self::UpdateFunctionUrlConfig,
        Self::DeleteFunctionConcurrency,
        Self::GetAccountSettings,
        Self::GetFunctionConcurrency,
        Self::PutFunctionConcurrency,
        Self::DeleteProvisionedConcurrencyConfig,
        Self::GetProvisionedConcurrencyConfig,
        Self::ListProvisionedConcurrencyConfigs,
        Self::PutProvisionedConcurrencyConfig,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CreateAlias => "CreateAlias",
            Self::CreateFunction => "CreateFunction",
            Self::DeleteAlias => "DeleteAlias",
            Self::DeleteFunction => "DeleteFunction",
            Self::GetAlias => "GetAlias",
            Self::GetFunction => "GetFunction",
            Self::GetFunctionCodeSigningConfig => "GetFunctionCodeSigningConfig",
            Self::GetFunctionConfiguration => "GetFunctionConfiguration",
            Self::Invoke => "Invoke",
            Self::ListAliases => "ListAliases",
            Self::ListFunctions => "ListFunctions",
            Self::ListTags => "ListTags",
            Self::ListVersionsByFunction => "ListVersionsByFunction",
            Self::PublishVersion => "PublishVersion",
            Self::TagResource => "TagResource",
            Self::UntagResource => "UntagResource",
            Self::UpdateAlias => "UpdateAlias",
            Self::UpdateFunctionCode => "UpdateFunctionCode",
            Self::UpdateFunctionConfiguration => "UpdateFunctionConfiguration",
            Self::InvokeAsync => "InvokeAsync",
            Self::AddPermission => "AddPermission",
            Self::GetPolicy => "GetPolicy",
            Self::RemovePermission => "RemovePermission",
            Self::DeleteLayerVersion => "DeleteLayerVersion",
            Self::GetLayerVersion => "GetLayerVersion",
            Self::GetLayerVersionByArn => "GetLayerVersionByArn",
            Self::ListLayerVersions => "ListLayerVersions",
            Self::ListLayers => "ListLayers",
            Self::PublishLayerVersion => "PublishLayerVersion",
            Self::DeleteFunctionEventInvokeConfig => "DeleteFunctionEventInvokeConfig",
            Self::GetFunctionEventInvokeConfig => "GetFunctionEventInvokeConfig",
            Self::ListFunctionEventInvokeConfigs => "ListFunctionEventInvokeConfigs",
            Self::PutFunctionEventInvokeConfig => "PutFunctionEventInvokeConfig",
            Self::UpdateFunctionEventInvokeConfig => "UpdateFunctionEventInvokeConfig",
            Self::InvokeWithResponseStream => "InvokeWithResponseStream",
            Self::CreateFunctionUrlConfig => "CreateFunctionUrlConfig",
            Self::DeleteFunctionUrlConfig => "DeleteFunctionUrlConfig",
            Self::GetFunctionUrlConfig => "GetFunctionUrlConfig",
            Self::ListFunctionUrlConfigs => "ListFunctionUrlConfigs",
            Self::UpdateFunctionUrlConfig => "UpdateFunctionUrlConfig",
            Self::DeleteFunctionConcurrency => "DeleteFunctionConcurrency",
            Self::GetAccountSettings => "GetAccountSettings",
            Self::GetFunctionConcurrency => "GetFunctionConcurrency",
            Self::PutFunctionConcurrency => "PutFunctionConcurrency",
            Self::DeleteProvisionedConcurrencyConfig => "DeleteProvisionedConcurrencyConfig",
            Self::GetProvisionedConcurrencyConfig => "GetProvisionedConcurrencyConfig",
            Self::ListProvisionedConcurrencyConfigs => "ListProvisionedConcurrencyConfigs",
            Self::PutProvisionedConcurrencyConfig => "PutProvisionedConcurrencyConfig",
        }
    }

    /// The largest body of a request.
    pub(crate) fn body_bytes(self) -> usize {
        match self {
            Self::CreateFunction | Self::PublishLayerVersion | Self::UpdateFunctionCode => ZIP_REQUEST,
            operation if operation.is_invocation() => PAYLOAD,
            _ => REQUEST,
        }
    }

    /// The largest `MaxItems` of a list, by the model.
    fn most_items(self) -> i64 {
        match self {
            Self::ListLayers
            | Self::ListLayerVersions
            | Self::ListFunctionEventInvokeConfigs
            | Self::ListFunctionUrlConfigs
            | Self::ListProvisionedConcurrencyConfigs => 50,
            _ => 10_000,
        }
    }

    fn is_invocation(self) -> bool {
        matches!(
            self,
            Self::Invoke | Self::InvokeAsync | Self::InvokeWithResponseStream
        )
    }

    /// That a body is larger.
    pub(crate) fn too_large(self) -> Error {
        let is_invocation = self.is_invocation();
        Error::TooLarge {
            bytes: self.body_bytes(),
            operation: if is_invocation {
                "InvokeFunction"
            } else {
                self.name()
            },
            is_invocation,
        }
    }
}

/// For whom an operation is done, and on what.
pub(crate) struct Context<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) streams: &'a Streams,
    pub(crate) chance: &'a dyn Chance,
    pub(crate) caller: &'a Caller,
    pub(crate) namespace: &'a Namespace,
    pub(crate) route: &'a Route,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) downloads: &'a Downloads,
    pub(crate) now: Timestamp,
    /// The chain that a call belongs to, when a function's invocation asks.
    pub(crate) lineage: Lineage,
    pub(crate) trace: Trace,
}

/// Does what a route wants.
pub(crate) async fn run(context: &Context<'_>, body: Bytes) -> Result<Response, Refused> {
    let operation = context.route.operation;
    if !operation.is_invocation() {
        decide(context.caller, Action::Manage, Resource::Functions)?;
    }
    match operation {
        Operation::CreateAlias => aliases::create(context, &body).await,
        Operation::CreateFunction => functions::create(context, body).await,
        Operation::DeleteAlias => aliases::delete(context).await,
        Operation::DeleteFunction => functions::delete(context).await,
        Operation::GetAlias => aliases::get(context).await,
        Operation::GetFunction => functions::get(context).await,
        Operation::GetFunctionCodeSigningConfig => functions::get_code_signing(context).await,
        Operation::GetFunctionConfiguration => functions::get_configuration(context).await,
        Operation::Invoke => invoke::run(context, body).await,
        Operation::ListAliases => aliases::list(context).await,
        Operation::ListFunctions => list::run(context).await,
        Operation::ListTags => tags::list(context).await,
        Operation::ListVersionsByFunction => versions::list(context).await,
        Operation::PublishVersion => versions::publish(context, &body).await,
        Operation::TagResource => tags::add(context, &body).await,
        Operation::UntagResource => tags::remove(context).await,
        Operation::UpdateAlias => aliases::update(context, &body).await,
        Operation::UpdateFunctionCode => code::update(context, body).await,
        Operation::UpdateFunctionConfiguration => functions::update_configuration(context, &body).await,
        Operation::InvokeAsync => invoke::run_later(context, body).await,
        Operation::AddPermission => permissions::add(context, &body).await,
        Operation::GetPolicy => permissions::get(context).await,
        Operation::RemovePermission => permissions::remove(context).await,
        Operation::DeleteLayerVersion => layers::delete(context).await,
        Operation::GetLayerVersion => layers::get(context).await,
        Operation::GetLayerVersionByArn => layers::get_by_arn(context).await,
        Operation::ListLayerVersions => layers::list_versions(context).await,
        Operation::ListLayers => layers::list(context).await,
        Operation::PublishLayerVersion => layers::publish(context, body).await,
        Operation::DeleteFunctionEventInvokeConfig => events::delete(context).await,
        Operation::GetFunctionEventInvokeConfig => events::get(context).await,
        Operation::ListFunctionEventInvokeConfigs => events::list(context).await,
        Operation::PutFunctionEventInvokeConfig => events::set(context, &body, true).await,
        Operation::UpdateFunctionEventInvokeConfig => events::set(context, &body, false).await,
        Operation::InvokeWithResponseStream => stream::run(context, body).await,
        Operation::CreateFunctionUrlConfig => urls::create(context, &body).await,
        Operation::DeleteFunctionUrlConfig => urls::delete(context).await,
        Operation::GetFunctionUrlConfig => urls::get(context).await,
        Operation::ListFunctionUrlConfigs => urls::list(context).await,
        Operation::UpdateFunctionUrlConfig => urls::update(context, &body).await,
        Operation::DeleteFunctionConcurrency => concurrency::delete(context).await,
        Operation::GetAccountSettings => concurrency::account(context).await,
        Operation::GetFunctionConcurrency => concurrency::get(context).await,
        Operation::PutFunctionConcurrency => concurrency::put(context, &body).await,
        Operation::DeleteProvisionedConcurrencyConfig => provisioned::delete(context).await,
        Operation::GetProvisionedConcurrencyConfig => provisioned::get(context).await,
        Operation::ListProvisionedConcurrencyConfigs => provisioned::list(context).await,
        Operation::PutProvisionedConcurrencyConfig => provisioned::put(context, &body).await,
    }
}

impl Context<'_> {
    /// The function that the path names, with the qualifier of the path or the query.
    fn named(&self) -> Result<Named, Refused> {
        Named::read(
            self.caller,
            &self.route.subject,
            self.route.parameter("Qualifier"),
        )
    }

    /// The function that the path names, for an operation that changes it.
    fn own(&self) -> Result<Named, Refused> {
        let named = self.named()?;
        self.of_project(&named.function).map_or(Ok(()), |_| {
            Err(Error::Conflict(format!(
                "{} is defined in the project's aloft.toml: change it there",
                named.function
            )))
        })?;
        Ok(named)
    }

    /// The same, for one that only changes what is not published.
    fn own_latest(&self) -> Result<Named, Refused> {
        let named = self.own()?;
        named.no_version()?;
        Ok(named)
    }

    /// The function that the path names, for an operation that changes what is said of the one of its names that is meant.
    fn own_name(&self) -> Result<(Named, Qualifier), Refused> {
        self.own()?;
        self.name()
    }

    /// The function that the path names, and the one of its names that is meant.
    fn name(&self) -> Result<(Named, Qualifier), Refused> {
        let named = self.named()?;
        let qualifier = named.qualifier.clone().unwrap_or_default();
        Ok((named, qualifier))
    }

    fn of_project(&self, function: &FunctionName) -> Option<Arc<Version>> {
        self.parts.catalogue.of_project(&self.id(function))
    }

    /// The function of this name in the account.
    fn id(&self, function: &FunctionName) -> FunctionId {
        self.namespace.function(function)
    }

    /// The version that a request means: of an alias the one that it points to.
    async fn published(&self, named: &Named) -> Result<Published, Refused> {
        let functions = &self.parts.functions;
        let number = match &named.qualifier {
            None | Some(Qualifier::Latest) => 0,
            Some(Qualifier::Version(number)) => *number,
            Some(Qualifier::Alias(name)) => {
                let alias = functions.alias(self.namespace, &named.function, name).await;
                alias.map_err(|error| self.failed(named, error))?.version
            }
        };
        let published = functions.get(self.namespace, &named.function, number).await;
        published.map_err(|error| self.failed(named, error))
    }

    /// What the catalogue says of a function, in Lambda's words.
    fn failed(&self, named: &Named, error: aloft_function::Error) -> Refused {
        use aloft_function::Error as E;
        match error {
            E::Missing {
                qualifier: Some(qualifier),
                ..
            } => Named {
                function: named.function.clone(),
                qualifier: Some(qualifier),
            }
            .missing(self.caller),
            E::Missing { .. } => Named {
                function: named.function.clone(),
                qualifier: None,
            }
            .missing(self.caller),
            E::Exists {
                what: "Function",
                name,
            } => Error::Conflict(format!("Function already exist: {name}")),
            error @ (E::NoStatement(_) | E::NoUrl { .. }) => Error::Missing(error.to_string()),
            E::Stale { what: "RevisionId" } => Error::Stale,
            error @ (E::Exists { .. } | E::InUse { .. } | E::Contended(_)) => {
                Error::Conflict(error.to_string())
            }
            E::AlreadyProvisioned { qualifier, other } => provisioned::already(&qualifier, &other),
            E::TooMany { what, .. } => Error::TooMany {
                code: match what {
                    "aliases" => "AliasLimitExceededException",
                    "bytes of permissions" => "PolicyLengthExceededException",
                    _ => "InvalidParameterValueException",
                },
                text: error.to_string(),
            },
            error @ E::TooManyFunctions { .. } => Error::TooMany {
                code: "ServiceQuotaExceededException",
                text: error.to_string(),
            },
            error @ (E::Stale { .. }
            | E::Invalid { .. }
            | E::TooManyReserved { .. }
            | E::FewerThanProvisioned { .. }
            | E::TooManyProvisioned { .. }) => Error::Invalid(error.to_string()),
            error @ E::Store(_) => Error::Catalogue(error),
        }
        .into()
    }

    /// How many a list's page has at most, and after what it begins.
    fn page(&self, most: usize) -> Result<(Option<&str>, usize), Refused> {
        let given = self.route.parameter("MaxItems").map(|text| {
            text.parse::<i64>().map_err(|_| {
                let text: String = text.chars().take(100).collect();
                Refused::Validation(format!(
                    "1 validation error detected: Value '{text}' at 'maxItems' failed to satisfy constraint: Member must be a number"
                ))
            })
        });
        let given = given.transpose()?;
        let mut rules = Constraints::default();
        rules.in_range(given, "maxItems", 1, self.route.operation.most_items());
        rules.check()?;
        let limit = given.and_then(|given| usize::try_from(given).ok());
        Ok((self.route.parameter("Marker"), limit.unwrap_or(most).min(most)))
    }
}

/// An answer in JSON.
fn json(status: StatusCode, body: &Json) -> Response {
    let mut response = Response::new(full(body.to_string()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// An answer without a body.
fn nothing(status: StatusCode) -> Response {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    response
}

/// The trace that a request belongs to, or a new one.
pub(crate) fn trace(head: &Head, chance: &dyn Chance) -> Trace {
    trace_of(head, chance).unwrap_or_else(|| Trace::begin(chance))
}

/// The trace that a request belongs to: the one that it names, as W3C or as X-Ray does, or that of the call from within which it comes.
pub(crate) fn trace_of(head: &Head, chance: &dyn Chance) -> Option<Trace> {
    let header = |name: &str| head.headers.get(name)?.to_str().ok();
    header("traceparent")
        .and_then(Trace::parse)
        .or_else(|| header("x-amzn-trace-id").and_then(Trace::parse_xray))
        .or_else(|| Some(head.extensions.get::<Trace>()?.child(chance)))
}
