//! With the machine's own interpreters, all of them.

use std::process::Command;

use super::*;
use crate::process::Pythons;

fn search_path() -> Vec<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect()
}

fn interpreters(pythons: &Pythons) -> Vec<Interpreter> {
    (0..40)
        .filter_map(|minor| pythons.get(Some(minor)).ok().cloned())
        .collect()
}

#[tokio::test]
async fn the_first_start_has_the_source_and_later_ones_what_was_compiled_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let pythons = Pythons::find(&search_path()).await;
    let bootstrap = Bootstrap::new(folder.path().join("runtime")).unwrap();
    let shown = Path::new("/var/runtime");
    for interpreter in interpreters(&pythons) {
        let (name, work) = bootstrap.script(&interpreter, shown);
        assert_eq!(name, "bootstrap.py");
        let (name, again) = bootstrap.script(&interpreter, shown);
        assert!(name == "bootstrap.py" && again.is_none(), "it is compiled once");
        work.unwrap().await.unwrap();
        let (name, again) = bootstrap.script(&interpreter, shown);
        assert!(again.is_none());
        assert_eq!(name, format!("bootstrap.{}.pyc", interpreter.runtime));
        // It runs, although the source is not where it says, and fails for want of the platform's variables.
        let output = Command::new(&interpreter.executable)
            .arg("-S")
            .arg(bootstrap.folder().join(&name))
            .env_clear()
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("File \"/var/runtime/bootstrap.py\"") && said.contains("LAMBDA_TASK_ROOT"),
            "{}: {said}",
            interpreter.runtime
        );
    }
    pythons.get(None).unwrap();
}

#[tokio::test]
async fn what_cannot_compile_is_started_with_the_source() {
    let folder = tempfile::tempdir().unwrap();
    let bootstrap = Bootstrap::new(folder.path().join("runtime")).unwrap();
    let broken = Interpreter {
        runtime: "python3.99".into(),
        executable: "/bin/false".into(),
        needs: vec![],
    };
    let shown = Path::new("/var/runtime");
    let (_, work) = bootstrap.script(&broken, shown);
    let error = work.unwrap().await.unwrap_err();
    assert!(error.to_string().contains("cannot be compiled"), "{error}");
    let (name, again) = bootstrap.script(&broken, shown);
    assert!(name == "bootstrap.py" && again.is_none());
}

/// What the json module would do with the same text and value, on every interpreter.
const JSON_TWIN: &str = r#"
import sys, json
sys.path.insert(0, sys.argv[1])
import bootstrap
from decimal import Decimal
ours = bootstrap.Json()
assert ("json" in sys.modules) and hasattr(ours, "scan"), "the C code of json is not used"

def outcome(f, *arguments):
    try:
        return repr(f(*arguments))
    except Exception as error:
        return type(error).__name__ + ": " + str(error)

for text in ['{}', '[1, 2.5, -0.0, 1e400, 123456789012345678901234567890]', '{"a":{"b":[null,true,false]},"a":2}', '"\\u00e4\\ud83d\\ude00"',
             ' {"a": 1} \n', '', '{', '{"a":1} x', '[1,]', '"\t"', 'NaN', '-Infinity', '"ä€😀"', 'nul', '\ufeff{}', '[' * 100000]:
    for data in (text.encode(), text.encode("utf-16")):
        theirs = outcome(json.loads, data)
        assert outcome(ours.loads, data) == theirs, (data[:50], theirs)
assert outcome(ours.loads, b'"\xff"') == outcome(json.loads, b'"\xff"')

circle = []
circle.append(circle)
deep = []
for _ in range(100000):
    deep = [deep]
encode = json.JSONEncoder(ensure_ascii=False, default=bootstrap.encode_other).encode
class Text(str): pass
class Number(int): pass
for value in [None, True, 1, -0.0, 1e400, float("nan"), "ä\u2028\"\\\x01", [], {}, {"a": [1, {"b": ()}]}, {1: 2, None: 3, True: 4, 1.5: 5}, Text("t"),
              Number(3), Decimal("1.50"), Decimal("3"), [Decimal("NaN")], circle, deep, {(1,): 2}, {1}, b"x", object, [[circle]], "\ud800"]:
    theirs = outcome(encode, value)
    for _ in range(2):
        assert outcome(ours.dumps, value) == theirs, (theirs, outcome(ours.dumps, value))
shared = [1]
try:
    ours.dumps([shared, object()])
except TypeError:
    pass
assert ours.dumps([shared, shared]) == "[[1], [1]]", "what failed before is taken for a circle"
"#;

#[tokio::test]
async fn json_is_read_and_written_as_the_json_module_does() {
    let folder = tempfile::tempdir().unwrap();
    let bootstrap = Bootstrap::new(folder.path().join("runtime")).unwrap();
    for interpreter in interpreters(&Pythons::find(&search_path()).await) {
        let output = Command::new(&interpreter.executable)
            .args(["-I", "-S", "-B", "-c", JSON_TWIN])
            .arg(bootstrap.folder())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", interpreter.runtime);
    }
}

/// After `kill -9` of the platform nothing writes into its folders any more. Here the source is a pipe that nobody writes.
#[tokio::test]
async fn compiling_ends_with_its_caller() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    let made = std::process::Command::new("mkfifo").arg(&source).status();
    assert!(made.unwrap().success());
    let mut command = tokio::process::Command::new("python3");
    command.args(["-I", "-S", "-c", COMPILE]).args([&source, &source]);
    command
        .arg(folder.path().join("compiled"))
        .stdin(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    drop(child.stdin.take());
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), child.wait()).await;
    assert_eq!(ended.expect("it goes on").unwrap().code(), Some(1));
}
