//! A project: its definition, turned into what runs, and turned again whenever its files change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aloft_base::{Chance, Clock, ErrorKind, FunctionName, Size};
use aloft_build::{Builder, Source};
use aloft_call::{Access, Grants};
use aloft_controller::Controller;
use aloft_definition::{Definition, Function, Runtime};
use aloft_delivery::{Policy, STORE_BACKOFF};
use aloft_function::{Catalogue, Configuration, Deployed, Functions, Queue, Version};
use aloft_gateway::{App, Gateway};
use aloft_observe::{Feed, Notice, Reload};
use aloft_rule::{Rule, Rules, TableSource};
use aloft_store::blobs::BlobId;
use aloft_store::layout::Namespace;
use aloft_table::{KeyAttribute, KeyKind, Schema, Tables};
use tokio::time::Instant;

use crate::metrics::Reloads;
use crate::runtimes::Runtimes;
use crate::watch::Watch;
use crate::{Config, Error};

/// What a project is turned into.
pub(crate) struct Parts {
    pub(crate) namespace: Namespace,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chance: Arc<dyn Chance>,
    pub(crate) feed: Feed,
    pub(crate) builder: Builder,
    pub(crate) functions: Functions,
    pub(crate) runtimes: Arc<Runtimes>,
    pub(crate) deployed: Deployed,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) controller: Controller,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) tables: Tables,
    pub(crate) rules: Rules,
    pub(crate) reloads: Reloads,
}

/// A project that is followed.
pub(crate) struct Project {
    root: PathBuf,
    /// Why functions cannot be run here.
    obstacle: Option<String>,
    parts: Parts,
    watch: Watch,
    routes: Mutex<Vec<String>>,
    /// The last definition that was right.
    last: Mutex<Option<Definition>>,
    changed: Mutex<Vec<String>>,
    /// Whether something has changed that does not run yet; set in the same moment in which the change is seen.
    is_stale: AtomicBool,
    owed: Mutex<Owed>,
    /// Held while the project is turned; one at a time.
    turning: tokio::sync::Mutex<()>,
}

/// What the store's absence kept from being done.
#[derive(Default)]
struct Owed {
    /// The changes of reloads.
    changed: BTreeSet<String>,
    /// Whether rules could not follow a table that was made anew.
    rules: bool,
}

/// What became of a definition's functions.
#[derive(Default)]
struct Built {
    versions: Vec<Arc<Version>>,
    artifacts: BTreeMap<FunctionName, BlobId>,
    failed: Option<Error>,
}

impl Owed {
    fn is_nothing(&self) -> bool {
        self.changed.is_empty() && !self.rules
    }
}

impl Project {
    pub(crate) fn new(config: &Config, parts: Parts) -> Result<Self, Error> {
        Ok(Self {
            watch: Watch::new(&config.project)?,
            root: config.project.clone(),
            obstacle: config.obstacle.clone(),
            parts,
            routes: Mutex::default(),
            last: Mutex::default(),
            changed: Mutex::default(),
            is_stale: AtomicBool::new(false),
            owed: Mutex::default(),
            turning: tokio::sync::Mutex::new(()),
        })
    }

    /// Turns the project into what runs. On an error the former routes and rules stay, and what could be built runs: while
    /// one function's requirements or the definition are broken, edits of sources still count. Tables that are new stay, too.
    pub(crate) async fn load(&self) -> Result<(), Error> {
        let _turning = self.turning.lock().await;
        self.turn().await
    }

    /// Makes sure that what runs is what the files say. Costs one system call when nothing has changed.
    pub(crate) async fn freshen(&self) {
        if !self.look() {
            return;
        }
        let _turning = self.turning.lock().await;
        loop {
            let changed = {
                let changed = self.changed();
                if changed.is_empty() {
                    self.is_stale.store(false, Ordering::SeqCst);
                    return;
                }
                changed.clone()
            };
            // A client that goes away cancels this: only what was turned to the end is forgotten.
            let began = self.parts.clock.instant();
            let error = self.turn().await.err();
            if error.as_ref().is_some_and(Error::is_absent_store) {
                self.owed().changed.extend(changed.iter().cloned());
            } else {
                // It was turned as a whole, or somebody has to mend something first.
                self.owed().changed.clear();
            }
            let error = error.map(|error| error.to_string());
            let took = self.parts.clock.instant().duration_since(began);
            self.parts.reloads.ended(error.is_none(), took);
            self.changed().drain(..changed.len());
            let at = self.parts.clock.now();
            self.parts.feed.publish(Notice::Reload(Reload {
                at,
                ok: error.is_none(),
                changed,
                error,
            }));
            self.look();
        }
    }

    /// Freshens whenever the kernel says that there is something to look at, and when a table was made anew. What fails because
    /// the store is away is done again until it is back.
    pub(crate) async fn follow(&self) {
        let mut created = self.parts.tables.created();
        let (mut failed, mut again) = (0, None);
        loop {
            // All are safe to cancel: none forgets what it was told.
            tokio::select! {
                () = self.watch.stirred() => self.freshen().await,
                Ok(()) = created.changed() => self.reattach().await,
                () = reached(again) => {
                    again = None;
                    self.settle().await;
                }
            }
            // The time stays while others stir: files that change all the time put nothing off.
            if self.owed().is_nothing() {
                (failed, again) = (0, None);
            } else if again.is_none() {
                failed += 1;
                again = Some(Instant::now() + STORE_BACKOFF.delay(failed, &*self.parts.chance));
            }
        }
    }

    /// Does what is owed.
    async fn settle(&self) {
        let owed = std::mem::take(&mut *self.owed());
        if owed.rules {
            self.reattach().await;
        }
        if !owed.changed.is_empty() {
            self.changed().extend(owed.changed);
            self.is_stale.store(true, Ordering::SeqCst);
            self.freshen().await;
        }
    }

    /// Rules read logs, and a table that was deleted and made anew has another log than before.
    async fn reattach(&self) {
        let _turning = self.turning.lock().await;
        let Some(definition) = self.last().clone() else {
            return;
        };
        let applied = match self.rules(&definition).await {
            Ok(rules) => self.parts.rules.apply(rules).await.map_err(Error::from),
            // While a table is missing its rules wait for it; the others run.
            Err(error) if error.kind() == ErrorKind::Missing => return,
            Err(error) => Err(error),
        };
        if let Err(error) = applied {
            self.owed().rules = error.is_absent_store();
            tracing::warn!(%error, "rules could not follow a table that was made anew");
        }
    }

    /// What is served, for people.
    pub(crate) fn routes(&self) -> Vec<String> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Folders that current versions run from.
    pub(crate) fn used(&self) -> BTreeSet<PathBuf> {
        self.parts
            .catalogue
            .project(&self.parts.namespace.tenant)
            .iter()
            .map(|version| version.code.task.clone())
            .collect()
    }

    fn look(&self) -> bool {
        let mut changed = self.changed();
        changed.extend(self.watch.changed());
        if !changed.is_empty() {
            self.is_stale.store(true, Ordering::SeqCst);
        }
        self.is_stale.load(Ordering::SeqCst)
    }

    async fn turn(&self) -> Result<(), Error> {
        // The file that is read here is watched from the beginning, and the folders before they are built, so that what
        // changes meanwhile is seen afterwards.
        let (definition, broken) = match self.definition() {
            Ok(definition) => (definition, None),
            Err(error) => match self.last().clone() {
                Some(last) => (last, Some(error)),
                None => return Err(error),
            },
        };
        if let Some(obstacle) = self.obstacle.clone().filter(|_| !definition.functions.is_empty()) {
            return Err(Error::NoSandbox { obstacle });
        }
        self.check_names(&definition).await?;
        let folders: BTreeSet<PathBuf> = definition
            .functions
            .values()
            .map(|f| self.root.join(&f.source))
            .collect();
        self.watch.follow(folders);
        let Built {
            versions,
            artifacts,
            failed,
        } = self.build(&definition).await;
        let parts = &self.parts;
        for (name, table) in &definition.tables {
            parts
                .tables
                .ensure(&parts.namespace, name, &schema(table))
                .await?;
        }
        parts
            .deployed
            .set(&parts.namespace, &artifacts, failed.is_none())
            .await?;
        // Functions before rules: what a rule finds in its log is delivered at once, and a function that is not there yet
        // would cost the event one of its retries.
        parts.catalogue.replace(versions);
        parts.controller.retire_replaced(|_| true);
        if let Some(error) = broken.or(failed) {
            return Err(error);
        }
        // Rules before routes: what the first request writes is already seen.
        parts.rules.apply(self.rules(&definition).await?).await?;
        let routes = definition.routes.iter().map(|route| route.pattern.to_string());
        let files = definition
            .files
            .iter()
            .map(|files| format!("/{} (files)", files.prefix.join("/")));
        *self.routes.lock().unwrap_or_else(PoisonError::into_inner) = routes.chain(files).collect();
        let app = App {
            tenant: parts.namespace.tenant.clone(),
            root: self.root.clone(),
            routes: definition.routes.clone(),
            // A component is asked in an instance that is made for the call, and waits for nobody's process.
            streamed: definition
                .functions
                .iter()
                .filter(|(_, function)| function.runtime == Runtime::Wasm)
                .map(|(name, _)| name.clone())
                .collect(),
            files: definition.files.clone(),
        };
        parts.gateway.replace(app);
        *self.last() = Some(definition);
        Ok(())
    }

    /// Whether no function that is new has the name of one that was made by the API: it would hide that.
    async fn check_names(&self, definition: &Definition) -> Result<(), Error> {
        let parts = &self.parts;
        let is_new = |name: &&FunctionName| {
            parts
                .catalogue
                .of_project(&parts.namespace.function(name))
                .is_none()
        };
        for name in definition.functions.keys().filter(is_new) {
            match parts.functions.get(&parts.namespace, name, 0).await {
                Ok(_) => {
                    return Err(Error::Taken {
                        function: name.clone(),
                    });
                }
                Err(aloft_function::Error::Missing { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The functions' versions: what was built, else what ran before; and why the first one that could not be built was not.
    async fn build(&self, definition: &Definition) -> Built {
        let mut built = Built::default();
        for (name, function) in &definition.functions {
            match self.version(name, function).await {
                Ok((version, artifact)) => {
                    built.artifacts.insert(name.clone(), artifact);
                    built.versions.push(version);
                }
                Err(error) => built.failed = built.failed.or(Some(error)),
            }
        }
        if built.failed.is_some() {
            // The former routes and rules stay, so the functions behind them must.
            let former = self
                .parts
                .catalogue
                .project(&self.parts.namespace.tenant)
                .into_iter();
            let left = former.filter(|version| !built.artifacts.contains_key(&version.function.name));
            built.versions.extend(left);
        }
        built
    }

    fn changed(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn owed(&self) -> std::sync::MutexGuard<'_, Owed> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Option<Definition>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn definition(&self) -> Result<Definition, Error> {
        if self.root.join(aloft_definition::FILE).exists() {
            return Definition::read(&self.root).map_err(Error::Definition);
        }
        Ok(Definition::empty("empty"))
    }

    async fn rules(&self, definition: &Definition) -> Result<Vec<Rule>, Error> {
        let mut rules = Vec::new();
        for (name, rule) in &definition.rules {
            let aloft_definition::Source::Table(table) = &rule.on;
            let table = self.parts.tables.table(&self.parts.namespace, table).await?;
            rules.push(Rule {
                name: name.to_string(),
                source: Arc::new(TableSource::new(&table)),
                pattern: rule.pattern.clone(),
                function: rule.run.clone(),
                policy: Policy::new(rule.retries, rule.maximum_age),
                concurrency: usize::try_from(rule.concurrency).unwrap_or(usize::MAX),
                order: match rule.order {
                    aloft_definition::Order::Key => aloft_rule::Order::Key,
                    aloft_definition::Order::None => aloft_rule::Order::None,
                },
            });
        }
        Ok(rules)
    }

    async fn version(
        &self,
        name: &FunctionName,
        function: &Function,
    ) -> Result<(Arc<Version>, BlobId), Error> {
        let program = self.parts.runtimes.of(function.runtime, &function.command).await;
        let program = program.map_err(|source| Error::Runtime {
            function: name.to_string(),
            source,
        })?;
        let folder = self.root.join(&function.source);
        let requirements = function.requirements.as_ref().map(|list| folder.join(list));
        let mut source = Source {
            node: None,
            name: name.to_string(),
            folder,
            requirements,
            handler: function.handler.clone(),
            build: function.build.clone(),
        };
        if source.takes_node(&program) {
            let newest = self.parts.runtimes.of(Runtime::Node { major: None }, &[]).await;
            // Where there is none, the build says what it is for.
            source.node = newest.ok().and_then(|newest| newest.node().cloned());
        }
        let built = self.parts.builder.build(&source, &program).await;
        let built = built.map_err(|source| Error::Build {
            function: name.to_string(),
            source,
        })?;
        let tables = function
            .access
            .iter()
            .map(|(table, access)| (table.clone(), grant(*access)));
        let version = Version {
            function: self.parts.namespace.function(name),
            number: 0,
            id: built.hash.chars().take(16).collect::<String>().into(),
            program,
            handler: function.handler.clone(),
            code: built.code,
            memory: function.memory,
            storage: Size::from_mib(Configuration::STORAGE.into()),
            timeout: function.timeout,
            idle: function.idle,
            concurrency: usize::try_from(function.concurrency).unwrap_or(usize::MAX),
            calls: usize::try_from(function.calls).unwrap_or(1),
            queue: Queue {
                length: usize::try_from(function.queue.length).unwrap_or(usize::MAX),
                wait: function.queue.wait,
            },
            environment: function.environment.clone(),
            logging: function.logging,
            grants: Arc::new(Grants {
                tables: BTreeMap::from_iter(tables),
                secrets: function.secrets.clone(),
                everything: false,
                egress: function.egress.clone(),
            }),
        };
        let version = Arc::new(version);
        let prepared = self.parts.controller.prepare(&version).await;
        prepared.map_err(|fault| Error::Prepare {
            function: name.to_string(),
            fault: Box::new(fault),
        })?;
        Ok((version, built.artifact))
    }
}

/// Until the time is there; for ever if there is none.
async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn schema(table: &aloft_definition::Table) -> Schema {
    let attribute = |key: &aloft_definition::KeySchema| KeyAttribute {
        name: key.name.clone(),
        kind: match key.kind {
            aloft_definition::KeyKind::Text => KeyKind::S,
            aloft_definition::KeyKind::Number => KeyKind::N,
            aloft_definition::KeyKind::Bytes => KeyKind::B,
        },
    };
    Schema {
        hash: attribute(&table.hash),
        range: table.range.as_ref().map(attribute),
    }
}

/// The definition and the call are on one floor and do not know each other.
fn grant(access: aloft_definition::Access) -> Access {
    match access {
        aloft_definition::Access::Read => Access::Read,
        aloft_definition::Access::Write => Access::Write,
    }
}
