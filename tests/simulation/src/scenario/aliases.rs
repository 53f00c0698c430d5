//! Versions and aliases: what is called has code that clients replace, versions that they publish and delete, and aliases that they move. All
//! of it is the platform's own code, from the catalogue in the store to the loader; only what a machine does with code is played: it
//! reads a number out of the code's blob. The same number is in the configuration, so that a half change shows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aloft_base::{Chance, Clock, ErrorKind, FunctionId, FunctionName};
use aloft_call::{AliasName, Fault as CallFault, Qualifier};
use aloft_function::{
    Artifact, Catalogue, Code, Configuration, Error, Functions, Loader, MAX_ALIASES, MAX_VERSIONS, Make,
    Pointer, Program, Publish, Published, Update, Version,
};
use aloft_store::blobs::{Blobs as _, Naming};
use anyhow::{Context as _, Result};
use async_trait::async_trait;

use super::later::WORKER;
use super::orders::{namespace, version};
use crate::front::unknown;
use crate::history::{Ask, Pointing, Told};
use crate::lie::Lie;
use crate::node::Parts;
use crate::shared::Shared;

/// The aliases that there may be: few, so that each moves often.
pub(crate) const ALIASES: [&str; 2] = ["live", "next"];
/// Of so many of the newest versions clients speak.
const SPOKEN_OF: u64 = 4;
/// What tells functions with versions from the others.
const RUNTIME: &str = "provided";

/// The functions of a node.
#[derive(Clone)]
pub(crate) struct Named {
    parts: Parts,
    functions: Functions,
    pub(crate) load: Arc<Loader>,
}

/// What this machine does with code.
struct Maker {
    parts: Parts,
    /// The code that was read last, for a machine that lies.
    former: Mutex<Option<u64>>,
}

/// What a client asks next.
pub(crate) fn draw(shared: &Shared) -> Ask {
    let (chance, number) = (&shared.chance, shared.number());
    match chance.below(100) {
        0..9 => Ask::Edit { code: number },
        9..18 => Ask::Publish,
        18..32 => Ask::Point {
            alias: alias(chance),
            to: pointing(shared),
        },
        32..36 => Ask::Unpoint { alias: alias(chance) },
        36..45 => Ask::Unpublish {
            version: spoken_of(shared),
        },
        45..50 => Ask::List,
        50..75 => Ask::Call {
            number,
            name: name(shared),
        },
        _ => Ask::Later {
            number,
            name: name(shared),
        },
    }
}

/// `$LATEST` and the aliases.
pub(crate) fn every_name() -> impl Iterator<Item = Qualifier> {
    let aliases = ALIASES.iter().filter_map(|alias| alias.parse().ok());
    [Qualifier::Latest]
        .into_iter()
        .chain(aliases.map(Qualifier::Alias))
}

fn alias(chance: &dyn Chance) -> &'static str {
    match chance.below(2) {
        0 => ALIASES[0],
        _ => ALIASES[1],
    }
}

fn name(shared: &Shared) -> Qualifier {
    match shared.chance.below(6) {
        0 => Qualifier::Latest,
        1 => Qualifier::Version(spoken_of(shared)),
        _ => alias(&shared.chance)
            .parse()
            .map_or(Qualifier::Latest, Qualifier::Alias),
    }
}

/// One of the newest versions that clients know. It may be deleted meanwhile.
fn spoken_of(shared: &Shared) -> u64 {
    let known = shared.state().published.clone();
    let back = shared.chance.below(SPOKEN_OF.min(known.len().max(1) as u64));
    let back = usize::try_from(back).unwrap_or(0);
    known.into_iter().rev().nth(back).unwrap_or(1)
}

fn pointing(shared: &Shared) -> Pointing {
    let (version, other) = (spoken_of(shared), spoken_of(shared));
    let percent = [0, 30, 70, 100];
    let share = usize::try_from(shared.chance.below(4)).unwrap_or(0);
    match shared.chance.below(8) {
        0 => Pointing {
            version: 0,
            other: None,
        },
        1..4 if other != version => Pointing {
            version,
            other: percent.get(share).map(|percent| (other, *percent)),
        },
        _ => Pointing { version, other: None },
    }
}

/// The code that a version runs, and the one that its configuration was made for; nothing of a function that has no versions.
pub(crate) fn codes_of(version: &Version) -> Option<(u64, u64)> {
    if version.program.runtime() != RUNTIME {
        return None;
    }
    let code = version.code.task.to_str()?.parse().ok()?;
    Some((code, version.handler.parse().ok()?))
}

fn configuration(code: u64) -> Configuration {
    Configuration::new(RUNTIME, code.to_string(), "arn:aws:iam::000000000000:role/any")
}

impl Named {
    pub(crate) fn new(parts: &Parts, catalogue: &Arc<Catalogue>) -> Self {
        let (clock, chance): (Arc<dyn Clock>, Arc<dyn Chance>) = (parts.clock.clone(), parts.chance.clone());
        // Who forgets somewhere else forgets nothing here.
        let forgets = match parts.shared.lie {
            Some(Lie::NeverForget) => Arc::default(),
            _ => catalogue.clone(),
        };
        let functions = Functions::new(parts.store.clone(), clock, chance.clone(), forgets);
        let maker = Arc::new(Maker {
            parts: parts.clone(),
            former: Mutex::default(),
        });
        let load = Loader::new(
            namespace().region,
            functions.clone(),
            catalogue.clone(),
            chance,
            maker,
        );
        Self {
            parts: parts.clone(),
            functions,
            load: Arc::new(load),
        }
    }

    /// Makes the function unless it is there.
    pub(crate) async fn begin(&self) -> Result<()> {
        let worker = WORKER.parse()?;
        match self.functions.get(&namespace(), &worker, 0).await {
            Err(error) if error.kind() == ErrorKind::Missing => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(()),
        }
        let code = self.uploaded(0).await?;
        let tags = BTreeMap::new();
        let created = self
            .functions
            .create(&namespace(), &worker, &configuration(0), code, &tags)
            .await;
        match created {
            // This node's own commit, whose answer was lost.
            Ok(_) | Err(Error::Exists { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// By which name a call is accepted for later; nothing if it is not there.
    pub(crate) async fn accepted(&self, name: &Qualifier) -> Result<Option<Qualifier>> {
        let worker = WORKER.parse()?;
        let namespace = namespace();
        let events = self.functions.events_of_call(&namespace, &worker, name);
        if is_missing(events.await)? {
            return Ok(None);
        }
        if let Qualifier::Alias(alias) = name
            && self.parts.shared.lies(Lie::ResolveEarly)
        {
            let alias = self.functions.alias(&namespace, &worker, alias).await?;
            let version = alias.choose(&*self.parts.chance);
            return Ok(Some(Qualifier::numbered(version)));
        }
        Ok(Some(name.clone()))
    }

    pub(crate) async fn answered(&self, ask: &Ask) -> Result<Told> {
        let (functions, namespace, worker) = (&self.functions, namespace(), &WORKER.parse()?);
        let told = match ask {
            Ask::Edit { code } => {
                let update = Update {
                    configuration: Some(configuration(*code)),
                    artifact: Some(self.uploaded(*code).await?),
                    revision: None,
                };
                let updated = functions.update(&namespace, worker, &update).await;
                updated.map(|_| Told::Edited)
            }
            Ask::Publish => {
                let published = functions.publish(&namespace, worker, &Publish::default()).await?;
                Ok(Told::Published {
                    version: published.number,
                    code: code_of(&published)?,
                })
            }
            Ask::Point { alias, to } => self.point(worker, &alias.parse()?, *to).await,
            Ask::Unpoint { alias } => {
                let alias = alias.parse()?;
                let deleted = functions.delete_alias(&namespace, worker, &alias).await;
                deleted.map(|()| Told::Unpointed)
            }
            Ask::Unpublish { version } => {
                let deleted = functions.delete_version(&namespace, worker, *version);
                deleted.await.map(|()| Told::Unpublished)
            }
            Ask::List => Ok(self.list(worker).await?),
            _ => return Ok(unknown("that is not a matter of versions")),
        };
        self.parts.shared.lies(Lie::NeverForget);
        match told {
            Ok(told) => Ok(told),
            Err(Error::InUse { .. }) => Ok(Told::InUse),
            Err(error) if error.kind() == ErrorKind::Missing => Ok(Told::Missing),
            Err(error) => Err(error.into()),
        }
    }

    async fn point(&self, worker: &FunctionName, alias: &AliasName, to: Pointing) -> Result<Told, Error> {
        let pointer = Pointer {
            version: to.version,
            other: to.other.map(|(other, percent)| (other, percent as f64 / 100.0)),
            description: String::new(),
        };
        let (functions, namespace) = (&self.functions, namespace());
        let updated = functions
            .update_alias(&namespace, worker, alias, &pointer, None)
            .await;
        let pointed = match updated {
            Err(Error::Missing {
                qualifier: Some(Qualifier::Alias(_)),
                ..
            }) => functions.create_alias(&namespace, worker, alias, &pointer).await,
            updated => updated,
        };
        pointed.map(|_| Told::Pointed)
    }

    async fn list(&self, worker: &FunctionName) -> Result<Told> {
        let (functions, namespace) = (&self.functions, namespace());
        let listed = functions.aliases(&namespace, worker, None, MAX_ALIASES).await?;
        let aliases = listed.0.into_iter().map(|alias| {
            let percent = |share: f64| (share * 100.0).round() as u64;
            let to = Pointing {
                version: alias.version,
                other: alias.other.map(|(other, share)| (other, percent(share))),
            };
            (alias.name.to_string(), to)
        });
        let (versions, _) = functions.versions(&namespace, worker, 0, MAX_VERSIONS).await?;
        let versions = versions
            .iter()
            .map(|version| Ok((version.number, code_of(version)?)));
        Ok(Told::Listed {
            versions: versions.collect::<Result<_>>()?,
            aliases: aliases.collect(),
        })
    }

    async fn uploaded(&self, code: u64) -> Result<Artifact> {
        let mut upload = self.parts.blobs.begin().await?;
        upload.write(code.to_string().into()).await?;
        let stored = upload.finish(Naming::Content).await?;
        Ok(Artifact {
            blob: stored.id,
            bytes: stored.bytes,
            content: stored.bytes,
        })
    }
}

fn code_of(version: &Published) -> Result<u64> {
    version
        .configuration
        .handler
        .parse()
        .context("a handler is a number here")
}

fn is_missing<T>(result: Result<T, Error>) -> Result<bool, Error> {
    match result {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == ErrorKind::Missing => Ok(true),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl Make for Maker {
    async fn make(&self, function: &FunctionId, published: &Published) -> Result<Version, CallFault> {
        let made = async {
            let blob = self.parts.blobs.open(published.artifact.blob).await?;
            let bytes = blob.read(0, 100).await?;
            let mut code: u64 = std::str::from_utf8(&bytes)?.parse()?;
            let mut former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(former) = former.replace(code).filter(|former| *former != code)
                && self.parts.shared.lies(Lie::OtherCode)
            {
                code = former;
            }
            let plain = version(function.name.as_str())?;
            Ok::<_, anyhow::Error>(Version {
                number: published.number,
                id: format!("{:032x}", published.revision).into(),
                program: Program::Own {
                    runtime: published.configuration.runtime.clone(),
                },
                handler: published.configuration.handler.clone(),
                code: Code {
                    task: code.to_string().into(),
                    ..plain.code
                },
                concurrency: usize::MAX,
                ..plain
            })
        };
        made.await.map_err(|error| CallFault::Platform {
            why: format!("{error:#}"),
        })
    }

    async fn check(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
}
