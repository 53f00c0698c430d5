//! `aloft doctor`.

use serde_json::{Value, json};

use crate::args::Doctor;
use crate::exit::ExitCode;
use crate::print::say;

pub(crate) fn run(doctor: &Doctor) -> anyhow::Result<ExitCode> {
    let walls = aloft_sandbox::doctor(&aloft_sandbox::Config::default())?;
    let is_whole = walls.iter().all(|wall| wall.ok);
    let obstacle = aloft_sandbox::obstacle(&walls);
    if doctor.json {
        let items: Vec<Value> = walls
            .iter()
            .map(|wall| json!({ "wall": wall.wall, "ok": wall.ok, "needed": wall.needed, "detail": wall.detail, "fix": wall.fix }))
            .collect();
        say!(
            "{}",
            json!({ "ok": is_whole, "sandbox": obstacle.is_none(), "items": items })
        );
    } else {
        let width = walls.iter().map(|wall| wall.wall.len()).max().unwrap_or(0);
        for wall in &walls {
            say!(
                "{} {:width$}  {}",
                match (wall.ok, wall.needed) {
                    (true, _) => "ok  ",
                    (false, true) => "NO  ",
                    (false, false) => "weak",
                },
                wall.wall,
                wall.detail
            );
            if let Some(fix) = &wall.fix {
                say!("     {:width$}  fix: {fix}", "");
            }
        }
        say!("");
        match (is_whole, &obstacle) {
            (true, _) => say!("Functions run in sandboxes with every wall."),
            (false, None) => say!("Functions run in sandboxes; what is weak is said above."),
            (false, Some(_)) => say!(
                "No function can be run in a sandbox here: `aloft dev` refuses a project with functions, unless you choose \
                 --no-sandbox: {}.",
                aloft_sandbox::Isolation::GIVEN_UP
            ),
        }
    }
    Ok(if is_whole {
        ExitCode::Done
    } else {
        ExitCode::Failed
    })
}
