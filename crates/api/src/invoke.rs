//! Running a function by hand.

use std::sync::Arc;

use aloft_base::{ErrorKind, FunctionName, InvocationId};
use aloft_call::{Answer, Call, Caller, Direct, Lineage, Payload, Principal, Qualifier, Trace};
use aloft_http::{BodyError, Request, Response, collect};
use aloft_store::layout::Namespace;
use http::StatusCode;
use serde_json::{Value, json};

use crate::error::{Error, json_response};
use crate::{Account, Parts};

/// Lambda's bound for a synchronous call.
const PAYLOAD_LIMIT: usize = 6 << 20;

/// Runs a function with the request's body; answers 200 with what became of it, also when the function failed.
pub(crate) async fn invoke(
    parts: &Parts,
    account: &Account,
    name: &str,
    request: Request,
) -> Result<Response, Error> {
    let function: FunctionName = name
        .parse()
        .map_err(|error| Error::new(ErrorKind::Invalid, format!("{error}")))?;
    let payload = collect(request.into_body(), PAYLOAD_LIMIT)
        .await
        .map_err(|error: BodyError| Error::new(error.kind(), error.to_string()))?;
    if !payload.is_empty() {
        Direct::check(&payload)
            .map_err(|error| Error::new(ErrorKind::Invalid, format!("the payload is not JSON: {error}")))?;
    }
    let Namespace { tenant, region } = account.namespace.clone();
    let call = Call {
        id: InvocationId::draw(&*parts.chance),
        qualifier: Qualifier::Latest,
        caller: Caller {
            tenant,
            region,
            principal: Principal::Owner {
                key: Arc::from("local"),
            },
        },
        payload: Payload::Direct(payload.into()),
        lineage: Lineage::default(),
        deadline: None,
        trace: Trace::begin(&*parts.chance),
        stream: None,
    };
    let outcome = parts.invoke.invoke(&account.function(&function), call).await;
    let fault = match &outcome.result {
        Err(fault) if fault.kind() == ErrorKind::Missing => {
            return Err(Error::new(ErrorKind::Missing, fault.to_string()));
        }
        other => other.as_ref().err().cloned(),
    };
    let payload = match outcome.result {
        Ok(Answer::Bytes(bytes)) => serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned())),
        Ok(Answer::Http(_) | Answer::Streamed) | Err(_) => Value::Null,
    };
    let body = json!({
        "invocation": outcome.id.to_string(),
        "status": fault.as_ref().map_or("ok", |fault| fault.word()),
        "payload": payload,
        "error": fault.map(|fault| fault.error()),
        "cold": outcome.usage.cold.is_some(),
        "billed_ms": outcome.usage.billed_ms(),
    });
    Ok(json_response(StatusCode::OK, &body))
}
