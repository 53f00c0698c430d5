//! Expressions: conditions, filters, updates, projections and key conditions, from text to what they do to items. Pure: they
//! need no table and no store. Grammar and words are those of DynamoDB's developer guide, "Using expressions".

mod condition;
mod key;
mod lexer;
mod parser;
mod path;
mod placeholders;
mod projection;
mod reserved;
#[cfg(test)]
mod tests;
mod update;

pub use condition::Condition;
pub use key::KeyCondition;
pub(crate) use key::Range;
pub use placeholders::Placeholders;
pub use projection::Projection;
pub use update::Update;
