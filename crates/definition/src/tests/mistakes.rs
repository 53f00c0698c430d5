//! Each mistake with its place, what was expected and the nearest word.

use crate::*;

/// Six lines, so that the seventh is what the test adds.
const BASE: &str = "[project]\nname = \"p\"\n[tables.orders]\nhash = \"id:S\"\n[functions.create]\n\
                    runtime = \"python3\"; source = \"s\"; handler = \"f.g\"\n";

fn base() -> String {
    BASE.replace("; ", "\n")
}

/// Each expectation is `line:column message; expected …; nearest …`, any part of what the problem says, in order.
fn check(text: &str, expected: &[&str]) {
    let problems = Definition::parse(text, "aloft.toml", None).expect_err(text).0;
    let found: Vec<String> = problems
        .iter()
        .map(|p| {
            let (expected, nearest) = (
                p.expected.clone().unwrap_or_default(),
                p.nearest.clone().unwrap_or_default(),
            );
            format!(
                "{}:{} {}; expected {expected}; nearest {nearest}",
                p.line, p.column, p.message
            )
        })
        .collect();
    assert_eq!(found.len(), expected.len(), "{text}\n{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        let (place, rest) = expected.split_once(' ').unwrap();
        assert!(
            found.starts_with(&format!("{place} ")),
            "{text}\nfound {found}\nnot   {expected}"
        );
        let mut tail = found.as_str();
        for part in rest.split(" … ") {
            let at = tail
                .find(part)
                .unwrap_or_else(|| panic!("{text}\nfound {found}\nnot   {part}"));
            tail = &tail[at + part.len()..];
        }
    }
}

/// Adds lines to the function `create`; the first is line 9.
fn check_function(lines: &str, expected: &[&str]) {
    check(&format!("{}{lines}\n", base()), expected);
}

/// Replaces one line of the function.
fn check_instead(key: &str, line: &str, expected: &[&str]) {
    let text: Vec<String> = base()
        .lines()
        .map(|old| {
            if old.starts_with(key) {
                line.to_owned()
            } else {
                old.to_owned()
            }
        })
        .collect();
    check(&text.join("\n"), expected);
}

#[test]
fn what_is_not_toml() {
    for (text, expected) in [
        (
            "[project\nname = \"p\"",
            &["1:9 this is not TOML: unclosed table"][..],
        ),
        (
            "[project]\nname = p",
            &["2:8 this is not TOML: string values must be quoted"],
        ),
        (
            "[project]\nname = \"p\nx = 1\ny = = 2\n",
            &["2:10 invalid basic string", "4:5 extra `=`"],
        ),
        ("[project]\nname = \"p\"\nname = \"q\"\n", &["3:1 duplicate key"]),
        (
            "[project]\nname = \"p\"\n[routes]\n\"GET /\" = \"f\"\n\"GET /\" = \"g\"\n",
            &["5:1 duplicate key"],
        ),
        (
            "[project]\nname = \"p\"\n[tables.t]\n[tables.t]\n",
            &["4:9 duplicate key"],
        ),
        ("ä = 1", &["1:1 this is not TOML: invalid unquoted key"]),
    ] {
        check(text, expected);
    }
    let deep = format!("a = {}", "[".repeat(100_000));
    assert!(
        Definition::parse(&deep, "aloft.toml", None)
            .unwrap_err()
            .to_string()
            .contains("not TOML")
    );
}

#[test]
fn the_top_of_the_file() {
    for (text, expected) in [
        (
            "",
            &["1:1 \"project\" is missing in the file … [project] with a name"][..],
        ),
        (
            "[project]\n",
            &["1:2 \"name\" is missing in [project]; expected name = \"orders\""],
        ),
        ("project = 1", &["1:11 \"project\" is a number"]),
        (
            "[project]\nname = 1",
            &["2:8 \"name\" is a number; expected 1 to 64 characters"],
        ),
        (
            "[project]\nname = \"Not this\"",
            &["2:8 the project's name \"Not this\" is not valid"],
        ),
        (
            "[project]\nname = \"p\"\nnme = 1",
            &["3:1 there is no key \"nme\" in [project]; expected one of name; nearest name"],
        ),
        (
            "[project]\nname = \"p\"\n[function.f]\n",
            &["3:2 there is no key \"function\" … one of project, functions, … nearest functions"],
        ),
        (
            "[project]\nname = \"p\"\n[[functions]]\n",
            &["3:3 \"functions\" is an array … a table for each function"],
        ),
        (
            "routes = \"x\"\n[project]\nname = \"p\"",
            &["1:10 \"routes\" is text"],
        ),
        (
            "[project]\nname = \"p\"\n[functions]\nf = 1",
            &["4:5 \"f\" is a number; expected a table with runtime"],
        ),
        (
            "[project]\nname = \"p\"\n[functions.\"a b\"]",
            &[
                "3:12 the function's name \"a b\" is not valid; expected 1 to 64 characters",
                "3:12 \"runtime\" is missing in [functions.a b]; expected runtime = \"python3\"",
                "3:12 \"source\" is missing",
                "3:12 \"handler\" is missing",
            ],
        ),
    ] {
        check(text, expected);
    }
    let large = format!("# {}\n", "x".repeat(MAX_FILE_BYTES));
    check(
        &large,
        &["1:1 the file is too large; expected at most 262144 bytes"],
    );
}

#[test]
fn functions() {
    for (line, expected) in [
        (
            "memroy = \"1GB\"",
            &["9:1 there is no key \"memroy\" in [functions.create] … nearest memory"][..],
        ),
        ("zzz = 1", &["9:1 there is no key \"zzz\" … nearest "]),
        (
            "memory = 128",
            &["9:10 \"memory\" is a number; expected a size (B, KB, MB or GB) from \"128MB\" to \"10GB\""],
        ),
        ("memory = \"128\"", &["9:10 \"memory\" is \"128\", not a size"]),
        (
            "memory = \"64MB\"",
            &["9:10 \"memory\" is \"64MB\", which is too small"],
        ),
        (
            "memory = \"11GB\"",
            &["9:10 \"memory\" is \"11GB\", which is too large"],
        ),
        (
            "memory = \"131073KB\"",
            &["9:10 \"memory\" is \"131073KB\"; expected a whole number of MB"],
        ),
        (
            "timeout = \"3 s\"",
            &["9:11 \"timeout\" is \"3 s\", not a duration (ms, s, m, h or d)"],
        ),
        (
            "timeout = \"999ms\"",
            &["9:11 \"timeout\" is \"999ms\", which is too small; expected … from \"1s\" to \"15m\""],
        ),
        ("timeout = \"901s\"", &["9:11 which is too large"]),
        ("timeout = 2026-01-01", &["9:11 \"timeout\" is a date or time"]),
        ("idle = true", &["9:8 \"idle\" is a boolean"]),
        (
            "concurrency = 0",
            &["9:15 \"concurrency\" is 0, which is too small; expected a whole number from 1 to 1000"],
        ),
        ("concurrency = 1001", &["9:15 too large"]),
        ("concurrency = 99999999999999999999", &["9:15 too large"]),
        (
            "concurrency = -1",
            &["9:15 \"concurrency\" is a number; expected a whole number"],
        ),
        ("concurrency = 1.0", &["9:15 \"concurrency\" is a number"]),
        (
            "queue = 5",
            &["9:9 \"queue\" is a number; expected a table with `length` and `wait`"],
        ),
        (
            "queue = { lenght = 5 }",
            &["9:11 there is no key \"lenght\" in \"queue\" of [functions.create] … nearest length"],
        ),
        (
            "queue = { length = 10001, wait = \"0s\" }",
            &["9:20 too large", "9:34 too small"],
        ),
        (
            "logging = \"json\"",
            &["9:11 \"logging\" is text; expected a table with `format`, `level` and `system_level`"],
        ),
        (
            "logging = { format = \"jsn\", level = \"warning\", to = 1 }",
            &[
                "9:22 there is no format \"jsn\"",
                "9:37 there is no level \"warning\"",
                "9:48 there is no key \"to\" in \"logging\" of [functions.create]",
            ],
        ),
        (
            "logging = { format = \"json\", system_level = \"error\" }",
            &["9:45 there is no system_level \"error\"; expected \"debug\", \"info\" or \"warn\""],
        ),
        (
            "logging = { level = \"debug\" }",
            &["9:13 \"level\" is for the format \"json\" only; expected `format = \"json\"` beside it"],
        ),
        (
            "environment = { A = \"x\" }",
            &["9:17 the variable's name \"A\" is not valid"],
        ),
        (
            "environment = { \"A-B\" = \"x\" }",
            &["9:17 the variable's name \"A-B\" is not valid"],
        ),
        (
            "environment = { AWS_REGION = \"x\" }",
            &["9:17 \"AWS_REGION\" is set by the platform; expected another name"],
        ),
        (
            "environment = { _HANDLER = \"x\" }",
            &["9:17 set by the platform"],
        ),
        (
            "environment = { LEVEL = 3 }",
            &["9:25 \"LEVEL\" is a number; expected text, in quotes"],
        ),
        ("environment = { LEVEL = \"\\u0000\" }", &["9:25 zero byte"]),
        ("environment = []", &["9:1 \"environment\" is an array"]),
        (
            "access = { order = \"read\" }",
            &["9:12 there is no table \"order\" … nearest orders"],
        ),
        (
            "access = { orders = \"wirte\" }",
            &["9:21 there is no access \"wirte\" … nearest write"],
        ),
        (
            "access = { orders = true }",
            &["9:21 \"orders\" is a boolean; expected \"read\""],
        ),
        ("secrets = \"db\"", &["9:11 \"secrets\" is text; expected a list"]),
        (
            "environment = { DB = { secret = \"a b\", kez = \"x\" } }",
            &[
                "9:33 the secret's name \"a b\" is not valid",
                "9:40 there is no key \"kez\" … nearest key",
            ],
        ),
        (
            "environment = { DB = { key = \"x\" } }",
            &["9:17 \"secret\" is missing in the variable \"DB\""],
        ),
        (
            "secrets = [\"db\", \"a b\", 3]",
            &["9:18 the secret's name \"a b\" is not valid", "9:25 is a number"],
        ),
        (
            "egress = \"al\"",
            &["9:10 \"egress\" is \"al\"; expected \"none\", \"any\", or a list"],
        ),
        (
            "egress = \"api.example.com:443\"",
            &["9:10 \"egress\" is \"api.example.com:443\" … nearest [\"api.example.com:443\"]"],
        ),
        ("egress = true", &["9:10 \"egress\" is a boolean"]),
        (
            "egress = [\"api.example.com:443\", \"https://example.org\", 3, \"*:443\"]",
            &[
                "9:34 \"https://example.org\" is no place to connect to: its port",
                "9:57 a place of \"egress\" is a number",
                "9:60 \"*:443\" is no place to connect to",
            ],
        ),
        (
            "requirements = \"../x\"",
            &["9:16 the file \"../x\" is not inside the project's folder"],
        ),
        ("é = 1", &["9:1 this is not TOML"]),
        ("\"é\" = \"é\" ", &["9:1 there is no key \"é\""]),
        (
            "environment = { \"éé\" = 1 }",
            &["9:17 the variable's name", "9:24 is a number"],
        ),
    ] {
        check_function(line, expected);
    }
    let long = format!("environment = {{ LONG = \"{}\" }}", "x".repeat(4_093));
    check_function(
        &long,
        &["9:1 the environment has 4097 bytes, which is too large; expected at most 4096"],
    );
    for (key, line, expected) in [
        ("runtime", "", "5:12 \"runtime\" is missing in [functions.create]"),
        (
            "runtime",
            "runtime = \"python\"",
            "6:11 there is no runtime \"python\" … nearest python3",
        ),
        (
            "runtime",
            "runtime = \"ruby3.3\"",
            "6:11 there is no runtime \"ruby3.3\" … expected \"python3\" or",
        ),
        ("runtime", "runtime = \"nodejs20\"", "6:11 there is no runtime"),
        (
            "runtime",
            "runtime = \"provided.al1\"",
            "6:11 there is no runtime \"provided.al1\" … nearest provided.al2",
        ),
        ("runtime", "runtime = \"python3.x\"", "6:11 there is no runtime"),
        ("runtime", "runtime = \"python3.\"", "6:11 there is no runtime"),
        (
            "source",
            "source = \"/etc\"",
            "7:10 the folder \"/etc\" is not inside the project's folder",
        ),
        ("source", "source = \"a/../..\"", "7:10 not inside"),
        ("source", "source = \"\"", "7:10 not inside"),
        (
            "handler",
            "handler = \"handler\"",
            "8:11 the handler \"handler\" is not valid; expected \"file.function\"",
        ),
        ("handler", "handler = \"../x.y\"", "8:11 not valid"),
        ("handler", "handler = \"a..y\"", "8:11 not valid"),
        ("handler", "handler = \"a.y-z\"", "8:11 not valid"),
        ("handler", "handler = [\"a.y\"]", "8:11 \"handler\" is an array"),
    ] {
        check_instead(key, line, &[expected]);
    }
}

#[test]
fn routes() {
    for (line, expected) in [
        (
            "\"GET /a\" = \"creat\"",
            &["10:12 there is no function \"creat\" … nearest create"][..],
        ),
        (
            "\"GET /a\" = 5",
            &["10:12 the route \"GET /a\" is a number … { static = \"folder\" }"],
        ),
        (
            "\"/a\" = \"create\"",
            &["10:1 the route has no method … \"GET /orders/{id}\""],
        ),
        (
            "\"GTE /a\" = \"create\"",
            &["10:1 \"GTE\" is not a method; expected one of ANY, GET, … nearest GET"],
        ),
        (
            "\"get /a\" = \"create\"",
            &["10:1 \"get\" is not a method … nearest GET"],
        ),
        (
            "\"GET a\" = \"create\"",
            &["10:1 the path \"a\" does not begin with a slash"],
        ),
        (
            "\"GET  /a\" = \"create\"",
            &["10:1 the path \" /a\" does not begin"],
        ),
        ("\"GET /a/\" = \"create\"", &["10:1 the path ends with a slash"]),
        ("\"GET /a//b\" = \"create\"", &["10:1 two slashes in a row"]),
        (
            "\"GET /a/{}\" = \"create\"",
            &["10:1 \"\" is not a variable's name"],
        ),
        (
            "\"GET /a/{1}\" = \"create\"",
            &["10:1 \"1\" is not a variable's name"],
        ),
        (
            "\"GET /{a}/{a}\" = \"create\"",
            &["10:1 the variable \"a\" twice"],
        ),
        (
            "\"GET /{a+}/b\" = \"create\"",
            &["10:1 \"{a+}\" takes the rest of the path, but is not at its end"],
        ),
        ("\"GET /a{b}\" = \"create\"", &["10:1 has the character '{'"]),
        ("\"GET /a?b\" = \"create\"", &["10:1 has the character '?'"]),
        (
            "\"GET /a%20b\" = \"create\"",
            &["10:1 has the character '%' … not percent-encoded"],
        ),
        ("\"GET /../a\" = \"create\"", &["10:1 the segment \"..\""]),
        (
            "\"GET /{a}\" = \"create\"\n\"GET /{b}\" = \"create\"",
            &["11:1 \"GET /{b}\" takes the same requests as \"GET /{a}\""],
        ),
        (
            "\"/\" = { static = \"../x\" }",
            &["10:18 the folder \"../x\" is not inside"],
        ),
        (
            "\"/\" = { statc = \"x\" }",
            &[
                "10:1 \"static\" is missing",
                "10:9 there is no key \"statc\" … nearest static",
            ],
        ),
        (
            "\"GET /\" = { static = \"x\" }",
            &["10:1 \"GET /\" is not a path … a path alone"],
        ),
        (
            "\"/{a}\" = { static = \"x\" }",
            &["10:1 the path of files \"/{a}\" has the variable \"a\""],
        ),
        (
            "\"GET /a b\" = \"nope\"",
            &[
                "10:1 has the character ' '",
                "10:14 there is no function \"nope\"",
            ],
        ),
    ] {
        check_function(&format!("[routes]\n{line}"), expected);
    }
    let all = "[routes]\n\"GET /{a}\" = \"create\"\n\"POST /{a}\" = \"create\"\n\"ANY /{a}\" = \"create\"\n\"/\" = { static = \"x\" }";
    assert!(Definition::parse(&format!("{}{all}", base()), "aloft.toml", None).is_ok());
}

#[test]
fn tables() {
    for (lines, expected) in [
        (
            "[tables.ab]\nhash = \"id:S\"",
            &["9:9 the table's name \"ab\" is not valid; expected 3 to 255"][..],
        ),
        (
            "[tables.abc]",
            &["9:9 \"hash\" is missing in [tables.abc]; expected hash = \"id:S\""],
        ),
        (
            "[tables.abc]\nhash = \"id\"",
            &["10:8 \"id\" is not a key; expected \"name:S\""],
        ),
        (
            "[tables.abc]\nhash = \"id:s\"",
            &["10:8 \"id:s\" is not a key … nearest id:S"],
        ),
        ("[tables.abc]\nhash = \":S\"", &["10:8 \":S\" is not a key"]),
        (
            "[tables.abc]\nhash = \"id:SS\"\nrange = 1",
            &["10:8 not a key", "11:9 \"range\" is a number"],
        ),
        (
            "[tables.abc]\nhash = \"id:S\"\nrange = \"id:N\"",
            &["11:9 the same attribute \"id\""],
        ),
        (
            "[tables.abc]\nhash = \"id:S\"\nrnge = \"at:N\"",
            &["11:1 there is no key \"rnge\" … nearest range"],
        ),
    ] {
        check_function(lines, expected);
    }
}

#[test]
fn rules() {
    for (lines, expected) in [
        (
            "on = \"table:order\"",
            &["11:6 there is no table \"order\" … nearest table:orders"][..],
        ),
        (
            "on = \"orders\"",
            &["11:6 \"orders\" is not a source of events; expected \"table:NAME\"; nearest table:orders"],
        ),
        (
            "on = \"tabel:orders\"",
            &["11:6 not a source … nearest table:orders"],
        ),
        (
            "on = \"table:orders\"\nretries = 186",
            &["12:11 too large; expected a whole number from 0 to 185"],
        ),
        (
            "on = \"table:orders\"\nmaximum_age = \"59s\"",
            &["12:15 too small; expected … from \"1m\" to \"7d\""],
        ),
        (
            "on = \"table:orders\"\norder = \"keys\"",
            &["12:9 there is no order \"keys\"; expected \"key\" or \"none\"; nearest key"],
        ),
        (
            "on = \"table:orders\"\norder = true",
            &["12:9 expected \"key\" or \"none\""],
        ),
        (
            "on = \"table:orders\"\nmaximum-age = \"1h\"",
            &["12:1 no key \"maximum-age\" … nearest maximum_age"],
        ),
        (
            "on = \"table:orders\"\nwhen = \"x\"",
            &["12:8 \"when\" is text; expected a pattern"],
        ),
        (
            "on = \"table:orders\"\nwhen = {}",
            &["12:1 the pattern is not valid here: it names no field"],
        ),
        (
            "on = \"table:orders\"\nwhen = { type = \"aloft.table.insert\" }",
            &["12:17 it is a string; expected an array of values"],
        ),
        (
            "on = \"table:orders\"\nwhen = { type = [{ prefx = \"a\" }] }",
            &["12:20 no matcher \"prefx\" … nearest prefix"],
        ),
        (
            "on = \"table:orders\"\nwhen = { type = [{ prefix = 1 }, { exists = 1 }] }",
            &[
                "12:29 it is a number; expected a string",
                "12:45 expected true or false",
            ],
        ),
        (
            "on = \"table:orders\"\nwhen.data.new.n = [\n  { numeric = [\">\", 5,\n   \"<\", \"x\"] },\n]",
            &["14:9 it is a string; expected a number"],
        ),
        (
            "on = \"table:orders\"\nwhen.data.new = { n = { numeric = [\">\", 5] } }",
            &["12:19 a matcher stands in an array of values"],
        ),
        (
            "on = \"table:orders\"\nwhen = { data.at = [2026-01-01] }",
            &["12:21 it is a date or time"],
        ),
        (
            "on = \"table:orders\"\nwhen = { data.at = [nan, 99999999999999999999] }",
            &["12:21 not a finite number", "12:26 too large"],
        ),
        (
            "on = \"table:orders\"\nwhen = { type = [\"aloft.table.inserted\"] }",
            &["12:18 no table sends events of the type … nearest aloft.table.insert"],
        ),
        (
            "on = \"table:orders\"\nwhen = { typ = [\"aloft.table.insert\"] }",
            &["12:10 there is no key \"typ\" in the pattern; expected one of … nearest type"],
        ),
        (
            "on = \"table:orders\"\nwhen = { data.nwe.id = [\"1\"] }",
            &[
                "12:15 there is no key \"nwe\" in the pattern's data; expected one of keys, new, old; nearest new",
            ],
        ),
        (
            "on = \"table:orders\"\nwhen = { source = [\"/tables/order\", { prefix = \"/\" }] }",
            &[
                "12:20 never have the source \"/tables/order\"; expected \"/tables/orders\"; nearest /tables/orders",
            ],
        ),
    ] {
        check_function(&format!("[rules.r]\nrun = \"create\"\n{lines}"), expected);
    }
    check_function(
        "[rules.r]",
        &[
            "9:8 \"on\" is missing in [rules.r]",
            "9:8 \"run\" is missing in [rules.r]",
        ],
    );
    check_function(
        "[rules.\"r r\"]\non = \"table:orders\"\nrun = \"x\"",
        &["9:8 the rule's name", "11:7 there is no function \"x\""],
    );
    check_function(
        "[rules.r.when]\n[rules.r]",
        &[
            "9:10 the pattern is not valid here: it names no field",
            "10:8 \"on\" is missing",
            "10:8 \"run\"",
        ],
    );
}

#[test]
fn all_mistakes_are_reported_in_the_order_of_the_file() {
    check(
        "[routes]\n\"GET /\" = \"b\"\n[functions.a]\nruntime = \"python4\"\nsource = 5\ntimeout = \"0s\"\n[rules.r]\non = \"table:t\"\n",
        &[
            "1:1 \"project\" is missing",
            "2:11 no function \"b\"",
            "3:12 \"handler\" is missing",
            "4:11 no runtime \"python4\" … nearest python3",
            "5:10 \"source\" is a number",
            "6:11 too small",
            "7:8 \"run\" is missing",
            "8:6 no table \"t\"",
        ],
    );
    let many: String = (0..150).map(|i| format!("x{i} = 1\n")).collect();
    let problems =
        Definition::parse(&format!("[project]\nname = \"p\"\n{many}"), "aloft.toml", None).unwrap_err();
    assert_eq!(problems.0.len(), 100);
}

#[test]
fn columns_are_counted_in_characters() {
    check_function(
        "environment = { AB = \"äöü€😀\", AWS_REGION = \"x\" }",
        &["9:31 set by the platform"],
    );
}

#[test]
fn problems_print_and_serialise() {
    let problems = Definition::parse("[project]\nnme = \"p\"", "x/aloft.toml", None).unwrap_err();
    let lines: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines[1],
        "x/aloft.toml:2:1: there is no key \"nme\" in [project]; expected one of name; did you mean \"name\"?"
    );
    assert_eq!(problems.to_string(), lines.join("\n"));
    assert_eq!(
        serde_json::to_value(&problems).unwrap()[0],
        serde_json::json!({"file": "x/aloft.toml", "line": 1, "column": 2, "message": "\"name\" is missing in [project]",
            "expected": "name = \"orders\"", "nearest": null})
    );
}

#[test]
fn servers() {
    let check = |lines: &str, expected: &[&str]| {
        let text = format!("[project]\nname = \"p\"\n[functions.site]\nsource = \"site\"\n{lines}\n");
        let problems = match Definition::parse(&text, "aloft.toml", None) {
            Ok(definition) => {
                let function = &definition.functions[&"site".parse().unwrap()];
                assert!(function.runtime.has_command());
                Vec::new()
            }
            Err(problems) => problems.0,
        };
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), expected.len(), "{lines}: {told:?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.contains(expected), "{lines}: {told}");
        }
    };
    let server = "runtime = \"http\"\ncommand = [\"node\", \"server.js\"]";
    check(server, &[]);
    check(&format!("{server}\ncalls = 100"), &[]);
    check(&format!("{server}\ncalls = 101"), &["too large"]);
    check(
        &format!("{server}\nhandler = \"a.b\""),
        &["\"handler\" is not for the runtime \"http\""],
    );
    check(
        &format!("{server}\nrequirements = \"r.txt\""),
        &["\"requirements\" is for Python only"],
    );
    check(
        "runtime = \"http\"",
        &["\"command\" is missing in [functions.site]"],
    );
    for (command, expected) in [
        ("\"node server.js\"", "\"command\" is text"),
        ("[]", "\"command\" is not valid"),
        ("[\"\"]", "\"command\" is not valid"),
        ("[\"node\", 1]", "a word of \"command\" is a number"),
        ("[\"../x\"]", "\"../x\""),
    ] {
        check(&format!("runtime = \"http\"\ncommand = {command}"), &[expected]);
    }
    let handler = "runtime = \"python3\"\nhandler = \"a.b\"";
    check(
        &format!("{handler}\ncalls = 2\ncommand = [\"x\"]"),
        &[
            "\"calls\" is for the runtime \"http\" only",
            "\"command\" is for the runtimes \"http\" and \"command\" only",
        ],
    );
}

#[test]
fn a_build_is_a_word_or_a_line_and_its_output_lies_inside() {
    let file = |keys: &str| {
        format!(
            "[project]\nname = \"p\"\n[functions.f]\nruntime = \"provided\"\nsource = \"s\"\nhandler = \"x\"\n{keys}\n"
        )
    };
    let build = |keys: &str| {
        let read = Definition::parse(&file(keys), "aloft.toml", None).unwrap();
        read.functions.into_values().next().unwrap().build
    };
    assert_eq!(build(""), Build::Auto);
    assert_eq!(build("build = \"none\""), Build::None);
    assert_eq!(build("build = \"make\""), Build::Make);
    let line = "npm run build".to_owned();
    let output = Some("dist/app".into());
    assert_eq!(
        build("build = \"npm run build\"\noutput = \"dist/app\""),
        Build::Command { line, output }
    );
    for (keys, wrong) in [
        ("build = \"\"", "is not valid"),
        ("build = \" \"", "is not valid"),
        ("build = \"x\"\noutput = \"../x\"", "is not inside the source"),
        ("build = \"x\"\noutput = \"/x\"", "is not inside the source"),
        ("build = \"x\"\noutput = \"\"", "is not inside the source"),
        ("build = \"make\"\noutput = \"x\"", "by a command line only"),
        ("output = \"x\"", "by a command line only"),
    ] {
        let problems = Definition::parse(&file(keys), "aloft.toml", None)
            .expect_err(keys)
            .0;
        assert!(problems[0].message.contains(wrong), "{keys}: {problems:?}");
    }
}
