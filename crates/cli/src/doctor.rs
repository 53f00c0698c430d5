//! `aloft doctor`.

use serde_json::{Value, json};

use crate::args::Doctor;
use crate::exit::ExitCode;
use crate::print::say;

pub(crate) fn run(doctor: &Doctor) -> anyhow::Result<ExitCode> {
    let walls = aloft_sandbox::doctor(&aloft_sandbox::Config::default())?;
    let is_whole = walls.iter().all(|wall| wall.ok);
    if doctor.json {
        let items: Vec<Value> = walls
            .iter()
            .map(|wall| json!({ "wall": wall.wall, "ok": wall.ok, "detail": wall.detail, "fix": wall.fix }))
            .collect();
        say!("{}", json!({ "ok": is_whole, "items": items }));
    } else {
        let width = walls.iter().map(|wall| wall.wall.len()).max().unwrap_or(0);
        for wall in &walls {
            say!(
                "{} {:width$}  {}",
                if wall.ok { "ok " } else { "NO " },
                wall.wall,
                wall.detail
            );
            if let Some(fix) = &wall.fix {
                say!("    {:width$}  fix: {fix}", "");
            }
        }
    }
    Ok(if is_whole {
        ExitCode::Done
    } else {
        ExitCode::Failed
    })
}
