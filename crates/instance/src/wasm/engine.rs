//! How components are compiled and run. Both sides must agree, or wasmtime refuses what was compiled.

use std::time::Duration;

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Guests at once on a node: Lambda's bound for an account. Their places are reserved as addresses, and take memory when used.
pub(super) const GUESTS: u32 = 1_000;
/// Parts of one guest. A component of a scripting language is linked of some twenty modules.
const MODULES: u32 = 64;
const MEMORIES: u32 = 8;
/// A guest with one module has one of each; few have many.
const USUAL: u32 = 8;
/// Entries of one table: StarlingMonkey and CPython have some ten thousand.
const TABLE: usize = 64 << 10;
/// All that 32-bit WebAssembly can have.
const MEMORY: usize = 4 << 30;
/// Of a place that was used, as much is kept and cleared by hand when it is used again, which costs less than the kernel's page faults. It is
/// what the guest wrote to where the kernel can say so (Linux 6.7), and elsewhere the beginning, which few guests write to.
const KEPT: usize = 128 << 10;
/// The stack of a guest: wasmtime's part for WebAssembly, and with what the platform needs on top.
const STACK: usize = 1 << 20;
const WHOLE_STACK: usize = 2 << 20;

/// Between two looks whether a guest that computes must yield.
pub(super) const TICK: Duration = Duration::from_millis(5);

/// What compiling depends on.
fn common() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.max_wasm_stack(STACK);
    config.async_stack_size(WHOLE_STACK);
    config
}

/// An engine that compiles. It has no places for guests.
pub(super) fn compiling() -> wasmtime::Result<Engine> {
    Engine::new(&common())
}

/// The engine that a node's guests run in.
pub(super) fn running() -> wasmtime::Result<Engine> {
    let mut places = PoolingAllocationConfig::new();
    places
        .total_component_instances(GUESTS)
        .total_core_instances(GUESTS * USUAL)
        .total_memories(GUESTS * 2)
        .total_tables(GUESTS * USUAL)
        .total_stacks(GUESTS)
        .max_core_instances_per_component(MODULES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(MODULES)
        .max_tables_per_module(MEMORIES)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .table_elements(TABLE)
        .max_memory_size(MEMORY)
        .linear_memory_keep_resident(KEPT)
        .table_keep_resident(KEPT)
        .async_stack_keep_resident(KEPT)
        .pagemap_scan(Enabled::Auto);
    let mut config = common();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(places));
    Engine::new(&config)
}
