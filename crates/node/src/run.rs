//! Which runtime runs a version.

use std::sync::Arc;

use aloft_call::Fault;
use aloft_function::{Program, Version};
use aloft_instance::process::ProcessRuntime;
use aloft_instance::wasm::WasmRuntime;
use aloft_instance::{Initialization, Runtime, Started};
use async_trait::async_trait;

/// The runtimes of a node: components in wasmtime, everything else as processes.
pub(crate) struct Run {
    pub(crate) processes: ProcessRuntime,
    pub(crate) components: WasmRuntime,
}

impl Run {
    fn of(&self, version: &Version) -> &dyn Runtime {
        match version.program {
            Program::Wasm => &self.components,
            _ => &self.processes,
        }
    }
}

#[async_trait]
impl Runtime for Run {
    async fn prepare(&self, version: &Arc<Version>) -> Result<(), Fault> {
        self.of(version).prepare(version).await
    }

    async fn start(&self, version: Arc<Version>, initialization: Initialization) -> Result<Started, Fault> {
        self.of(&version).start(version.clone(), initialization).await
    }
}
