//! The peer of WebAssembly components: hyper and wasmtime with nothing between them, and a fresh instance for each request.
//!
//! `peer-component FILE` prints its port and answers each request by the component in the file: what `wasmtime serve` does, without its
//! limits, deadlines and logs. Pooling, copy-on-write and epochs are as the platform has them. It ends when its standard input does.
#![allow(clippy::disallowed_methods, reason = "a peer is no part of the platform")]

use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    hooks: Nowhere,
}

/// No request goes out.
struct Nowhere;

type Sent = Result<
    (
        Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

impl WasiHttpHooks for Nowhere {
    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let file = std::env::args().nth(1).context("peer-component FILE")?;
    let ready = load(&file).map_err(|error| anyhow!("{file}: {error:#}"))?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?.port());
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let ticking = ready.engine().clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            ticking.increment_epoch();
        }
    });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let ready = ready.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(ready.clone(), request));
            let served = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                eprintln!("peer-component: {error}");
            }
        });
    }
}

fn load(file: &str) -> wasmtime::Result<Arc<ProxyPre<State>>> {
    let mut places = PoolingAllocationConfig::new();
    places.linear_memory_keep_resident(128 << 10);
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(places));
    let engine = Engine::new(&config)?;
    let component = Component::from_file(&engine, file)?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    Ok(Arc::new(ProxyPre::new(linker.instantiate_pre(&component)?)?))
}

async fn answer(
    ready: Arc<ProxyPre<State>>,
    request: Request<Incoming>,
) -> Result<Response<UnsyncBoxBody<Bytes, Error>>> {
    run(ready, request).await.map_err(|error| anyhow!("{error:#}"))
}

async fn run(
    ready: Arc<ProxyPre<State>>,
    request: Request<Incoming>,
) -> wasmtime::Result<Response<UnsyncBoxBody<Bytes, Error>>> {
    let state = State {
        wasi: WasiCtx::builder().build(),
        http: WasiHttpCtx::new(),
        table: ResourceTable::new(),
        hooks: Nowhere,
    };
    let mut store = Store::new(ready.engine(), state);
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    let (sender, begun) = tokio::sync::oneshot::channel();
    let request = request.map(|body| body.map_err(Error::Hyper));
    let request = store
        .data_mut()
        .http()
        .new_incoming_request(Scheme::Http, request)?;
    let out = store.data_mut().http().new_response_outparam(sender)?;
    let guest = tokio::spawn(async move {
        let proxy = ready.instantiate_async(&mut store).await?;
        let handler = proxy.wasi_http_incoming_handler();
        handler.call_handle(&mut store, request, out).await
    });
    match begun.await {
        Ok(answered) => Ok(answered?),
        Err(_) => {
            guest.await??;
            wasmtime::bail!("the component returned without an answer")
        }
    }
}
