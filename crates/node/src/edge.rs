//! What stands between the two ports and what answers on them.

use std::sync::{Arc, OnceLock, Weak};

use aloft_api::Api;
use aloft_aws::Signatures;
use aloft_base::{FunctionId, Tenant};
use aloft_call::{Call, Fault, Invoke, Outcome, Principal, Usage};
use aloft_controller::Controller;
use aloft_function::{Warm, Warmth};
use aloft_gateway::{FunctionUrls, Gateway, Verify};
use aloft_http::{Handler, Refusal, Request, Response};
use async_trait::async_trait;
use http::request::Parts;

use crate::project::Project;

/// The services' port: the platform's own API and functions' addresses under their prefixes, the AWS wire elsewhere.
pub(crate) struct Services {
    pub(crate) api: Api,
    pub(crate) urls: FunctionUrls,
    pub(crate) aws: Arc<dyn Handler>,
}

#[async_trait]
impl Handler for Services {
    async fn handle(&self, request: Request) -> Response {
        let path = request.uri().path();
        if path.starts_with(Api::PREFIX) {
            self.api.handle(request).await
        } else if path.starts_with(FunctionUrls::PREFIX) {
            self.urls.handle(request).await
        } else {
            self.aws.handle(request).await
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        // What is refused was not read far enough to tell for whom it was; SDKs are stricter than our own commands.
        self.aws.refuse(refusal)
    }
}

impl Warm for Calls {
    fn warmth(&self, function: &FunctionId, number: u64) -> Warmth {
        let controller = self.0.get().and_then(Weak::upgrade);
        controller.map_or_else(Warmth::default, |controller| controller.warmth(function, number))
    }
}

/// Signatures as AWS's clients make them, for functions' addresses.
pub(crate) struct Signed(pub(crate) Signatures);

#[async_trait]
impl Verify for Signed {
    async fn can_be_signed(&self, head: &Parts, is_invited: bool) -> bool {
        self.0.can_be_signed(head, is_invited).await
    }

    async fn signer(&self, head: &Parts, body: &[u8], is_invited: bool) -> Option<(Tenant, Principal)> {
        self.0.signer(head, body, is_invited).await
    }
}

/// The application's port: the gateway, after a look whether the project has changed.
pub(crate) struct Application {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) project: Arc<Project>,
}

#[async_trait]
impl Handler for Application {
    async fn handle(&self, request: Request) -> Response {
        self.project.freshen().await;
        self.gateway.handle(request).await
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        self.gateway.refuse(refusal)
    }
}

/// Calls by hand, after the same look. Rules call functions without it: a reload waits for their calls under way.
pub(crate) struct Fresh {
    pub(crate) invoke: Arc<dyn Invoke>,
    pub(crate) project: Arc<Project>,
}

#[async_trait]
impl Invoke for Fresh {
    async fn invoke(&self, function: &FunctionId, call: Call) -> Outcome {
        self.project.freshen().await;
        self.invoke.invoke(function, call).await
    }
}

/// The controller for what is made before it: functions call functions through the services inside their sandboxes, and the controller
/// stands on what makes those. It holds no controller alive.
#[derive(Default)]
pub(crate) struct Calls(OnceLock<Weak<Controller>>);

impl Calls {
    /// Calls go there from now on.
    pub(crate) fn set(&self, controller: &Arc<Controller>) {
        // It is set once, by the node's start.
        let _ = self.0.set(Arc::downgrade(controller));
    }
}

#[async_trait]
impl Invoke for Calls {
    async fn invoke(&self, function: &FunctionId, call: Call) -> Outcome {
        match self.0.get().and_then(Weak::upgrade) {
            Some(controller) => controller.invoke(function, call).await,
            None => Outcome {
                id: call.id,
                result: Err(Fault::Draining),
                usage: Usage::default(),
                tail: None,
            },
        }
    }
}
