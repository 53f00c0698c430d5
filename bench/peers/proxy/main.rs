//! The peer of the gateway: a reverse proxy that does nothing else, hyper on both sides.
//!
//! `peer-proxy PORT` prints its own port and passes every request on to 127.0.0.1:PORT. Each connection from a client has
//! one kept connection behind it, `TCP_NODELAY` on both: no pool, no lock, no name to look up. That is less than any real
//! proxy does, so the comparison is not made easy for the platform. It ends when its standard input does.
#![allow(clippy::disallowed_methods, reason = "a peer is no part of the platform")]

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

#[tokio::main]
async fn main() -> Result<()> {
    let port: u16 = std::env::args().nth(1).context("peer-proxy PORT")?.parse()?;
    let behind = SocketAddr::from(([127, 0, 0, 1], port));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?.port());
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = connection(stream, behind).await {
                eprintln!("peer-proxy: {error:#}");
            }
        });
    }
}

async fn connection(stream: TcpStream, behind: SocketAddr) -> Result<()> {
    stream.set_nodelay(true)?;
    let upstream = TcpStream::connect(behind).await?;
    upstream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(upstream)).await?;
    tokio::spawn(connection);
    // Never contended: a connection has one request at a time.
    let sender: Mutex<SendRequest<Incoming>> = Mutex::new(sender);
    let sender = &sender;
    let service = service_fn(move |request| pass(sender, request));
    http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}

async fn pass(
    sender: &Mutex<SendRequest<Incoming>>,
    request: Request<Incoming>,
) -> hyper::Result<Response<Incoming>> {
    let mut sender = sender.lock().await;
    sender.ready().await?;
    sender.send_request(request).await
}
