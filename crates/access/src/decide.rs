//! The decision. A match over principals instead of AWS's policy documents: a definition's `access` line is all that can be
//! granted so far, and a language with conditions and wildcards would promise more than stands behind it.

use std::collections::BTreeMap;
use std::fmt;

use aloft_base::{ErrorKind, FunctionName, TableName};
use aloft_call::{Access, Caller, Grants, Principal};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Reading rows, or how a table is made.
    Read,
    /// Changing rows, and reading them where the change depends on or answers them.
    Write,
    /// Creating, listing, changing and deleting the resources themselves.
    Manage,
    /// Calling a function.
    Invoke,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Manage => "manage",
            Self::Invoke => "invoke",
        })
    }
}

/// What it is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource<'a> {
    /// One table of the caller's account.
    Table(&'a TableName),
    /// The account's tables as a whole.
    Tables,
    /// One function of the caller's account.
    Function(&'a FunctionName),
    /// The account's functions as a whole.
    Functions,
    /// The account's log groups.
    Logs,
    /// One secret of the caller's account.
    Secret(&'a str),
    /// The account's secrets as a whole.
    Secrets,
}

impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(name) => write!(f, "table \"{name}\""),
            Self::Tables => f.write_str("the account's tables"),
            Self::Function(name) => write!(f, "function \"{name}\""),
            Self::Functions => f.write_str("the account's functions"),
            Self::Logs => f.write_str("the account's log groups"),
            Self::Secret(name) => write!(f, "secret \"{name}\""),
            Self::Secrets => f.write_str("the account's secrets"),
        }
    }
}

/// Yes, or why not.
pub type Decision = Result<(), Denial>;

/// Why somebody may not do something, and what would change that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The function's definition does not grant it.
    #[error(
        "function \"{function}\" may not {action} table \"{table}\": {verb}  {line}  {place} [functions.{function}] in aloft.toml"
    )]
    NotGranted {
        /// Who asked.
        function: FunctionName,
        /// For what.
        action: Action,
        /// Of which table.
        table: TableName,
        /// What to do with the line: add it, or change the one that is there.
        verb: &'static str,
        /// The whole `access` line that grants it, with what is granted already.
        line: String,
        /// `to` or `in`.
        place: &'static str,
    },
    /// Functions do not manage tables.
    #[error(
        "function \"{function}\" may not manage {resource}: functions use tables, they do not create, list or delete them; \
         define tables as [tables.NAME] in aloft.toml"
    )]
    NotAFunctions {
        /// Who asked.
        function: FunctionName,
        /// What it wanted to manage.
        resource: String,
    },
    /// Functions do not make functions, and those of a project call no others.
    #[error("function \"{function}\" may not {action} {resource}: {instead}")]
    NotCallable {
        /// Who asked.
        function: FunctionName,
        /// For what.
        action: Action,
        /// Of what.
        resource: String,
        /// Why not, and what to do.
        instead: &'static str,
    },
    /// Functions print, and the platform keeps it.
    #[error(
        "function \"{function}\" may not {action} {resource}: what it prints is kept in its own log group without any permission"
    )]
    NotItsLogs {
        /// Who asked.
        function: FunctionName,
        /// For what.
        action: Action,
        /// Of what.
        resource: String,
    },
    /// The function's definition does not let it read a secret.
    #[error(
        "function \"{function}\" may not read secret \"{secret}\": {verb}  {line}  {place} [functions.{function}] in aloft.toml"
    )]
    SecretNotGranted {
        /// Who asked.
        function: FunctionName,
        /// For which secret.
        secret: String,
        /// What to do with the line: add it, or change the one that is there.
        verb: &'static str,
        /// The whole `secrets` line that grants it, with what is granted already.
        line: String,
        /// `to` or `in`.
        place: &'static str,
    },
    /// Functions read secrets and change none.
    #[error(
        "function \"{function}\" may not {action} {resource}: functions read the secrets that they are granted by name, and whoever has the account's keys makes, lists and changes them"
    )]
    NotItsSecrets {
        /// Who asked.
        function: FunctionName,
        /// For what.
        action: Action,
        /// Of what.
        resource: String,
    },
    /// Accounts' things are not whoever's who runs the node.
    #[error(
        "an administrator's key may not {action} {resource}: it belongs to no account; make a key of one with \
         `aloft key create --tenant NAME`"
    )]
    Administrators {
        /// For what.
        action: Action,
        /// Of what.
        resource: String,
    },
    /// Nobody knows who asked.
    #[error("an anonymous caller may not {action} {resource}: sign the request with the account's keys")]
    Anonymous {
        /// For what.
        action: Action,
        /// Of what.
        resource: String,
    },
}

impl Denial {
    /// What sort of failure it is.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Denied
    }
}

/// Whether the caller may do this to that.
///
/// # Errors
/// When it may not.
pub fn decide(caller: &Caller, action: Action, resource: Resource<'_>) -> Decision {
    match &caller.principal {
        Principal::Owner { .. } => Ok(()),
        Principal::Administrator { .. } => Err(Denial::Administrators {
            action,
            resource: resource.to_string(),
        }),
        Principal::Anonymous => Err(Denial::Anonymous {
            action,
            resource: resource.to_string(),
        }),
        Principal::Function { name, grants } => decide_function(name, grants, action, resource),
    }
}

fn decide_function(
    function: &FunctionName,
    grants: &Grants,
    action: Action,
    resource: Resource<'_>,
) -> Decision {
    let (needed, table) = match (action, resource) {
        (Action::Read, Resource::Table(table)) => (Access::Read, table),
        (Action::Write, Resource::Table(table)) => (Access::Write, table),
        (Action::Invoke, Resource::Function(_)) if grants.everything => return Ok(()),
        (Action::Read | Action::Write, Resource::Logs) if grants.everything => return Ok(()),
        (_, Resource::Logs) => {
            return Err(Denial::NotItsLogs {
                function: function.clone(),
                action,
                resource: resource.to_string(),
            });
        }
        (Action::Read, Resource::Secret(secret)) => return decide_secret(function, grants, secret),
        (Action::Read, Resource::Secrets) if grants.everything => return Ok(()),
        (_, Resource::Secret(_) | Resource::Secrets) => {
            return Err(Denial::NotItsSecrets {
                function: function.clone(),
                action,
                resource: resource.to_string(),
            });
        }
        (_, Resource::Function(_) | Resource::Functions) | (Action::Invoke, _) => {
            return Err(Denial::NotCallable {
                function: function.clone(),
                action,
                resource: resource.to_string(),
                instead: match grants.everything {
                    true => {
                        "functions call others, and whoever has the account's keys makes, changes and lists them"
                    }
                    false => {
                        "a project's functions call no others yet; let it write a row, and a rule call the other"
                    }
                },
            });
        }
        (Action::Manage, _) | (Action::Read | Action::Write, Resource::Tables) => {
            return Err(Denial::NotAFunctions {
                function: function.clone(),
                resource: resource.to_string(),
            });
        }
    };
    if grants.everything || grants.tables.get(table).is_some_and(|granted| *granted >= needed) {
        return Ok(());
    }
    let (verb, place) = if grants.tables.is_empty() {
        ("add", "to")
    } else {
        ("change its access to", "in")
    };
    Err(Denial::NotGranted {
        function: function.clone(),
        action,
        table: table.clone(),
        verb,
        line: access_line(grants, table, needed),
        place,
    })
}

fn decide_secret(function: &FunctionName, grants: &Grants, secret: &str) -> Decision {
    if grants.everything || grants.secrets.contains(secret) {
        return Ok(());
    }
    let (verb, place) = match grants.secrets.is_empty() {
        true => ("add", "to"),
        false => ("change its secrets to", "in"),
    };
    let mut names: Vec<&str> = grants.secrets.iter().map(String::as_str).collect();
    names.push(secret);
    Err(Denial::SecretNotGranted {
        function: function.clone(),
        secret: secret.to_owned(),
        verb,
        line: format!("secrets = {names:?}"),
        place,
    })
}

/// The definition's line that grants what is granted and this too. A key may stand only once in TOML, so a line with nothing
/// but the new table would take away the others.
fn access_line(grants: &Grants, table: &TableName, needed: Access) -> String {
    let mut tables: BTreeMap<&TableName, Access> = grants
        .tables
        .iter()
        .map(|(name, access)| (name, *access))
        .collect();
    tables.insert(table, needed);
    let entries: Vec<String> = tables
        .into_iter()
        .map(|(name, access)| {
            // A dot would nest the key.
            let quote = if name.as_str().contains('.') { "\"" } else { "" };
            let word = match access {
                Access::Read => "read",
                Access::Write => "write",
            };
            format!("{quote}{name}{quote} = \"{word}\"")
        })
        .collect();
    format!("access = {{ {} }}", entries.join(", "))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aloft_base::{Region, Tenant};

    use super::*;

    const ACTIONS: [Action; 3] = [Action::Read, Action::Write, Action::Manage];

    fn table(name: &str) -> TableName {
        name.parse().unwrap()
    }

    fn caller(principal: Principal) -> Caller {
        Caller {
            tenant: Tenant::local(),
            region: Region::local(),
            principal,
        }
    }

    fn function(grants: &[(&str, Access)]) -> Caller {
        let tables = grants
            .iter()
            .map(|(name, access)| (table(name), *access))
            .collect();
        caller(Principal::Function {
            name: "create".parse().unwrap(),
            grants: Arc::new(Grants {
                tables,
                ..Grants::default()
            }),
        })
    }

    fn refusal(caller: &Caller, action: Action, name: &str) -> String {
        decide(caller, action, Resource::Table(&table(name)))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn an_owner_may_do_everything_and_nobody_may_do_nothing() {
        let (owner, nobody) = (
            caller(Principal::Owner { key: "AK".into() }),
            caller(Principal::Anonymous),
        );
        let administrator = caller(Principal::Administrator { key: "AK".into() });
        let orders = table("orders");
        for action in ACTIONS {
            for resource in [Resource::Table(&orders), Resource::Tables] {
                assert_eq!(decide(&owner, action, resource), Ok(()));
                let denial = decide(&administrator, action, resource).unwrap_err().to_string();
                assert!(denial.contains("belongs to no account"), "{denial}");
                let denial = decide(&nobody, action, resource).unwrap_err();
                assert_eq!(denial.kind(), ErrorKind::Denied);
                assert!(
                    denial.to_string().starts_with("an anonymous caller may not "),
                    "{denial}"
                );
            }
        }
    }

    #[test]
    fn a_function_may_what_its_grants_name_and_no_more() {
        let both = function(&[("orders", Access::Write), ("prices", Access::Read)]);
        let cases = [
            ("orders", Action::Read, true),
            ("orders", Action::Write, true),
            ("orders", Action::Manage, false),
            ("prices", Action::Read, true),
            ("prices", Action::Write, false),
            ("prices", Action::Manage, false),
            ("others", Action::Read, false),
            ("others", Action::Write, false),
            ("Orders", Action::Read, false),
        ];
        for (name, action, allowed) in cases {
            let decision = decide(&both, action, Resource::Table(&table(name)));
            assert_eq!(decision.is_ok(), allowed, "{action} {name}");
        }
        for action in ACTIONS {
            assert!(decide(&both, action, Resource::Tables).is_err(), "{action}");
        }
    }

    #[test]
    fn a_grant_of_everything_is_no_grant_to_manage_it() {
        let all = caller(Principal::Function {
            name: "made".parse().unwrap(),
            grants: Arc::new(Grants {
                everything: true,
                ..Grants::default()
            }),
        });
        let (orders, other) = (table("orders"), "other".parse().unwrap());
        let decided = |action, resource| decide(&all, action, resource).is_ok();
        for (action, resource, is_granted) in [
            (Action::Read, Resource::Table(&orders), true),
            (Action::Write, Resource::Table(&orders), true),
            (Action::Manage, Resource::Table(&orders), false),
            (Action::Read, Resource::Tables, false),
            (Action::Invoke, Resource::Function(&other), true),
            (Action::Manage, Resource::Functions, false),
            (Action::Read, Resource::Logs, true),
            (Action::Write, Resource::Logs, true),
            (Action::Manage, Resource::Logs, false),
            (Action::Read, Resource::Secret("db"), true),
            (Action::Read, Resource::Secrets, true),
            (Action::Write, Resource::Secret("db"), false),
            (Action::Manage, Resource::Secret("db"), false),
        ] {
            assert_eq!(decided(action, resource), is_granted, "{action} {resource}");
        }
    }

    #[test]
    fn a_function_of_the_project_calls_no_other_and_makes_none() {
        let (writes, other) = (function(&[("orders", Access::Write)]), "other".parse().unwrap());
        for (action, resource, said) in [
            (
                Action::Invoke,
                Resource::Function(&other),
                "may not invoke function \"other\"",
            ),
            (
                Action::Manage,
                Resource::Functions,
                "may not manage the account's functions",
            ),
            (
                Action::Write,
                Resource::Logs,
                "may not write the account's log groups: what it prints is kept",
            ),
        ] {
            let denial = decide(&writes, action, resource).unwrap_err().to_string();
            assert!(denial.contains(said), "{denial}");
        }
    }

    #[test]
    fn a_function_reads_the_secrets_that_it_is_granted() {
        let granted = |secrets: &[&str]| {
            caller(Principal::Function {
                name: "create".parse().unwrap(),
                grants: Arc::new(Grants {
                    secrets: secrets.iter().map(|name| (*name).to_owned()).collect(),
                    ..Grants::default()
                }),
            })
        };
        let one = granted(&["db"]);
        assert_eq!(decide(&one, Action::Read, Resource::Secret("db")), Ok(()));
        for (action, resource, said) in [
            (
                Action::Read,
                Resource::Secret("pay"),
                r#"may not read secret "pay": change its secrets to  secrets = ["db", "pay"]  in [functions.create] in aloft.toml"#,
            ),
            (
                Action::Write,
                Resource::Secret("db"),
                "may not write secret \"db\": functions read",
            ),
            (
                Action::Manage,
                Resource::Secret("db"),
                "may not manage secret \"db\"",
            ),
            (
                Action::Read,
                Resource::Secrets,
                "may not read the account's secrets",
            ),
        ] {
            let denial = decide(&one, action, resource).unwrap_err().to_string();
            assert!(denial.contains(said), "{denial}");
        }
        let denial = decide(&granted(&[]), Action::Read, Resource::Secret("db")).unwrap_err();
        assert!(
            denial
                .to_string()
                .contains(r#"add  secrets = ["db"]  to [functions.create]"#),
            "{denial}"
        );
    }

    #[test]
    fn a_refusal_gives_the_whole_line_to_write() {
        assert_eq!(
            refusal(&function(&[]), Action::Write, "orders"),
            r#"function "create" may not write table "orders": add  access = { orders = "write" }  to [functions.create] in aloft.toml"#
        );
        assert_eq!(
            refusal(
                &function(&[("a.b", Access::Write), ("orders", Access::Read)]),
                Action::Write,
                "orders"
            ),
            "function \"create\" may not write table \"orders\": change its access to  \
             access = { \"a.b\" = \"write\", orders = \"write\" }  in [functions.create] in aloft.toml"
        );
        let managed = refusal(&function(&[("orders", Access::Write)]), Action::Manage, "orders");
        assert!(
            managed.starts_with("function \"create\" may not manage table \"orders\": "),
            "{managed}"
        );
    }
}
