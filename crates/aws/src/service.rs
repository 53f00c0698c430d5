//! Which services there are, and what can be asked of them.

use crate::{dynamodb, lambda, sts};

/// A service that answers here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    DynamoDb,
    Lambda,
    Sts,
}

impl Service {
    const ALL: [Self; 3] = [Self::DynamoDb, Self::Lambda, Self::Sts];

    /// The service of a signature's scope.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }

    /// Its name in a signature's scope.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::DynamoDb => "dynamodb",
            Self::Lambda => "lambda",
            Self::Sts => "sts",
        }
    }
}

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    DynamoDb(dynamodb::Operation),
    Lambda(lambda::Operation),
    Sts(sts::Operation),
}

impl Operation {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let dynamodb = dynamodb::Operation::ALL.into_iter().map(Self::DynamoDb);
        let lambda = lambda::Operation::ALL.into_iter().map(Self::Lambda);
        let sts = sts::Operation::ALL.into_iter().map(Self::Sts);
        dynamodb.chain(lambda).chain(sts)
    }

    pub(crate) fn service(self) -> Service {
        match self {
            Self::DynamoDb(_) => Service::DynamoDb,
            Self::Lambda(_) => Service::Lambda,
            Self::Sts(_) => Service::Sts,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DynamoDb(operation) => operation.name(),
            Self::Lambda(operation) => operation.name(),
            Self::Sts(operation) => operation.name(),
        }
    }
}
