//! The projects that `aloft init` begins with. They lie in `templates/` as they are written, each a project that runs and whose tests
//! pass, and are part of the binary.
//!
//! Listed by hand: `include_dir`, the crate for this, is a macro whose result does not follow the folder on a stable compiler, and
//! `rust-embed` reads the folder of the machine that built it. A test holds the list against the folder.

/// A project to begin with.
pub(crate) struct Template {
    pub(crate) name: &'static str,
    /// What it is, in a few words.
    pub(crate) what: &'static str,
    /// Its tests' command, for people.
    pub(crate) test: &'static str,
    /// The function of the sample event, and that event's file.
    pub(crate) sample: (&'static str, &'static str),
    /// A request of its route, as arguments of curl without the address, and the path.
    pub(crate) request: (&'static str, &'static str),
    pub(crate) files: &'static [File],
}

/// A file of a template.
pub(crate) struct File {
    pub(crate) path: &'static str,
    pub(crate) text: &'static str,
}

impl File {
    /// Whether it is a program: what begins with an interpreter's name.
    pub(crate) fn is_program(&self) -> bool {
        self.text.starts_with("#!")
    }
}

/// What stands for the project's name in the files.
pub(crate) const NAME: &str = "my-project";

macro_rules! files {
    ($name:literal: $($path:literal)*) => {
        &[$(File { path: $path, text: include_str!(concat!("../templates/", $name, "/", $path)) }),*]
    };
}

const HELLO: (&str, &str) = ("hello", "events/hello.json");
const GREETING: (&str, &str) = ("", "/hello/Ada");

pub(crate) const TEMPLATES: &[Template] = &[
    Template {
        name: "python",
        what: "a function in Python",
        test: "python3 -m unittest",
        sample: HELLO,
        request: GREETING,
        files: files!("python": "README.md" "aloft.toml" "events/hello.json" "functions/hello.py" "test_hello.py"),
    },
    Template {
        name: "node",
        what: "a function in JavaScript",
        test: "node --test",
        sample: HELLO,
        request: GREETING,
        files: files!("node": "README.md" "aloft.toml" "events/hello.json" "functions/hello.mjs" "test/hello.test.mjs"),
    },
    Template {
        name: "typescript",
        what: "a function in TypeScript, bundled",
        test: "node --test",
        sample: HELLO,
        request: GREETING,
        files: files!("typescript": "README.md" "aloft.toml" "events/hello.json" "functions/hello.ts" "test/hello.test.ts"),
    },
    Template {
        name: "rust-wasm",
        what: "a WebAssembly component in Rust",
        test: "cargo test --manifest-path function/Cargo.toml --target-dir target",
        sample: HELLO,
        request: GREETING,
        files: files!("rust-wasm": "README.md" "aloft.toml" "events/hello.json" "function/Cargo.lock" "function/Cargo.toml"
            "function/src/component.rs" "function/src/lib.rs"),
    },
    Template {
        name: "js-wasm",
        what: "a WebAssembly component in JavaScript",
        test: "node --test",
        sample: HELLO,
        request: GREETING,
        files: files!("js-wasm": "README.md" "aloft.toml" "events/hello.json" "function/answer.mjs" "function/hello.js"
            "test/answer.test.mjs"),
    },
    Template {
        name: "http",
        what: "a server of its own",
        test: "python3 -m unittest",
        sample: HELLO,
        request: GREETING,
        files: files!("http": "README.md" "aloft.toml" "events/hello.json" "server/server.py" "test_server.py"),
    },
    Template {
        name: "command",
        what: "a program that runs once for each call",
        test: "sh test.sh",
        sample: ("words", "events/words.json"),
        request: ("-d 'one two' ", "/words"),
        files: files!("command": "README.md" "aloft.toml" "events/words.json" "filters/words.sh" "test.sh"),
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    fn walk(root: &Path, folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            // What their tests leave behind.
            if ["__pycache__", "node_modules", "target", "build"].contains(&name) {
                continue;
            }
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }

    #[test]
    fn every_file_of_a_template_is_in_the_binary_and_is_what_it_seems() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let names: BTreeSet<String> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let listed: BTreeSet<String> = TEMPLATES.iter().map(|one| one.name.to_owned()).collect();
        assert_eq!(listed, names);
        for template in TEMPLATES {
            let root = folder.join(template.name);
            let mut found = BTreeSet::new();
            walk(&root, &root, &mut found);
            let listed: BTreeSet<String> = template.files.iter().map(|file| file.path.to_owned()).collect();
            assert_eq!(listed, found, "{}", template.name);
            for file in template.files {
                let path = root.join(file.path);
                let is_program = fs::metadata(&path).unwrap().permissions().mode() & 0o111 != 0;
                assert!(!is_program || file.is_program(), "{}", path.display());
            }
        }
    }

    /// The page of each says the commands that `aloft init` says.
    #[test]
    fn every_template_says_how_it_is_used() {
        for template in TEMPLATES {
            let page = template
                .files
                .iter()
                .find(|file| file.path == "README.md")
                .unwrap()
                .text;
            let (function, event) = template.sample;
            let (arguments, path) = template.request;
            for command in [
                template.test.to_owned(),
                format!("aloft invoke {function} -e {event}"),
                format!("curl {arguments}http://localhost:8080{path}"),
            ] {
                assert!(page.contains(&command), "{}: {command}", template.name);
            }
        }
    }
}
