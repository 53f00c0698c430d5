//! What is looked up in the project's folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::*;

const FILE_TEXT: &str = "[project]\nname = \"p\"\n[functions.f]\nruntime = \"python3\"\nsource = \"code\"\nhandler = \"create.handler\"\n\
                         [routes]\n\"/\" = { static = \"web\" }\n";

/// A project with everything in its place.
fn project() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("code/pkg")).unwrap();
    fs::create_dir(dir.path().join("web")).unwrap();
    fs::write(dir.path().join("code/create.py"), "").unwrap();
    fs::write(dir.path().join("code/pkg/__init__.py"), "").unwrap();
    fs::write(dir.path().join("code/list.txt"), "").unwrap();
    dir
}

fn read(dir: &Path, text: &str) -> Result<Definition, Problems> {
    fs::write(dir.join("aloft.toml"), text).unwrap();
    Definition::read(dir)
}

fn requirements(definition: &Definition) -> Option<PathBuf> {
    definition.functions.values().next().unwrap().requirements.clone()
}

#[test]
fn a_project_on_disk_is_read() {
    let dir = project();
    assert_eq!(requirements(&read(dir.path(), FILE_TEXT).unwrap()), None);
    fs::write(dir.path().join("code/requirements.txt"), "").unwrap();
    assert_eq!(
        requirements(&read(dir.path(), FILE_TEXT).unwrap()),
        Some("requirements.txt".into())
    );
    let other = FILE_TEXT.replace("handler = ", "requirements = \"list.txt\"\nhandler = ");
    assert_eq!(
        requirements(&read(dir.path(), &other).unwrap()),
        Some("list.txt".into())
    );
    assert!(read(dir.path(), &FILE_TEXT.replace("create.handler", "pkg.handler")).is_ok());
}

#[test]
fn what_is_not_there_is_a_mistake() {
    let dir = project();
    for (from, to, place, message, nearest) in [
        (
            "\"code\"",
            "\"cod\"",
            (5, 10),
            "there is no folder \"cod\"",
            Some("code"),
        ),
        (
            "\"code\"",
            "\"code/create.py\"",
            (5, 10),
            "\"code/create.py\" is not a folder",
            None,
        ),
        (
            "create.handler",
            "crate.handler",
            (6, 11),
            "there is no file \"crate.py\" in code",
            Some("create.handler"),
        ),
        (
            "create.handler",
            "pkg.sub.handler",
            (6, 11),
            "there is no file \"pkg/sub.py\" in code",
            None,
        ),
        (
            "\"web\"",
            "\"wbe\"",
            (8, 18),
            "there is no folder \"wbe\"",
            Some("web"),
        ),
        (
            "\"create.handler\"",
            "\"create.handler\"\nrequirements = \"lst.txt\"",
            (7, 16),
            "there is no file \"lst.txt\"",
            Some("list.txt"),
        ),
    ] {
        let problems = read(dir.path(), &FILE_TEXT.replace(from, to)).unwrap_err().0;
        let [problem] = &problems[..] else {
            panic!("{problems:#?}")
        };
        assert_eq!((problem.line, problem.column), place, "{problem}");
        assert!(problem.message.contains(message), "{problem}");
        assert_eq!(problem.nearest.as_deref(), nearest, "{problem}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_one_problem() {
    let dir = tempfile::tempdir().unwrap();
    let problems = Definition::read(dir.path()).unwrap_err();
    assert!(problems.to_string().contains("cannot be read"), "{problems}");
    for (bytes, place, message) in [
        (b"[project]\n# \xc3\xa4\xff".to_vec(), (2, 4), "not UTF-8"),
        (vec![b'#'; MAX_FILE_BYTES + 10], (1, 1), "too large"),
        (
            [vec![b'#'; MAX_FILE_BYTES], b"\xc3\xa4".to_vec()].concat(),
            (1, 1),
            "too large",
        ),
    ] {
        fs::write(dir.path().join("aloft.toml"), bytes).unwrap();
        let problems = Definition::read(dir.path()).unwrap_err().0;
        assert_eq!((problems[0].line, problems[0].column), place);
        assert!(problems[0].message.contains(message), "{}", problems[0]);
    }
}

#[test]
fn the_sample_is_right() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/orders");
    let definition = Definition::read(&sample).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(definition.project.name, "orders");
}

#[test]
fn a_handlers_file_lies_where_its_language_looks() {
    let dir = project();
    for file in ["app.js", "module.mjs", "bootstrap"] {
        fs::write(dir.path().join("code").join(file), "").unwrap();
    }
    let with = |runtime: &str, handler: &str| {
        let text = FILE_TEXT
            .replace("python3", runtime)
            .replace("create.handler", handler);
        read(dir.path(), &text)
    };
    for (runtime, handler) in [
        ("nodejs", "app.run"),
        ("nodejs22.x", "module.a.b"),
        ("provided.al2023", "anything"),
    ] {
        let definition = with(runtime, handler).unwrap();
        let function = definition.functions.values().next().unwrap();
        assert_eq!(
            (function.runtime.to_string(), &*function.handler),
            (runtime.to_owned(), handler)
        );
    }
    for (runtime, handler, message, nearest) in [
        (
            "nodejs",
            "ap.run",
            "there is no file \"ap.js\" in code",
            Some("app.run"),
        ),
        ("nodejs", "app", "the handler \"app\" is not valid", None),
        ("provided", "a b", "the handler \"a b\" is not valid", None),
        (
            "nodejs",
            "app.run\"\nrequirements = \"list.txt",
            "is for Python only",
            None,
        ),
    ] {
        let problems = with(runtime, handler).unwrap_err().0;
        assert!(problems[0].message.contains(message), "{}", problems[0]);
        assert_eq!(problems[0].nearest.as_deref(), nearest, "{}", problems[0]);
    }
    fs::remove_file(dir.path().join("code/bootstrap")).unwrap();
    let problems = with("provided", "x").unwrap_err().0;
    assert!(
        problems[0].message.contains("there is no file \"bootstrap\""),
        "{}",
        problems[0]
    );
}

/// What a build will make need not be there, as long as what it is made of is.
#[test]
fn a_handler_s_file_may_be_built() {
    let dir = project();
    let file = |runtime: &str, handler: &str, build: &str| {
        format!(
            "[project]\nname = \"p\"\n[functions.f]\nruntime = \"{runtime}\"\nsource = \"code\"\nhandler = \"{handler}\"\nbuild = \"{build}\"\n"
        )
    };
    let is_right = |runtime, handler, build| read(dir.path(), &file(runtime, handler, build)).is_ok();
    assert!(!is_right("nodejs", "app.handler", "auto"));
    assert!(is_right("nodejs", "app.handler", "make"));
    fs::write(dir.path().join("code/app.ts"), "").unwrap();
    assert!(is_right("nodejs", "app.handler", "auto"));
    assert!(!is_right("nodejs", "app.handler", "none"));
    assert!(!is_right("nodejs", "other.handler", "auto"));
    assert!(is_right("wasm", "app.wasm", "auto"));
    assert!(!is_right("wasm", "app.wasm", "none"));
    assert!(!is_right("wasm", "other.wasm", "auto"));
    fs::write(dir.path().join("code/Cargo.toml"), "").unwrap();
    assert!(is_right("wasm", "other.wasm", "auto"));
    assert!(is_right("provided", "x", "zip it"));
}
