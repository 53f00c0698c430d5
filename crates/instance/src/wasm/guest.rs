//! A component that is ready to run, and one run of it: a store of its own with everything that the guest may touch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use aloft_http::{Body, BodyError, Request};
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Engine, ResourceLimiter, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::guests::Pace;
use super::outgoing::Outgoing;

/// What a guest may make the platform hold beside its own memory: handles (of bodies, streams, header fields) at once, bytes of header fields
/// each, and bytes of what it hands over in one call.
const HANDLES: usize = 1_024;
const FIELDS: usize = 64 << 10;
const HANDED_OVER: usize = 8 << 20;
/// Parts of one guest.
const PARTS: usize = 64;

/// What a guest answers, or the error that it answers with.
pub(super) type Answered = Result<http::Response<HyperOutgoingBody>, ErrorCode>;

/// A component, linked to what the platform gives it.
pub(super) struct Loaded {
    engine: Engine,
    ready: ProxyPre<State>,
    pub(super) pace: Arc<Pace>,
}

impl Loaded {
    /// Links a component.
    ///
    /// # Errors
    /// It wants what is not here, or is no `wasi:http/proxy`.
    pub(super) fn new(engine: &Engine, component: &Component) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(engine);
        // All of WASI: a standard library imports files and sockets even where they are not used. There are none to be found.
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        Ok(Self {
            engine: engine.clone(),
            ready: ProxyPre::new(linker.instantiate_pre(component)?)?,
            pace: Arc::default(),
        })
    }

    /// Runs a fresh instance with one request. Its answer is sent as soon as the guest has begun it; what this resolves to is how the guest
    /// ended. Dropped, it is ended where it next yields.
    pub(super) async fn run(
        self: Arc<Self>,
        state: State,
        request: Request,
        answer: oneshot::Sender<Answered>,
    ) -> wasmtime::Result<()> {
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(HANDED_OVER);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let request = request.map(|body| body.map_err(unread));
        let mut http = store.data_mut().http();
        let request = http.new_incoming_request(Scheme::Http, request)?;
        let answer = http.new_response_outparam(answer)?;
        let proxy = self.ready.instantiate_async(&mut store).await?;
        let handler = proxy.wasi_http_incoming_handler();
        handler.call_handle(&mut store, request, answer).await
    }
}

fn unread(error: BodyError) -> wasmtime_wasi_http::Error {
    match error {
        BodyError::TooLarge { limit } => wasmtime_wasi_http::Error::HttpRequestBodySize(Some(limit as u64)),
        BodyError::TimedOut => wasmtime_wasi_http::Error::ConnectionReadTimeout,
        other => wasmtime_wasi_http::Error::InternalError(Some(other.to_string())),
    }
}

/// A guest's body as ours.
pub(super) fn body(body: HyperOutgoingBody) -> Body {
    body.map_err(|error| BodyError::Broken(format!("{error:?}").into()))
        .boxed_unsync()
}

/// What a run may touch.
pub(super) struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    outgoing: Outgoing,
    limits: Limits,
}

impl State {
    pub(super) fn new(wasi: WasiCtx, outgoing: Outgoing, limits: Limits) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(FIELDS);
        Self {
            wasi,
            http,
            table,
            outgoing,
            limits,
        }
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
            hooks: &mut self.outgoing,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

/// What a run has used of its memory.
#[derive(Debug, Default)]
pub(super) struct Used {
    bytes: AtomicU64,
    was_refused: AtomicBool,
}

impl Used {
    /// Bytes of all its memories and tables. They never shrink.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether it wanted more than it may have.
    pub(super) fn was_refused(&self) -> bool {
        self.was_refused.load(Ordering::Relaxed)
    }
}

/// The bound of a run's memory.
pub(super) struct Limits {
    bound: u64,
    used: Arc<Used>,
}

impl Limits {
    pub(super) fn new(bound: u64, used: Arc<Used>) -> Self {
        Self { bound, used }
    }

    fn grow(&self, from: usize, to: usize, size: u64) -> bool {
        let more = (to.saturating_sub(from) as u64).saturating_mul(size);
        let all = self.used.bytes().saturating_add(more);
        let is_allowed = all <= self.bound;
        match is_allowed {
            true => self.used.bytes.store(all, Ordering::Relaxed),
            false => self.used.was_refused.store(true, Ordering::Relaxed),
        }
        is_allowed
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, now: usize, wanted: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(now, wanted, 1))
    }

    fn table_growing(&mut self, now: usize, wanted: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(now, wanted, size_of::<usize>() as u64))
    }

    fn instances(&self) -> usize {
        PARTS
    }

    fn memories(&self) -> usize {
        PARTS
    }

    fn tables(&self) -> usize {
        PARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_together_stay_within_the_bound() {
        let used = Arc::new(Used::default());
        let mut limits = Limits::new(1 << 20, used.clone());
        assert!(limits.memory_growing(0, 512 << 10, None).unwrap());
        assert!(limits.table_growing(0, 1_000, None).unwrap());
        assert_eq!(used.bytes(), (512 << 10) + 8_000);
        assert!(!used.was_refused());
        assert!(
            !limits.memory_growing(512 << 10, 1 << 20, None).unwrap(),
            "the table counts"
        );
        assert!(used.was_refused());
        assert_eq!(used.bytes(), (512 << 10) + 8_000, "what was refused is not used");
        assert!(limits.memory_growing(512 << 10, 1000 << 10, None).unwrap());
        assert!(!limits.memory_growing(0, usize::MAX, None).unwrap());
        assert!(!limits.table_growing(0, usize::MAX, None).unwrap());
    }
}
