//! A function on AWS's own Rust runtime (`lambda_runtime`), unmodified: what it answers, how it fails, and what it streams is what the
//! black-box tests look at.
#![allow(
    clippy::disallowed_methods,
    reason = "it is a user's code, and no part of the house"
)]

use lambda_runtime::streaming::{Body, channel};
use lambda_runtime::{Error, FunctionResponse, LambdaEvent, StreamResponse, run, service_fn};
use serde_json::{Value, json};

async fn handle(event: LambdaEvent<Value>) -> Result<FunctionResponse<Value, Body>, Error> {
    let LambdaEvent { payload, context } = event;
    if let Some(why) = payload.get("fail").and_then(Value::as_str) {
        return Err(why.into());
    }
    if payload.get("panic").is_some() {
        std::process::exit(101);
    }
    let Some(pieces) = payload.get("pieces").and_then(Value::as_u64) else {
        return Ok(FunctionResponse::BufferedResponse(json!({
            "event": payload,
            "id": context.request_id,
            "arn": context.invoked_function_arn,
            "name": context.env_config.function_name,
            "memory": context.env_config.memory,
            "trace": context.xray_trace_id,
        })));
    };
    let (mut sender, stream) = channel();
    tokio::spawn(async move {
        for piece in 0..pieces {
            // Whoever has gone is told by the end of the channel.
            if sender.send_data(format!("{piece}\n").into()).await.is_err() {
                return;
            }
        }
    });
    Ok(FunctionResponse::StreamingResponse(StreamResponse::from(stream)))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(handle)).await
}
