//! The handlers on loopback over the store in memory, asked byte for byte as a client asks.

mod dead_letter;
mod doors;
mod functions;
mod items;
mod lambda;
mod layers;
mod logs;
mod many;
mod model;
mod permissions;
mod protocol;
mod roles;
mod secrets;
mod sts;
mod tables;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aloft_base::{ManualClock, Region, SeededChance, Stop, SystemClock, Tasks, Tenant, Timestamp};
use aloft_build::Builder;
use aloft_call::{Access, Caller, Grants, Principal, Streams};
use aloft_deferred::Deferred;
use aloft_delivery::Ground;
use aloft_function::{Catalogue, Functions, Layers};
use aloft_http::{Client, Limits, Patience, Request, Room, collect, full, serve};
use aloft_log::{Bounds, Logs};
use aloft_observe::{Feed, Metrics};
use aloft_role::Roles;
use aloft_seal::{MasterKey, Seal};
use aloft_secret::Secrets;
use aloft_store::Memory;
use aloft_store::layout::Namespace;
use aloft_store_folder::Folder;
use aloft_table::Tables;
use http::{HeaderMap, StatusCode};
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;

use crate::{Aws, LambdaParts, MAX_BODY_BYTES, Parts, Trust};
use functions::Machine;

/// When botocore's vector was signed.
const NOW: Timestamp = Timestamp::from_millis(1_440_938_160_000);
const DYNAMODB: &str = "com.amazonaws.dynamodb.v20120810#";
const SERVICE: &str = "com.amazon.coral.service#";
const VALIDATION: &str = "com.amazon.coral.validate#ValidationException";

/// A wire that listens, and a client of it.
struct Wire {
    _folder: tempfile::TempDir,
    catalogue: Arc<Catalogue>,
    machine: Arc<Machine>,
    aws: Aws,
    tables: Tables,
    metrics: Metrics,
    client: Client,
    tasks: Tasks,
}

/// What came back.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
            .to_str()
            .unwrap()
    }
}

/// Any key's signature over nothing, for `region`.
fn claim(region: &str, service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=any/20150830/{region}/{service}/aws4_request, SignedHeaders=host, Signature=00"
    )
}

/// A wire behind the door for everybody.
async fn start(trust: Trust) -> Wire {
    start_on(Arc::new(Memory::new(Arc::new(SystemClock))), trust).await
}

async fn start_on(store: Arc<Memory>, trust: Trust) -> Wire {
    let clock = Arc::new(ManualClock::new(NOW));
    let chance = Arc::new(SeededChance::new(7));
    let metrics = Metrics::new();
    let tables = Tables::open(store.clone(), clock.clone(), chance.clone())
        .await
        .unwrap();
    let tasks = Tasks::new(Stop::new());
    let folder = tempfile::tempdir().unwrap();
    let blobs = Folder::open(&folder.path().join("blobs"), clock.clone(), chance.clone()).unwrap();
    let builder = aloft_build::Parts {
        data: folder.path().to_owned(),
        cache: folder.path().join("cache"),
        search: Vec::new(),
        blobs: Arc::new(blobs),
        clock: clock.clone(),
        chance: chance.clone(),
        feed: Feed::start(&tasks),
        tasks: tasks.clone(),
        spawner: None,
        limits: aloft_build::Limits::default(),
        packages: None,
    };
    let catalogue = Arc::new(Catalogue::new());
    let machine = Arc::new(Machine::default());
    let namespace = Namespace {
        tenant: Tenant::local(),
        region: Region::local(),
    };
    let ground = Ground::open(store.clone(), &namespace, clock.clone(), chance.clone()).await;
    let deferred = aloft_deferred::Parts {
        ground: ground.unwrap(),
        namespace,
        invoke: machine.clone(),
        spacing: Duration::from_secs(60),
        drain: Duration::ZERO,
        metrics: aloft_delivery::Metrics::register(&metrics),
    };
    let deferred = Deferred::new(deferred, tasks.stop().child());
    let master = MasterKey::new(&[1; 32]);
    let seal = Seal::open(store.clone(), &master, chance.clone()).await.unwrap();
    let aws = Aws::new(Parts {
        tables: tables.clone(),
        lambda: LambdaParts {
            layers: Layers::new(store.clone(), clock.clone(), chance.clone()),
            functions: Functions::new(store.clone(), clock.clone(), chance.clone(), catalogue.clone()),
            catalogue: catalogue.clone(),
            load: machine.clone(),
            builder: Builder::new(builder, &metrics),
            deferred: Arc::new(deferred.clone()),
            concurrency: 1_000,
            warm: Arc::new(()),
        },
        roles: Roles::new(store.clone(), clock.clone(), chance.clone()),
        secrets: Secrets::new(store.clone(), seal, clock.clone(), chance.clone()),
        logs: Logs::new(store, clock.clone(), chance.clone(), Bounds::default()),
        streams: Streams::new(machine.clone(), tasks.clone()),
        region: Region::local(),
        tenants: None,
        clock,
        chance,
        metrics: metrics.clone(),
    });
    let client = listen(
        aws.edge(trust, Streams::new(machine.clone(), tasks.clone())),
        &tasks,
    )
    .await;
    Wire {
        _folder: folder,
        catalogue,
        machine,
        aws,
        tables,
        metrics,
        client,
        tasks,
    }
}

async fn listen(handler: Arc<dyn aloft_http::Handler>, tasks: &Tasks) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    serve(
        listener,
        Limits {
            body_bytes: MAX_BODY_BYTES,
            ..Limits::default()
        },
        &Room::new(64 << 20),
        handler,
        tasks,
    );
    Client::new(address, Patience::default(), tasks)
}

/// A wire with the table `orders` of key `id` (text), and `lines` of keys `order` (text) and `at` (number).
async fn start_with_tables() -> Wire {
    let wire = start(Trust::Loopback).await;
    wire.done("CreateTable", create("orders", &[("id", "S")])).await;
    wire.done("CreateTable", create("lines", &[("order", "S"), ("at", "N")]))
        .await;
    wire
}

/// The input that creates a table.
fn create(name: &str, keys: &[(&str, &str)]) -> Json {
    let schema: Vec<Json> = keys
        .iter()
        .zip(["HASH", "RANGE"])
        .map(|((name, _), role)| json!({"AttributeName": name, "KeyType": role}))
        .collect();
    let definitions: Vec<Json> = keys
        .iter()
        .map(|(name, kind)| json!({"AttributeName": name, "AttributeType": kind}))
        .collect();
    json!({
        "TableName": name, "KeySchema": schema, "AttributeDefinitions": definitions, "BillingMode": "PAY_PER_REQUEST"
    })
}

impl Wire {
    /// A function's door to the same wire.
    async fn inside(&self, grants: &[(&str, Access)]) -> Client {
        let tables = grants
            .iter()
            .map(|(name, access)| (name.parse().unwrap(), *access))
            .collect();
        let principal = Principal::Function {
            name: "create".parse().unwrap(),
            grants: Arc::new(Grants {
                tables,
                ..Grants::default()
            }),
        };
        let caller = Caller {
            tenant: Tenant::local(),
            region: "eu-central-1".parse().unwrap(),
            principal,
        };
        listen(self.aws.inside(caller), &self.tasks).await
    }

    async fn ask(&self, operation: &str, input: &Json) -> Answer {
        ask(&self.client, operation, input.to_string().into_bytes()).await
    }

    /// Asks for what must be done.
    async fn done(&self, operation: &str, input: Json) -> Json {
        let answer = self.ask(operation, &input).await;
        assert_eq!(
            answer.status,
            StatusCode::OK,
            "{operation} {input}: {}",
            answer.text()
        );
        answer.json()
    }

    /// Asks for what must be refused with this code, and returns the text.
    async fn refused(&self, operation: &str, input: Json, code: &str) -> String {
        let answer = self.ask(operation, &input).await;
        let body = answer.json();
        assert_eq!(
            (answer.status, &body["__type"]),
            (StatusCode::BAD_REQUEST, &json!(code)),
            "{operation} {input}: {body}"
        );
        let text = body.get("message").or_else(|| body.get("Message"));
        text.unwrap_or_else(|| panic!("no message in {body}"))
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Asks for what must be refused with a `ValidationException` and this text.
    async fn invalid(&self, operation: &str, input: Json, text: &str) {
        let shown = input.to_string();
        assert_eq!(
            self.refused(operation, input, VALIDATION).await,
            text,
            "{operation} {shown}"
        );
    }
}

async fn ask(client: &Client, operation: &str, body: Vec<u8>) -> Answer {
    let request = http::Request::post("/")
        .header("authorization", claim("us-east-1", "dynamodb"))
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"));
    send(client, request.body(full(body)).unwrap()).await
}

async fn send(client: &Client, request: Request) -> Answer {
    let sent = tokio::time::timeout(Duration::from_secs(20), client.send(request));
    let (head, body) = sent.await.expect("an answer").unwrap().into_parts();
    let body = collect(body, 64 << 20).await.unwrap().to_vec();
    Answer {
        status: head.status,
        headers: head.headers,
        body,
    }
}
