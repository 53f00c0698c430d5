//! Builds: what becomes of a source before it runs, and of builds that do their worst.

use std::process::Command;
use std::time::Instant;

use crate::harness::{Platform, Project, get, nodejs, run, tool, wait_for};

/// A function that is built by make, and one beside it that is not built.
const MADE: &str = r#"
[project]
name = "p"
[functions.made]
runtime = "command"
source = "made"
command = ["./run.sh"]
build = "make"
[routes]
"GET /" = "made"
"#;

/// Says what was made, and what a build sees of the world.
const MAKEFILE: &str = "build-made:\n\
    \tprintf '#!/bin/sh\\necho made of %s\\n' \"$$(cat word)\" > $(ARTIFACTS_DIR)/run.sh\n\
    \tchmod 755 $(ARTIFACTS_DIR)/run.sh\n";

fn made(word: &str, more: &str) -> Project {
    Project::new(&[
        ("aloft.toml", MADE),
        ("made/Makefile", &format!("{MAKEFILE}{more}")),
        ("made/word", word),
    ])
}

fn answer(platform: &Platform) -> String {
    get(&platform.url("/")).is(200).text()
}

#[test]
fn make_makes_the_code_and_what_fails_leaves_the_live_version_alone() {
    let project = made("one", "");
    let platform = project.start();
    assert_eq!(answer(&platform), "made of one\n");
    project.write("made/word", "two");
    wait_for("the new code", || {
        (answer(&platform) == "made of two\n").then_some(())
    });
    // What cannot be built is told with the line that says why, and what ran goes on.
    project.write(
        "made/Makefile",
        "build-made:\n\t@echo before\n\tcat there-is-none\n",
    );
    let failed = platform.event("the reload that failed", |event| {
        event["event"] == "reload" && event["ok"] == false
    });
    let error = failed["error"].as_str().unwrap();
    assert!(
        error.contains("`make build-made` failed: make: *** [Makefile:3: build-made] Error 1")
            && error.contains("there-is-none: No such file"),
        "{error}"
    );
    assert_eq!(answer(&platform), "made of two\n");
    project.write("made/Makefile", MAKEFILE);
    wait_for("a build again", || {
        (answer(&platform) == "made of two\n").then_some(())
    });
}

/// Neither the network nor files of the host are there for a build, and its output is followed.
#[test]
fn a_build_sees_nothing_of_the_host() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let probe = format!(
        "\t@test -e {} && echo sees-a-file || echo sees-no-file\n\
         \t@python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {port}), 2)' 2>/dev/null && echo sees-a-port || echo sees-no-port\n\
         \t@echo home is $$HOME, user is $$(id -u)\n",
        secret.path().display()
    );
    let project = made("x", &probe);
    let platform = project.start();
    project.write("made/word", "y");
    for line in ["sees-no-file", "sees-no-port", "home is /tmp, user is 1000"] {
        platform.event(line, |event| {
            event["event"] == "build" && event["message"] == line
        });
    }
    wait_for("the new code", || {
        (answer(&platform) == "made of y\n").then_some(())
    });
}

/// Each is ended, and told as what it is; the live version stays.
#[test]
fn builds_that_fork_fill_the_disk_take_memory_or_never_end_are_ended() {
    let project = made("one", "");
    let platform = project
        .dev()
        .with(&[
            "--build-timeout",
            "20s",
            "--build-memory",
            "256MB",
            "--build-disk",
            "64MB",
        ])
        .start();
    for (name, recipe, said) in [
        (
            "fill",
            "head -c 1G /dev/zero > /tmp/full",
            "wrote more than 64MB of files",
        ),
        (
            "eat",
            "python3 -c 'import sys; held = [bytearray(1 << 20) for _ in range(4096)]' || python -c 'x'",
            "used more than 256MB of memory",
        ),
        ("fork", "f() { f | f & f; }; f", ""),
        ("sleep", "sleep 1000", "did not end within 20s"),
    ] {
        project.write(
            "made/Makefile",
            &format!("SHELL = /bin/sh\nbuild-made:\n\t{recipe}\n# {name}\n"),
        );
        let began = Instant::now();
        let failed = platform.event(name, |event| {
            let error = event["error"].as_str().unwrap_or_default();
            event["event"] == "reload"
                && event["ok"] == false
                && error.contains("make build-made")
                && error.contains(said)
        });
        assert!(failed["changed"].to_string().contains("Makefile"), "{failed}");
        assert!(
            began.elapsed().as_secs() < 60,
            "{name} took {:?}",
            began.elapsed()
        );
        assert_eq!(answer(&platform), "made of one\n", "{name}");
    }
}

/// The artifact that `aloft dev` stored: its name is the hash of its content.
fn artifacts(project: &Project) -> Vec<String> {
    let blobs = project.data().join("blobs");
    let mut names = Vec::new();
    let mut folders = vec![blobs];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                names.push(entry.file_name().into_string().unwrap());
            }
        }
    }
    names.sort();
    names
}

const TYPESCRIPT: &str = r#"
[project]
name = "p"
[functions.hello]
runtime = "nodejs"
source = "functions"
handler = "src/hello.handler"
[routes]
"GET /" = "hello"
"#;

/// With a package of the registry, which is bundled, and without one that is for development.
#[test]
fn typescript_is_bundled_the_same_way_in_every_folder() {
    let files = [
        ("aloft.toml", TYPESCRIPT),
        (
            "functions/src/hello.ts",
            "import ms from 'ms';\nimport { greet } from './greet';\nexport const handler = async (event: object) => greet(ms(60000));\n",
        ),
        (
            "functions/src/greet.ts",
            "export const greet = (name: string): object => ({ statusCode: 200, body: `hello ${name}` });\n",
        ),
        (
            "functions/package.json",
            r#"{ "name": "x", "private": true, "dependencies": { "ms": "2.1.3" } }"#,
        ),
        ("functions/package-lock.json", LOCK),
    ];
    let (first, second) = (Project::new(&files), Project::new(&files));
    let platform = first.dev().programs(nodejs()).start();
    assert_eq!(answer(&platform), "hello 1m");
    first.write(
        "functions/src/greet.ts",
        "export const greet = (name: string) = ;\n",
    );
    let failed = platform.event("the reload that failed", |event| {
        event["event"] == "reload" && event["ok"] == false
    });
    let error = failed["error"].as_str().unwrap();
    assert!(
        error.contains("`esbuild src/hello.ts` failed:") && error.contains("src/greet.ts:1:"),
        "{error}"
    );
    assert_eq!(answer(&platform), "hello 1m");
    drop(platform);
    let platform = second.dev().programs(nodejs()).start();
    assert_eq!(answer(&platform), "hello 1m");
    drop(platform);
    assert_eq!(artifacts(&first), artifacts(&second));
}

/// What npm says of the package in the lock file.
const INTEGRITY: &str =
    "sha512-6FlzubTLZG3J2a/NVCAleEhjzq5oxgHyaCU9yYXvcLsvoVaHJq/s5xXI6/XXP6tz7R9xAOtHnSO/tXtF3WRTlA==";

/// A lock file of npm's, with the one package.
const LOCK: &str = r#"{
  "name": "x",
  "lockfileVersion": 3,
  "requires": true,
  "packages": {
    "": { "name": "x", "dependencies": { "ms": "2.1.3" } },
    "node_modules/ms": {
      "version": "2.1.3",
      "resolved": "https://registry.npmjs.org/ms/-/ms-2.1.3.tgz",
      "integrity": "sha512-6FlzubTLZG3J2a/NVCAleEhjzq5oxgHyaCU9yYXvcLsvoVaHJq/s5xXI6/XXP6tz7R9xAOtHnSO/tXtF3WRTlA==",
      "license": "MIT"
    }
  }
}
"#;

#[test]
fn a_lock_file_s_packages_are_installed_and_a_command_line_builds() {
    let project = Project::new(&[
        (
            "aloft.toml",
            r#"
[project]
name = "p"
[functions.plain]
runtime = "nodejs"
source = "plain"
handler = "index.handler"
[functions.built]
runtime = "http"
source = "built"
command = ["node", "server.js"]
build = "npm run build"
output = "dist"
[routes]
"GET /" = "plain"
"GET /built" = "built"
"#,
        ),
        (
            "plain/index.js",
            "const ms = require('ms');\nexports.handler = async () => ({ statusCode: 200, body: ms(1000) });\n",
        ),
        (
            "plain/package.json",
            r#"{ "name": "x", "private": true, "dependencies": { "ms": "2.1.3" } }"#,
        ),
        ("plain/package-lock.json", LOCK),
        (
            "built/server.js",
            "require('http').createServer((_, answer) => answer.end('WORD')).listen(process.env.PORT);\n",
        ),
        (
            "built/package.json",
            r#"{ "name": "y", "private": true, "scripts": { "build": "mkdir dist && sed s/WORD/built/ server.js > dist/server.js" } }"#,
        ),
    ]);
    let platform = project.dev().programs(nodejs()).start();
    assert_eq!(answer(&platform), "1s");
    assert_eq!(get(&platform.url("/built")).is(200).text(), "built");
}

/// Makes a wheel and a tarball of packages that no registry has, and says their hashes: sha256 of the wheel, npm's integrity of the tarball.
const PACKAGES: &str = r#"
import base64, hashlib, io, sys, tarfile, zipfile
folder = sys.argv[1]
wheel = folder + "/aloft_test_only-1-py3-none-any.whl"
with zipfile.ZipFile(wheel, "w") as made:
    made.writestr("aloft_test_only.py", "WORD = 'from a wheel'\n")
    about = "aloft_test_only-1.dist-info/"
    made.writestr(about + "METADATA", "Metadata-Version: 2.1\nName: aloft-test-only\nVersion: 1\n")
    made.writestr(about + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    made.writestr(about + "RECORD", "aloft_test_only.py,,\n%sMETADATA,,\n%sWHEEL,,\n%sRECORD,,\n" % (about, about, about))
with tarfile.open(folder + "/aloft-test-only-1.0.0.tgz", "w:gz") as made:
    for name, text in (("package.json", '{"name":"aloft-test-only","version":"1.0.0"}'), ("index.js", "module.exports = 'from a tarball'\n")):
        entry = tarfile.TarInfo("package/" + name)
        entry.size = len(text)
        made.addfile(entry, io.BytesIO(text.encode()))
print(hashlib.sha256(open(wheel, "rb").read()).hexdigest())
print("sha512-" + base64.b64encode(hashlib.sha512(open(folder + "/aloft-test-only-1.0.0.tgz", "rb").read()).digest()).decode())
"#;

/// What no registry has can only come from the folder.
#[test]
fn lock_files_are_installed_from_a_folder_of_wheels_and_tarballs() {
    let packages = tempfile::tempdir().unwrap();
    let mut make = Command::new(tool("python3"));
    let made = run(make.args(["-c", PACKAGES]).arg(packages.path()));
    let mut hashes = made.stdout.lines();
    let (wheel, tarball) = (hashes.next().unwrap(), hashes.next().unwrap());
    let project = Project::new(&[
        (
            "aloft.toml",
            r#"
[project]
name = "p"
[functions.python]
runtime = "python3"
source = "python"
handler = "app.handler"
[functions.node]
runtime = "nodejs"
source = "node"
handler = "app.handler"
[routes]
"GET /" = "python"
"GET /node" = "node"
"#,
        ),
        (
            "python/app.py",
            "import aloft_test_only\n\n\ndef handler(event, context):\n    return {\"statusCode\": 200, \"body\": aloft_test_only.WORD}\n",
        ),
        (
            "python/pyproject.toml",
            "[project]\nname = \"app\"\nversion = \"1\"\n",
        ),
        (
            "python/uv.lock",
            &format!(
                "version = 1\n[[package]]\nname = \"app\"\nversion = \"1\"\nsource = {{ virtual = \".\" }}\n\
                 dependencies = [{{ name = \"aloft-test-only\" }}]\n\
                 [[package]]\nname = \"aloft-test-only\"\nversion = \"1\"\nsource = {{ registry = \"https://pypi.org/simple\" }}\n\
                 wheels = [{{ url = \"https://files.example/aloft_test_only-1-py3-none-any.whl\", hash = \"sha256:{wheel}\" }}]\n"
            ),
        ),
        (
            "node/app.js",
            "const word = require('aloft-test-only');\nexports.handler = async () => ({ statusCode: 200, body: word });\n",
        ),
        (
            "node/package.json",
            r#"{ "name": "x", "private": true, "dependencies": { "aloft-test-only": "1.0.0" } }"#,
        ),
        (
            "node/package-lock.json",
            &LOCK
                .replace("2.1.3", "1.0.0")
                .replace("\"ms\"", "\"aloft-test-only\"")
                .replace("node_modules/ms", "node_modules/aloft-test-only")
                .replace("ms/-/ms-", "aloft-test-only/-/aloft-test-only-")
                .replace(INTEGRITY, tarball),
        ),
    ]);
    let folder = packages.path().to_str().unwrap();
    let dev = project.dev().programs(nodejs()).with(&["--packages", folder]);
    let platform = dev.start();
    assert_eq!(answer(&platform), "from a wheel");
    assert_eq!(get(&platform.url("/node")).is(200).text(), "from a tarball");
    drop(platform);
    // What the lock file does not say is refused, wherever it comes from.
    project.write("python/app.py", "def handler(event, context):\n    pass\n");
    let lock = std::fs::read_to_string(project.folder().join("python/uv.lock")).unwrap();
    project.write("python/uv.lock", &lock.replace(wheel, &"0".repeat(64)));
    let dev = project.dev().programs(nodejs()).with(&["--packages", folder]);
    let Err(refused) = dev.try_start() else {
        panic!("another wheel than the one that is locked was installed")
    };
    assert!(
        refused.stderr.contains("uv.lock could not be installed") && refused.stderr.contains(&"0".repeat(64)),
        "{refused}"
    );
}
