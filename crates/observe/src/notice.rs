//! What the feed carries. The serialized form is what `aloft dev --json` prints, one object a line.

use std::sync::Arc;

use aloft_base::{FunctionId, FunctionName, InvocationId, Logging, Tenant, Timestamp};
use serde::{Deserialize, Serialize};

/// Something that happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Notice {
    /// Code was made ready to run, or could not be.
    Build(Build),
    /// A call ended; this is its metering record.
    Invocation(Box<Invocation>),
    /// A function wrote a line.
    Log(Line),
    /// The project's files changed.
    Reload(Reload),
}

/// Code was made ready to run, or could not be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Build {
    /// When.
    pub at: Timestamp,
    /// What was built: a function's name, or `requirements` of a folder.
    pub subject: String,
    /// Whether it worked.
    pub ok: bool,
    /// What was done or went wrong, for people.
    pub message: String,
    /// How long it took.
    pub took_ms: u64,
}

/// The metering record of one call: who ran, how long, at what cost, with what outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Invocation {
    /// When it ended.
    pub at: Timestamp,
    /// The invocation.
    pub invocation: InvocationId,
    /// Whose it is; for whoever keeps and shows it, and no part of what is shown.
    #[serde(skip, default = "Tenant::local")]
    pub tenant: Tenant,
    /// The function.
    pub function: FunctionName,
    /// The version that ran; absent if none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Arc<str>>,
    /// That version's number; 0 for `$LATEST`.
    #[serde(default)]
    pub number: u64,
    /// What it was called by: `http`, `event`, `direct` or `asynchronous`.
    pub kind: Arc<str>,
    /// The first invocation of the chain that led here, if this is not it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<InvocationId>,
    /// How many events and calls lie between that one and this; 0 at the beginning.
    #[serde(default)]
    pub depth: u8,
    /// The W3C trace that it belongs to; 0 if that is not known. In JSON 32 hexadecimal digits, as in a `traceparent`.
    #[serde(default, with = "hexadecimal", skip_serializing_if = "is_zero")]
    pub trace: u128,
    /// Whether an instance was started for it.
    pub cold: bool,
    /// What it found when it came.
    #[serde(default)]
    pub found: Found,
    /// How long it took to find the version and to make its code ready: for the first call of a version it is fetched and unpacked.
    #[serde(default)]
    pub code_ms: f64,
    /// How long it waited for an instance.
    pub queued_ms: f64,
    /// How long the instance took to start and load the code, on a cold start.
    pub init_ms: f64,
    /// The part of it until its process was started, behind its walls.
    #[serde(default)]
    pub sandbox_ms: f64,
    /// How long the code ran.
    pub run_ms: f64,
    /// From when it came until its answer was there; of a streamed answer until its end.
    #[serde(default)]
    pub total_ms: f64,
    /// What is billed: run and init, in whole milliseconds, rounded up.
    pub billed_ms: u64,
    /// The instance's peak of memory so far.
    pub memory_peak_bytes: u64,
    /// The most memory that its instance may use.
    #[serde(default)]
    pub memory_limit_bytes: u64,
    /// Bytes in.
    pub in_bytes: u64,
    /// Bytes out.
    pub out_bytes: u64,
    /// `ok`, the fault's word, or `abandoned` when the caller went away before it ran.
    pub outcome: Arc<str>,
    /// The fault in words, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How the function's log is written; for whoever writes it, and no part of the record.
    #[serde(skip)]
    pub logging: Logging,
}

fn is_zero(number: &u128) -> bool {
    *number == 0
}

/// The form of trace ids.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{number:032x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map_err(de::Error::custom)
    }
}

/// What a call found at its function when it came: why it waited, or was a cold start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Instances that were loaded.
    pub loaded: u32,
    /// Those of them that had calls.
    pub busy: u32,
    /// Instances that were starting.
    pub starting: u32,
    /// Calls that waited.
    pub waiting: u32,
    /// Whether as many calls ran as may on the whole node, or of the function, so that there was no turn for it yet.
    pub is_full: bool,
}

/// A line that a function wrote.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// When it was read.
    pub at: Timestamp,
    /// Whose it is; for whoever keeps and shows it, and no part of what is shown.
    #[serde(skip, default = "Tenant::local")]
    pub tenant: Tenant,
    /// The function.
    pub function: FunctionName,
    /// The version that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Arc<str>>,
    /// That version's number; 0 for `$LATEST`.
    #[serde(default)]
    pub number: u64,
    /// The call during which it was written; absent for what is written while the code loads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<InvocationId>,
    /// Where it was written to.
    pub stream: Stream,
    /// The line without its end; what is not UTF-8 is replaced.
    pub text: String,
    /// How the function's log is written; for whoever writes it, and no part of the line.
    #[serde(skip)]
    pub logging: Logging,
}

/// Where a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The platform's own word about the function, such as a cut line.
    Platform,
}

/// The project's files changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reload {
    /// When.
    pub at: Timestamp,
    /// Whether the new state runs; otherwise the former one goes on.
    pub ok: bool,
    /// The files that changed, relative to the project, at most 20.
    pub changed: Vec<String>,
    /// What went wrong, if something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a notice takes besides its texts, about.
const BESIDES: usize = 256;

impl Notice {
    /// Whose it is; nobody's, if it is about the node's own project.
    pub fn tenant(&self) -> Option<&Tenant> {
        match self {
            Self::Invocation(record) => Some(&record.tenant),
            Self::Log(line) => Some(&line.tenant),
            Self::Build(_) | Self::Reload(_) => None,
        }
    }

    /// About how many bytes it keeps in memory.
    pub(crate) fn weight(&self) -> usize {
        let text = match self {
            Self::Build(build) => build.subject.len() + build.message.len(),
            Self::Invocation(record) => record.error.as_ref().map_or(0, String::len),
            Self::Log(line) => return line.weight(),
            Self::Reload(reload) => {
                reload.changed.iter().map(String::len).sum::<usize>()
                    + reload.error.as_ref().map_or(0, String::len)
            }
        };
        text + BESIDES
    }
}

impl Line {
    /// Who wrote it.
    pub(crate) fn id(&self) -> FunctionId {
        FunctionId::new(&self.tenant, &self.function)
    }

    /// About how many bytes it keeps in memory.
    pub(crate) fn weight(&self) -> usize {
        self.text.len() + BESIDES
    }
}
