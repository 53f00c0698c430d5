//! What a user sets about a function.

use std::collections::BTreeMap;

use aloft_base::Logging;
use aloft_definition::{MAX_ENVIRONMENT_BYTES, RESERVED};

use crate::{Error, UsedLayer};

/// What a user sets about a function, and a version keeps for ever. Names, bounds and defaults are Lambda's
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    /// How the code is run, such as `python3.12`. What this node can run is decided when it is loaded.
    pub runtime: String,
    /// What the runtime calls. At most 128 characters without spaces.
    pub handler: String,
    /// The ARN of the role that tools demand. Kept, and not what decides what the function may do.
    pub role: String,
    /// At most 256 characters.
    pub description: String,
    /// Seconds that a call may run: 1 to 900. Default 3.
    pub timeout: u32,
    /// MiB that an instance may use: 128 to 10,240. Default 128.
    pub memory: u32,
    /// MiB below `/tmp`: 512 to 10,240. Default 512.
    pub storage: u32,
    /// Variables: 4 KiB in all, and none of the reserved names.
    pub environment: BTreeMap<String, String>,
    /// Layers' versions, the later ones over the former. At most 5.
    pub layers: Vec<UsedLayer>,
    /// How the log is written. Default is text.
    pub logging: Logging,
    /// The ARN of the function that gets the events of asynchronous calls that were given up.
    pub dead_letter: Option<String>,
}

impl Configuration {
    /// The default of [`timeout`](Self::timeout).
    pub const TIMEOUT: u32 = 3;
    /// The default of [`memory`](Self::memory).
    pub const MEMORY: u32 = 128;
    /// The default of [`storage`](Self::storage).
    pub const STORAGE: u32 = 512;
    /// The most layers.
    pub const LAYERS: usize = 5;
    /// With the defaults.
    pub fn new(runtime: impl Into<String>, handler: impl Into<String>, role: impl Into<String>) -> Self {
        Self {
            runtime: runtime.into(),
            handler: handler.into(),
            role: role.into(),
            description: String::new(),
            timeout: Self::TIMEOUT,
            memory: Self::MEMORY,
            storage: Self::STORAGE,
            environment: BTreeMap::new(),
            layers: Vec::new(),
            logging: Logging::Text,
            dead_letter: None,
        }
    }

    /// Whether all is within its bounds.
    ///
    /// # Errors
    /// [`Error::Invalid`], which names the field and the bound.
    pub fn check(&self) -> Result<(), Error> {
        let text = |field, text: &str, most: usize| {
            let length = text.chars().count();
            (length <= most).then_some(()).ok_or_else(|| {
                Error::invalid(
                    field,
                    text,
                    format!("it has {length} characters, and {most} are allowed"),
                )
            })
        };
        text("Handler", &self.handler, 128)?;
        if self.handler.contains(char::is_whitespace) {
            return Err(Error::invalid("Handler", &self.handler, "it may not have spaces"));
        }
        text("Description", &self.description, 256)?;
        text("Role", &self.role, 2_048)?;
        text("Runtime", &self.runtime, 64)?;
        let number = |field, value: u32, least: u32, most: u32| {
            (least..=most).contains(&value).then_some(()).ok_or_else(|| {
                Error::invalid(
                    field,
                    &value.to_string(),
                    format!("{least} to {most} are allowed"),
                )
            })
        };
        number("Timeout", self.timeout, 1, 900)?;
        number("MemorySize", self.memory, 128, 10_240)?;
        number("EphemeralStorage.Size", self.storage, 512, 10_240)?;
        if self.layers.len() > Self::LAYERS {
            let given = self.layers.len().to_string();
            return Err(Error::invalid("Layers", &given, "at most 5 are allowed"));
        }
        self.check_environment()
    }

    fn check_environment(&self) -> Result<(), Error> {
        let mut bytes = 0;
        for (name, value) in &self.environment {
            bytes += name.len() + value.len();
            let mut letters = name.bytes();
            let is_valid = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
                && name.len() >= 2
                && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'_');
            if !is_valid {
                let rule = "a variable's name begins with a letter and has at least two characters of a-z, A-Z, 0-9 and _";
                return Err(Error::invalid("Environment.Variables", name, rule));
            }
            if RESERVED.contains(&name.as_str()) {
                let rule = "the name is reserved: the platform sets it";
                return Err(Error::invalid("Environment.Variables", name, rule));
            }
            if value.contains('\0') {
                let rule = "its value has a zero byte, which no variable can hold";
                return Err(Error::invalid("Environment.Variables", name, rule));
            }
        }
        if bytes > MAX_ENVIRONMENT_BYTES {
            let rule = "names and values have more than 4 KiB in all";
            return Err(Error::invalid(
                "Environment.Variables",
                &format!("{bytes} bytes"),
                rule,
            ));
        }
        Ok(())
    }
}
