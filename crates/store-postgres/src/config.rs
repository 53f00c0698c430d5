//! What may be set. Everything else follows from the contract.

use std::time::Duration;

use aloft_store::Error;

/// The settings of the PostgreSQL engine.
#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// Where the database is: `postgres://user:password@host:port/database`, or with a socket's folder
    /// `postgresql://user@/database?host=/folder`. The connection is not encrypted: `sslmode=require` is refused.
    pub url: String,
    /// The schema that the store makes and owns. Default `aloft`; 1 to 40 of a-z, 0-9 and `_`, not beginning with a digit.
    /// Several stores may live in one database, each in a schema of its own.
    pub schema: String,
    /// How long a node that died keeps the store from the next. Default 10 s, 100 ms to 10 minutes; it is renewed every third.
    pub lease: Duration,
    /// Connections that commits share. Default 8, 1 to 64: each can be in one commit at a time, and group commit makes more
    /// than some 8 useless on one disk.
    pub writers: usize,
    /// Connections that reads share. Default 4, 1 to 64.
    pub readers: usize,
    /// Snapshots that may be open at a time, each on a connection of its own. Default 16, 1 to 256.
    pub snapshots: usize,
    /// How large a segment of the journal grows before the ring turns. Default 64 MiB, at least 256 KiB. Four segments make the
    /// ring, of which one is empty.
    pub segment_bytes: u64,
    /// How long an operation waits for a database that does not answer, before the caller is told so. Default 30 s, 1 s to 10
    /// minutes.
    pub patience: Duration,
}

impl Config {
    /// The defaults, for the database at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            schema: "aloft".to_owned(),
            lease: Duration::from_secs(10),
            writers: 8,
            readers: 4,
            snapshots: 16,
            segment_bytes: 64 << 20,
            patience: Duration::from_secs(30),
        }
    }

    /// Whether each setting is within its bounds.
    pub(crate) fn check(&self) -> Result<(), String> {
        let first = self.schema.chars().next();
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let named = (1..=40).contains(&self.schema.len())
            && self.schema.chars().all(good)
            && first.is_some_and(|c| !c.is_ascii_digit());
        if !named || self.schema.starts_with("pg_") {
            return Err(format!(
                "the schema \"{}\" must be 1 to 40 of a-z, 0-9 and _, and begin with neither a digit nor pg_",
                self.schema
            ));
        }
        let times = [
            ("lease", self.lease, Duration::from_millis(100)),
            ("patience", self.patience, Duration::from_secs(1)),
        ];
        for (name, time, least) in times {
            if time < least || time > Duration::from_secs(600) {
                return Err(format!(
                    "the {name} is {} ms, {} to 600000 are allowed",
                    time.as_millis(),
                    least.as_millis()
                ));
            }
        }
        let counts = [
            ("writers", self.writers, 64),
            ("readers", self.readers, 64),
            ("snapshots", self.snapshots, 256),
        ];
        for (name, count, most) in counts {
            if count == 0 || count > most {
                return Err(format!("{name} are {count}, 1 to {most} are allowed"));
            }
        }
        if self.segment_bytes < 256 << 10 {
            return Err(format!(
                "a segment has {} bytes, at least 262144 are needed",
                self.segment_bytes
            ));
        }
        Ok(())
    }
}

/// Without the password.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("schema", &self.schema)
            .field("lease", &self.lease)
            .field("writers", &self.writers)
            .field("readers", &self.readers)
            .field("snapshots", &self.snapshots)
            .field("segment_bytes", &self.segment_bytes)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

/// Where the store lies: how to get there, and its name for errors, without credentials.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) config: tokio_postgres::Config,
    pub(crate) name: String,
}

impl Address {
    /// Reads the URL, and refuses what would be done less safely than asked.
    pub(crate) fn read(config: &Config) -> Result<Self, Error> {
        let refuse = |reason: String| Error::Unsuitable {
            database: "the database that --store names".to_owned(),
            reason,
        };
        config.check().map_err(refuse)?;
        if !config.url.starts_with("postgres://") && !config.url.starts_with("postgresql://") {
            return Err(refuse(
                "its URL must begin with postgres:// or postgresql://".to_owned(),
            ));
        }
        // The parser's own message names the parameter and never the password.
        let mut parsed: tokio_postgres::Config =
            config.url.parse().map_err(|error: tokio_postgres::Error| {
                let mut reason = format!("its URL cannot be read: {error}");
                if let Some(source) = std::error::Error::source(&error) {
                    reason = format!("{reason}: {source}");
                }
                if config.url.contains("sslmode=") {
                    reason.push_str(
                        "; of sslmode only disable and prefer are supported: connections are not encrypted",
                    );
                }
                refuse(reason)
            })?;
        let name = name(&parsed, &config.schema);
        if matches!(parsed.get_ssl_mode(), tokio_postgres::config::SslMode::Require) {
            return Err(Error::Unsuitable {
                database: name,
                reason: "sslmode=require asks for encryption, which this release cannot do: reach it by a socket, by \
                         loopback or through a tunnel, and write sslmode=disable"
                    .to_owned(),
            });
        }
        parsed.ssl_mode(tokio_postgres::config::SslMode::Disable);
        parsed.application_name("aloft");
        parsed.connect_timeout(Duration::from_secs(5));
        parsed.keepalives(true);
        parsed.keepalives_idle(Duration::from_secs(15));
        parsed.keepalives_interval(Duration::from_secs(5));
        parsed.keepalives_retries(3);
        // A peer that vanished is noticed after half a minute, also while it owes an answer.
        parsed.tcp_user_timeout(Duration::from_secs(30));
        let given = parsed.get_options().unwrap_or_default().to_owned();
        parsed.options(format!("{given} {}", session(&config.schema)).trim());
        Ok(Self { config: parsed, name })
    }
}

/// What each of our sessions is started with, so that no round trip is spent on it. The planner's switches: every statement
/// of ours goes by an index, and a plan that was made while a table was empty must not scan it once it is large.
fn session(schema: &str) -> String {
    let settings = [
        ("search_path", schema),
        ("statement_timeout", "30s"),
        ("lock_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "60s"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
        ("enable_material", "off"),
        ("plan_cache_mode", "force_generic_plan"),
        ("jit", "off"),
        ("client_min_messages", "warning"),
        ("default_transaction_isolation", "read\\ committed"),
    ];
    let words = settings.map(|(name, value)| format!("-c {name}={value}"));
    words.join(" ")
}

fn name(config: &tokio_postgres::Config, schema: &str) -> String {
    let host = match config.get_hosts().first() {
        Some(tokio_postgres::config::Host::Tcp(host)) => host.clone(),
        #[cfg(unix)]
        Some(tokio_postgres::config::Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let user = config.get_user().unwrap_or("(this user)");
    let database = config.get_dbname().unwrap_or(user);
    format!("PostgreSQL database \"{database}\" at {host} port {port}, schema \"{schema}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::new("postgres://someone:secret@here/there");
        change(&mut config);
        Address::read(&config).unwrap_err().to_string()
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_with_its_value() {
        let cases: [(String, &str); 7] = [
            (refused(|c| c.schema = "Aloft".into()), "\"Aloft\""),
            (refused(|c| c.schema = "pg_x".into()), "\"pg_x\""),
            (refused(|c| c.lease = Duration::from_millis(99)), "99 ms"),
            (refused(|c| c.writers = 65), "65"),
            (refused(|c| c.segment_bytes = 1), "1 bytes"),
            (refused(|c| c.url = "mysql://x".into()), "postgres://"),
            (refused(|c| c.url.push_str("?sslmode=require")), "sslmode=require"),
        ];
        for (message, part) in cases {
            assert!(message.contains(part) && !message.contains("secret"), "{message}");
        }
        let full = refused(|c| c.url.push_str("?sslmode=verify-full"));
        assert!(
            full.contains("not encrypted") && !full.contains("secret"),
            "{full}"
        );
    }

    #[test]
    fn a_socket_and_a_host_are_named_without_the_password() {
        let name = |url: &str| Address::read(&Config::new(url)).unwrap().name;
        assert_eq!(
            name("postgresql://postgres:secret@/data?host=/run/pg"),
            "PostgreSQL database \"data\" at /run/pg port 5432, schema \"aloft\""
        );
        assert_eq!(
            name("postgres://me:secret@db.example:6000/data"),
            "PostgreSQL database \"data\" at db.example port 6000, schema \"aloft\""
        );
        assert!(!format!("{:?}", Config::new("postgres://a:secret@b/c")).contains("secret"));
    }
}
