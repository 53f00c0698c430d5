//! The runtime as the controller has it: which contract a version speaks, and whether its program runs once for all calls or once for each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{Clock, Tasks};
use aloft_call::Fault;
use aloft_function::{Program, Version};
use aloft_observe::Feed;
use aloft_sandbox::Spawner;
use async_trait::async_trait;

use super::Services;
use super::per_call::PerCall;
use super::start::{Config, Host};
use crate::contract::Contract;
use crate::contract::command::PerCallCommand;
use crate::contract::http::Http;
use crate::contract::lambda::Lambda;
use crate::runtime::{Initialization, Instance, Runtime, Started};

/// Runs functions as processes in sandboxes.
pub struct ProcessRuntime {
    host: Arc<Host>,
    contracts: BTreeMap<String, Arc<dyn Contract>>,
}

impl ProcessRuntime {
    /// A runtime whose sandboxes the spawner makes. Writes the bootstrap into its folder.
    pub fn new(
        config: Config,
        spawner: Arc<Spawner>,
        services: Arc<dyn Services>,
        clock: Arc<dyn Clock>,
        tasks: Tasks,
        feed: Feed,
    ) -> std::io::Result<Self> {
        let host = Host::new(config, spawner, services, clock, tasks, feed)?;
        let runtime = Self {
            host: Arc::new(host),
            contracts: BTreeMap::new(),
        };
        Ok(runtime
            .with_contract(Program::LAMBDA, Arc::new(Lambda))
            .with_contract("http", Arc::new(Http))
            .with_contract("command", Arc::new(PerCallCommand)))
    }

    /// With one more contract, for versions whose [`Program::contract`] has this name.
    #[must_use]
    pub fn with_contract(mut self, name: &str, contract: Arc<dyn Contract>) -> Self {
        self.contracts.insert(name.to_owned(), contract);
        self
    }
}

#[async_trait]
impl Runtime for ProcessRuntime {
    async fn start(&self, version: Arc<Version>, initialization: Initialization) -> Result<Started, Fault> {
        let began = self.host.clock().instant();
        let contract = version.program.contract();
        let contract = self.contracts.get(contract).ok_or_else(|| Fault::Unrunnable {
            why: format!("nobody here speaks the contract \"{contract}\""),
        })?;
        let (instance, sandbox): (Arc<dyn Instance>, _) = if contract.is_per_call() {
            let instance = PerCall::new(self.host.clone(), contract.clone(), (version, initialization));
            (Arc::new(instance), Duration::ZERO)
        } else {
            let (instance, sandbox) = self
                .host
                .launch(&**contract, (version, initialization), None)
                .await?;
            (instance, sandbox)
        };
        Ok(Started {
            instance,
            init: self.host.clock().instant().duration_since(began),
            sandbox,
        })
    }
}
