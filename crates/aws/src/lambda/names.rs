//! What functions, versions and aliases are called on the wire.

use aloft_base::FunctionName;
use aloft_call::{Caller, Qualifier};

use super::Error;
use crate::Error as Refused;
use crate::service::Service;

/// A function as a request names it.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) function: FunctionName,
    /// Which version, if the request says so.
    pub(super) qualifier: Option<Qualifier>,
}

impl Named {
    /// Reads what may be a name, `name:qualifier`, `ACCOUNT:function:name` or an ARN, each with or without a qualifier; and the
    /// qualifier that is given besides.
    pub(super) fn read(caller: &Caller, given: &str, qualifier: Option<&str>) -> Result<Self, Refused> {
        let invalid = |what: &str, rule: &str| {
            let given: String = given.chars().take(200).collect();
            Refused::Validation(format!(
                "1 validation error detected: Value '{given}' at '{what}' failed to satisfy constraint: {rule}"
            ))
        };
        let rule =
            "Member must be a function's name of 1 to 64 characters of a-z, A-Z, 0-9, - and _, or its ARN";
        let mut parts: Vec<&str> = given.split(':').collect();
        if let ["arn", "aws", service, _region, rest @ ..] = parts.as_slice() {
            if *service != Service::Lambda.name() {
                return Err(invalid("functionName", rule));
            }
            parts = rest.to_vec();
        }
        if let [account, "function", rest @ ..] = parts.as_slice() {
            if *account != caller.tenant.as_str() {
                return Err(Refused::OtherAccount(given.chars().take(200).collect()));
            }
            parts = rest.to_vec();
        } else if let ["function", rest @ ..] = parts.as_slice() {
            parts = rest.to_vec();
        }
        let (name, inner) = match parts.as_slice() {
            [name] => (*name, None),
            [name, inner] => (*name, Some(*inner)),
            _ => return Err(invalid("functionName", rule)),
        };
        let function = name.parse().map_err(|_| invalid("functionName", rule))?;
        if let (Some(inner), Some(outer)) = (inner, qualifier)
            && inner != outer
        {
            let text = "The derived qualifier from the function name does not match the specified qualifier.";
            return Err(Error::Invalid(text.to_owned()).into());
        }
        let qualifier = inner.or(qualifier).map(|text| {
            text.parse().map_err(|_| {
                let text: String = text.chars().take(200).collect();
                Refused::Validation(format!(
                    "1 validation error detected: Value '{text}' at 'qualifier' failed to satisfy constraint: Member must be \
                     $LATEST, a version's number, or an alias's name of 1 to 128 characters of a-z, A-Z, 0-9, - and _"
                ))
            })
        });
        Ok(Self {
            function,
            qualifier: qualifier.transpose()?,
        })
    }

    /// Refuses a version or an alias where only a function as a whole can be meant.
    pub(super) fn no_version(&self) -> Result<(), Refused> {
        match &self.qualifier {
            None | Some(Qualifier::Latest) => Ok(()),
            Some(qualifier) => Err(Error::Invalid(format!(
                "{}:{qualifier} names a version or an alias: give the function's name alone, what is published never changes",
                self.function
            ))
            .into()),
        }
    }

    /// That there is no such thing.
    pub(super) fn missing(&self, caller: &Caller) -> Error {
        let arn = arn(caller, &self.function, self.qualifier.as_ref());
        match self.qualifier {
            Some(Qualifier::Alias(_)) => Error::Missing(format!("Cannot find alias arn: {arn}")),
            _ => Error::Missing(format!("Function not found: {arn}")),
        }
    }
}

/// A function's ARN, with the qualifier if there is one.
pub(super) fn arn(caller: &Caller, function: &FunctionName, qualifier: Option<&Qualifier>) -> String {
    let Caller { tenant, region, .. } = caller;
    let plain = format!("arn:aws:lambda:{region}:{tenant}:function:{function}");
    match qualifier {
        Some(qualifier) => format!("{plain}:{qualifier}"),
        None => plain,
    }
}

/// A revision as tools see it: a UUID.
pub(super) fn uuid(revision: u128) -> String {
    let hex = format!("{revision:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

/// The revision that a request names. What is none of ours is one that is not there.
pub(super) fn revision(text: &str) -> u128 {
    let hex: String = text.chars().filter(|letter| *letter != '-').collect();
    u128::from_str_radix(&hex, 16).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use aloft_base::{Region, Tenant};
    use aloft_call::Principal;

    use super::*;

    fn read(given: &str, qualifier: Option<&str>) -> Result<String, String> {
        let caller = Caller {
            tenant: Tenant::local(),
            region: Region::local(),
            principal: Principal::Anonymous,
        };
        let named = Named::read(&caller, given, qualifier).map_err(|error| error.to_string())?;
        Ok(arn(&caller, &named.function, named.qualifier.as_ref()))
    }

    #[test]
    fn a_function_is_named_in_each_of_lambdas_ways() {
        let plain = "arn:aws:lambda:us-east-1:000000000000:function:f";
        for given in [
            "f",
            "function:f",
            "000000000000:function:f",
            "arn:aws:lambda:eu-west-3:000000000000:function:f",
        ] {
            assert_eq!(read(given, None).as_deref(), Ok(plain), "{given}");
            let live = Ok(format!("{plain}:live"));
            assert_eq!(read(given, Some("live")), live, "{given}");
            assert_eq!(read(&format!("{given}:live"), None), live, "{given}");
            assert_eq!(read(&format!("{given}:live"), Some("live")), live, "{given}");
            let other = read(&format!("{given}:live"), Some("1")).unwrap_err();
            assert!(other.starts_with("The derived qualifier"), "{other}");
        }
        for bad in [
            "",
            "a b",
            "a:b:c",
            "arn:aws:s3:::f",
            "f:",
            "f:a b",
            "é",
            &"f".repeat(65),
        ] {
            assert!(read(bad, None).is_err(), "{bad}");
        }
        let other = read("111111111111:function:f", None).unwrap_err();
        assert!(other.contains("another account"), "{other}");
    }

    #[test]
    fn a_revision_reads_back() {
        for number in [0, 1, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef] {
            assert_eq!(revision(&uuid(number)), number);
        }
        assert_eq!(uuid(1), "00000000-0000-0000-0000-000000000001");
        assert_eq!(revision("nonsense"), 0);
    }
}
