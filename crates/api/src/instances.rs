//! What runs now.

use aloft_base::Tenant;
use aloft_call::Qualifier;
use aloft_controller::Controller;
use serde_json::{Value, json};

/// One item for each function that has a pool.
pub(crate) fn instances(controller: &Controller, tenant: &Tenant) -> Value {
    let items: Vec<Value> = controller
        .status()
        .into_iter()
        .filter(|pool| pool.version.function.tenant == *tenant)
        .map(|pool| {
            let instances: Vec<Value> = pool
                .instances
                .iter()
                .map(|instance| {
                    json!({
                        "instance": instance.number,
                        "state": if instance.is_busy { "busy" } else { "idle" },
                        "calls": instance.calls,
                        "age_ms": u64::try_from(instance.age.as_millis()).unwrap_or(u64::MAX),
                        "memory_peak_bytes": instance.memory_peak,
                    })
                })
                .collect();
            json!({
                "function": pool.version.function.name.as_str(),
                "version": &*pool.version.id,
                "qualifier": Qualifier::numbered(pool.version.number).to_string(),
                "runtime": pool.version.program.runtime(),
                "starting": pool.starting,
                "waiting": pool.waiting,
                "instances": instances,
            })
        })
        .collect();
    json!({ "items": items })
}
