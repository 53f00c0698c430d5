//! What can be seen from outside: what clients asked and were told, what functions were called with and did, and what
//! clients read when all is over. It is all that the checker knows.

use aloft_call::Qualifier;

/// A row as a client or a function sees it: who wrote it last, and how often it was added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// The number of the request that wrote it.
    pub op: u64,
    /// Its counter.
    pub n: u64,
}

/// An event as a function or a dead letter shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The change's place in the table's log.
    pub sequence: u128,
    /// The row.
    pub key: String,
    /// The row before.
    pub old: Option<Image>,
    /// The row after.
    pub new: Option<Image>,
}

/// Which rules there are to be, as a project's file says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// How often the rule that is always there tries again.
    pub retries: u32,
    /// Whether the other one is there.
    pub has_audit: bool,
}

/// Where an alias points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pointing {
    /// The version; 0 for `$LATEST`.
    pub version: u64,
    /// Another version with its percents of the calls.
    pub other: Option<(u64, u64)>,
}

/// What a client asks of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Puts a row that says which request put it.
    Put {
        /// The row.
        key: String,
    },
    /// Adds one to a row's counter.
    Add {
        /// The row.
        key: String,
    },
    /// Removes a row.
    Delete {
        /// The row.
        key: String,
    },
    /// Reads a row.
    Get {
        /// The row.
        key: String,
    },
    /// Calls a function.
    Invoke,
    /// Enqueues a job that is to be done exactly once.
    Enqueue {
        /// The job.
        job: u64,
    },
    /// Hands over a call that is to be made later.
    Later {
        /// Its number, which is what the function is called with.
        number: u64,
        /// By which of the function's names.
        name: Qualifier,
    },
    /// Calls a function by one of its names, and waits.
    Call {
        /// The call's number, which is what the function is called with.
        number: u64,
        /// The name.
        name: Qualifier,
    },
    /// Gives a function other code.
    Edit {
        /// The code's number.
        code: u64,
    },
    /// Publishes what the function is now as a version.
    Publish,
    /// Makes an alias point somewhere, whether it is there or not.
    Point {
        /// The alias.
        alias: &'static str,
        /// To what.
        to: Pointing,
    },
    /// Deletes an alias.
    Unpoint {
        /// The alias.
        alias: &'static str,
    },
    /// Deletes a version.
    Unpublish {
        /// Its number.
        version: u64,
    },
    /// All versions and aliases.
    List,
    /// The calls that were given up and that nobody was told about.
    GivenUp,
    /// All dead letters.
    Letters,
    /// Delivers a dead letter's event anew.
    Retry {
        /// The letter.
        letter: String,
    },
    /// Forgets a dead letter.
    Drop {
        /// The letter.
        letter: String,
    },
    /// All jobs that are noted as done, in the order in which they were.
    Jobs,
    /// What the partition's owners wrote, in the order in which they did.
    Ledger,
    /// Stores a content under a name.
    Store {
        /// The name.
        name: String,
        /// The content's number.
        content: u64,
    },
    /// Forgets what a name stands for.
    Forget {
        /// The name.
        name: String,
    },
    /// Fetches what a name stands for.
    Fetch {
        /// The name.
        name: String,
    },
    /// Counts blobs.
    Files,
    /// Makes the rules what the project's file says, which now says this.
    Apply(Wanted),
}

/// A line of the ledger: who wrote it, as which owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The owner's epoch.
    pub epoch: u64,
    /// The number of the entry, unique in the run.
    pub entry: u64,
}

/// A dead letter as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// The letter's id.
    pub letter: String,
    /// The rule.
    pub rule: String,
    /// The reason's word.
    pub reason: &'static str,
    /// The event, unless the letter stands for a range.
    pub event: Option<Event>,
    /// The range.
    pub range: Option<Range>,
}

/// Events that were given up together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first event's place.
    pub from: u128,
    /// The last one's.
    pub to: u128,
    /// How many they were, if anybody knows.
    pub events: Option<u64>,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File {
    /// The content's number, as the row has it.
    pub content: u64,
    /// Whether the blob was there and had that content.
    pub is_whole: bool,
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The write is durable: the row before and after.
    Wrote(Option<Image>, Option<Image>),
    /// The row.
    Row(Option<Image>),
    /// The function took the call, or did not.
    Invoked(bool),
    /// The job is enqueued.
    Enqueued,
    /// The call is accepted: it will end one way or another.
    Accepted,
    /// A version was called, and took it.
    Ran {
        /// The version's number; 0 for `$LATEST`.
        version: u64,
    },
    /// There is no such version or alias.
    Missing,
    /// The function has the code.
    Edited,
    /// What the function was is a version.
    Published {
        /// Its number.
        version: u64,
        /// Its code.
        code: u64,
    },
    /// The alias points there.
    Pointed,
    /// There is no such alias any more.
    Unpointed,
    /// The version is deleted.
    Unpublished,
    /// The version stays, because an alias points to it.
    InUse,
    /// All versions, each with its code, and all aliases.
    Listed {
        /// Versions.
        versions: Vec<(u64, u64)>,
        /// Aliases.
        aliases: Vec<(String, Pointing)>,
    },
    /// Calls that were given up, each with the function that was called.
    GivenUp(Vec<(String, u64)>),
    /// Dead letters.
    Letters(Vec<Dead>),
    /// The letter was retried or dropped; `false` when there is none.
    Settled(bool),
    /// Jobs.
    Jobs(Vec<u64>),
    /// The ledger.
    Ledger(Vec<Line>),
    /// It was stored, forgotten or fetched.
    Filed,
    /// The rules are what the file said at some moment since this was asked.
    Applied,
    /// How many blobs there are, and how many of them rows name.
    Files {
        /// All.
        blobs: u64,
        /// Those that are named.
        named: u64,
    },
    /// It did not work, or nobody knows whether it did: an error, or no answer in time.
    Unknown(String),
}

/// One observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A client asks; `op` is unique in the run.
    Asked(u64, Ask),
    /// The request was sent a second time.
    Repeated(u64),
    /// The client is told.
    Told(u64, Told),
    /// A function is called. `life` is the node's life, `instance` unique in the run.
    Called {
        /// The call.
        call: u64,
        /// Which life of which node calls.
        life: u64,
        /// The instance.
        instance: u64,
        /// The function.
        function: String,
        /// The event, if it was called with one.
        event: Option<Event>,
    },
    /// A call has ended: whether the function took it.
    Ended(u64, bool),
    /// A call that had been accepted for later was made, or its end was told.
    Made {
        /// The function.
        function: String,
        /// The call's number.
        number: u64,
        /// Whether the function took it.
        is_taken: bool,
    },
    /// A node begins to work on a request.
    Handles(u64, u64),
    /// A node, in which of its lives, has done with a request, and how; its client may never hear of it.
    Handled(u64, u64, Told),
    /// A node begins to make a call that had been accepted for later.
    Attempts {
        /// The attempt, unique in the run: a call that was handed over twice is two calls of one number.
        attempt: u64,
        /// The call's number.
        number: u64,
        /// Which life of which node makes it.
        life: u64,
    },
    /// An attempt has ended; `true` if the function's version or alias was not there.
    Attempted(u64, bool),
    /// A function that has versions is run.
    Ran {
        /// The call's number.
        number: u64,
        /// Which life of which node runs it.
        life: u64,
        /// The version's number; 0 for `$LATEST`.
        version: u64,
        /// The number of the code that is run.
        code: u64,
        /// The number of the code that its configuration was made for.
        meant: u64,
    },
    /// From now on this life of a node owns the store, and no former one does.
    Owned(u64),
    /// A node's life ended, and with it everything that ran on it.
    Died(u64),
    /// An owner was told that it owns the partition.
    TookOver(u64),
    /// An owner begins to write an entry.
    Writes(Line),
    /// An owner was told whether its entry is written.
    Wrote(Line, bool),
    /// A worker was told that this job is done by it.
    Finished(u64),
    /// A node fetched what this name stands for; its client may have gone away meanwhile.
    Fetched(String, File),
    /// A collector removed so many blobs.
    Collected(u64),
    /// Faults have stopped.
    Calm,
    /// Everything has come to rest, or not within the bound.
    Rest(bool),
    /// While it rested: for how long, and what each node did by itself: effects, writes, and polls of tasks.
    Idle {
        /// Half minutes of rest.
        polls: u64,
        /// The store's operations of one node.
        effects: u64,
        /// Writes among them.
        writes: u64,
        /// How often its tasks ran.
        runs: u64,
    },
}

/// What was seen, in order.
#[derive(Debug, Default)]
pub struct History(Vec<Seen>);

impl History {
    /// Adds an observation.
    pub fn see(&mut self, seen: Seen) {
        self.0.push(seen);
    }

    /// All of it.
    pub fn seen(&self) -> &[Seen] {
        &self.0
    }
}
