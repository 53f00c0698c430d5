//! Hosts that allow less than a sandbox needs, reproduced in namespaces of the test's own.

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
    let Err(end) = project.dev().inside(flags, line).try_start() else {
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
    let mut platform = project.dev().with(&["--no-sandbox"]).inside(flags, line).start();
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
    let mut platform = project.dev().inside(flags, line).start();
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
