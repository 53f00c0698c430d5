//! A function's handler: what it may be depends on the language, and so does where its file lies.

use std::path::{Path, PathBuf};

use super::files::{self, Kind};
use crate::keys::Key;
use crate::read::{Block, Checker, quoted};
use crate::types::{Build, Runtime};

/// Lambda's bound.
const LONGEST: usize = 128;
/// What a file of a handler in Node.js may end with, in the order in which the runtime looks.
const NODE_ENDS: [&str; 4] = ["", ".js", ".mjs", ".cjs"];
/// And before it is bundled.
const TYPESCRIPT_ENDS: [&str; 6] = ["", ".js", ".mjs", ".cjs", ".ts", ".mts"];
/// What a component is built from, besides a script of the handler's name with one of these ends.
const CRATE: &str = "Cargo.toml";
const SCRIPT_ENDS: [&str; 2] = [".js", ".ts"];
/// What the file of a WebAssembly component ends with.
const WASM: &str = ".wasm";

/// Reads the handler, and looks for its file in the source's folder, if there is one.
pub(super) fn read(
    checker: &mut Checker<'_>,
    block: &Block<'_>,
    key: &Key,
    folder: Option<&Path>,
    (runtime, build): (Option<Runtime>, &Build),
) -> Option<String> {
    if let Some(runtime) = runtime.filter(|runtime| runtime.has_command()) {
        if let Some(entry) = block.get(key.name) {
            let message = format!("\"handler\" is not for the runtime \"{runtime}\"");
            checker.report(&entry.at, message, "\"command\", which starts the program");
        }
        return Some(String::new());
    }
    let found = checker.required_text(block, key)?;
    let handler = match runtime? {
        Runtime::Python3 { .. } => parse_python(found.text),
        Runtime::Node { .. } => parse_node(found.text),
        Runtime::Wasm => parse_wasm(found.text),
        Runtime::Provided { .. } | Runtime::Http | Runtime::Command => parse_own(found.text),
    };
    let Some(handler) = handler else {
        checker.report(
            &found.at,
            format!("the handler {} is not valid", quoted(found.text)),
            key.expected(),
        );
        return None;
    };
    if let (Some(dir), Some(folder)) = (checker.dir, folder) {
        let base = dir.join(folder);
        let is_auto = *build == Build::Auto;
        let is_component = runtime == Some(Runtime::Wasm);
        let is_script = |end: &&str| base.join(format!("{}{end}", handler.file)).is_file();
        let is_built =
            is_auto && is_component && (base.join(CRATE).is_file() || SCRIPT_ENDS.iter().any(is_script));
        if build.is_own() || is_built {
            return Some(handler.text);
        }
        let ends: &[&str] = match runtime? {
            Runtime::Python3 { .. } => &[".py", "/__init__.py"],
            Runtime::Node { .. } if is_auto => &TYPESCRIPT_ENDS,
            Runtime::Node { .. } => &NODE_ENDS,
            Runtime::Wasm => &[WASM],
            Runtime::Provided { .. } | Runtime::Http | Runtime::Command => &[""],
        };
        if !ends
            .iter()
            .any(|end| base.join(format!("{}{end}", handler.file)).is_file())
        {
            let usual = match runtime? {
                Runtime::Python3 { .. } => ".py",
                Runtime::Node { .. } => ".js",
                Runtime::Wasm => WASM,
                Runtime::Provided { .. } | Runtime::Http | Runtime::Command => "",
            };
            let file = PathBuf::from(format!("{}{usual}", handler.file));
            let message = format!("there is no file \"{}\" in {}", file.display(), folder.display());
            let near = files::near_entry(&base, &file, Kind::File)
                .and_then(|near| Some((handler.named)(near.strip_suffix(usual)?)));
            let expected = match runtime? {
                Runtime::Python3 { .. } => "the handler of a Python file in the function's source",
                Runtime::Node { .. } => "the handler of a JavaScript file in the function's source",
                Runtime::Wasm => "a WebAssembly component in the function's source",
                Runtime::Provided { .. } | Runtime::Http | Runtime::Command => {
                    "an executable file of this name in the function's source"
                }
            };
            checker.report_near(&found.at, message, expected, near);
        }
    }
    Some(handler.text)
}

/// A handler that is valid.
struct Handler {
    /// As the runtime reads it.
    text: String,
    /// The file in the source's folder, without its end.
    file: String,
    /// The handler with another file.
    named: Box<dyn Fn(&str) -> String>,
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// Lambda's rule: after the last dot is the function, before it the module, with dots or slashes.
fn parse_python(text: &str) -> Option<Handler> {
    let (module, function) = text.rsplit_once('.')?;
    let is_name =
        is_word(function) && !function.contains('-') && !function.starts_with(|c: char| c.is_numeric());
    let module = module.replace('/', ".");
    let function = function.to_owned();
    (text.len() <= LONGEST && is_name && module.split('.').all(is_word)).then(|| Handler {
        text: format!("{module}.{function}"),
        file: module.replace('.', "/"),
        named: Box::new(move |file| format!("{}.{function}", file.replace('/', "."))),
    })
}

/// Lambda's rule: after the first dot of the file's name is what is exported, nested with dots; before it is the file.
fn parse_node(text: &str) -> Option<Handler> {
    let (folder, name) = text
        .rsplit_once('/')
        .map_or((None, text), |(folder, name)| (Some(folder), name));
    let (file, exported) = name.split_once('.')?;
    let is_export =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || "_$".contains(c));
    let is_valid = folder.is_none_or(|folder| folder.split('/').all(is_word))
        && is_word(file)
        && exported.split('.').all(is_export);
    let file = folder.map_or_else(|| file.to_owned(), |folder| format!("{folder}/{file}"));
    let exported = exported.to_owned();
    (text.len() <= LONGEST && is_valid).then(|| Handler {
        text: text.to_owned(),
        file,
        named: Box::new(move |file| format!("{file}.{exported}")),
    })
}

/// A component's file, with its end.
fn parse_wasm(text: &str) -> Option<Handler> {
    let file = text.strip_suffix(WASM)?;
    let is_name = |part: &str| part.split('.').all(is_word);
    (text.len() <= LONGEST && file.split('/').all(is_name)).then(|| Handler {
        text: text.to_owned(),
        file: file.to_owned(),
        named: Box::new(|file| format!("{file}{WASM}")),
    })
}

/// Free text, which the program may read; the program is always `bootstrap`.
fn parse_own(text: &str) -> Option<Handler> {
    let is_valid = !text.is_empty() && text.len() <= LONGEST && !text.contains(char::is_whitespace);
    let given = text.to_owned();
    is_valid.then(|| Handler {
        text: text.to_owned(),
        file: "bootstrap".to_owned(),
        named: Box::new(move |_| given.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_of_wasm_is_a_component_s_file() {
        assert_eq!(parse_wasm("app.wasm").unwrap().file, "app");
        assert_eq!(
            parse_wasm("build/app.component.wasm").unwrap().file,
            "build/app.component"
        );
        for bad in [
            "app",
            ".wasm",
            "/app.wasm",
            "../app.wasm",
            "a//b.wasm",
            "a..b.wasm",
            "a b.wasm",
        ] {
            assert!(parse_wasm(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_handler_of_node_is_split_at_the_first_dot_of_its_file() {
        for (text, file) in [
            ("index.handler", "index"),
            ("src/app.run", "src/app"),
            ("a-b/c_d/e.x.y.$z", "a-b/c_d/e"),
        ] {
            assert_eq!(parse_node(text).unwrap().file, file, "{text}");
        }
        for bad in [
            "index", "index.", ".handler", "../x.y", "a//b.c", "/a.b", "a.b-c", "a.b..c", "a b.c",
        ] {
            assert!(parse_node(bad).is_none(), "{bad}");
        }
    }
}
