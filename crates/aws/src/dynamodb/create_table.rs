//! `CreateTable`. A table is there when the answer comes; a waiter's first look finds it `ACTIVE`.

use aloft_access::Action;
use aloft_table::{Billing, KeyAttribute, KeyKind, Schema, Size};
use serde::Serialize;
use serde_json::Value as Json;

use super::Context;
use super::describe::TableDescription;
use super::parameters::table_name;
use crate::Error;
use crate::answer::json;
use crate::input::{Constraints, Members, not_supported};

/// What of the model is not built. Those of which one value says "none of it" are looked at in [`refuse_settings`].
const NOT_BUILT: [&str; 8] = [
    "GlobalSecondaryIndexes",
    "GlobalTableSettingsReplicationMode",
    "GlobalTableSourceArn",
    "LocalSecondaryIndexes",
    "OnDemandThroughput",
    "ResourcePolicy",
    "VectorIndexes",
    "WarmThroughput",
];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output<'a> {
    table_description: TableDescription<'a>,
}

pub(super) async fn run(context: &Context<'_>, mut input: Members) -> Result<Vec<u8>, Error> {
    let mut rules = Constraints::default();
    let name = table_name(&mut input, &mut rules)?;
    let definitions = definitions(&mut input, &mut rules)?;
    let keys = keys(&mut input, &mut rules)?;
    let (mode, throughput) = (mode(&mut input, &mut rules)?, throughput(&mut input, &mut rules)?);
    rules.check()?;
    let name = context.named(name.as_deref())?;
    context.allow(Action::Manage, &name)?;
    refuse_settings(&mut input)?;
    input.finish(&NOT_BUILT)?;
    let billing = billing(mode, throughput)?;
    let schema = schema(&keys, &definitions)?;

    let table = context
        .tables
        .create(context.namespace, &name, schema, billing)
        .await?;
    json(&Output {
        table_description: TableDescription::new(
            context,
            table.description(),
            "ACTIVE",
            Some(Size::default()),
        ),
    })
}

struct Definition {
    name: String,
    kind: KeyKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Hash,
    Range,
}

fn definitions(input: &mut Members, rules: &mut Constraints) -> Result<Vec<Definition>, Error> {
    let given = input.list("AttributeDefinitions")?;
    rules.required(given.is_some(), "attributeDefinitions");
    let kinds = [("B", KeyKind::B), ("N", KeyKind::N), ("S", KeyKind::S)];
    let read = |(at, json): (usize, Json)| {
        let mut members = Members::from_json(json)?;
        let at = format!("attributeDefinitions.{}.member", at + 1);
        let (name, kind) = (members.text("AttributeName")?, members.text("AttributeType")?);
        rules.required(name.is_some(), &format!("{at}.attributeName"));
        rules.required(kind.is_some(), &format!("{at}.attributeType"));
        let kind = rules.one_of(kind.as_deref(), &format!("{at}.attributeType"), &kinds);
        Ok(name.zip(kind).map(|(name, kind)| Definition { name, kind }))
    };
    let read: Vec<Option<Definition>> = given
        .unwrap_or_default()
        .into_iter()
        .enumerate()
        .map(read)
        .collect::<Result<_, Error>>()?;
    Ok(read.into_iter().flatten().collect())
}

fn keys(input: &mut Members, rules: &mut Constraints) -> Result<Vec<(String, Role)>, Error> {
    let given = input.list("KeySchema")?;
    rules.required(given.is_some(), "keySchema");
    let given = given.unwrap_or_default();
    if given.len() > 2 {
        let value = format!("Value '[{} elements]'", given.len());
        rules.broken(
            &value,
            "keySchema",
            "Member must have length less than or equal to 2",
        );
    }
    let roles = [("HASH", Role::Hash), ("RANGE", Role::Range)];
    let read = |(at, json): (usize, Json)| {
        let mut members = Members::from_json(json)?;
        let at = format!("keySchema.{}.member", at + 1);
        let (name, role) = (members.text("AttributeName")?, members.text("KeyType")?);
        rules.required(name.is_some(), &format!("{at}.attributeName"));
        rules.required(role.is_some(), &format!("{at}.keyType"));
        let role = rules.one_of(role.as_deref(), &format!("{at}.keyType"), &roles);
        Ok(name.zip(role))
    };
    let read: Vec<Option<(String, Role)>> = given
        .into_iter()
        .enumerate()
        .map(read)
        .collect::<Result<_, Error>>()?;
    Ok(read.into_iter().flatten().collect())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    PerRequest,
    Provisioned,
}

fn mode(input: &mut Members, rules: &mut Constraints) -> Result<Mode, Error> {
    let given = input.text("BillingMode")?;
    let words = [
        ("PROVISIONED", Mode::Provisioned),
        ("PAY_PER_REQUEST", Mode::PerRequest),
    ];
    Ok(rules
        .one_of(given.as_deref(), "billingMode", &words)
        .unwrap_or(Mode::Provisioned))
}

fn throughput(input: &mut Members, rules: &mut Constraints) -> Result<Option<(u64, u64)>, Error> {
    let Some(mut members) = input.object("ProvisionedThroughput")? else {
        return Ok(None);
    };
    let mut units = |name: &str, at: &str| {
        let given = members.integer(name)?;
        rules.required(given.is_some(), at);
        rules.in_range(given, at, 1, i64::MAX);
        Ok::<u64, Error>(given.and_then(|units| u64::try_from(units).ok()).unwrap_or(0))
    };
    let read = units("ReadCapacityUnits", "provisionedThroughput.readCapacityUnits")?;
    let write = units("WriteCapacityUnits", "provisionedThroughput.writeCapacityUnits")?;
    Ok(Some((read, write)))
}

fn billing(mode: Mode, throughput: Option<(u64, u64)>) -> Result<Billing, Error> {
    match (mode, throughput) {
        (Mode::PerRequest, None) => Ok(Billing::PerRequest),
        (Mode::Provisioned, Some((read, write))) => Ok(Billing::Provisioned { read, write }),
        (Mode::PerRequest, Some(_)) => Err(invalid(
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        )),
        (Mode::Provisioned, None) => Err(invalid(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
        )),
    }
}

fn schema(keys: &[(String, Role)], definitions: &[Definition]) -> Result<Schema, Error> {
    let named = |message: &str| Error::Validation(format!("Invalid KeySchema: {message}"));
    let attribute = |name: &String| {
        let found = definitions.iter().find(|definition| definition.name == *name);
        found.map(|found| KeyAttribute { name: name.clone(), kind: found.kind }).ok_or_else(|| {
            let list = |names: Vec<&str>| names.join(", ");
            invalid(&format!(
                "Some index key attributes are not defined in AttributeDefinitions. Keys: [{}], AttributeDefinitions: [{}]",
                list(keys.iter().map(|(name, _)| name.as_str()).collect()),
                list(definitions.iter().map(|definition| definition.name.as_str()).collect())
            ))
        })
    };
    let (hash, range) = match keys {
        [(hash, Role::Hash)] => (hash, None),
        [(hash, Role::Hash), (range, Role::Range)] => (hash, Some(range)),
        [(_, Role::Hash), (_, Role::Hash), ..] => {
            return Err(named("The second KeySchemaElement is not a RANGE key type"));
        }
        _ => return Err(named("The first KeySchemaElement is not a HASH key type")),
    };
    let schema = Schema {
        hash: attribute(hash)?,
        range: range.map(attribute).transpose()?,
    };
    schema.check()?;
    if definitions.len() != keys.len() {
        return Err(invalid(
            "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions",
        ));
    }
    Ok(schema)
}

/// Settings that may be spelt out as long as they say that there is none of it, as infrastructure tools do.
fn refuse_settings(input: &mut Members) -> Result<(), Error> {
    if input.boolean("DeletionProtectionEnabled")? == Some(true) {
        return Err(not_supported("DeletionProtectionEnabled"));
    }
    if input.text("TableClass")?.is_some_and(|class| class != "STANDARD") {
        return Err(not_supported("TableClass"));
    }
    for (name, switch, rest) in [
        ("StreamSpecification", "StreamEnabled", &["StreamViewType"][..]),
        ("SSESpecification", "Enabled", &["SSEType", "KMSMasterKeyId"]),
    ] {
        if let Some(mut members) = input.object(name)? {
            if members.boolean(switch)? != Some(false) {
                return Err(not_supported(name));
            }
            members.finish(rest)?;
        }
    }
    match input.list("Tags")? {
        Some(tags) if !tags.is_empty() => Err(not_supported("Tags")),
        _ => Ok(()),
    }
}

fn invalid(message: &str) -> Error {
    Error::Validation(format!("One or more parameter values were invalid: {message}"))
}
