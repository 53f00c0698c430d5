//! A table as the wire describes it.

use aloft_table::{Billing, Description, KeyAttribute, Size};
use serde::Serialize;

use super::Context;

/// The model's `TableDescription`. Of a table that is being deleted nobody counts the rows any more.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TableDescription<'a> {
    attribute_definitions: Vec<AttributeDefinition<'a>>,
    table_name: &'a str,
    key_schema: Vec<KeySchemaElement<'a>>,
    table_status: &'static str,
    creation_date_time: f64,
    provisioned_throughput: Throughput,
    table_arn: String,
    table_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    billing_mode_summary: Option<BillingModeSummary>,
    deletion_protection_enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table_size_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttributeDefinition<'a> {
    attribute_name: &'a str,
    attribute_type: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeySchemaElement<'a> {
    attribute_name: &'a str,
    key_type: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Throughput {
    number_of_decreases_today: u32,
    read_capacity_units: u64,
    write_capacity_units: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct BillingModeSummary {
    billing_mode: &'static str,
    last_update_to_pay_per_request_date_time: f64,
}

impl<'a> TableDescription<'a> {
    pub(super) fn new(
        context: &Context<'_>,
        of: &'a Description,
        table_status: &'static str,
        size: Option<Size>,
    ) -> Self {
        let definition = |key: &'a KeyAttribute| AttributeDefinition {
            attribute_name: &key.name,
            attribute_type: key.kind.value_type().as_str(),
        };
        let roles = of.schema.keys().zip(["HASH", "RANGE"]);
        #[allow(
            clippy::cast_precision_loss,
            reason = "milliseconds since 1970 are exact up to 2^53"
        )]
        let created = of.created.as_millis() as f64 / 1_000.0;
        let (read, write, summary) = match of.billing {
            Billing::Provisioned { read, write } => (read, write, None),
            Billing::PerRequest => {
                let summary = BillingModeSummary {
                    billing_mode: "PAY_PER_REQUEST",
                    last_update_to_pay_per_request_date_time: created,
                };
                (0, 0, Some(summary))
            }
        };
        Self {
            attribute_definitions: of.schema.keys().map(definition).collect(),
            table_name: of.name.as_str(),
            key_schema: roles
                .map(|(key, key_type)| KeySchemaElement {
                    attribute_name: &key.name,
                    key_type,
                })
                .collect(),
            table_status,
            creation_date_time: created,
            provisioned_throughput: Throughput {
                number_of_decreases_today: 0,
                read_capacity_units: read,
                write_capacity_units: write,
            },
            table_arn: context.arn(&of.name),
            // The id in the shape that the model wants.
            table_id: format!(
                "00000000-0000-0000-{:04x}-{:012x}",
                of.id >> 48,
                of.id & 0xffff_ffff_ffff
            ),
            billing_mode_summary: summary,
            deletion_protection_enabled: false,
            item_count: size.map(|size| size.items),
            table_size_bytes: size.map(|size| size.bytes),
        }
    }
}
