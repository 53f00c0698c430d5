//! Versions that nobody knows yet: read from the store, made runnable, and kept unless something changed meanwhile.

use std::sync::Arc;

use aloft_base::{Chance, ErrorKind, FunctionId, Region, Turns};
use aloft_call::{Fault, Qualifier};
use aloft_store::layout::Namespace;
use async_trait::async_trait;

use crate::{Alias, Catalogue, Error, Found, FunctionUrl, Functions, Load, Published, UrlId, Version};

/// How often the store is read again because functions changed meanwhile. After that what was read runs once, unremembered.
const TRIES: u32 = 8;

/// Makes of what is stored of a function what this machine can run. It is the part of loading that needs files and interpreters.
#[async_trait]
pub trait Make: Send + Sync + 'static {
    /// The version, with its code unpacked and its interpreter found.
    ///
    /// # Errors
    /// [`Fault::Unrunnable`], and [`Fault::Platform`] when this machine fails.
    async fn make(&self, function: &FunctionId, published: &Published) -> Result<Version, Fault>;

    /// Whether this machine can run a runtime of this name.
    ///
    /// # Errors
    /// Why not, and which can be run.
    async fn check(&self, runtime: &str) -> Result<(), String>;
}

/// Loads versions that users made by the API.
pub struct Loader {
    region: Region,
    functions: Functions,
    catalogue: Arc<Catalogue>,
    chance: Arc<dyn Chance>,
    make: Arc<dyn Make>,
    /// By function, what is held by whoever loads it: a thousand calls of a new function unpack it once.
    loading: Turns<FunctionId>,
}

impl Loader {
    /// Loads functions of a region into the catalogue in which their changes are forgotten.
    pub fn new(
        region: Region,
        functions: Functions,
        catalogue: Arc<Catalogue>,
        chance: Arc<dyn Chance>,
        make: Arc<dyn Make>,
    ) -> Self {
        Self {
            region,
            functions,
            catalogue,
            chance,
            make,
            loading: Turns::default(),
        }
    }

    async fn read(
        &self,
        function: &FunctionId,
        qualifier: &Qualifier,
    ) -> Result<(Published, Option<Alias>), Error> {
        let namespace = &Namespace::new(&function.tenant, &self.region);
        let function = &function.name;
        let read = |number| self.functions.get(namespace, function, number);
        let name = match qualifier {
            Qualifier::Latest => return Ok((read(0).await?, None)),
            Qualifier::Version(number) => return Ok((read(*number).await?, None)),
            Qualifier::Alias(name) => name,
        };
        let mut tries = 0;
        let mut alias = self.functions.alias(namespace, function, name).await?;
        loop {
            let found = read(alias.choose(&*self.chance)).await;
            tries += 1;
            match found {
                // No version is deleted while an alias points to it, so this one points elsewhere by now.
                Err(Error::Missing { .. }) if tries < TRIES => {
                    alias = self.functions.alias(namespace, function, name).await?;
                }
                found => return Ok((found?, Some(alias))),
            }
        }
    }
}

#[async_trait]
impl Load for Loader {
    async fn load(&self, function: &FunctionId, qualifier: &Qualifier) -> Result<Arc<Version>, Fault> {
        let _turn = self.loading.take(function).await;
        let mut tries = 0;
        loop {
            // Whoever was before has loaded it.
            if let Found::Version(version) = self.catalogue.find(function, qualifier, &*self.chance) {
                return Ok(version);
            }
            let epoch = self.catalogue.epoch();
            let read = self.read(function, qualifier).await;
            let (published, alias) = read.map_err(|error| match error.kind() {
                ErrorKind::Missing => Fault::no_function(&function.name, qualifier),
                _ => Fault::Platform {
                    why: error.to_string(),
                },
            })?;
            let version = Arc::new(self.make.make(function, &published).await?);
            tries += 1;
            if self.catalogue.keep(epoch, &version, alias) || tries == TRIES {
                return Ok(version);
            }
        }
    }

    async fn url(&self, id: UrlId) -> Result<Option<Arc<FunctionUrl>>, Fault> {
        let mut tries = 0;
        loop {
            let epoch = self.catalogue.epoch();
            let found = self.functions.find_url(&self.region, id).await;
            let found = found.map_err(|error| Fault::Platform {
                why: error.to_string(),
            })?;
            let Some(url) = found.map(Arc::new) else {
                return Ok(None);
            };
            tries += 1;
            if self.catalogue.keep_url(epoch, &url) || tries == TRIES {
                return Ok(Some(url));
            }
        }
    }

    async fn check(&self, runtime: &str) -> Result<(), String> {
        self.make.check(runtime).await
    }
}
