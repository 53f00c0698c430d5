//! `aloft init`: a project to begin with.
//!
//! It writes all of a template's files or none: whatever is there already is looked for before the first is written, and each is made
//! only if it is not there yet.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aloft_base::ErrorKind;
use aloft_definition::{Definition, FILE};
use anyhow::Context as _;
use serde_json::json;

use crate::args::Init;
use crate::exit::{ExitCode, Refused, unusable};
use crate::print::say;
use crate::templates::{NAME, TEMPLATES, Template};

/// The longest name of a project.
const LONGEST: usize = 64;

pub(crate) fn run(init: &Init) -> anyhow::Result<ExitCode> {
    let Some(wanted) = &init.template else {
        list(init.json);
        return Ok(ExitCode::Done);
    };
    let template = TEMPLATES.iter().find(|one| one.name == wanted);
    let template = template.ok_or_else(|| {
        let names: Vec<&str> = TEMPLATES.iter().map(|one| one.name).collect();
        unusable(format!(
            "there is no template \"{wanted}\"; there are {}",
            names.join(", ")
        ))
    })?;
    let name = match &init.name {
        Some(name) => name.clone(),
        None => name_of(&init.dir),
    };
    let files: Vec<(&str, String, u32)> = template
        .files
        .iter()
        .map(|file| {
            let mode = if file.is_program() { 0o777 } else { 0o666 };
            (file.path, file.text.replace(NAME, &name), mode)
        })
        .collect();
    check(&name, &files)?;
    make(&init.dir, &files)?;
    tell(init, template, &name);
    Ok(ExitCode::Done)
}

fn list(is_json: bool) {
    if is_json {
        let items: Vec<_> = TEMPLATES
            .iter()
            .map(|one| json!({ "name": one.name, "what": one.what }))
            .collect();
        return say!("{}", json!({ "items": items }));
    }
    for template in TEMPLATES {
        say!("{:<12} {}", template.name, template.what);
    }
    eprintln!("\nbegin with one of them: aloft init DIR --template NAME");
}

/// A project's name from its folder's: what may not stand in one becomes a hyphen.
fn name_of(dir: &Path) -> String {
    let full = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let folder = full
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let is_fine = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let name: String = folder
        .chars()
        .map(|letter| if is_fine(letter) { letter } else { '-' })
        .take(LONGEST)
        .collect();
    let name = name.trim_matches('-');
    if name.is_empty() { NAME } else { name }.to_owned()
}

/// Whether what would be written is right; the name is what can be wrong with it.
fn check(name: &str, files: &[(&str, String, u32)]) -> anyhow::Result<()> {
    let definition = files.iter().find(|(path, ..)| *path == FILE);
    let text = definition.map(|(_, text, _)| text.as_str()).unwrap_or_default();
    let parsed = Definition::parse(text, FILE, None);
    parsed.map(drop).map_err(|problems| {
        let first = problems.0.first();
        let expected = first
            .and_then(|problem| problem.expected.as_deref())
            .unwrap_or_default();
        unusable(format!(
            "a project cannot be called {name:?}: {expected} are expected"
        ))
    })
}

fn make(dir: &Path, files: &[(&str, String, u32)]) -> anyhow::Result<()> {
    let taken: Vec<&str> = files
        .iter()
        .map(|(path, ..)| *path)
        .filter(|path| fs::symlink_metadata(dir.join(path)).is_ok())
        .collect();
    if !taken.is_empty() {
        return Err(Refused {
            kind: ErrorKind::Conflict,
            message: format!(
                "{} already has {}: nothing was written; name another folder, or move them away",
                dir.display(),
                taken.join(", ")
            ),
        }
        .into());
    }
    for (path, text, mode) in files {
        let file = dir.join(path);
        let folder = file.parent().unwrap_or(dir);
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(*mode)
            .open(&file)
            .and_then(|mut open| open.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// What there is now, and what to do next.
fn tell(init: &Init, template: &Template, name: &str) {
    let (function, event) = template.sample;
    let (arguments, path) = template.request;
    let mut next = vec![
        template.test.to_owned(),
        "aloft dev".to_owned(),
        format!("aloft invoke {function} -e {event}"),
        format!("curl {arguments}http://localhost:8080{path}"),
    ];
    if init.dir != Path::new(".") {
        next.insert(0, format!("cd {}", quoted(&init.dir.display().to_string())));
    }
    if init.json {
        let files: Vec<&str> = template.files.iter().map(|file| file.path).collect();
        let made = json!({
            "name": name, "template": template.name, "dir": init.dir.display().to_string(), "files": files, "next": next,
        });
        return say!("{made}");
    }
    say!("{name}, {}, is in {}", template.what, init.dir.display());
    eprintln!("\nnext, the last two in another terminal:");
    for command in next {
        eprintln!("  {command}");
    }
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-".contains(letter);
    if word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_s_name_becomes_a_project_s() {
        for (folder, name) in [
            ("shop", "shop"),
            ("/tmp/My Shop!", "my-shop"),
            ("../Größe_2", "gr--e-2"),
            ("/", NAME),
            ("---", NAME),
        ] {
            assert_eq!(name_of(Path::new(folder)), name, "{folder}");
        }
        assert!(name_of(Path::new(&"x".repeat(99))).len() <= LONGEST);
    }
}
