//! A contract from outside the crate: the code listens, gets a call as a line, and answers with a line.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aloft_base::InvocationId;
use aloft_call::{Answer, Call, Caller, Fault, Lineage, Payload, Principal, Qualifier, Trace};
use aloft_function::{Command, Program, Version};
use aloft_instance::process::Process;
use aloft_instance::{Begun, Contract, Initialization, Needs, Runtime, Session, Spoken};
use aloft_sandbox::{Isolation, Socket};
use async_trait::async_trait;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::*;

/// Upper-cases what it is told, until it is told to end.
const CODE: &str = "import os, socket
listener = socket.create_server(('127.0.0.1', int(os.environ['LINES'])))
while True:
    connection, _ = listener.accept()
    line = connection.makefile().readline()
    if line == '\"end\"\\n': os._exit(4)
    connection.sendall(line.upper().encode())
    connection.close()
";
const PORT: u16 = 7_000;

pub(super) struct Lines;

impl Contract for Lines {
    fn needs(&self, _: &Version, _: Isolation) -> Result<Needs, Fault> {
        Ok(Needs {
            sockets: 1,
            variables: vec![("LINES".into(), PORT.to_string().into())],
            patience: PATIENCE,
            ..Needs::default()
        })
    }

    fn begin(&self, mut begun: Begun) -> Result<Arc<dyn Session>, Fault> {
        Ok(Arc::new(Talk(Mutex::new(begun.sockets.pop()))))
    }
}

struct Talk(Mutex<Option<Socket>>);

impl Talk {
    async fn ask(&self, line: &str) -> io::Result<String> {
        let socket = self.0.lock().unwrap().take().unwrap();
        let mut stream = socket.connect(PORT).map_err(|(error, _)| error)?;
        if let Err(error) = Socket::connected(&stream).await {
            *self.0.lock().unwrap() = Some(Socket::back(stream)?);
            return Err(error);
        }
        stream.write_all(line.as_bytes()).await?;
        let mut answer = String::new();
        BufReader::new(&mut stream).read_line(&mut answer).await?;
        *self.0.lock().unwrap() = Some(Socket::back(stream)?);
        Ok(answer)
    }
}

#[async_trait]
impl Session for Talk {
    async fn loaded(&self) -> Result<(), Fault> {
        while self.ask("hello\n").await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    async fn call(&self, process: &Process, call: Call, _: Duration) -> Spoken {
        let Payload::Direct(direct) = call.payload else {
            panic!("{:?}", call.payload)
        };
        let line = format!("{}\n", String::from_utf8(direct.body.to_vec()).unwrap());
        let result = tokio::select! {
            fault = process.ended() => Err(fault),
            answer = self.ask(&line) => match answer {
                Ok(answer) if !answer.is_empty() => Ok(Answer::Bytes(answer.into())),
                _ => Err(process.ended().await),
            },
        };
        Spoken {
            is_reusable: result.is_ok(),
            result,
            run: Duration::from_millis(1),
            bytes: (line.len() as u64, 0),
        }
    }
}

pub(super) fn call(payload: &'static str) -> Call {
    Call {
        id: InvocationId::draw(&SystemChance),
        qualifier: Qualifier::Latest,
        caller: Caller {
            tenant: Tenant::local(),
            region: Region::local(),
            principal: Principal::Anonymous,
        },
        payload: Payload::Direct(payload.into()),
        lineage: Lineage::default(),
        deadline: None,
        trace: Trace::begin(&SystemChance),
        stream: None,
    }
}

/// The code is called by that contract, and its end is told, without a line in the crate.
pub(super) async fn a_contract_from_outside_is_spoken(spawner: Spawner) {
    let place = Place::new(CODE).await;
    let tasks = Tasks::new(Stop::new());
    let runtime = place.runtime(spawner, Isolation::Full, Trap::None, &tasks);
    let runtime = runtime.with_contract("lines", Arc::new(Lines));
    let python = place.pythons.get(None).unwrap().clone();
    let version = |contract: &str| {
        Arc::new(Version {
            program: Program::Command(Command {
                contract: contract.into(),
                argv: vec!["python3".to_owned(), "code.py".to_owned()],
                interpreter: Some(python.clone()),
            }),
            ..(*place.version()).clone()
        })
    };
    let instance = runtime
        .start(version("lines"), Initialization::OnDemand)
        .await
        .unwrap()
        .instance;
    let called = instance.call(call("\"shout\"")).await;
    assert!(
        matches!(&called.result, Ok(Answer::Bytes(bytes)) if bytes == "\"SHOUT\"\n"),
        "{called:?}"
    );
    let called = instance.call(call("\"end\"")).await;
    assert!(
        matches!(&called.result, Err(Fault::Exited { how }) if how == "exit status 4"),
        "{called:?}"
    );
    assert!(!called.is_reusable);
    instance.ended().await;
    let Err(unknown) = runtime.start(version("nobody's"), Initialization::OnDemand).await else {
        panic!("it speaks what it does not know")
    };
    assert!(unknown.to_string().contains("\"nobody's\""), "{unknown}");
    tasks.drain(Duration::from_secs(5)).await;
}
