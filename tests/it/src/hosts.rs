//! Hosts of other shapes: some allow less than a sandbox needs, reproduced in namespaces of the test's own; others have their
//! interpreters in places where something else lies, too.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Project, get, inside, run, wait_for};

const DEFINITION: &str = r#"[project]
name = "hosts"
[functions.hello]
runtime = "python3"
source = "functions"
handler = "hello.handler"
[routes]
"GET /hello" = "hello"
"#;

const HELLO: &str = "def handler(event, context):\n    return 'well'\n";

/// What forbids user namespaces to whatever is started in it, and to nobody else.
const FORBIDDEN: (&str, &str) = ("-Ur", "echo 0 > /proc/sys/user/max_user_namespaces");

fn project() -> Project {
    Project::new(&[("aloft.toml", DEFINITION), ("functions/hello.py", HELLO)])
}

/// It must not look ready while no request could be served.
#[test]
fn a_project_with_functions_is_refused_where_no_sandbox_can_be_made() {
    let project = project();
    let (flags, line) = FORBIDDEN;
    let Err(end) = project.dev().within(inside(flags, line)).try_start() else {
        panic!("it came up although none of its functions can run");
    };
    assert_eq!(end.code, Some(6), "{end}");
    for word in [
        "user.max_user_namespaces is 0",
        "sysctl -w user.max_user_namespaces=",
        "--no-sandbox",
    ] {
        assert_eq!(end.stderr.matches(word).count(), 1, "{word:?} once in {end}");
    }
}

#[test]
fn no_sandbox_is_a_choice_that_says_what_it_gives_up() {
    let project = project();
    let (flags, line) = FORBIDDEN;
    let mut platform = project
        .dev()
        .with(&["--no-sandbox"])
        .within(inside(flags, line))
        .start();
    assert_eq!(get(&platform.url("/hello")).is(200).text(), "well");
    platform.signal(rustix::process::Signal::TERM);
    let end = platform.finish();
    assert!(end.stderr.contains("they can read and write your files"), "{end}");
}

/// Without functions nothing is missing; once there are some, the reload says why they do not run.
#[test]
fn a_project_without_functions_starts_with_a_warning_and_refuses_those_that_come() {
    let project = project();
    project.write("aloft.toml", "[project]\nname = \"hosts\"\n");
    let (flags, line) = FORBIDDEN;
    let mut platform = project.dev().within(inside(flags, line)).start();
    project.write("aloft.toml", DEFINITION);
    let reload = platform.event("the reload", |event| event["event"] == "reload");
    assert_eq!(reload["ok"], false, "{reload}");
    assert!(
        reload.to_string().contains("user.max_user_namespaces is 0"),
        "{reload}"
    );
    wait_for("the route is not there", || {
        (get(&platform.url("/hello")).status == 404).then_some(())
    });
    platform.signal(rustix::process::Signal::TERM);
    let end = platform.finish();
    assert!(
        end.stderr.contains("a project with functions is refused"),
        "{end}"
    );
}

#[test]
fn doctor_says_what_a_missing_wall_means() {
    let (flags, line) = FORBIDDEN;
    let report = run(inside(flags, line).args(["doctor", "--json"]));
    assert_eq!(report.code, Some(1), "{report}");
    let json = report.json();
    assert_eq!(
        (&json["ok"], &json["sandbox"]),
        (&false.into(), &false.into()),
        "{json}"
    );
    let text = run(inside(flags, line).arg("doctor"));
    assert!(
        text.stdout
            .contains("`aloft dev` refuses a project with functions"),
        "{text}"
    );

    let whole = run(inside("-Ur", "true").args(["doctor", "--json"])).json();
    assert_eq!(
        whole["sandbox"], true,
        "a user namespace alone takes nothing away: {whole}"
    );
}

/// What a function can see of a folder, and whether an interpreter is whole.
const LOOKS: &str = r#"
import os
import sys


def handler(event, context):
    import bz2, ctypes, decimal, hashlib, sqlite3, ssl, subprocess, zlib, zoneinfo

    place = os.environ["PLACE"]
    child = subprocess.run([sys.executable, "-S", "-c", "import json; print(1 + 1)"], capture_output=True, text=True)
    return {
        "prefix": sys.base_prefix,
        "executable": sys.executable,
        "child": child.stdout + child.stderr,
        "local": os.listdir("/usr/local") if os.path.exists("/usr/local") else [],
        "seen": sorted(os.path.relpath(os.path.join(where, name), place)
            for where, folders, files in os.walk(place) for name in folders + files if "/lib/python" not in where),
    }
"#;

/// The version of this machine's python3, its executable and the folder of its library.
fn python() -> (String, PathBuf, PathBuf) {
    let ask = "import os, sys; print('%d.%d' % sys.version_info[:2], os.path.realpath(sys.executable), os.path.dirname(os.__file__))";
    let said = run(Command::new("python3").args(["-I", "-c", ask])).stdout;
    let [version, executable, library] = said.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("{said}");
    };
    (version.into(), executable.into(), library.into())
}

/// Has a function on the interpreter in `programs` look at `place`.
fn look(version: &str, programs: &Path, place: &Path) -> serde_json::Value {
    let definition = DEFINITION.replace("\"python3\"", &format!("\"python{version}\""));
    let definition = definition.replace(
        "[routes]",
        &format!("environment = {{ PLACE = {:?} }}\n[routes]", place.display()),
    );
    let project = Project::new(&[("aloft.toml", &definition), ("functions/hello.py", LOOKS)]);
    let platform = project.dev().programs(programs.to_owned()).start();
    let seen = get(&platform.url("/hello")).is(200).json();
    assert_eq!(seen["child"], "2\n", "it can start itself: {seen}");
    let local = seen["local"].as_array().unwrap();
    assert!(
        !local.iter().any(|name| name == "etc" || name == "share"),
        "{seen}"
    );
    seen
}

/// As with `make install --prefix=~/.local`: a home's other files are nobody's business.
#[test]
fn of_an_interpreters_prefix_a_function_sees_only_what_the_interpreter_needs() {
    let (version, executable, library) = python();
    let home = tempfile::tempdir().unwrap();
    // The sandbox's user must be able to read what is mounted, and only that.
    let prefix = home.path().canonicalize().unwrap().join("local");
    let name = format!("python{version}");
    for folder in ["bin", "lib", "share/keyrings"] {
        std::fs::create_dir_all(prefix.join(folder)).unwrap();
    }
    std::fs::copy(executable, prefix.join("bin").join(&name)).unwrap();
    symlink(&name, prefix.join("bin/python3")).unwrap();
    symlink(library, prefix.join("lib").join(&name)).unwrap();
    for secret in ["bin/deploy", "lib/libother.so", "share/keyrings/login", "notes"] {
        std::fs::write(prefix.join(secret), "secret").unwrap();
    }
    let seen = look(&version, &prefix.join("bin"), &prefix);
    assert_eq!(seen["prefix"], prefix.to_str().unwrap(), "{seen}");
    let expected = ["bin", &format!("bin/{name}"), "lib", &format!("lib/{name}")];
    assert_eq!(seen["seen"], serde_json::json!(expected), "{seen}");
}

/// A virtual environment on the PATH stands for the interpreter that it was made from, whichever way it was made.
#[test]
fn an_interpreter_of_a_virtual_environment_runs() {
    let (version, executable, _) = python();
    let place = tempfile::tempdir().unwrap();
    for way in ["--copies", "--symlinks"] {
        let folder = place.path().join(way);
        let made = run(Command::new("python3")
            .args(["-m", "venv", "--without-pip", way])
            .arg(&folder));
        assert_eq!(made.code, Some(0), "{made}");
        let seen = look(&version, &folder.join("bin"), &folder);
        assert_eq!(seen["executable"], executable.to_str().unwrap(), "{seen}");
        assert_eq!(seen["seen"], serde_json::json!([]), "{seen}");
    }
}
