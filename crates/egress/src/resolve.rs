//! Names to addresses, by what the host would ask or by what the operator says. `hickory-resolver` and not the C library: that one has no
//! deadline, and holds a thread for each name that is slow. It reads `/etc/hosts` and `/etc/resolv.conf` and keeps answers for as long as
//! they say; what it does not know are other sources of the host's `nsswitch.conf`.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::sync::Semaphore;

/// Where the host says whom to ask.
const SETTINGS: &str = "/etc/resolv.conf";
/// A name that takes longer is not there.
const PATIENCE: Duration = Duration::from_secs(5);
/// Names that are looked up at once; others wait, within the same patience.
const LOOKUPS: usize = 256;
/// Answers that are kept, of at most a few hundred bytes each, and for how long at most.
const ANSWERS: u64 = 4_096;
const KEPT: Duration = Duration::from_secs(300);

/// What a name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Addresses, at least one.
    Addresses(Vec<IpAddr>),
    /// It has none, or does not exist.
    Nothing,
    /// Nobody answered, or in a way that says nothing.
    Failed(String),
}

/// Who is asked.
pub(crate) struct Resolver {
    server: Option<SocketAddr>,
    /// What was made of the host's settings as they were at that time.
    current: Mutex<Option<(Option<SystemTime>, Arc<TokioResolver>)>>,
    lookups: Semaphore,
}

impl Resolver {
    pub(crate) fn new(server: Option<SocketAddr>) -> Self {
        Self {
            server,
            current: Mutex::default(),
            lookups: Semaphore::new(LOOKUPS),
        }
    }

    pub(crate) async fn find(&self, name: &str) -> Found {
        let asked = async {
            let Ok(_turn) = self.lookups.acquire().await else {
                return Found::Failed("the platform goes down".to_owned());
            };
            match self.resolver() {
                Ok(resolver) => ask(&resolver, name).await,
                Err(error) => Found::Failed(error),
            }
        };
        let failed = || Found::Failed(format!("no answer within {} seconds", PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, asked)
            .await
            .unwrap_or_else(|_| failed())
    }

    /// Made anew when the host's settings have changed, as when a laptop changes its network. Looking is one call of the system.
    fn resolver(&self) -> Result<Arc<TokioResolver>, String> {
        let changed = match self.server {
            Some(_) => None,
            None => Path::new(SETTINGS)
                .metadata()
                .and_then(|about| about.modified())
                .ok(),
        };
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, resolver)) = &*current
            && *known == changed
        {
            return Ok(resolver.clone());
        }
        let (config, mut options) = match self.server {
            Some(server) => (asking(server), ResolverOpts::default()),
            None => hickory_resolver::system_conf::read_system_conf()
                .map_err(|error| format!("{SETTINGS} cannot be used: {error}"))?,
        };
        options.use_hosts_file = match self.server {
            Some(_) => ResolveHosts::Never,
            None => ResolveHosts::Always,
        };
        options.cache_size = ANSWERS;
        options.positive_max_ttl = Some(KEPT);
        options.negative_max_ttl = Some(KEPT);
        let resolver =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options);
        let resolver = Arc::new(resolver.build().map_err(|error| error.to_string())?);
        *current = Some((changed, resolver.clone()));
        Ok(resolver)
    }
}

fn asking(server: SocketAddr) -> ResolverConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    let server = NameServerConfig::new(server.ip(), true, connections.into());
    ResolverConfig::from_parts(None, Vec::new(), vec![server])
}

async fn ask(resolver: &TokioResolver, name: &str) -> Found {
    match resolver.lookup_ip(name).await {
        Ok(found) => {
            let addresses: Vec<IpAddr> = found.iter().collect();
            match addresses.is_empty() {
                true => Found::Nothing,
                false => Found::Addresses(addresses),
            }
        }
        Err(error) if error.is_no_records_found() || error.is_nx_domain() => Found::Nothing,
        Err(error) => Found::Failed(error.to_string()),
    }
}
