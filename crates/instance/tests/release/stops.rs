//! How instances are stopped: servers and commands are told and have a moment, handlers are killed.

use aloft_call::Fault;
use aloft_function::{Command, Program, Version};
use aloft_instance::{Initialization, Instance, Runtime};

use super::lines::call;
use super::*;

/// A server, a handler and a command: it ends when it is told, some time later, or with `lingers` not at all.
const CODE: &str = "import os, signal, socket, sys, time
def handler(event, context): pass
def told(*_):
    time.sleep(60 if 'lingers' in sys.argv else 0.5)
    os._exit(7)
if sys.argv[1:]:
    signal.signal(signal.SIGTERM, told)
    listener = socket.create_server(('127.0.0.1', int(os.environ.get('PORT', 0))))
    while True: time.sleep(60)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
";

/// Stops an instance, and waits until nothing is left of it.
async fn stop(instance: &Arc<dyn Instance>) -> Duration {
    let began = Instant::now();
    instance.stop();
    // Whoever stops it again does not shorten its time.
    instance.stop();
    tokio::time::timeout(PATIENCE, instance.ended()).await.unwrap();
    began.elapsed()
}

pub(super) async fn who_expects_to_be_told_is_told(isolation: Isolation, spawner: Spawner) {
    let place = Place::new(CODE).await;
    let tasks = Tasks::new(Stop::new());
    let runtime = place.runtime(spawner, isolation, Trap::None, &tasks);
    let python = place.pythons.get(None).unwrap().clone();
    let version = |contract: &str, word: &str| {
        Arc::new(Version {
            program: Program::Command(Command {
                contract: contract.into(),
                argv: ["python3", "code.py", word].map(str::to_owned).to_vec(),
                interpreter: Some(python.clone()),
            }),
            timeout: PATIENCE,
            ..(*place.version()).clone()
        })
    };
    let (half, grace) = (Duration::from_millis(500), Duration::from_secs(2));
    let server = runtime
        .start(version("http", "ends"), Initialization::OnDemand)
        .await
        .unwrap()
        .instance;
    let took = stop(&server).await;
    assert!(took >= half, "{took:?}: it was not told");
    let server = runtime
        .start(version("http", "lingers"), Initialization::OnDemand)
        .await
        .unwrap()
        .instance;
    let took = stop(&server).await;
    assert!(took >= grace && took < PATIENCE / 2, "{took:?}");
    // One on Lambda's contract is not told, though it would not mind.
    let handler = runtime
        .start(place.version(), Initialization::OnDemand)
        .await
        .unwrap()
        .instance;
    let took = stop(&handler).await;
    assert!(took < grace, "{took:?}");
    let command = runtime
        .start(version("command", "ends"), Initialization::OnDemand)
        .await
        .unwrap()
        .instance;
    let (called, took) = tokio::join!(command.call(call("\"x\"")), async {
        // Long enough for it to be there; one that is not told would end by a signal, and one that is not ready by this one.
        tokio::time::sleep(Duration::from_secs(3)).await;
        stop(&command).await
    });
    assert!(took >= half, "{took:?}: it was not told");
    assert!(
        matches!(&called.result, Err(Fault::Exited { how }) if how == "exit status 7"),
        "{called:?}"
    );
    tasks.drain(Duration::from_secs(5)).await;
}
