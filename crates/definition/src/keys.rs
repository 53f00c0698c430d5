//! Every key of `aloft.toml`, declared once: what it is, its unit, default, bounds and reason. The checker reads values by
//! these declarations and the reference page is written from them, so that neither can say what the other does not. Derive
//! macros for documented configuration (`schemars`, `documented`) were looked at: none carries spans and bounds together.

use std::time::Duration;

use aloft_base::Size;

/// A value with a unit, a default and bounds.
pub(crate) struct Bounded<T: 'static> {
    pub(crate) name: &'static str,
    pub(crate) default: T,
    pub(crate) least: T,
    pub(crate) most: T,
}

/// What a key's value looks like.
pub(crate) enum Form {
    /// Text, described.
    Text(&'static str),
    Size(&'static Bounded<Size>),
    Duration(&'static Bounded<Duration>),
    Count(&'static Bounded<u32>),
    /// A table, described.
    Table(&'static str),
}

/// What happens without the key.
pub(crate) enum Absent {
    /// It must be there.
    Refused,
    /// The bounds say the default.
    Bounds,
    /// In words.
    Means(&'static str),
}

pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    pub(crate) absent: Absent,
    /// What it does, and why its bounds are what they are.
    pub(crate) what: &'static str,
    /// A value, in TOML.
    pub(crate) example: &'static str,
}

/// A table of the file.
pub(crate) struct Section {
    /// As a header, with a word in capitals where users choose: `functions.NAME`.
    pub(crate) title: &'static str,
    pub(crate) what: &'static str,
    pub(crate) keys: &'static [Key],
}

pub(crate) static SECTIONS: [&Section; 9] = [
    &PROJECT, &FUNCTION, &QUEUE, &LOGGING, &ROUTES, &STATIC, &TABLE, &RULE, &REFERENCE,
];

/// The names at the top of the file.
pub(crate) const TOP: [&str; 5] = ["project", "functions", "routes", "tables", "rules"];

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How long an instance is kept without a call, unless a definition says so.
pub const DEFAULT_IDLE: Duration = seconds(300);
/// How many instances may run at once, each with one call, unless a definition says so.
pub const DEFAULT_CONCURRENCY: u32 = 100;
/// How many calls may wait for an instance, unless a definition says so.
pub const DEFAULT_QUEUE_LENGTH: u32 = 1_000;
/// How long a call may wait for an instance, unless a definition says so.
pub const DEFAULT_QUEUE_WAIT: Duration = seconds(10);

/// Lambda's bounds. Fractions of a second are allowed (`1500ms`).
pub(crate) static TIMEOUT: Bounded<Duration> = Bounded {
    name: "timeout",
    default: seconds(3),
    least: seconds(1),
    most: seconds(900),
};
/// Lambda's bounds and default.
pub(crate) static MEMORY: Bounded<Size> = Bounded {
    name: "memory",
    default: Size::from_mib(128),
    least: Size::from_mib(128),
    most: Size::from_mib(10_240),
};
pub(crate) static IDLE: Bounded<Duration> = Bounded {
    name: "idle",
    default: DEFAULT_IDLE,
    least: seconds(1),
    most: seconds(86_400),
};
pub(crate) static CONCURRENCY: Bounded<u32> = Bounded {
    name: "concurrency",
    default: DEFAULT_CONCURRENCY,
    least: 1,
    most: 1_000,
};
pub(crate) static CALLS: Bounded<u32> = Bounded {
    name: "calls",
    default: 16,
    least: 1,
    most: 100,
};
pub(crate) static QUEUE_LENGTH: Bounded<u32> = Bounded {
    name: "length",
    default: DEFAULT_QUEUE_LENGTH,
    least: 0,
    most: 10_000,
};
pub(crate) static QUEUE_WAIT: Bounded<Duration> = Bounded {
    name: "wait",
    default: DEFAULT_QUEUE_WAIT,
    least: Duration::from_millis(1),
    most: seconds(900),
};
/// EventBridge's bounds; its default of 185 keeps a broken function busy for a day.
pub(crate) static RETRIES: Bounded<u32> = Bounded {
    name: "retries",
    default: 5,
    least: 0,
    most: 185,
};
pub(crate) static RULE_CONCURRENCY: Bounded<u32> = Bounded {
    name: "concurrency",
    default: 16,
    least: 1,
    most: 1_000,
};
pub(crate) static MAXIMUM_AGE: Bounded<Duration> = Bounded {
    name: "maximum_age",
    default: seconds(21_600),
    least: seconds(60),
    most: seconds(604_800),
};

/// Lambda's bound on a function's environment.
pub const MAX_ENVIRONMENT_BYTES: usize = 4 << 10;

/// Names that the platform sets itself, or that would change how a runtime works: Lambda's list, the endpoint of the
/// services, and the switch that makes Lambda's Python client fork workers.
pub const RESERVED: [&str; 20] = [
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_MAX_CONCURRENCY",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
];
pub(crate) static PROJECT: Section = Section {
    title: "project",
    what: "The project itself. Every file has this table.",
    keys: &[Key {
        name: "name",
        form: Form::Text("1 to 64 characters of a-z, 0-9 and -"),
        absent: Absent::Refused,
        what: "The project's name, in messages and as the owner of what it deploys.",
        example: "\"orders\"",
    }],
};

pub(crate) static FUNCTION: Section = Section {
    title: "functions.NAME",
    what: "A function. NAME has 1 to 64 characters of a-z, A-Z, 0-9, - and _.",
    keys: &[
        Key {
            name: "runtime",
            form: Form::Text(
                "\"python3\" or \"python3.N\", \"nodejs\" or \"nodejsN.x\", \"provided\", \"provided.al2\" or \"provided.al2023\", \"http\", \"command\", \"wasm\"",
            ),
            absent: Absent::Refused,
            what: "What runs the code: the newest Python 3 or Node.js on the host, or exactly the given version; the code's own program, an executable file `bootstrap` that speaks Lambda's Runtime API; a server of its own (`http`); a program that runs once for each call (`command`); or a WebAssembly component of the world `wasi:http/proxy` 0.2 (`wasm`).",
            example: "\"python3\"",
        },
        Key {
            name: "source",
            form: Form::Text("a folder, relative to `aloft.toml` and inside its folder"),
            absent: Absent::Refused,
            what: "The folder of the function's code. Functions may share one.",
            example: "\"functions\"",
        },
        Key {
            name: "handler",
            form: Form::Text(
                "\"file.function\", for `wasm` \"file.wasm\", at most 128 characters without spaces",
            ),
            absent: Absent::Means("required, but for `http` and `command`, which have none"),
            what: "What is called: `create.handler` is `handler` in `create.py`, `orders.create.handler` is in `orders/create.py`. In Node.js `src/index.handler` is what `src/index.js` (or `.mjs`, `.cjs`) exports. The file must exist. A program of its own reads it as it likes. For `wasm` it is the component's file, such as `app.wasm`.",
            example: "\"create.handler\"",
        },
        Key {
            name: "command",
            form: Form::Text("a list of texts, at most 64 and 4 KB together"),
            absent: Absent::Means("required for `http` and `command`; the others have none"),
            what: "The program and its arguments. `python3`, `python3.N` and `node` are the host's; a name with a `/` is a file in `source`; any other is a program of the host's system. A server listens on the port that `PORT` says, and is ready when it accepts a connection; a command reads what it is called with and writes its answer.",
            example: "[\"node\", \"server.js\"]",
        },
        Key {
            name: "requirements",
            form: Form::Text("a file, relative to `source`"),
            absent: Absent::Means(
                "`requirements.txt` in `source`, if it exists, else what a [lock file](build.md) says",
            ),
            what: "The packages that are installed with a function in Python, in pip's format; what would have to be built is refused. What a function in Node.js requires says its `package-lock.json`, or lies in its folder, in `node_modules`.",
            example: "\"requirements.txt\"",
        },
        Key {
            name: "build",
            form: Form::Text("\"auto\", \"none\", \"make\", or a command line, at most 1,024 bytes"),
            absent: Absent::Means("`\"auto\"`"),
            what: "How the code is built before it runs; [Builds](build.md) says what `auto` does for which files. `none`: the folder is the code as it is. `make`: `make build-NAME` with `ARTIFACTS_DIR`, as SAM does it. A command line is run by `sh` in a copy of the folder, in a sandbox without a network.",
            example: "\"npm run build\"",
        },
        Key {
            name: "output",
            form: Form::Text("a folder, relative to `source`, without `..`"),
            absent: Absent::Means("the whole folder"),
            what: "The folder that becomes the code after `build` has run; for a command line only. It need not exist before.",
            example: "\"dist\"",
        },
        Key {
            name: "memory",
            form: Form::Size(&MEMORY),
            absent: Absent::Bounds,
            what: "The most memory that an instance may use, in whole MB of 1,024 KB; beyond it the instance is ended. The bounds are Lambda's.",
            example: "\"256MB\"",
        },
        Key {
            name: "timeout",
            form: Form::Duration(&TIMEOUT),
            absent: Absent::Bounds,
            what: "How long a call may run; then its instance is ended and the call fails. The bounds are Lambda's.",
            example: "\"10s\"",
        },
        Key {
            name: "idle",
            form: Form::Duration(&IDLE),
            absent: Absent::Bounds,
            what: "How long an instance is kept without a call. Longer means fewer cold starts and more memory.",
            example: "\"5m\"",
        },
        Key {
            name: "concurrency",
            form: Form::Count(&CONCURRENCY),
            absent: Absent::Bounds,
            what: "How many instances may run at once, each with one call, or with the `calls` of a server. The upper bound is that of a Lambda account.",
            example: "100",
        },
        Key {
            name: "calls",
            form: Form::Count(&CALLS),
            absent: Absent::Bounds,
            what: "How many calls one instance of a server takes at once; for `http` only. Each has a connection of its own, hence the upper bound.",
            example: "16",
        },
        Key {
            name: "queue",
            form: Form::Table("a table with `length` and `wait`"),
            absent: Absent::Means("both defaults"),
            what: "The calls that wait when every instance is busy.",
            example: "{ length = 1000, wait = \"10s\" }",
        },
        Key {
            name: "environment",
            form: Form::Table(
                "names, each with text or a reference to a secret; names and text have at most 4 KB together",
            ),
            absent: Absent::Means("none"),
            what: "Variables of the function's environment. A name is a letter, then letters, digits and _, two characters or more; what the platform itself sets (see below) is refused. The bound is Lambda's.",
            example: "{ CURRENCY = \"EUR\" }",
        },
        Key {
            name: "logging",
            form: Form::Table("a table with `format`, `level` and `system_level`"),
            absent: Absent::Means("text"),
            what: "How its log is written, as Lambda's logging controls do it.",
            example: "{ format = \"json\", level = \"debug\" }",
        },
        Key {
            name: "access",
            form: Form::Table("tables, each with \"read\" or \"write\""),
            absent: Absent::Means("none"),
            what: "The tables that the function may use; \"write\" is reading and writing. Nothing else is allowed to it, but the secrets below.",
            example: "{ orders = \"write\" }",
        },
        Key {
            name: "secrets",
            form: Form::Text("a list of secrets' names, at most 100"),
            absent: Absent::Means("none"),
            what: "The secrets that the function may read with `GetSecretValue`. A key of its own, because in `access` a name is a table's, and there is nothing to choose: functions change no secrets. What its environment refers to needs no grant.",
            example: "[\"app/database\"]",
        },
        Key {
            name: "egress",
            form: Form::Text("\"none\", \"any\", or a list of at most 100 places, each \"HOST:PORT\""),
            absent: Absent::Means("`\"none\"`"),
            what: "Where the function may connect to, by TCP. HOST is a name, `*.` and a name for all names below it, an IPv4 address, or an IPv6 address in brackets. Private, loopback and link-local addresses stay closed unless the operator opens them, see [Network](functions.md#network).",
            example: "[\"api.example.com:443\", \"*.example.org:443\"]",
        },
    ],
};

pub(crate) static QUEUE: Section = Section {
    title: "functions.NAME.queue",
    what: "The calls that wait when every instance of the function is busy. What goes beyond either bound is answered with 429.",
    keys: &[
        Key {
            name: "length",
            form: Form::Count(&QUEUE_LENGTH),
            absent: Absent::Bounds,
            what: "How many calls may wait; with 0 none does. A waiting call holds its request in memory, hence the upper bound.",
            example: "1000",
        },
        Key {
            name: "wait",
            form: Form::Duration(&QUEUE_WAIT),
            absent: Absent::Bounds,
            what: "How long a call may wait for an instance to become free; one that starts for it is waited for to its end. No client waits longer than the longest timeout, hence the upper bound.",
            example: "\"10s\"",
        },
    ],
};

pub(crate) static REFERENCE: Section = Section {
    title: "functions.NAME.environment.VARIABLE",
    what: "A variable that is set to the value of a secret, as `PASSWORD = { secret = \"app/database\", key = \"password\" }`. It is read when an instance starts: a value that is changed later is seen by instances that start later. A secret or key that is missing fails the calls that would start one, and says which.",
    keys: &[
        Key {
            name: "secret",
            form: Form::Text("a secret's name"),
            absent: Absent::Refused,
            what: "Whose value. The function needs no grant for it.",
            example: "\"app/database\"",
        },
        Key {
            name: "key",
            form: Form::Text("1 to 256 characters"),
            absent: Absent::Means("the whole value"),
            what: "A member of the JSON object that the value is; text as it is, anything else as JSON.",
            example: "\"password\"",
        },
        Key {
            name: "version_stage",
            form: Form::Text("1 to 256 characters"),
            absent: Absent::Means("`AWSCURRENT`"),
            what: "The staging label of the version that is read.",
            example: "\"AWSPREVIOUS\"",
        },
    ],
};

pub(crate) static LOGGING: Section = Section {
    title: "functions.NAME.logging",
    what: "How the function's log is written. The format and the level are also in its variables `AWS_LAMBDA_LOG_FORMAT` and `AWS_LAMBDA_LOG_LEVEL`: functions in Python (module `logging`) and in Node.js (`console`) follow them, a program of its own does what it likes with them.",
    keys: &[
        Key {
            name: "format",
            form: Form::Text("\"text\" or \"json\""),
            absent: Absent::Means("`\"text\"`"),
            what: "`text`: lines as they are printed, between `START`, `END` and `REPORT`. `json`: objects with `timestamp`, `level`, `message` and `requestId`, and the platform's records with `time`, `type` and `record`. What a function in Python prints itself stays as it is.",
            example: "\"json\"",
        },
        Key {
            name: "level",
            form: Form::Text("\"trace\", \"debug\", \"info\", \"warn\", \"error\" or \"fatal\""),
            absent: Absent::Means("`\"info\"`"),
            what: "From which level on the function's own lines are written; with `format = \"json\"` only, as on Lambda.",
            example: "\"debug\"",
        },
        Key {
            name: "system_level",
            form: Form::Text("\"debug\", \"info\" or \"warn\""),
            absent: Absent::Means("`\"info\"`"),
            what: "From which level on the platform's records are written; with `format = \"json\"` only. `info`: that a call begins, and what it took. `warn`: only what failed. `debug`: also that the code has ended.",
            example: "\"warn\"",
        },
    ],
};

pub(crate) static ROUTES: Section = Section {
    title: "routes",
    what: "Which request goes where. Each key is a method and a path, `\"GET /orders/{id}\"`, and its value a function's name; or a path alone, and its value a table with `static`. \
           Methods are ANY, GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS; ANY takes what the path's other routes do not, and HEAD follows GET. \
           `{id}` is one segment, `{path+}` at the end one or more. Literals are written as they are, not percent-encoded. Two routes of the same method and shape are refused.",
    keys: &[],
};

pub(crate) static STATIC: Section = Section {
    title: "routes.\"/PATH\"",
    what: "Files that are served as they are, under a path, for requests that no route takes.",
    keys: &[Key {
        name: "static",
        form: Form::Text("a folder, relative to `aloft.toml` and inside its folder"),
        absent: Absent::Refused,
        what: "The folder of the files. `index.html` answers for its folder.",
        example: "\"web\"",
    }],
};

pub(crate) static TABLE: Section = Section {
    title: "tables.NAME",
    what: "A table. NAME has 3 to 255 characters of a-z, A-Z, 0-9, -, _ and `.`. Taking a table out of the file never drops its data.",
    keys: &[
        Key {
            name: "hash",
            form: Form::Text("\"name:S\", \"name:N\" or \"name:B\""),
            absent: Absent::Refused,
            what: "The partition key: an attribute's name (1 to 255 bytes) and type: S is text, N a number, B bytes.",
            example: "\"id:S\"",
        },
        Key {
            name: "range",
            form: Form::Text("\"name:S\", \"name:N\" or \"name:B\""),
            absent: Absent::Means("no sort key"),
            what: "The sort key. Items of one partition key are kept in its order.",
            example: "\"at:N\"",
        },
    ],
};

pub(crate) static RULE: Section = Section {
    title: "rules.NAME",
    what: "What runs when something happens. NAME has 1 to 64 characters of a-z, A-Z, 0-9, -, _ and `.`.",
    keys: &[
        Key {
            name: "on",
            form: Form::Text("\"table:NAME\""),
            absent: Absent::Refused,
            what: "Whose events: the changes of a table of this file.",
            example: "\"table:orders\"",
        },
        Key {
            name: "when",
            form: Form::Table("a pattern"),
            absent: Absent::Means("every event"),
            what: "Which of the events, see [Patterns](#patterns).",
            example: "{ type = [\"aloft.table.insert\"] }",
        },
        Key {
            name: "run",
            form: Form::Text("a function of this file"),
            absent: Absent::Refused,
            what: "The function that is called with the event.",
            example: "\"receipt\"",
        },
        Key {
            name: "retries",
            form: Form::Count(&RETRIES),
            absent: Absent::Bounds,
            what: "How often a failed call is tried again, each time later; then the event is a dead letter. The upper bound is EventBridge's.",
            example: "5",
        },
        Key {
            name: "maximum_age",
            form: Form::Duration(&MAXIMUM_AGE),
            absent: Absent::Bounds,
            what: "After what age an event is a dead letter, however often it was tried. The table's log is kept that long for a rule that lags, hence the upper bound.",
            example: "\"6h\"",
        },
        Key {
            name: "concurrency",
            form: Form::Count(&RULE_CONCURRENCY),
            absent: Absent::Bounds,
            what: "How many of its events are with the function at a time, first attempts and retries together. With `order = \"key\"` those of one row are one after another all the same.",
            example: "1",
        },
        Key {
            name: "order",
            form: Form::Text("\"key\" or \"none\""),
            absent: Absent::Means("`\"key\"`"),
            what: "Which events wait for one another. `key`: those of one row come one after another, and when one fails those that follow it wait; other rows go on. `none`: a failed event holds up no other, and a later one may come first.",
            example: "\"none\"",
        },
    ],
};
