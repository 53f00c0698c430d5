//! Several tenants on one node: who may what, and what of it survives.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Finished, Platform, Project, aloft, call, script};

/// A service, and its data folder.
fn service() -> (Project, Platform) {
    let project = Project::new(&[]);
    let platform = project.dev().served().start();
    (project, platform)
}

/// An `aloft` command for the service of a data folder.
fn command(data: &Path, arguments: &[&str]) -> Finished {
    let mut all = arguments.to_vec();
    all.extend(["--data", data.to_str().unwrap()]);
    aloft(data, &all)
}

fn json(data: &Path, arguments: &[&str]) -> Value {
    let mut all = arguments.to_vec();
    all.push("--json");
    let finished = command(data, &all);
    assert_eq!(finished.code, Some(0), "{finished}");
    finished.json()
}

/// What an SDK needs to be somebody there.
fn exports<'a>(platform: &'a Platform, key: &'a Value) -> [(&'a str, &'a str); 5] {
    let mut exports = platform.exports();
    for (name, value) in &mut exports {
        match *name {
            "AWS_ACCESS_KEY_ID" => *value = key["access_key_id"].as_str().unwrap(),
            "AWS_SECRET_ACCESS_KEY" => *value = key["secret_access_key"].as_str().unwrap(),
            _ => {}
        }
    }
    exports
}

#[test]
fn tenants_are_apart_and_keys_are_theirs() {
    let (project, platform) = service();
    let data = project.data();
    let acme = json(&data, &["tenant", "add", "acme"]);
    let id = acme["id"].as_str().unwrap();
    assert!(id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit()), "{acme}");
    assert_eq!(acme["name"], "acme");
    json(&data, &["tenant", "add", "beta"]);
    let [first, second] = ["acme", "beta"].map(|name| json(&data, &["key", "create", "--tenant", name]));
    // Each tenant does the same under the same names, and meets nothing of the other.
    for (key, name) in [(&first, "acme"), (&second, "beta")] {
        script("tenants.py", &["own", name], &exports(&platform, key));
    }
    script("tenants.py", &["apart", id], &exports(&platform, &second));
    // A function's credentials are good outside its sandbox in what was signed for later alone.
    script("tenants.py", &["session"], &exports(&platform, &first));
    // What is there by name keeps its tenant.
    let refused = command(&data, &["tenant", "remove", "acme"]);
    assert_eq!(refused.code, Some(6), "{refused}");
    assert!(refused.stderr.contains("still has"), "{refused}");

    let kept = json(&data, &["key", "ls", "--tenant", "acme"]);
    assert_eq!(kept["items"][0]["access_key_id"], first["access_key_id"]);
    let revoked = command(
        &data,
        &["key", "revoke", first["access_key_id"].as_str().unwrap()],
    );
    assert_eq!(revoked.code, Some(0), "{revoked}");
    script("tenants.py", &["refused"], &exports(&platform, &first));

    // It is all there after `kill -9`, and no secret lies in the folder.
    platform.kill();
    let platform = project.dev().served().start();
    script("tenants.py", &["refused"], &exports(&platform, &first));
    script("tenants.py", &["again", "beta"], &exports(&platform, &second));
    let secret = second["secret_access_key"].as_str().unwrap();
    let found = crate::harness::run(std::process::Command::new("grep").args([
        "-r",
        "-l",
        "-F",
        "-e",
        secret,
        data.to_str().unwrap(),
    ]));
    assert_eq!(found.code, Some(1), "{found}");
}

#[test]
fn whoever_runs_a_service_and_nobody_else_makes_tenants() {
    let (project, platform) = service();
    let data = project.data();
    json(&data, &["tenant", "add", "acme"]);
    let administrator = json(&data, &["key", "create", "--admin"]);
    let tenant = json(&data, &["key", "create", "--tenant", "acme"]);
    let from_anywhere = |key: &Value, name: &str| {
        let mut command = std::process::Command::new(crate::harness::binary());
        command.args(["tenant", "add", name, "--json", "--to", &platform.api]);
        crate::harness::quiet_aws(&mut command).envs(exports(&platform, key));
        crate::harness::run(&mut command)
    };
    let made = from_anywhere(&administrator, "gamma");
    assert_eq!(made.code, Some(0), "{made}");
    let refused = from_anywhere(&tenant, "delta");
    assert_eq!(refused.code, Some(6), "{refused}");
    assert!(refused.stderr.contains("whoever runs the node"), "{refused}");
    for headers in [&[][..], &[("authorization", "Bearer x")]] {
        let url = format!("{}/_aloft/tenants", platform.api);
        call("GET", &url, headers, b"").is(403);
    }
    // An administrator has none of a tenant's things.
    script(
        "tenants.py",
        &["administrator"],
        &exports(&platform, &administrator),
    );
    let listed = json(&data, &["tenant", "ls"]);
    let names: Vec<&Value> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| &t["name"])
        .collect();
    assert!(
        names.contains(&&Value::from("gamma")) && names.len() == 2,
        "{listed}"
    );
    for (arguments, code, said) in [
        (&["tenant", "add", "acme"][..], 6, "already"),
        (&["tenant", "add", "A b"], 2, "cannot be a tenant's name"),
        (
            &["tenant", "quota", "nobody", "--functions", "1"],
            4,
            "no tenant \"nobody\"",
        ),
        (&["key", "create", "--tenant", "nobody"], 4, "no tenant"),
        (&["key", "revoke", "AKIANOBODY"], 4, "no access key"),
        (&["key", "create"], 2, "--tenant"),
    ] {
        let refused = command(&data, arguments);
        assert_eq!(refused.code, Some(code), "{arguments:?}: {refused}");
        assert!(refused.stderr.contains(said), "{arguments:?}: {refused}");
    }
    let changed = json(
        &data,
        &["tenant", "quota", "acme", "--functions", "1", "--storage", "5MB"],
    );
    assert_eq!(changed["quotas"]["functions"], 1);
    let changed = json(&data, &["tenant", "quota", "acme", "--functions", "none"]);
    assert_eq!(changed["quotas"]["functions"], Value::Null);
    assert_eq!(changed["quotas"]["storage"], 5 << 20);
    // Quotas hold from the next request on.
    json(&data, &["tenant", "quota", "acme", "--functions", "1"]);
    script("tenants.py", &["quota"], &exports(&platform, &tenant));
    json(&data, &["tenant", "quota", "acme", "--requests-per-second", "1"]);
    script("tenants.py", &["throttled"], &exports(&platform, &tenant));
    for name in ["gamma", "acme"] {
        let gone = command(&data, &["tenant", "remove", name]);
        assert_eq!(gone.code, Some(0), "{gone}");
    }
    script("tenants.py", &["refused"], &exports(&platform, &tenant));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data.join("aloft.sock")), 0o600);
    assert_eq!(
        mode(&data),
        0o700,
        "nobody else of this machine sees tenants' code"
    );
    drop(platform);
    let gone = command(&data, &["tenant", "ls"]);
    assert_eq!(gone.code, Some(5), "{gone}");
}
