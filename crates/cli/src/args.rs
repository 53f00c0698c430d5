//! What can be typed. The help texts are the reference.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use aloft_base::{Egress, FunctionName, InvocationId, Size, parse_duration};
use aloft_node::Allowed;
use clap::{Args, Parser, Subcommand};

/// A whole serverless platform in one binary.
#[derive(Debug, Parser)]
#[command(
    name = "aloft",
    version,
    after_help = "Examples:\n  aloft init shop --template python  begin a project\n  aloft dev examples/orders          run a project on this machine\n  aloft invoke create -e event.json  run one function\n  aloft logs -f                      see what functions print\n\nExit codes:\n  0    done\n  1    failed, also because the node is busy, going down or broken\n  2    bad usage or a definition with mistakes\n  3    the function failed: an error, an exit, a timeout, an answer that cannot be used\n  4    what was named does not exist\n  5    no node answers there\n  6    the node refused\n  130  interrupted"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Begin a project from a template
    Init(Init),
    /// Run a project on this machine, with reload
    Dev(Dev),
    /// Check a project's aloft.toml without running anything
    Check(Check),
    /// Run a function once and print what it answers
    Invoke(Invoke),
    /// Print what functions wrote and what became of their calls
    Logs(Logs),
    /// Show what became of one call: why it was cold, what it waited for, where its time went
    Explain(Explain),
    /// List the instances that are loaded, and how rules are doing
    Ps(Ps),
    /// List, retry or drop events that could not be delivered
    Deliveries(Deliveries),
    /// Show each wall of the sandbox on this machine, and what to do about one that is missing
    Doctor(Doctor),
    /// Run a platform for several tenants, as a service
    Serve(Serve),
    /// Make, list, bound and remove the tenants of a service
    Tenant(Tenant),
    /// Make, list and revoke access keys of a service's tenants
    Key(Key),
}

#[derive(Debug, Args)]
#[command(
    after_help = "The application is served on --port, the services on the AWS wire and the platform's own API on --api-port.\nWithout an aloft.toml in DIR an empty platform starts. Ctrl-C stops it; what was acknowledged stays.\nLines that nobody reads in time are dropped and counted. ALOFT_LOG=info shows more of the platform's own log.\n\nExamples:\n  aloft dev\n  aloft dev examples/orders --port 0 --api-port 0 --json\n  aloft dev --bind 0.0.0.0 --key AKIDEXAMPLE:a-long-secret"
)]
pub(crate) struct Dev {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Where data lies; the default is .aloft beside aloft.toml
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// An access key; with it, signatures of requests to the services are verified
    #[arg(long, value_name = "ID:SECRET")]
    pub(crate) key: Option<String>,
    #[command(flatten)]
    pub(crate) node: Options,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Every request to the services is signed by a key of a tenant: make both with `aloft tenant add` and `aloft key create`, on this\nmachine, as the user that runs it. Ctrl-C or SIGTERM stops it; what was acknowledged stays.\n\nExamples:\n  aloft serve --data /var/lib/aloft\n  aloft serve --bind 0.0.0.0 --store postgres://aloft@db/aloft --master-key /etc/aloft/master.key"
)]
pub(crate) struct Serve {
    /// Where data lies; the default is $STATE_DIRECTORY, as systemd sets it, else aloft in the folder for users' data
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) node: Options,
}

/// What each node is told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A PostgreSQL database that keeps the state instead of the data folder: postgres://USER:PASSWORD@HOST/DATABASE, or
    /// postgresql://USER@/DATABASE?host=/SOCKET/FOLDER
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
    /// The application's port; 0 takes any that is free
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,
    /// The services' port; 0 takes any that is free
    #[arg(long, default_value_t = 4566)]
    pub(crate) api_port: u16,
    /// The address to listen on; of `dev` other than loopback only with --key
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) bind: IpAddr,
    /// A file with the master key that secrets are sealed under: 32 bytes, raw, in hexadecimal or in base64; without one a key is made in
    /// the data folder
    #[arg(long, value_name = "FILE", conflicts_with = "master_key_command")]
    pub(crate) master_key: Option<PathBuf>,
    /// A command that prints the master key, run by sh at the start
    #[arg(long, value_name = "COMMAND")]
    pub(crate) master_key_command: Option<String>,
    /// The time before an asynchronous call that failed is made again, and twice that before the next; the default is Lambda's
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    pub(crate) retry_base: Duration,
    /// Calls of all functions that run at once; what goes beyond waits for its turn
    #[arg(long, value_name = "CALLS", default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) concurrency: u16,
    /// The memory that functions may use together; the default is four fifths of this machine's
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<Size>,
    /// A runtime and the program that runs it, such as python3.9=/usr/bin/python3.11: for versions that this machine lacks, or to choose among
    /// several; can be given for several runtimes
    #[arg(long = "runtime", value_name = "RUNTIME=PROGRAM", value_parser = runtime)]
    pub(crate) runtimes: Vec<(String, PathBuf)>,
    /// A folder with wheels of Python and tarballs of npm (.tgz), from which builds take packages instead of asking a registry
    #[arg(long, value_name = "DIR")]
    pub(crate) packages: Option<PathBuf>,
    /// How long one build may take
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
    pub(crate) build_timeout: Duration,
    /// The memory of one build, its files included
    #[arg(long, value_name = "SIZE", default_value = "2GB")]
    pub(crate) build_memory: Size,
    /// The files of one build
    #[arg(long, value_name = "SIZE", default_value = "2GB")]
    pub(crate) build_disk: Size,
    /// Where functions that no aloft.toml defines may connect to, such as those made by Lambda's API: any, none, or places as in a
    /// definition, api.example.com:443,*.example.org:443
    #[arg(long, value_name = "PLACES", default_value = "any")]
    pub(crate) egress: Egress,
    /// An address that functions may reach although it is private, loopback, link-local or this machine's own: 10.0.0.5:5432, 10.0.0.5 or
    /// 10.1.0.0/16; can be given several times. A function's own egress must name the place, too
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) egress_allow: Vec<Allowed>,
    /// The name server to ask for the names that functions use; the default is what this machine asks
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) egress_resolver: Option<SocketAddr>,
    /// Run functions without a sandbox, as plain processes of your own user: they can read and write your files and
    /// reach your network
    #[arg(long)]
    pub(crate) no_sandbox: bool,
    /// Print one JSON object a line: first {"ready":true,"app","api"}, then every event
    #[arg(long)]
    pub(crate) json: bool,
}

/// A runtime's program, from `RUNTIME=PROGRAM`. Whether they fit is found out when the node starts.
fn runtime(text: &str) -> Result<(String, PathBuf), String> {
    let (runtime, program) = text
        .split_once('=')
        .filter(|(runtime, program)| !runtime.is_empty() && !program.is_empty())
        .ok_or("a runtime and a program are expected, such as python3.9=/usr/bin/python3.11")?;
    let program = PathBuf::from(program);
    if !program.is_absolute() {
        return Err(format!(
            "{} is not a whole path: it begins with no /",
            program.display()
        ));
    }
    Ok((runtime.to_owned(), program))
}

#[derive(Debug, Args)]
#[command(
    after_help = "Without --template it lists the templates. Files that are there are never overwritten: then nothing is written.\n\nExamples:\n  aloft init\n  aloft init shop --template python"
)]
pub(crate) struct Init {
    /// The project's folder, which is made if it is not there
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Which template
    #[arg(short, long, value_name = "NAME")]
    pub(crate) template: Option<String>,
    /// The project's name; the default is made of the folder's
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Print {"name","template","dir","files","next"}, and of a list {"items":[{"name","what"}]}
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  aloft check examples/orders --json")]
pub(crate) struct Check {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Print {"ok","problems":[{"file","line","column","message","expected","nearest"}]}
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which node to talk to.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The node's URL, http://HOST:PORT; else the node that runs on --data, else $ALOFT_URL, else the one that runs on
    /// .aloft in this folder, else http://127.0.0.1:4566. $ALOFT_TOKEN is shown to a node that asks for its token
    #[arg(long, value_name = "URL")]
    pub(crate) to: Option<String>,
    /// The data folder of a node on this machine
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exits with 3 when the function failed, with 1 when it did not run: every instance is busy and the queue is full,\nor the node is going down.\n\nExamples:\n  aloft invoke create -e event.json\n  echo '{\"id\":\"1\"}' | aloft invoke read -e - --json"
)]
pub(crate) struct Invoke {
    /// The function
    pub(crate) function: FunctionName,
    /// A file with the payload as JSON, or - for standard input; without it the payload is null
    #[arg(short, long, value_name = "FILE")]
    pub(crate) event: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Without --since and --invocation the newest 1,000 lines of each function are shown. What is kept, and for how long, says\ndocs/logs.md. A PATTERN is one of CloudWatch's: terms, or fields of JSON.\n\nExamples:\n  aloft logs\n  aloft logs -f create\n  aloft logs create --since 2h --filter 'ERROR -timeout'\n  aloft logs --filter '{ $.level = \"error\" && $.took > 100 }'\n  aloft logs --invocation 5c0f6e1e-4c2f-4f0a-9f5e-0f5f3f6c7d8e"
)]
pub(crate) struct Logs {
    /// Only this function's
    pub(crate) function: Option<FunctionName>,
    /// Go on with what comes
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only this call's
    #[arg(long, value_name = "ID")]
    pub(crate) invocation: Option<InvocationId>,
    /// Only what was said since so long ago: 30s, 10m, 2h
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) since: Option<Duration>,
    /// Only what this pattern takes
    #[arg(long, value_name = "PATTERN")]
    pub(crate) filter: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
#[command(
    after_help = "A call's id stands in the lines of `aloft logs` and `aloft dev`, in context.aws_request_id, and in the header x-amzn-RequestId of\nInvoke's answers and those of function URLs.\n\nExample:\n  aloft explain 5c0f6e1e-4c2f-4f0a-9f5e-0f5f3f6c7d8e"
)]
pub(crate) struct Explain {
    /// The call
    pub(crate) invocation: InvocationId,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  aloft ps\n  aloft ps --watch")]
pub(crate) struct Ps {
    /// Show it anew each second, until the node is gone
    #[arg(short, long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
#[command(
    after_help = "A letter that stands for events which are only counted cannot be retried: retry --rule and --all leave it as it is.\n\nExamples:\n  aloft deliveries ls --rule receipt\n  aloft deliveries show ID\n  aloft deliveries retry ID\n  aloft deliveries retry --rule receipt\n  aloft deliveries drop --all"
)]
pub(crate) struct Deliveries {
    #[command(subcommand)]
    pub(crate) action: DeliveriesAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeliveriesAction {
    /// List the dead letters, the newest first
    Ls {
        /// Only this rule's
        #[arg(long, value_name = "NAME")]
        rule: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Show one dead letter with its event
    Show {
        /// The letter's id
        id: String,
        #[command(flatten)]
        target: Target,
    },
    /// Deliver anew, with all retries before it
    Retry {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        target: Target,
    },
    /// Forget
    Drop {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        target: Target,
    },
}

/// Which dead letters.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// The letter's id
    pub(crate) id: Option<String>,
    /// All of this rule's
    #[arg(long, value_name = "NAME")]
    pub(crate) rule: Option<String>,
    /// All
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  aloft doctor --json")]
pub(crate) struct Doctor {
    /// Print {"ok","items":[{"wall","ok","detail","fix"}]}
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a service is asked by whoever runs it.
#[derive(Debug, Args)]
pub(crate) struct Service {
    /// The service's data folder, whose owner may ask; the default is that of `aloft serve`
    #[arg(long, value_name = "DIR", conflicts_with = "to")]
    pub(crate) data: Option<PathBuf>,
    /// The URL of its services, from anywhere: signed by the administrator's key in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
    #[arg(long, value_name = "URL")]
    pub(crate) to: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  aloft tenant add acme\n  aloft tenant quota acme --functions 100 --concurrency 50\n  aloft tenant ls --json"
)]
pub(crate) struct Tenant {
    #[command(subcommand)]
    pub(crate) action: TenantAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TenantAction {
    /// Make one
    Add {
        /// Its name: 1 to 40 characters of a-z, 0-9 and -
        name: String,
        #[command(flatten)]
        service: Service,
    },
    /// List them
    Ls {
        #[command(flatten)]
        service: Service,
    },
    /// Change what one may have; 0 is none, and `none` no bound
    Quota {
        /// Its name
        name: String,
        /// Functions
        #[arg(long, value_name = "N", value_parser = bound)]
        functions: Option<Bound>,
        /// Calls that run at once
        #[arg(long, value_name = "N", value_parser = bound)]
        concurrency: Option<Bound>,
        /// Bytes of code, rows and files together, such as 10GB
        #[arg(long, value_name = "SIZE", value_parser = size)]
        storage: Option<Bound>,
        /// Requests a second
        #[arg(long, value_name = "N", value_parser = bound)]
        requests_per_second: Option<Bound>,
        #[command(flatten)]
        service: Service,
    },
    /// Remove one that has nothing any more, with its keys
    Remove {
        /// Its name
        name: String,
        #[command(flatten)]
        service: Service,
    },
}

/// A bound of a quota, or that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound(pub(crate) Option<u64>);

fn bound(text: &str) -> Result<Bound, String> {
    match text {
        "none" => Ok(Bound(None)),
        number => number
            .parse()
            .map(|number| Bound(Some(number)))
            .map_err(|_| "a number is expected, or none".to_owned()),
    }
}

fn size(text: &str) -> Result<Bound, String> {
    match text {
        "none" => Ok(Bound(None)),
        text => {
            let size: Size = text.parse().map_err(|error| format!("{error}"))?;
            Ok(Bound(Some(size.bytes())))
        }
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "A key's secret is shown once, when it is made.\n\nExamples:\n  aloft key create --tenant acme\n  aloft key create --admin\n  aloft key ls --tenant acme\n  aloft key revoke AKIA..."
)]
pub(crate) struct Key {
    #[command(subcommand)]
    pub(crate) action: KeyAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyAction {
    /// Make one
    Create {
        /// The tenant, whose it will be
        #[arg(
            long,
            value_name = "NAME",
            required_unless_present = "admin",
            conflicts_with = "admin"
        )]
        tenant: Option<String>,
        /// An administrator's, which makes tenants and keys
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        service: Service,
    },
    /// List them
    Ls {
        /// The tenant, of whom they are; of all without it
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
        #[command(flatten)]
        service: Service,
    },
    /// Revoke one: what is signed by it is refused from then on
    Revoke {
        /// Its id
        id: String,
        #[command(flatten)]
        service: Service,
    },
}
