//! Which services there are, and what can be asked of them.

use crate::{dynamodb, sts};

/// A service that answers here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    DynamoDb,
    Sts,
}

impl Service {
    const ALL: [Self; 2] = [Self::DynamoDb, Self::Sts];

    /// The service of a signature's scope.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }

    /// Its name in a signature's scope.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::DynamoDb => "dynamodb",
            Self::Sts => "sts",
        }
    }

    /// The largest body of a request.
    pub(crate) const fn body_bytes(self) -> usize {
        match self {
            Self::DynamoDb => crate::MAX_BODY_BYTES,
            Self::Sts => 64 << 10,
        }
    }
}

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    DynamoDb(dynamodb::Operation),
    Sts(sts::Operation),
}

impl Operation {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let dynamodb = dynamodb::Operation::ALL.into_iter().map(Self::DynamoDb);
        dynamodb.chain(sts::Operation::ALL.into_iter().map(Self::Sts))
    }

    pub(crate) fn service(self) -> Service {
        match self {
            Self::DynamoDb(_) => Service::DynamoDb,
            Self::Sts(_) => Service::Sts,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DynamoDb(operation) => operation.name(),
            Self::Sts(operation) => operation.name(),
        }
    }
}
