//! One exchange over a connection that somebody else has made, in whichever way: through TLS, for example.

use std::time::Duration;

use aloft_base::{Policy, Tasks};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::transit::{Bounds, incoming};
use crate::{Request, Response};

/// Sends a request and takes its answer, whose body has at most so many bytes and does not stop for so long. The connection lives in `tasks`
/// until that body has ended or nobody wants it any more. Of the request's URI only path and query count; it must have its `Host`.
///
/// # Errors
/// The connection broke, or what came back is not HTTP.
pub async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request,
    (body_bytes, body_stall): (usize, Duration),
    tasks: &Tasks,
) -> Result<Response, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let stop = tasks.stop().child();
    tasks.start("http exchange", Policy::Alone, async move {
        tokio::select! {
            // Whoever waits for the answer learns of the error.
            ended = connection => if let Err(error) = ended {
                tracing::debug!(%error, "an exchange's connection ended early");
            },
            () = stop.asked() => {}
        }
        Ok::<(), std::convert::Infallible>(())
    });
    let response = sender.send_request(request).await?;
    let bounds = Bounds {
        bytes: body_bytes,
        stall: body_stall,
        room: None,
    };
    Ok(response.map(|body| incoming(body, bounds, None)))
}
