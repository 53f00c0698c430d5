//! Where functions may connect to: real clients inside sandboxes, and a world of servers and names outside.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Platform, Project, aloft, binary, component, get, nodejs, root, tool};

/// Servers on loopback and a name server that knows them; see `python/world.py`. Ends when it is dropped.
struct World {
    child: Child,
    facts: Value,
}

impl World {
    fn start() -> Self {
        let mut child = Command::new(tool("python3"))
            .arg(root().join("tests/it/python/world.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = child.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let facts = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        Self { child, facts }
    }

    fn port(&self, name: &str) -> u64 {
        self.facts[name].as_u64().unwrap()
    }

    /// `aloft dev` for which this is the outside, with these of its ports open. It trusts the world's certificate.
    fn around(&self, project: &Project, open: &[&str]) -> Platform {
        let certificate = project.data().with_extension("pem");
        std::fs::write(&certificate, self.facts["certificate"].as_str().unwrap()).unwrap();
        let mut trusting = Command::new("env");
        trusting
            .arg(format!("SSL_CERT_FILE={}", certificate.display()))
            .arg(binary());
        let resolver = format!("127.0.0.1:{}", self.port("names"));
        let mut dev = project
            .dev()
            .within(trusting)
            .programs(nodejs())
            .with(&["--egress-resolver", &resolver]);
        for name in open {
            dev = dev.with(&["--egress-allow", &format!("127.0.0.1:{}", self.port(name))]);
        }
        dev.start()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const HANDLER: &str = r#"
import os
import socket
import ssl
import sys
import time
import urllib.request


def tried(what):
    try:
        return what()
    except urllib.error.HTTPError as error:
        return str(error)
    except urllib.error.URLError as error:
        return type(error.reason).__name__
    except OSError as error:
        return type(error).__name__


def fetch(url):
    context = None
    if url.startswith("https:"):
        context = ssl.create_default_context(cadata=os.environ["CERTIFICATE"])
    return tried(lambda: urllib.request.urlopen(url, timeout=10, context=context).read(100).decode())


def handler(event, context):
    return {url: fetch(url) for url in event}


def names(event, context):
    return {name: tried(lambda: sorted({at[4][0] for at in socket.getaddrinfo(name, 80)})) for name in event}


def upper(event, context):
    with socket.create_connection(("api.example.test", event), 10) as connection:
        connection.sendall(b"hello" * 100_000)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return [len(answer), answer[:5].decode()]


def datagram(event, context):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as it:
        return tried(lambda: it.sendto(b"x", ("8.8.8.8", 123)))


def answers(connection):
    try:
        connection.sendall(b"GET /well HTTP/1.1\r\nhost: api.example.test\r\n\r\n")
        return connection.recv(1000).endswith(b"well")
    except OSError:
        return False


def flood(event, context):
    """Ten thousand connections from ten processes, all held until all have asked; says how many were answered."""
    own, theirs = os.pipe()
    go, hold = os.pipe()
    for _ in range(10):
        if os.fork() == 0:
            os.close(hold)
            at = socket.getaddrinfo("api.example.test", event, socket.AF_INET)[0][4]
            held = []
            for _ in range(1000):
                connection = socket.socket()
                connection.settimeout(30)
                held.append(connection)
                try:
                    connection.connect(at)
                except OSError:
                    pass
            count = sum(answers(connection) for connection in held)
            os.write(theirs, f"{count}\n".encode())
            os.read(go, 1)
            os._exit(0)
    os.close(theirs)
    with os.fdopen(own) as lines:
        count = sum(int(lines.readline()) for _ in range(10))
    os.close(hold)
    return count
"#;

const NODE: &str = r#"
const https = require("node:https");
const dns = require("node:dns/promises");
const get = (url) => new Promise((resolve) => {
    const request = https.get(url, { ca: process.env.CERTIFICATE }, async (answer) => {
        let body = "";
        for await (const piece of answer) body += piece;
        resolve(body);
    });
    request.on("error", (error) => resolve(error.code));
});
exports.handler = async (urls) => {
    const found = {};
    for (const url of urls) found[url] = await get(url);
    found.resolved = await dns.resolve4("api.example.test");
    found.text = await dns.resolveTxt("api.example.test").catch((error) => error.code);
    found.unnamed = await dns.resolve4("other.elsewhere.test").catch((error) => error.code);
    return found;
};
"#;

fn project(world: &World, functions: &[(&str, &str, &str, &str)]) -> Project {
    let mut definition = "[project]\nname = \"egress\"\n".to_owned();
    for (name, runtime, handler, egress) in functions {
        let certificate = &world.facts["certificate"];
        definition.push_str(&format!(
            "[functions.{name}]\nruntime = \"{runtime}\"\nsource = \"functions\"\nhandler = \"{handler}\"\ntimeout = \"60s\"\n\
             {egress}\nenvironment = {{ CERTIFICATE = {certificate} }}\n"
        ));
    }
    Project::new(&[
        ("aloft.toml", &definition),
        ("functions/out.py", HANDLER),
        ("functions/node.js", NODE),
    ])
}

fn invoke(project: &Project, platform: &Platform, function: &str, payload: &Value) -> Value {
    let folder = project.folder();
    std::fs::write(folder.join("event.json"), payload.to_string()).unwrap();
    let to = ["--to", &platform.api, "--json"];
    let invoked = aloft(
        &folder,
        &[&["invoke", function, "-e", "event.json"], &to[..]].concat(),
    );
    assert_eq!(invoked.json()["status"], "ok", "{invoked}");
    invoked.json()["payload"].clone()
}

/// A refusal in the function's log.
fn told(platform: &Platform, function: &str, words: &[&str]) {
    platform.event(&format!("{words:?} in the log of {function}"), |event| {
        event["event"] == "log"
            && event["function"] == function
            && event["stream"] == "platform"
            && words
                .iter()
                .all(|words| event["text"].as_str().is_some_and(|text| text.contains(words)))
    });
}

#[test]
fn a_function_reaches_what_its_egress_names_and_nothing_else() {
    let world = World::start();
    let (http, https, upper) = (world.port("http"), world.port("https"), world.port("upper"));
    let egress = format!(
        "egress = [\"api.example.test:{http}\", \"*.example.test:{https}\", \"api.example.test:{upper}\", \"private.example.test:80\", \
         \"rebind.example.test:{http}\", \"empty.example.test:80\", \"127.0.0.1:{http}\"]"
    );
    let project = project(
        &world,
        &[
            ("out", "python3", "out.handler", &egress),
            ("names", "python3", "out.names", &egress),
            ("upper", "python3", "out.upper", &egress),
            ("datagram", "python3", "out.datagram", &egress),
            ("node", "nodejs", "node.handler", &egress),
            ("shut", "python3", "out.handler", ""),
        ],
    );
    let platform = world.around(&project, &["http", "https", "upper"]);

    let plain = format!("http://api.example.test:{http}/well");
    let secure = format!("https://api.example.test:{https}/well");
    let redirect = format!("http://api.example.test:{http}/redirect");
    let rebind = format!("http://rebind.example.test:{http}/");
    let urls = [
        (&*plain, "well"),
        (&*secure, "well"),
        // To the metadata service of a cloud.
        (&*redirect, "ConnectionResetError"),
        // First it is an address of the internet, then one of loopback.
        (&*rebind, "ConnectionResetError"),
        ("http://private.example.test/", "ConnectionResetError"),
        ("http://[::ffff:10.0.0.1]/", "ConnectionResetError"),
        ("http://8.8.8.8/", "ConnectionResetError"),
        ("http://empty.example.test/", "gaierror"),
        ("http://other.elsewhere.test/", "gaierror"),
        ("http://api.example.test/", "ConnectionResetError"),
        // The platform's own listener, not by way of a redirection.
        ("http://127.0.0.1:4567/", "ConnectionResetError"),
    ];
    let asked: Vec<&str> = urls.iter().map(|(url, _)| *url).collect();
    let answers = invoke(&project, &platform, "out", &json!(asked));
    for (url, expected) in urls {
        let answer = answers[url].as_str().unwrap();
        assert_eq!(answer, expected, "{url}: {answers}");
    }
    told(&platform, "out", &["169.254.169.254", "link-local"]);
    told(
        &platform,
        "out",
        &["127.0.0.2", "only the operator opens: --egress-allow 127.0.0.2:"],
    );
    told(
        &platform,
        "out",
        &["10.0.0.1", "a private address", "--egress-allow 10.0.0.1:80"],
    );
    told(
        &platform,
        "out",
        &[
            "8.8.8.8:80",
            "[functions.out] needs: egress = [\"api.example.test:",
            "\"8.8.8.8:80\"]",
        ],
    );
    told(
        &platform,
        "out",
        &["api.example.test:80", "\"api.example.test:80\"]"],
    );

    let names = invoke(
        &project,
        &platform,
        "names",
        &json!(["API.Example.test", "nobody.example.test"]),
    );
    let found = names["API.Example.test"].as_array().unwrap();
    assert!(found.contains(&json!("198.18.1.0")), "{names}");
    assert_eq!(names["nobody.example.test"], "gaierror", "{names}");
    // What has no more to send still receives.
    assert_eq!(
        invoke(&project, &platform, "upper", &json!(upper)),
        json!([500_000, "HELLO"])
    );
    assert_eq!(
        invoke(&project, &platform, "datagram", &Value::Null),
        "PermissionError"
    );

    let node = invoke(&project, &platform, "node", &json!([secure, "https://8.8.8.8/"]));
    assert_eq!(node[&secure], "well", "{node}");
    assert_eq!(node["https://8.8.8.8/"], "ECONNRESET", "{node}");
    assert_eq!(node["resolved"], json!(["198.18.1.0"]), "{node}");
    assert_eq!(
        (&node["text"], &node["unnamed"]),
        (&json!("ENODATA"), &json!("ENOTFOUND")),
        "{node}"
    );

    let shut = invoke(&project, &platform, "shut", &json!([plain, "http://8.8.8.8/"]));
    assert_eq!(
        (&shut[&plain], &shut["http://8.8.8.8/"]),
        (&json!("gaierror"), &json!("OSError")),
        "{shut}"
    );
    told(
        &platform,
        "shut",
        &["[functions.shut] needs: egress = [\"api.example.test:443\"]"],
    );

    let scraped = get(&format!("{}/_aloft/metrics", platform.api));
    let metrics = String::from_utf8(scraped.body).unwrap();
    for line in [
        format!(
            "aloft_egress_connections_total{{function=\"out\",place=\"api.example.test:{http}\",tenant=\"000000000000\"}} 2"
        ),
        format!(
            "aloft_egress_connections_total{{function=\"out\",place=\"*.example.test:{https}\",tenant=\"000000000000\"}} 1"
        ),
        format!(
            "aloft_egress_bytes_total{{function=\"upper\",place=\"api.example.test:{upper}\",direction=\"sent\",tenant=\"000000000000\"}} 500000"
        ),
        format!(
            "aloft_egress_bytes_total{{function=\"upper\",place=\"api.example.test:{upper}\",direction=\"received\",tenant=\"000000000000\"}} 500000"
        ),
    ] {
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
}

#[test]
fn a_component_reaches_by_http_and_https_what_its_egress_names() {
    let world = World::start();
    let (http, https) = (world.port("http"), world.port("https"));
    let definition = format!(
        "[project]\nname = \"egress\"\n[functions.guest]\nruntime = \"wasm\"\nsource = \"code\"\nhandler = \"guest.wasm\"\n\
         timeout = \"20s\"\negress = [\"*.example.test:{http}\", \"*.example.test:{https}\", \"private.example.test:80\"]\n\
         [routes]\n\"ANY /{{path+}}\" = \"guest\"\n"
    );
    let project = Project::new(&[("aloft.toml", &definition)]);
    std::fs::create_dir(project.folder().join("code")).unwrap();
    std::fs::copy(component("component"), project.folder().join("code/guest.wasm")).unwrap();
    let platform = world.around(&project, &["http", "https"]);
    for (place, answer) in [
        (format!("http/api.example.test:{http}"), "200"),
        (format!("https/api.example.test:{https}"), "200"),
        // Its certificate is another's.
        (format!("https/other.example.test:{https}"), "TlsCertificateError"),
        ("http/private.example.test".to_owned(), "HttpRequestDenied"),
        (format!("http/empty.example.test:{http}"), "DestinationNotFound"),
        ("http/elsewhere.test".to_owned(), "HttpRequestDenied"),
        ("http/169.254.169.254".to_owned(), "HttpRequestDenied"),
        ("http/[::ffff:169.254.169.254]".to_owned(), "HttpRequestDenied"),
    ] {
        let told = get(&platform.url(&format!("/fetch?{place}"))).is(200).text();
        assert!(told.contains(answer), "{place}: {told}");
    }
    told(&platform, "guest", &["10.0.0.1", "--egress-allow 10.0.0.1:80"]);
    told(
        &platform,
        "guest",
        &[
            "elsewhere.test:80",
            "[functions.guest] needs: egress = [",
            "\"elsewhere.test:80\"]",
        ],
    );
    let metrics = String::from_utf8(get(&format!("{}/_aloft/metrics", platform.api)).body).unwrap();
    let line = format!(
        "aloft_egress_connections_total{{function=\"guest\",place=\"*.example.test:{http}\",tenant=\"000000000000\"}} 1"
    );
    assert!(metrics.contains(&line), "{line}: {metrics}");
}

#[test]
fn ten_thousand_connections_of_one_function_hold_up_nobody() {
    let world = World::start();
    let http = world.port("http");
    let egress = format!("egress = [\"api.example.test:{http}\"]");
    let project = project(
        &world,
        &[
            ("flood", "python3", "out.flood", &egress),
            ("out", "python3", "out.handler", &egress),
        ],
    );
    let platform = world.around(&project, &["http"]);
    let url = format!("http://api.example.test:{http}/well");
    assert_eq!(invoke(&project, &platform, "out", &json!([url]))[&url], "well");
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let folder = project.folder();
            std::fs::write(folder.join("flood.json"), http.to_string()).unwrap();
            aloft(
                &folder,
                &[
                    "invoke",
                    "flood",
                    "-e",
                    "flood.json",
                    "--to",
                    &platform.api,
                    "--json",
                ],
            )
        });
        for _ in 0..20 {
            assert_eq!(invoke(&project, &platform, "out", &json!([url]))[&url], "well");
        }
        let flood = flood.join().unwrap();
        let answered = flood.json()["payload"]
            .as_u64()
            .unwrap_or_else(|| panic!("{flood}"));
        assert!((1..=1_024).contains(&answered), "{flood}");
    });
    told(&platform, "flood", &["at most 1024 at once"]);
    assert_eq!(invoke(&project, &platform, "out", &json!([url]))[&url], "well");
}
