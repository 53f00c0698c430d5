//! From what the store says of a function to a version that this machine can run.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Chance, Clock, ErrorKind, FunctionName, Size, Turns};
use aloft_build::Builder;
use aloft_call::{Fault, Grants, Qualifier};
use aloft_controller::Controller;
use aloft_definition::{DEFAULT_IDLE, DEFAULT_QUEUE_LENGTH, DEFAULT_QUEUE_WAIT};
use aloft_function::{
    Alias, Catalogue, Code, Found, FunctionUrl, Functions, Load, MAX_VERSIONS, Program, Published, Queue,
    UrlId, Version,
};
use aloft_observe::{Build, Feed, Notice};
use aloft_store::blobs::BlobId;
use aloft_store::layout::Namespace;
use async_trait::async_trait;

use crate::runtimes::Runtimes;

/// How often the store is read again because functions changed meanwhile. After that what was read runs once, unremembered.
const TRIES: u32 = 8;
/// Functions of one page.
const PAGE: usize = 1_000;

/// Loads versions that users made by the API.
pub(crate) struct Loader {
    pub(crate) namespace: Namespace,
    pub(crate) functions: Functions,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) builder: Builder,
    pub(crate) runtimes: Arc<Runtimes>,
    pub(crate) chance: Arc<dyn Chance>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) feed: Feed,
    /// Why functions cannot be run here.
    pub(crate) obstacle: Option<String>,
    /// By function, what is held by whoever loads it: a thousand calls of a new function unpack it once.
    pub(crate) loading: Turns<FunctionName>,
}

impl Loader {
    /// Loads anew what runs of functions that were changed, and retires the rest, for as long as it is awaited.
    pub(crate) async fn follow(&self, controller: &Controller) {
        loop {
            for function in self.catalogue.changed().await {
                for number in controller.numbers(&function) {
                    let loaded = self.load(&function, &Qualifier::numbered(number)).await;
                    if let Err(fault) = loaded.map_err(|fault| (fault.kind(), fault)) {
                        tracing::debug!(%function, number, fault = %fault.1, "what runs cannot be loaded anew");
                    }
                }
                controller.retire_replaced(|name| *name == function);
                self.keep(controller, &function).await;
                self.prepare(controller, &function).await;
                let reserved = self.functions.reload_reserved(&self.namespace, &function);
                if let Err(error) = reserved.await {
                    tracing::warn!(%function, %error, "what is reserved for a function cannot be read anew");
                }
            }
        }
    }

    /// Begins to compile what a changed function's first call would have to wait for. Nothing but components takes longer than a call
    /// would wait.
    async fn prepare(&self, controller: &Controller, function: &FunctionName) {
        let latest = self.functions.get(&self.namespace, function, 0).await;
        let is_component = latest.is_ok_and(|latest| latest.configuration.runtime == Program::WASM);
        if is_component && let Ok(version) = self.load(function, &Qualifier::Latest).await {
            controller.begin_to_prepare(version);
        }
    }

    /// Keeps loaded what is to be kept of a function.
    pub(crate) async fn keep(&self, controller: &Controller, function: &FunctionName) {
        let kept = match self.functions.kept(&self.namespace, function).await {
            Ok(kept) => kept,
            // It was deleted; what runs of it is retired.
            Err(error) if error.kind() == ErrorKind::Missing => return,
            Err(error) => {
                return tracing::warn!(%function, %error, "what is to be kept loaded of a function cannot be read");
            }
        };
        let mut wanted = Vec::new();
        for (number, instances) in kept {
            match self.load(function, &Qualifier::numbered(number)).await {
                Ok(version) => wanted.push((version, instances as usize)),
                Err(fault) => {
                    tracing::warn!(%function, number, %fault, "what is to be kept loaded cannot be")
                }
            }
        }
        controller.keep(function, &wanted);
    }

    /// Folders that versions would run from.
    pub(crate) async fn used(&self) -> Result<BTreeSet<PathBuf>, aloft_function::Error> {
        let (mut used, mut last) = (BTreeSet::new(), None::<String>);
        loop {
            let page = self.functions.list(&self.namespace, last.as_deref(), PAGE);
            let (functions, more) = page.await?;
            for (name, latest) in &functions {
                let mut versions = vec![latest.clone()];
                if let Ok(function) = name.parse() {
                    let published = self
                        .functions
                        .versions(&self.namespace, &function, 0, MAX_VERSIONS);
                    // One that was deleted meanwhile needs nothing.
                    versions.extend(published.await.map(|(versions, _)| versions).unwrap_or_default());
                }
                for version in versions {
                    if let Ok(program) = self.runtimes.named(&version.configuration.runtime).await {
                        let layers = layers(&version);
                        used.extend(self.builder.places(version.artifact.blob, &layers, &program));
                    }
                }
            }
            match more {
                Some(name) => last = Some(name),
                None => return Ok(used),
            }
        }
    }

    async fn read(
        &self,
        function: &FunctionName,
        qualifier: &Qualifier,
    ) -> Result<(Published, Option<Alias>), aloft_function::Error> {
        let (number, alias) = match qualifier {
            Qualifier::Latest => (0, None),
            Qualifier::Version(number) => (*number, None),
            Qualifier::Alias(name) => {
                let alias = self.functions.alias(&self.namespace, function, name).await?;
                (alias.choose(&*self.chance), Some(alias))
            }
        };
        let published = self.functions.get(&self.namespace, function, number).await?;
        Ok((published, alias))
    }

    async fn make(&self, function: &FunctionName, published: &Published) -> Result<Version, Fault> {
        let configuration = &published.configuration;
        let refuse = |why: String| Fault::Unrunnable { why };
        if let Some(obstacle) = &self.obstacle {
            return Err(refuse(obstacle.clone()));
        }
        let program = self.runtimes.named(&configuration.runtime).await;
        let program = program.map_err(|error| refuse(error.to_string()))?;
        if program.runtime() != configuration.runtime {
            self.feed.publish(Notice::Build(Build {
                at: self.clock.now(),
                subject: function.to_string(),
                ok: true,
                message: format!(
                    "this machine has no {}: it runs with {}",
                    configuration.runtime,
                    program.runtime()
                ),
                took_ms: 0,
            }));
        }
        let failed = |error: aloft_build::Error| match error.kind() {
            ErrorKind::Invalid => refuse(error.to_string()),
            _ => Fault::Platform {
                why: error.to_string(),
            },
        };
        let task = self.builder.unpacked(published.artifact.blob, &program).await;
        let task = task.map_err(failed)?;
        let layered = self.builder.layered(&layers(published), &program).await;
        let layered = layered.map_err(failed)?;
        let code = Code {
            task,
            requirements: None,
            layers: layered,
            sdk: None,
        };
        let sdk = self.builder.sdk(&code, &program).await;
        Ok(Version {
            function: function.clone(),
            number: published.number,
            id: format!("{:032x}", published.revision).into(),
            program,
            handler: configuration.handler.clone(),
            code: Code { sdk, ..code },
            memory: Size::from_mib(configuration.memory.into()),
            storage: Size::from_mib(configuration.storage.into()),
            timeout: Duration::from_secs(configuration.timeout.into()),
            idle: DEFAULT_IDLE,
            // What is reserved for it, and what all may have, is decided call by call.
            concurrency: usize::MAX,
            calls: 1,
            queue: Queue {
                length: DEFAULT_QUEUE_LENGTH as usize,
                wait: DEFAULT_QUEUE_WAIT,
            },
            environment: configuration.environment.clone(),
            logging: configuration.logging,
            // Lambda's role says what a function may do. Until policies are read, whoever may make functions lends them the account.
            grants: Arc::new(Grants {
                everything: true,
                ..Grants::default()
            }),
        })
    }
}

/// The zips of a version's layers, in their order.
fn layers(version: &Published) -> Vec<BlobId> {
    let layers = version.configuration.layers.iter();
    layers.map(|layer| layer.artifact.blob).collect()
}

#[async_trait]
impl Load for Loader {
    async fn load(&self, function: &FunctionName, qualifier: &Qualifier) -> Result<Arc<Version>, Fault> {
        let _turn = self.loading.take(function).await;
        let mut tries = 0;
        loop {
            // Whoever was before has loaded it.
            if let Found::Version(version) = self.catalogue.find(function, qualifier, &*self.chance) {
                return Ok(version);
            }
            let epoch = self.catalogue.epoch();
            let (published, alias) =
                self.read(function, qualifier)
                    .await
                    .map_err(|error| match error.kind() {
                        ErrorKind::Missing => Fault::no_function(function, qualifier),
                        _ => Fault::Platform {
                            why: error.to_string(),
                        },
                    })?;
            let version = Arc::new(self.make(function, &published).await?);
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
            let found = self.functions.find_url(&self.namespace, id).await;
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
        let found = self.runtimes.named(runtime).await;
        found.map(drop).map_err(|error| error.to_string())
    }
}
