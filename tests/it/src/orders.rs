//! The sample's whole story, told by a script with an unmodified SDK and real HTTP.

use crate::harness::{Project, script};

#[test]
fn the_order_service_runs_end_to_end() {
    let project = Project::example("orders");
    let platform = project.start();
    script("orders.py", &[&platform.app, &platform.api], &platform.exports());
}
