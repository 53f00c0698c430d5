//! Versions that are loaded while what names them changes.

use std::path::PathBuf;
use std::sync::Mutex;

use aloft_base::{Chance, FunctionId, Size};
use aloft_call::{Fault, Grants};
use async_trait::async_trait;
use futures_util::FutureExt as _;

use super::*;

/// Makes a version that shows its number.
struct Numbers;

#[async_trait]
impl Make for Numbers {
    async fn make(&self, function: &FunctionId, published: &Published) -> Result<Version, Fault> {
        Ok(Version {
            function: function.clone(),
            number: published.number,
            id: String::new().into(),
            program: Program::Wasm,
            handler: String::new(),
            code: Code {
                task: PathBuf::new(),
                requirements: None,
                layers: None,
                sdk: None,
            },
            memory: Size::from_mib(128),
            storage: Size::from_mib(512),
            logging: Logging::Text,
            timeout: Duration::from_secs(3),
            idle: Duration::from_secs(3),
            concurrency: 1,
            calls: 1,
            queue: Queue {
                length: 1,
                wait: Duration::from_secs(1),
            },
            environment: BTreeMap::new(),
            grants: Arc::new(Grants::default()),
        })
    }

    async fn check(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
}

/// Chance that lets something happen before it is first drawn from: between an alias that was read and the version that it chooses.
struct Before(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Chance for Before {
    fn fill(&self, buffer: &mut [u8]) {
        if let Some(happens) = self.0.lock().unwrap().take() {
            happens();
        }
        buffer.fill(0xff);
    }
}

#[tokio::test]
async fn an_alias_that_moves_while_it_is_read_leads_to_a_version_that_is_there() {
    let kit = Arc::new(Kit::new());
    kit.create("hello", 1).await.unwrap();
    kit.publish(Publish::default()).await.unwrap();
    kit.update(code(2)).await.unwrap();
    kit.publish(Publish::default()).await.unwrap();
    kit.alias("live", 1, Some((2, 0.0))).await.unwrap();
    let moved = kit.clone();
    let happens = move || {
        let moves = async {
            let (name, hello) = ("live".parse().unwrap(), function("hello"));
            let pointer = Pointer {
                version: 2,
                other: None,
                description: String::new(),
            };
            let (functions, namespace) = (&moved.functions, &moved.namespace);
            let moved = functions.update_alias(namespace, &hello, &name, &pointer, None);
            moved.await.unwrap();
            functions.delete_version(namespace, &hello, 1).await.unwrap();
        };
        // The store in memory never waits.
        moves.now_or_never().unwrap();
    };
    let loader = Loader::new(
        kit.namespace.region.clone(),
        Functions::new(
            kit.store.clone(),
            kit.clock.clone(),
            Arc::new(SeededChance::new(2)),
            Arc::default(),
        ),
        Arc::new(Catalogue::new()),
        Arc::new(Before(Mutex::new(Some(Box::new(happens))))),
        Arc::new(Numbers),
    );
    let hello = kit.namespace.function(&function("hello"));
    let live = Qualifier::Alias("live".parse().unwrap());
    let loaded = loader.load(&hello, &live).await.unwrap();
    assert_eq!(loaded.number, 2);
    let gone = loader.load(&hello, &Qualifier::Version(1)).await;
    assert!(matches!(gone, Err(Fault::NoFunction { .. })), "{gone:?}");
}
