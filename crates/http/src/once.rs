//! One exchange over a connection that somebody else has made, in whichever way: through TLS, for example.

use std::time::Duration;

use aloft_base::{Policy, Tasks};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

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
    // Dropped with the answer's body, or with this: a peer that has answered and reads nothing would hold the connection for ever.
    let (wanted, unwanted) = oneshot::channel::<()>();
    tasks.start("http exchange", Policy::Alone, async move {
        tokio::select! {
            // Whoever waits for the answer learns of the error.
            ended = connection => if let Err(error) = ended {
                tracing::debug!(%error, "an exchange's connection ended early");
            },
            _ = unwanted => {}
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
    Ok(response.map(|body| {
        let body = incoming(body, bounds, None).map_frame(move |frame| {
            let _ = &wanted;
            frame
        });
        body.boxed_unsync()
    }))
}

#[cfg(test)]
mod tests {
    use aloft_base::Stop;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::full;

    #[tokio::test]
    async fn a_peer_that_reads_nothing_is_let_go_with_its_answer() {
        let (stream, mut peer) = tokio::io::duplex(64);
        let tasks = Tasks::new(Stop::new());
        let mut request = Request::new(full("x".repeat(1 << 20)));
        *request.method_mut() = http::Method::POST;
        let host = http::HeaderValue::from_static("a");
        request.headers_mut().insert(http::header::HOST, host);
        let exchanging = exchange(stream, request, (1_024, Duration::from_secs(60)), &tasks);
        let answering = async {
            // The request has begun, and no more of it is read.
            peer.read_exact(&mut [0; 16]).await?;
            peer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await
        };
        let (response, answered) = tokio::join!(exchanging, answering);
        answered.unwrap();
        drop(response.unwrap());
        // What was written before is there to be read, and then there is an end.
        let mut written = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(60), peer.read_to_end(&mut written));
        read.await.unwrap().unwrap();
        assert!(written.len() < 1 << 20, "not all of it was");
    }
}
