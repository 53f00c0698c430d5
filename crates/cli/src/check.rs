//! `aloft check`.

use aloft_definition::Definition;
use serde_json::json;

use crate::args::Check;
use crate::exit::ExitCode;
use crate::print::say;

pub(crate) fn run(check: &Check) -> anyhow::Result<ExitCode> {
    let problems = match Definition::read(&check.dir) {
        Ok(definition) => {
            if check.json {
                say!("{}", json!({ "ok": true, "problems": [] }));
            } else {
                let parts = [
                    ("function", definition.functions.len()),
                    ("route", definition.routes.len()),
                    ("table", definition.tables.len()),
                    ("rule", definition.rules.len()),
                ];
                let parts =
                    parts.map(|(word, count)| format!("{count} {word}{}", if count == 1 { "" } else { "s" }));
                say!("{} is right: {}", definition.project.name, parts.join(", "));
            }
            return Ok(ExitCode::Done);
        }
        Err(mut problems) => {
            // From where the command runs, so that an editor can go there.
            for problem in &mut problems.0 {
                let file = check.dir.join(&problem.file);
                problem.file = file.strip_prefix(".").unwrap_or(&file).display().to_string();
            }
            problems
        }
    };
    if check.json {
        say!("{}", json!({ "ok": false, "problems": problems.0 }));
    } else {
        eprintln!("{problems}");
    }
    Ok(ExitCode::Usage)
}
