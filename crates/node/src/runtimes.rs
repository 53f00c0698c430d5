//! The interpreters of this machine, by Lambda's names for runtimes.

use std::path::PathBuf;

use aloft_function::Interpreter;
use aloft_instance::process::{NoInterpreter, Pythons};
use tokio::sync::OnceCell;

/// The interpreters of this machine, looked for once, when the first function needs one.
pub(crate) struct Runtimes {
    search: Vec<PathBuf>,
    pythons: OnceCell<Pythons>,
}

/// Why a runtime cannot be had here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoRuntime {
    /// This machine has no interpreter for it.
    #[error(transparent)]
    Interpreter(#[from] NoInterpreter),
    /// Nobody knows how to run it.
    #[error(
        "the runtime \"{0}\" is not supported yet: python3.8 to python3.29 are, as far as this machine has them"
    )]
    Unknown(String),
}

impl Runtimes {
    /// Those in the folders of a search path.
    pub(crate) fn new(search: Vec<PathBuf>) -> Self {
        Self {
            search,
            pythons: OnceCell::new(),
        }
    }

    /// Every Python 3.
    pub(crate) async fn pythons(&self) -> &Pythons {
        self.pythons.get_or_init(|| Pythons::find(&self.search)).await
    }

    /// What runs a runtime of this name, such as `python3.12`: that version, or the nearest newer one of the same language.
    pub(crate) async fn named(&self, name: &str) -> Result<&Interpreter, NoRuntime> {
        let minor = name.strip_prefix("python3.").and_then(|minor| minor.parse().ok());
        let minor = minor.filter(|minor| (8..30).contains(minor));
        let minor = minor.ok_or_else(|| NoRuntime::Unknown(name.chars().take(64).collect()))?;
        Ok(self.pythons().await.nearest(minor)?)
    }
}
