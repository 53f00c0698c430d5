//! From what the store says of a function to a version that this machine can run.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Clock, Egress, ErrorKind, FunctionId, Region, Size};
use aloft_build::Builder;
use aloft_call::{Fault, Grants, Qualifier};
use aloft_controller::Controller;
use aloft_definition::{DEFAULT_IDLE, DEFAULT_QUEUE_LENGTH, DEFAULT_QUEUE_WAIT};
use aloft_function::{
    Catalogue, Code, Functions, Load as _, Loader, MAX_VERSIONS, Make, Program, Published, Queue, Version,
};
use aloft_observe::{Build, Feed, Notice};
use aloft_store::blobs::BlobId;
use aloft_store::layout::Namespace;
use async_trait::async_trait;

use crate::runtimes::Runtimes;

/// Functions of one page.
const PAGE: usize = 1_000;

/// Makes of what is stored of a function what this machine can run.
pub(crate) struct Maker {
    pub(crate) builder: Builder,
    pub(crate) runtimes: Arc<Runtimes>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) feed: Feed,
    /// Why functions cannot be run here.
    pub(crate) obstacle: Option<String>,
    /// Where functions that users make by Lambda's API may connect to.
    pub(crate) egress: Egress,
}

/// Follows what users change of functions.
pub(crate) struct Follower {
    pub(crate) region: Region,
    pub(crate) functions: Functions,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) load: Arc<Loader>,
    pub(crate) maker: Arc<Maker>,
}

impl Follower {
    /// Loads anew what runs of functions that were changed, and retires the rest, for as long as it is awaited.
    pub(crate) async fn follow(&self, controller: &Controller) {
        loop {
            for function in self.catalogue.changed().await {
                controller.renew(&function).await;
                self.keep(controller, &function).await;
                self.prepare(controller, &function).await;
                let namespace = Namespace::new(&function.tenant, &self.region);
                let reserved = self.functions.reload_reserved(&namespace, &function.name);
                if let Err(error) = reserved.await {
                    tracing::warn!(function = %function.name, tenant = %function.tenant, %error, "what is reserved for a function cannot be read anew");
                }
            }
        }
    }

    /// Begins to compile what a changed function's first call would have to wait for. Nothing but components takes longer than a call
    /// would wait.
    async fn prepare(&self, controller: &Controller, function: &FunctionId) {
        let namespace = Namespace::new(&function.tenant, &self.region);
        let latest = self.functions.get(&namespace, &function.name, 0).await;
        let is_component = latest.is_ok_and(|latest| latest.configuration.runtime == Program::WASM);
        if is_component && let Ok(version) = self.load.load(function, &Qualifier::Latest).await {
            controller.begin_to_prepare(version);
        }
    }

    /// Keeps loaded what is to be kept of a function.
    pub(crate) async fn keep(&self, controller: &Controller, function: &FunctionId) {
        let namespace = Namespace::new(&function.tenant, &self.region);
        let kept = match self.functions.kept(&namespace, &function.name).await {
            Ok(kept) => kept,
            // It was deleted; what runs of it is retired.
            Err(error) if error.kind() == ErrorKind::Missing => return,
            Err(error) => {
                return tracing::warn!(function = %function.name, tenant = %function.tenant, %error, "what is to be kept loaded of a function cannot be read");
            }
        };
        let mut wanted = Vec::new();
        for (number, instances) in kept {
            match self.load.load(function, &Qualifier::numbered(number)).await {
                Ok(version) => wanted.push((version, instances as usize)),
                Err(fault) => {
                    tracing::warn!(function = %function.name, tenant = %function.tenant, number, %fault, "what is to be kept loaded cannot be")
                }
            }
        }
        controller.keep(function, &wanted);
    }

    /// Folders that versions of an account's functions would run from.
    pub(crate) async fn used(
        &self,
        namespace: &Namespace,
    ) -> Result<BTreeSet<PathBuf>, aloft_function::Error> {
        let (mut used, mut last) = (BTreeSet::new(), None::<String>);
        loop {
            let page = self.functions.list(namespace, last.as_deref(), PAGE);
            let (functions, more) = page.await?;
            for (name, latest) in &functions {
                let mut versions = vec![latest.clone()];
                if let Ok(function) = name.parse() {
                    let published = self.functions.versions(namespace, &function, 0, MAX_VERSIONS);
                    // One that was deleted meanwhile needs nothing.
                    versions.extend(published.await.map(|(versions, _)| versions).unwrap_or_default());
                }
                for version in versions {
                    if let Ok(program) = self.maker.runtimes.named(&version.configuration.runtime).await {
                        let layers = layers(&version);
                        used.extend(
                            self.maker
                                .builder
                                .places(version.artifact.blob, &layers, &program),
                        );
                    }
                }
            }
            match more {
                Some(name) => last = Some(name),
                None => return Ok(used),
            }
        }
    }
}

#[async_trait]
impl Make for Maker {
    async fn make(&self, function: &FunctionId, published: &Published) -> Result<Version, Fault> {
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
                subject: function.name.to_string(),
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
            environment: configuration
                .environment
                .iter()
                .map(|(name, text)| (name.clone(), text.clone().into()))
                .collect(),
            logging: configuration.logging,
            // Lambda's role says what a function may do. Until policies are read, whoever may make functions lends them the account.
            grants: Arc::new(Grants {
                everything: true,
                egress: self.egress.clone(),
                ..Grants::default()
            }),
        })
    }

    async fn check(&self, runtime: &str) -> Result<(), String> {
        let found = self.runtimes.named(runtime).await;
        found.map(drop).map_err(|error| error.to_string())
    }
}

/// The zips of a version's layers, in their order.
fn layers(version: &Published) -> Vec<BlobId> {
    let layers = version.configuration.layers.iter();
    layers.map(|layer| layer.artifact.blob).collect()
}
