//! Which operation a request wants: Lambda names it by method and path. The paths are those of botocore's model
//! (`lambda/2015-03-31/service-2.json`), whose dates differ by the year in which an operation came.

use std::borrow::Cow;

use http::Method;
use http::request::Parts;
use percent_encoding::percent_decode_str;

use super::Operation;
use crate::Error;

/// Parameters of one query.
const PARAMETERS: usize = 100;

/// A request's operation and what its path and query say.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) operation: Operation,
    /// The function's name as given, or the resource's ARN; empty where there is none.
    pub(super) subject: String,
    /// The alias, the statement, or the layer's version.
    pub(super) name: String,
    query: Vec<(String, String)>,
}

impl Route {
    /// Reads a request's method and target.
    pub(crate) fn of(head: &Parts) -> Result<Self, Error> {
        let path = head.uri.path();
        let unknown = || {
            let path: String = path.chars().take(200).collect();
            Error::UnknownOperation(format!(
                "{} {path} is no operation of Lambda's, or not supported yet",
                head.method
            ))
        };
        // Some clients end a list's path with a slash.
        let trimmed = path.strip_suffix('/').unwrap_or(path);
        let segments: Option<Vec<Cow<'_, str>>> = trimmed
            .split('/')
            .skip(1)
            .map(|segment| percent_decode_str(segment).decode_utf8().ok())
            .collect();
        let segments = segments.ok_or_else(unknown)?;
        let segments: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
        let query = head.uri.query().unwrap_or_default();
        // Some of Lambda's operations are told apart from others by their query alone.
        let is_find = query
            .split('&')
            .any(|parameter| matches!(parameter, "find=LayerVersion" | "List=ALL"));
        let (operation, subject, name) = find(&head.method, &segments, is_find).ok_or_else(unknown)?;
        Ok(Self {
            operation,
            subject: subject.to_owned(),
            name: name.to_owned(),
            query: form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .take(PARAMETERS)
                .collect(),
        })
    }

    /// A parameter of the query; an empty one is none.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(other, _)| other == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// All values of a parameter.
    pub(super) fn parameters(&self, name: &str) -> impl Iterator<Item = &str> {
        let all = self.query.iter().filter(move |(other, _)| other == name);
        all.map(|(_, value)| value.as_str())
    }
}

/// The operation, the function or resource, and the alias.
fn find<'a>(method: &Method, segments: &[&'a str], is_find: bool) -> Option<(Operation, &'a str, &'a str)> {
    use Operation as O;
    let (get, post) = (*method == Method::GET, *method == Method::POST);
    let (put, delete) = (*method == Method::PUT, *method == Method::DELETE);
    let (operation, subject, name) = match segments {
        ["2015-03-31", "functions"] if post => (O::CreateFunction, "", ""),
        ["2015-03-31", "functions"] if get => (O::ListFunctions, "", ""),
        ["2015-03-31", "functions", function, rest @ ..] => match rest {
            [] if get => (O::GetFunction, *function, ""),
            [] if delete => (O::DeleteFunction, *function, ""),
            ["configuration"] if get => (O::GetFunctionConfiguration, *function, ""),
            ["configuration"] if put => (O::UpdateFunctionConfiguration, *function, ""),
            ["code"] if put => (O::UpdateFunctionCode, *function, ""),
            ["versions"] if post => (O::PublishVersion, *function, ""),
            ["versions"] if get => (O::ListVersionsByFunction, *function, ""),
            ["aliases"] if post => (O::CreateAlias, *function, ""),
            ["aliases"] if get => (O::ListAliases, *function, ""),
            ["aliases", alias] if get => (O::GetAlias, *function, *alias),
            ["aliases", alias] if put => (O::UpdateAlias, *function, *alias),
            ["aliases", alias] if delete => (O::DeleteAlias, *function, *alias),
            ["policy"] if post => (O::AddPermission, *function, ""),
            ["policy"] if get => (O::GetPolicy, *function, ""),
            ["policy", id] if delete => (O::RemovePermission, *function, *id),
            ["invocations"] if post => (O::Invoke, *function, ""),
            _ => return None,
        },
        ["2018-10-31", "layers"] if get && is_find => (O::GetLayerVersionByArn, "", ""),
        ["2018-10-31", "layers"] if get => (O::ListLayers, "", ""),
        ["2018-10-31", "layers", layer, "versions"] if post => (O::PublishLayerVersion, *layer, ""),
        ["2018-10-31", "layers", layer, "versions"] if get => (O::ListLayerVersions, *layer, ""),
        ["2018-10-31", "layers", layer, "versions", number] if get => (O::GetLayerVersion, *layer, *number),
        ["2018-10-31", "layers", layer, "versions", number] if delete => {
            (O::DeleteLayerVersion, *layer, *number)
        }
        ["2020-06-30", "functions", function, "code-signing-config"] if get => {
            (O::GetFunctionCodeSigningConfig, *function, "")
        }
        ["2014-11-13", "functions", function, "invoke-async"] if post => (O::InvokeAsync, *function, ""),
        ["2019-09-25", "functions", function, "event-invoke-config"] if put => {
            (O::PutFunctionEventInvokeConfig, *function, "")
        }
        ["2019-09-25", "functions", function, "event-invoke-config"] if post => {
            (O::UpdateFunctionEventInvokeConfig, *function, "")
        }
        ["2019-09-25", "functions", function, "event-invoke-config"] if get => {
            (O::GetFunctionEventInvokeConfig, *function, "")
        }
        ["2019-09-25", "functions", function, "event-invoke-config"] if delete => {
            (O::DeleteFunctionEventInvokeConfig, *function, "")
        }
        ["2019-09-25", "functions", function, "event-invoke-config", "list"] if get => {
            (O::ListFunctionEventInvokeConfigs, *function, "")
        }
        [
            "2021-11-15",
            "functions",
            function,
            "response-streaming-invocations",
        ] if post => (O::InvokeWithResponseStream, *function, ""),
        ["2021-10-31", "functions", function, "url"] if post => (O::CreateFunctionUrlConfig, *function, ""),
        ["2021-10-31", "functions", function, "url"] if get => (O::GetFunctionUrlConfig, *function, ""),
        ["2021-10-31", "functions", function, "url"] if put => (O::UpdateFunctionUrlConfig, *function, ""),
        ["2021-10-31", "functions", function, "url"] if delete => (O::DeleteFunctionUrlConfig, *function, ""),
        ["2021-10-31", "functions", function, "urls"] if get => (O::ListFunctionUrlConfigs, *function, ""),
        ["2017-10-31", "functions", function, "concurrency"] if put => {
            (O::PutFunctionConcurrency, *function, "")
        }
        ["2017-10-31", "functions", function, "concurrency"] if delete => {
            (O::DeleteFunctionConcurrency, *function, "")
        }
        ["2019-09-30", "functions", function, "concurrency"] if get => {
            (O::GetFunctionConcurrency, *function, "")
        }
        ["2019-09-30", "functions", function, "provisioned-concurrency"] => match *method {
            Method::PUT => (O::PutProvisionedConcurrencyConfig, *function, ""),
            Method::GET if is_find => (O::ListProvisionedConcurrencyConfigs, *function, ""),
            Method::GET => (O::GetProvisionedConcurrencyConfig, *function, ""),
            Method::DELETE => (O::DeleteProvisionedConcurrencyConfig, *function, ""),
            _ => return None,
        },
        ["2016-08-19", "account-settings"] if get => (O::GetAccountSettings, "", ""),
        ["2017-03-31", "tags", resource] if get => (O::ListTags, *resource, ""),
        ["2017-03-31", "tags", resource] if post => (O::TagResource, *resource, ""),
        ["2017-03-31", "tags", resource] if delete => (O::UntagResource, *resource, ""),
        _ => return None,
    };
    Some((operation, subject, name))
}
