//! DynamoDB, API version 2012-08-10: which operation is wanted, for whom, and one file for what each of them takes and
//! answers. Wire types stop here: what goes down is items, expressions and names.

mod create_table;
mod delete_item;
mod describe;
mod expressions;
mod get_item;
mod parameters;
mod put_item;
mod query;
mod read_many;
mod scan;
mod tables;
mod update_item;

use aloft_access::{Action, Resource, decide};
use aloft_base::{InvocationId, TableName};
use aloft_call::{Caller, Trace};
use aloft_store::layout::Namespace;
use aloft_table::{Table, Tables};
use http::request::Parts;

use crate::Error;
use crate::input::Members;
use crate::service::Service;
use crate::target::target as targeted;

/// How the header with an operation's name begins.
const TARGET: &str = "DynamoDB_20120810.";

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::enum_variant_names, reason = "the names are the wire's own")]
pub(crate) enum Operation {
    CreateTable,
    DeleteItem,
    DeleteTable,
    DescribeTable,
    GetItem,
    ListTables,
    PutItem,
    Query,
    Scan,
    UpdateItem,
}

impl Operation {
    pub(crate) const ALL: [Self; 10] = [
        Self::GetItem,
        Self::PutItem,
        Self::Query,
        Self::UpdateItem,
        Self::DeleteItem,
        Self::Scan,
        Self::CreateTable,
        Self::DeleteTable,
        Self::DescribeTable,
        Self::ListTables,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CreateTable => "CreateTable",
            Self::DeleteItem => "DeleteItem",
            Self::DeleteTable => "DeleteTable",
            Self::DescribeTable => "DescribeTable",
            Self::GetItem => "GetItem",
            Self::ListTables => "ListTables",
            Self::PutItem => "PutItem",
            Self::Query => "Query",
            Self::Scan => "Scan",
            Self::UpdateItem => "UpdateItem",
        }
    }
}

/// The operation that a request wants.
pub(crate) fn target(head: &Parts) -> Result<Operation, Error> {
    targeted(head, TARGET, Operation::GetItem, &Operation::ALL, Operation::name)
}

/// Does it.
pub(crate) async fn run(
    operation: Operation,
    context: &Context<'_>,
    input: Members,
) -> Result<Vec<u8>, Error> {
    match operation {
        Operation::CreateTable => create_table::run(context, input).await,
        Operation::DeleteItem => delete_item::run(context, input).await,
        Operation::DeleteTable => tables::delete(context, input).await,
        Operation::DescribeTable => tables::describe(context, input).await,
        Operation::GetItem => get_item::run(context, input).await,
        Operation::ListTables => tables::list(context, input).await,
        Operation::PutItem => put_item::run(context, input).await,
        Operation::Query => query::run(context, input).await,
        Operation::Scan => scan::run(context, input).await,
        Operation::UpdateItem => update_item::run(context, input).await,
    }
}

/// For whom an operation is done, and on what.
pub(crate) struct Context<'a> {
    pub(crate) tables: &'a Tables,
    pub(crate) caller: &'a Caller,
    pub(crate) namespace: &'a Namespace,
    /// The chain of events that writes belong to, when a function's invocation asks.
    pub(crate) lineage: Option<(InvocationId, u8)>,
    /// The trace that they belong to, if the request names one or comes from within a call.
    pub(crate) trace: Option<Trace>,
}

impl Context<'_> {
    /// Whether the caller may; asked before it is looked whether the table exists.
    fn allow(&self, action: Action, table: &TableName) -> Result<(), Error> {
        Ok(decide(self.caller, action, Resource::Table(table))?)
    }

    async fn table(&self, name: &TableName) -> Result<Table, Error> {
        let table = self.tables.table(self.namespace, name).await?;
        Ok(table.caused_by(self.lineage).traced(self.trace))
    }

    /// A table's name in the region that the request was signed for.
    fn arn(&self, table: &TableName) -> String {
        let Caller { tenant, region, .. } = self.caller;
        format!("arn:aws:dynamodb:{region}:{tenant}:table/{table}")
    }

    /// A table's name as given, which may be its ARN.
    fn named(&self, given: Option<&str>) -> Result<TableName, Error> {
        let given = given.unwrap_or_default();
        let name = match given.strip_prefix("arn:") {
            Some(arn) => self
                .name_in(arn)
                .ok_or_else(|| Error::OtherAccount(given.chars().take(300).collect()))?,
            None => given,
        };
        name.parse().map_err(|_| {
            let is_word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
            Error::Validation(if is_word {
                "TableName must be at least 3 characters long and at most 255 characters long".to_owned()
            } else {
                let shown: String = name.chars().take(300).collect();
                format!(
                    "1 validation error detected: Value '{shown}' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
                )
            })
        })
    }

    /// The name in `aws:dynamodb:REGION:ACCOUNT:table/NAME`, if the account is the caller's.
    fn name_in<'n>(&self, arn: &'n str) -> Option<&'n str> {
        let mut parts = arn.splitn(5, ':');
        let (partition, service, _region) = (parts.next()?, parts.next()?, parts.next()?);
        let (account, name) = (parts.next()?, parts.next()?.strip_prefix("table/")?);
        let is_ours = partition == "aws"
            && service == Service::DynamoDb.name()
            && account == self.caller.tenant.as_str();
        is_ours.then_some(name)
    }
}
