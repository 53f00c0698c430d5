//! Lambda: the functions, and what became of calls in Lambda's words.

use std::sync::Mutex;
use std::time::Duration;

use aloft_base::{FunctionId, InvocationId};
use aloft_call::{
    Answer as Given, Call, ColdStart, Fault, FunctionError, Invoke, Lineage, Outcome, Payload, Qualifier,
    Usage,
};
use aloft_function::{FunctionUrl, Load, UrlId, Version};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// A machine that runs nothing: what becomes of calls is what the test says.
#[derive(Default)]
pub(super) struct Machine {
    calls: Mutex<Vec<(FunctionId, Call)>>,
    next: Mutex<Vec<Result<Given, Fault>>>,
}

#[async_trait]
impl Load for Machine {
    async fn load(&self, function: &FunctionId, qualifier: &Qualifier) -> Result<Arc<Version>, Fault> {
        Err(Fault::no_function(&function.name, qualifier))
    }

    async fn url(&self, _: UrlId) -> Result<Option<Arc<FunctionUrl>>, Fault> {
        Ok(None)
    }

    async fn check(&self, runtime: &str) -> Result<(), String> {
        let is_here = runtime == "python3.11";
        is_here
            .then_some(())
            .ok_or_else(|| format!("no {runtime}: this machine has python3.11"))
    }
}

#[async_trait]
impl Invoke for Machine {
    async fn invoke(&self, function: &FunctionId, call: Call) -> Outcome {
        let id = call.id;
        let tail = matches!(&call.payload, Payload::Direct(direct) if direct.is_tailed);
        self.calls.lock().unwrap().push((function.clone(), call));
        Outcome {
            id,
            result: self.next.lock().unwrap().remove(0),
            usage: Usage {
                number: 7,
                cold: Some(ColdStart {
                    init: Duration::from_millis(90),
                    ..ColdStart::default()
                }),
                run: Duration::from_micros(1_500),
                memory_limit: 128 << 20,
                memory_peak: 40 << 20,
                ..Usage::default()
            },
            tail: tail.then(|| "x".repeat(Outcome::TAIL).into()),
        }
    }
}

pub(super) const FUNCTIONS: &str = "/2015-03-31/functions";

pub(super) async fn lambda(
    client: &Client,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Answer {
    let mut request = http::Request::builder().method(method).uri(path);
    request = request.header("authorization", claim("eu-west-1", "lambda"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(client, request.body(full(body)).unwrap()).await
}

impl Wire {
    pub(super) async fn lambda(&self, method: &str, path: &str, input: Json) -> Answer {
        let body = if input.is_null() {
            Vec::new()
        } else {
            input.to_string().into_bytes()
        };
        lambda(&self.client, method, path, &[], body).await
    }

    /// What must be refused with this code.
    pub(super) async fn declined(
        &self,
        method: &str,
        path: &str,
        input: Json,
        status: u16,
        code: &str,
    ) -> String {
        let shown = input.to_string();
        let answer = self.lambda(method, path, input).await;
        let found = (answer.status.as_u16(), answer.header("x-amzn-errortype"));
        assert_eq!(
            found,
            (status, code),
            "{method} {path} {shown}: {}",
            answer.text()
        );
        let body = answer.json();
        let text = body.get("message").or_else(|| body.get("Message"));
        text.and_then(Json::as_str).unwrap().to_owned()
    }

    async fn invoked(&self, result: Result<Given, Fault>) -> Answer {
        self.machine.next.lock().unwrap().push(result);
        self.lambda("POST", "/2015-03-31/functions/f/invocations", json!({}))
            .await
    }
}

pub(super) fn zip(files: &[(&str, &str)]) -> String {
    use std::io::Write as _;
    let mut zip = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in files {
        zip.start_file(*name, ::zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    STANDARD.encode(zip.finish().unwrap().into_inner())
}

pub(super) fn input(name: &str) -> Json {
    json!({
        "FunctionName": name, "Runtime": "python3.11", "Handler": "app.handler",
        "Role": "arn:aws:iam::000000000000:role/any", "Code": { "ZipFile": zip(&[("app.py", "")]) }
    })
}

#[tokio::test]
async fn a_function_is_made_changed_published_and_deleted() {
    let wire = start(Trust::Loopback).await;
    let made = wire.lambda("POST", FUNCTIONS, input("f")).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let made = made.json();
    assert_eq!(
        made["FunctionArn"],
        "arn:aws:lambda:eu-west-1:000000000000:function:f"
    );
    assert_eq!((&made["Timeout"], &made["MemorySize"]), (&json!(3), &json!(128)));
    assert_eq!(
        (&made["State"], &made["LastUpdateStatus"], &made["Version"]),
        (&json!("Active"), &json!("Successful"), &json!("$LATEST"))
    );
    assert_eq!(made["LastModified"], "2015-08-30T12:36:00.000+0000");
    let updated = wire
        .lambda(
            "PUT",
            "/2015-03-31/functions/f/configuration",
            json!({ "Timeout": 9, "Environment": { "Variables": { "COLOUR": "blue" } } }),
        )
        .await
        .json();
    assert_eq!(
        (
            &updated["Timeout"],
            &updated["MemorySize"],
            &updated["Environment"]
        ),
        (
            &json!(9),
            &json!(128),
            &json!({ "Variables": { "COLOUR": "blue" } })
        )
    );
    let stale = json!({ "Timeout": 8, "RevisionId": made["RevisionId"] });
    wire.declined(
        "PUT",
        "/2015-03-31/functions/f/configuration",
        stale,
        412,
        "PreconditionFailedException",
    )
    .await;
    let code = json!({ "ZipFile": zip(&[("app.py", "1")]), "Publish": true });
    let first = wire
        .lambda("PUT", "/2015-03-31/functions/f/code", code)
        .await
        .json();
    assert_eq!(first["Version"], "1");
    assert_ne!(first["CodeSha256"], made["CodeSha256"]);
    let same = wire
        .lambda("POST", "/2015-03-31/functions/f/versions", Json::Null)
        .await
        .json();
    assert_eq!(same, first, "unchanged, it is the same version");
    let hash = json!({ "CodeSha256": made["CodeSha256"] });
    let path = "/2015-03-31/functions/f/versions";
    let text = wire
        .declined("POST", path, hash, 400, "InvalidParameterValueException")
        .await;
    assert!(
        text.contains("is different from current CodeSHA256 in $LATEST"),
        "{text}"
    );
    let listed = wire.lambda("GET", path, Json::Null).await.json();
    let versions = listed["Versions"].as_array().unwrap();
    let numbers: Vec<&Json> = versions.iter().map(|version| &version["Version"]).collect();
    assert_eq!(numbers, ["$LATEST", "1"]);
    let deleted = wire.lambda("DELETE", "/2015-03-31/functions/f", Json::Null).await;
    assert_eq!((deleted.status, deleted.body.len()), (StatusCode::NO_CONTENT, 0));
    let text = wire
        .declined(
            "GET",
            "/2015-03-31/functions/f",
            Json::Null,
            404,
            "ResourceNotFoundException",
        )
        .await;
    assert_eq!(
        text,
        "Function not found: arn:aws:lambda:eu-west-1:000000000000:function:f"
    );
}

#[tokio::test]
async fn an_input_that_breaks_a_rule_makes_nothing() {
    let wire = start(Trust::Loopback).await;
    let with = |member: &str, value: Json| {
        let mut input = input("f");
        input[member] = value;
        input
    };
    let invalid = "InvalidParameterValueException";
    let target = "arn:aws:sqs:us-east-1:000000000000:dead";
    for (input, code, said) in [
        (
            with("FunctionName", json!("a b")),
            "ValidationException",
            "'a b' at 'functionName'",
        ),
        (
            with("FunctionName", Json::Null),
            "ValidationException",
            "at 'functionName'",
        ),
        (
            with("Timeout", json!(901)),
            "ValidationException",
            "less than or equal to 900",
        ),
        (
            with("MemorySize", json!(64)),
            "ValidationException",
            "at 'memorySize'",
        ),
        (
            with("MemorySize", json!("64")),
            "SerializationException",
            "STRING_VALUE",
        ),
        (with("Role", json!("me")), "ValidationException", "at 'role'"),
        (with("Code", Json::Null), "ValidationException", "at 'code'"),
        (with("Handler", Json::Null), invalid, "mandatory"),
        (with("Handler", json!("a b")), invalid, "may not have spaces"),
        (
            with("Runtime", json!("java21")),
            invalid,
            "this machine has python3.11",
        ),
        (
            with("Code", json!({ "S3Bucket": "code", "S3Key": "f.zip" })),
            invalid,
            "S3Bucket",
        ),
        (
            with("Code", json!({ "ZipFile": "bm8gemlw" })),
            invalid,
            "Could not unzip",
        ),
        (
            with("Code", json!({ "ZipFile": "?" })),
            "SerializationException",
            "Base64",
        ),
        (
            with("Environment", json!({ "Variables": { "AWS_REGION": "x" } })),
            invalid,
            "reserved",
        ),
        (
            with("VpcConfig", json!({ "SubnetIds": ["subnet-1"] })),
            invalid,
            "VpcConfig",
        ),
        (
            with(
                "Layers",
                json!(["arn:aws:lambda:eu-west-1:000000000000:layer:l:1"]),
            ),
            invalid,
            "does not exist",
        ),
        (
            with("DeadLetterConfig", json!({ "TargetArn": target })),
            invalid,
            "\"sqs\"",
        ),
        (
            with("TracingConfig", json!({ "Mode": "Active" })),
            invalid,
            "TracingConfig.Mode",
        ),
        (with("PackageType", json!("Image")), invalid, "PackageType"),
        (with("Architectures", json!(["riscv"])), invalid, "Architectures"),
        (with("Tags", json!({ "aws:x": "y" })), invalid, "reserved"),
        (
            with("DurableConfig", json!({ "RetentionPeriodInDays": 1 })),
            invalid,
            "DurableConfig",
        ),
    ] {
        let text = wire.declined("POST", FUNCTIONS, input, 400, code).await;
        assert!(text.contains(said), "{said}: {text}");
    }
    let none = wire.lambda("GET", FUNCTIONS, Json::Null).await.json();
    assert_eq!(none, json!({ "Functions": [] }));
    // What says that there is none of it is let through.
    let mut plain = input("f");
    for (member, value) in [
        ("VpcConfig", json!({ "SubnetIds": [], "SecurityGroupIds": [] })),
        ("Layers", json!([])),
        ("FileSystemConfigs", json!([])),
        ("KMSKeyArn", json!("")),
        ("DeadLetterConfig", json!({ "TargetArn": "" })),
        ("TracingConfig", json!({ "Mode": "PassThrough" })),
        ("SnapStart", json!({ "ApplyOn": "None" })),
        ("LoggingConfig", json!({ "LogFormat": "Text" })),
        ("PackageType", json!("Zip")),
        ("Tags", json!({ "team": "a" })),
    ] {
        plain[member] = value;
    }
    let made = wire.lambda("POST", FUNCTIONS, plain).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let text = wire
        .declined("POST", FUNCTIONS, input("f"), 409, "ResourceConflictException")
        .await;
    assert_eq!(text, "Function already exist: f");
}

#[tokio::test]
async fn how_a_log_is_written_is_kept_and_shown() {
    let wire = start(Trust::Loopback).await;
    let group = "/aws/lambda/f";
    let text = json!({ "LogFormat": "Text", "LogGroup": group });
    let json = |application: &str, system: &str| json!({ "LogFormat": "JSON", "ApplicationLogLevel": application, "SystemLogLevel": system, "LogGroup": group });
    let mut made = input("f");
    made["LoggingConfig"] = json!({ "LogFormat": "JSON", "SystemLogLevel": "WARN", "LogGroup": group });
    let made = wire.lambda("POST", FUNCTIONS, made).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    assert_eq!(made.json()["LoggingConfig"], json("INFO", "WARN"));
    let path = format!("{FUNCTIONS}/f/configuration");
    let put = |config: Json| json!({ "LoggingConfig": config });
    for (given, shown) in [
        (json!({ "ApplicationLogLevel": "TRACE" }), json("TRACE", "WARN")),
        (json!({}), json("TRACE", "WARN")),
        (json!({ "LogFormat": "Text" }), text.clone()),
        (json!({ "LogFormat": "JSON" }), json("INFO", "INFO")),
        (json!({ "LogFormat": "Text" }), text),
    ] {
        let answer = wire.lambda("PUT", &path, put(given)).await.json();
        assert_eq!(answer["LoggingConfig"], shown);
        let answer = wire.lambda("GET", &path, Json::Null).await.json();
        assert_eq!(answer["LoggingConfig"], shown);
    }
    let invalid = "InvalidParameterValueException";
    for (given, code, said) in [
        (
            json!({ "LogFormat": "json" }),
            "ValidationException",
            "'loggingConfig.logFormat'",
        ),
        (
            json!({ "SystemLogLevel": "ERROR" }),
            "ValidationException",
            "[DEBUG, INFO, WARN]",
        ),
        (json!({ "SystemLogLevel": "WARN" }), invalid, "set to Text"),
        (
            json!({ "LogGroup": "/mine" }),
            invalid,
            "LoggingConfig.LogGroup /mine",
        ),
    ] {
        let text = wire.declined("PUT", &path, put(given), 400, code).await;
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[tokio::test]
async fn each_request_has_a_uuid() {
    let wire = start(Trust::Loopback).await;
    let missing = format!("{FUNCTIONS}/missing");
    for path in [FUNCTIONS, &missing, &format!("{missing}/invocations")] {
        let answer = wire.lambda("GET", path, Json::Null).await;
        let id = answer.header("x-amzn-requestid");
        assert!(id.parse::<aloft_base::InvocationId>().is_ok(), "{path}: {id}");
    }
}

#[tokio::test]
async fn lists_have_pages() {
    let wire = start(Trust::Loopback).await;
    for name in ["a", "b", "c", "d"] {
        wire.lambda("POST", FUNCTIONS, input(name)).await;
    }
    let (mut seen, mut path) = (Vec::new(), format!("{FUNCTIONS}/?MaxItems=3"));
    loop {
        let page = wire.lambda("GET", &path, Json::Null).await.json();
        let functions = page["Functions"].as_array().unwrap();
        seen.extend(
            functions
                .iter()
                .map(|function| function["FunctionName"].as_str().unwrap().to_owned()),
        );
        match page["NextMarker"].as_str() {
            Some(marker) => path = format!("{FUNCTIONS}?MaxItems=3&Marker={marker}"),
            None => break,
        }
    }
    assert_eq!(seen, ["a", "b", "c", "d"]);
    for bad in ["0", "10001", "x"] {
        let path = format!("{FUNCTIONS}?MaxItems={bad}");
        wire.declined("GET", &path, Json::Null, 400, "ValidationException")
            .await;
    }
}

#[tokio::test]
async fn what_becomes_of_a_call_is_told_as_lambda_tells_it() {
    let wire = start(Trust::Loopback).await;
    let done = wire.invoked(Ok(Given::Bytes("[1]".into()))).await;
    assert_eq!((done.status, done.text().as_str()), (StatusCode::OK, "[1]"));
    assert_eq!(done.header("x-amz-executed-version"), "7");
    let id = wire.machine.calls.lock().unwrap()[0].1.id;
    assert_eq!(done.header("x-amzn-requestid"), id.to_string());
    assert!(!done.headers.contains_key("x-amz-function-error"));
    let raised = FunctionError {
        kind: "ValueError".into(),
        message: "no".into(),
        trace: vec!["line".into()],
        body: None,
        printed: None,
    };
    let second = Duration::from_secs(1);
    for (fault, kind, said) in [
        (Fault::Raised(raised.clone()), "ValueError", "no"),
        (Fault::Init(raised), "ValueError", "no"),
        (
            Fault::TimedOut { after: 3 * second },
            "Sandbox.Timedout",
            "Task timed out after 3.00 seconds",
        ),
        (
            Fault::Exited {
                how: "exit status 3".into(),
            },
            "Runtime.ExitError",
            "Runtime exited with error: exit status 3",
        ),
        (
            Fault::Exited {
                how: "exit status 0".into(),
            },
            "Runtime.ExitError",
            "Runtime exited without providing a reason",
        ),
        (
            Fault::OutOfMemory { limit_mb: 128 },
            "Runtime.OutOfMemory",
            "128 MB",
        ),
        (
            Fault::AnswerTooLarge { size: 9, limit: 8 },
            "Function.ResponseSizeTooLarge",
            "Response payload size (9 bytes) exceeded maximum allowed payload size (8 bytes).",
        ),
    ] {
        let answer = wire.invoked(Err(fault)).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("x-amz-function-error"), "Unhandled");
        let body = answer.json();
        assert_eq!(body["errorType"], kind);
        let text = body["errorMessage"].as_str().unwrap();
        assert!(text.contains(said), "{text}");
    }
    let why = String::new;
    for (fault, status, code) in [
        (
            Fault::NoFunction { name: why() },
            404,
            "ResourceNotFoundException",
        ),
        (
            Fault::Busy {
                bound: aloft_call::Bound::Account,
                why: why(),
                retry_after: second,
            },
            429,
            "TooManyRequestsException",
        ),
        (Fault::Unrunnable { why: why() }, 502, "InvalidRuntimeException"),
        (Fault::Draining, 503, "ServiceException"),
        (Fault::Platform { why: why() }, 500, "ServiceException"),
    ] {
        let answer = wire.invoked(Err(fault)).await;
        let id = wire.machine.calls.lock().unwrap().last().unwrap().1.id;
        assert_eq!(
            answer.header("x-amzn-requestid"),
            id.to_string(),
            "that of its record"
        );
        let found = (answer.status.as_u16(), answer.header("x-amzn-errortype"));
        assert_eq!(found, (status, code), "{}", answer.text());
        if status == 429 {
            assert_eq!(answer.header("retry-after"), "1");
            assert_eq!(answer.json()["Reason"], "ConcurrentInvocationLimitExceeded");
        }
    }
}

#[tokio::test]
async fn a_call_carries_what_its_caller_says() {
    let wire = start(Trust::Loopback).await;
    let path = "/2015-03-31/functions/f/invocations";
    wire.machine
        .next
        .lock()
        .unwrap()
        .extend([(); 2].map(|()| Ok(Given::Bytes("1".into()))));
    let context = STANDARD.encode(json!({ "custom": { "who": "ä" } }).to_string());
    let headers = [
        ("x-amz-client-context", context.as_str()),
        ("x-amz-log-type", "Tail"),
        (
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
    ];
    let answer = lambda(
        &wire.client,
        "POST",
        &format!("{path}?Qualifier=live"),
        &headers,
        Vec::new(),
    )
    .await;
    let log = STANDARD.decode(answer.header("x-amz-log-result")).unwrap();
    assert_eq!(log.len(), Outcome::TAIL);
    let log = String::from_utf8(log).unwrap();
    let end = "Duration: 1.50 ms\tBilled Duration: 92 ms\tMemory Size: 128 MB\tMax Memory Used: 40 MB\tInit Duration: 90.00 ms\t\n";
    assert!(log.ends_with(end), "{log}");
    {
        let calls = wire.machine.calls.lock().unwrap();
        let call = &calls[0].1;
        assert_eq!(call.qualifier, "live".parse().unwrap());
        assert_eq!(call.trace.trace, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        let Payload::Direct(direct) = &call.payload else {
            panic!("{call:?}")
        };
        assert_eq!(direct.body, "{}");
        assert_eq!(direct.context.as_deref(), Some(r#"{"custom":{"who":"\u00e4"}}"#));
    }
    for (headers, body, status, code) in [
        (
            vec![("x-amz-invocation-type", "Later")],
            "{}",
            400,
            "ValidationException",
        ),
        (vec![("x-amz-log-type", "All")], "{}", 400, "ValidationException"),
        (
            vec![("x-amz-client-context", "?")],
            "{}",
            400,
            "InvalidRequestContentException",
        ),
        (vec![], "{", 400, "InvalidRequestContentException"),
        (
            vec![("x-amz-invocation-type", "DryRun")],
            "{}",
            404,
            "ResourceNotFoundException",
        ),
    ] {
        let answer = lambda(&wire.client, "POST", path, &headers, body.into()).await;
        let found = (answer.status.as_u16(), answer.header("x-amzn-errortype"));
        assert_eq!(found, (status, code), "{headers:?} {body}: {}", answer.text());
    }
    let large = format!("\"{}\"", "x".repeat(6 << 20));
    let answer = lambda(&wire.client, "POST", path, &[], large.into()).await;
    let found = (answer.status.as_u16(), answer.header("x-amzn-errortype"));
    assert_eq!(found, (413, "RequestTooLargeException"));
    assert_eq!(
        wire.machine.calls.lock().unwrap().len(),
        1,
        "nothing else was called"
    );
}

#[tokio::test]
async fn functions_of_the_project_are_shown_and_not_changed() {
    let wire = start(Trust::Loopback).await;
    wire.lambda("POST", FUNCTIONS, input("b")).await;
    wire.catalogue.replace([version("a")]);
    let listed = wire.lambda("GET", FUNCTIONS, Json::Null).await.json();
    let names: Vec<&Json> = listed["Functions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|function| &function["FunctionName"])
        .collect();
    assert_eq!(names, ["a", "b"]);
    let shown = wire
        .lambda("GET", "/2015-03-31/functions/a/configuration", Json::Null)
        .await
        .json();
    assert_eq!(
        (&shown["Handler"], &shown["MemorySize"]),
        (&json!("app.handler"), &json!(128))
    );
    for (method, path, body) in [
        ("POST", FUNCTIONS.to_owned(), input("a")),
        (
            "PUT",
            format!("{FUNCTIONS}/a/configuration"),
            json!({ "Timeout": 1 }),
        ),
        ("PUT", format!("{FUNCTIONS}/a/code"), input("a")["Code"].clone()),
        ("DELETE", format!("{FUNCTIONS}/a"), Json::Null),
        ("POST", format!("{FUNCTIONS}/a/versions"), Json::Null),
        (
            "POST",
            format!("{FUNCTIONS}/a/aliases"),
            json!({ "Name": "x", "FunctionVersion": "1" }),
        ),
    ] {
        wire.declined(method, &path, body, 409, "ResourceConflictException")
            .await;
    }
}

#[tokio::test]
async fn a_chain_of_calls_is_counted_and_functions_manage_none() {
    let wire = start(Trust::Loopback).await;
    let caller = Caller {
        tenant: Tenant::local(),
        region: Region::local(),
        principal: Principal::Function {
            name: "a".parse().unwrap(),
            grants: Arc::new(Grants {
                everything: true,
                ..Grants::default()
            }),
        },
    };
    let door = wire.aws.inside(caller);
    let root = InvocationId::from_u128(1);
    for (depth, status) in [(0, 200), (15, 200), (16, 400)] {
        wire.machine
            .next
            .lock()
            .unwrap()
            .push(Ok(Given::Bytes("1".into())));
        let mut request = http::Request::post("/2015-03-31/functions/b/invocations")
            .header("authorization", claim("us-east-1", "lambda"))
            .body(full("{}"))
            .unwrap();
        request.extensions_mut().insert(Lineage {
            root: Some(root),
            depth,
        });
        let answer = door.handle(request).await;
        assert_eq!(answer.status().as_u16(), status, "{depth}");
    }
    let depths: Vec<u8> = {
        let calls = wire.machine.calls.lock().unwrap();
        calls.iter().map(|(_, call)| call.lineage.depth).collect()
    };
    assert_eq!(depths, [1, 16]);
    let request = http::Request::get(FUNCTIONS).header("authorization", claim("us-east-1", "lambda"));
    let denied = door.handle(request.body(full("")).unwrap()).await;
    assert_eq!(denied.status(), StatusCode::FORBIDDEN);
}

pub(super) fn version(name: &str) -> Version {
    Version {
        function: FunctionId::new(&Tenant::local(), &name.parse().unwrap()),
        number: 0,
        id: "v".into(),
        program: aloft_function::Program::Python(aloft_function::Interpreter {
            runtime: "python3.11".into(),
            executable: "/usr/bin/python3".into(),
            needs: vec![],
        }),
        handler: "app.handler".into(),
        code: aloft_function::Code {
            task: "/code".into(),
            requirements: None,
            layers: None,
            sdk: None,
        },
        memory: aloft_base::Size::from_mib(128),
        storage: aloft_base::Size::from_mib(512),
        logging: aloft_base::Logging::Text,
        timeout: Duration::from_secs(3),
        idle: Duration::from_secs(300),
        concurrency: 1,
        calls: 1,
        queue: aloft_function::Queue {
            length: 1,
            wait: Duration::from_secs(1),
        },
        environment: Default::default(),
        grants: Arc::new(Grants::default()),
    }
}

#[tokio::test]
async fn a_policy_has_a_bound_with_a_code_of_its_own() {
    let wire = start(Trust::Loopback).await;
    wire.lambda("POST", FUNCTIONS, input("f")).await;
    let source = format!("arn:aws:s3:::{}", "x".repeat(4 << 10));
    let path = format!("{FUNCTIONS}/f/policy");
    let statement = |number: u32| json!({ "StatementId": number.to_string(), "Action": "lambda:InvokeFunction", "Principal": "*", "SourceArn": source });
    for number in 0..4 {
        let added = wire.lambda("POST", &path, statement(number)).await;
        assert_eq!(added.status, StatusCode::CREATED, "{}", added.text());
    }
    let text = wire
        .declined("POST", &path, statement(4), 400, "PolicyLengthExceededException")
        .await;
    assert!(text.contains("20480 bytes of permissions"), "{text}");
}
