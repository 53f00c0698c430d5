//! What stands between the two ports and what answers on them.

use std::sync::Arc;

use aloft_api::Api;
use aloft_base::FunctionName;
use aloft_call::{Call, Invoke, Outcome};
use aloft_gateway::Gateway;
use aloft_http::{Handler, Refusal, Request, Response};
use async_trait::async_trait;

use crate::project::Project;

/// The services' port: the platform's own API under its prefix, the AWS wire elsewhere.
pub(crate) struct Services {
    pub(crate) api: Api,
    pub(crate) aws: Arc<dyn Handler>,
}

#[async_trait]
impl Handler for Services {
    async fn handle(&self, request: Request) -> Response {
        if request.uri().path().starts_with(Api::PREFIX) {
            self.api.handle(request).await
        } else {
            self.aws.handle(request).await
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        // What is refused was not read far enough to tell for whom it was; SDKs are stricter than our own commands.
        self.aws.refuse(refusal)
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
    async fn invoke(&self, function: &FunctionName, call: Call) -> Outcome {
        self.project.freshen().await;
        self.invoke.invoke(function, call).await
    }
}
