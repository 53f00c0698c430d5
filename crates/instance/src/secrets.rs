//! The variables of an instance: what its version says, with the values that secrets have now. Each start asks anew, so that a changed
//! secret is seen by the next instance; what was found is taken out of what the instance prints.

use std::collections::BTreeMap;

use aloft_call::{Caller, Fault};
use aloft_definition::Variable;
use aloft_function::Version;
use aloft_observe::Redaction;

use crate::process::Services;

/// A version's variables as an instance gets them.
pub(crate) struct Resolved {
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) redaction: Redaction,
}

/// Asks for the secrets that the version's environment refers to.
///
/// # Errors
/// [`Fault::Unrunnable`] with the variable, the secret, and what to do; [`Fault::Platform`] when the store fails.
pub(crate) async fn resolve(
    version: &Version,
    caller: &Caller,
    services: &dyn Services,
) -> Result<Resolved, Fault> {
    let (mut variables, redaction) = (BTreeMap::new(), Redaction::default());
    for (name, variable) in &version.environment {
        let value = match variable {
            Variable::Text(text) => text.clone(),
            Variable::Secret(reference) => {
                let value = services.secret(caller, reference).await;
                let value = value.map_err(|fault| fault.of_variable(name))?;
                redaction.learn(value.as_bytes());
                value
            }
        };
        variables.insert(name.clone(), value);
    }
    Ok(Resolved { variables, redaction })
}
