//! Which services there are, and what can be asked of them.

use crate::{dynamodb, iam, lambda, logs, secrets, sts};

/// A service that answers here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    DynamoDb,
    Iam,
    Lambda,
    Logs,
    Secrets,
    Sts,
}

impl Service {
    const ALL: [Self; 6] = [
        Self::DynamoDb,
        Self::Iam,
        Self::Lambda,
        Self::Logs,
        Self::Secrets,
        Self::Sts,
    ];

    /// The service of a signature's scope.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }

    /// Its name in a signature's scope.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::DynamoDb => "dynamodb",
            Self::Iam => "iam",
            Self::Lambda => "lambda",
            Self::Logs => "logs",
            Self::Secrets => "secretsmanager",
            Self::Sts => "sts",
        }
    }
}

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    DynamoDb(dynamodb::Operation),
    Iam(iam::Operation),
    Lambda(lambda::Operation),
    Logs(logs::Operation),
    Secrets(secrets::Operation),
    Sts(sts::Operation),
}

impl Operation {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let dynamodb = dynamodb::Operation::ALL.into_iter().map(Self::DynamoDb);
        let iam = iam::Operation::ALL.into_iter().map(Self::Iam);
        let lambda = lambda::Operation::ALL.into_iter().map(Self::Lambda);
        let logs = logs::Operation::ALL.into_iter().map(Self::Logs);
        let secrets = secrets::Operation::ALL.into_iter().map(Self::Secrets);
        let sts = sts::Operation::ALL.into_iter().map(Self::Sts);
        dynamodb
            .chain(iam)
            .chain(lambda)
            .chain(logs)
            .chain(secrets)
            .chain(sts)
    }

    pub(crate) fn service(self) -> Service {
        match self {
            Self::DynamoDb(_) => Service::DynamoDb,
            Self::Iam(_) => Service::Iam,
            Self::Lambda(_) => Service::Lambda,
            Self::Logs(_) => Service::Logs,
            Self::Secrets(_) => Service::Secrets,
            Self::Sts(_) => Service::Sts,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DynamoDb(operation) => operation.name(),
            Self::Iam(operation) => operation.name(),
            Self::Lambda(operation) => operation.name(),
            Self::Logs(operation) => operation.name(),
            Self::Secrets(operation) => operation.name(),
            Self::Sts(operation) => operation.name(),
        }
    }
}
