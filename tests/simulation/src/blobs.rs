//! Blobs as one node has them: those in memory behind the same wire as the store. What is finished survives every node; what is not is
//! gone with the node that uploads it.

use std::sync::Arc;

use aloft_base::Timestamp;
use aloft_store::Error;
use aloft_store::blobs::{Blob, BlobId, Blobs, Listed, MemoryBlobs, Naming, Stored, Upload};
use async_trait::async_trait;
use bytes::Bytes;

use crate::lie::Lie;
use crate::store::{Act, Wire};

/// After every time that there is.
const NEVER: Timestamp = Timestamp::from_millis(u64::MAX);

/// See the file's head.
pub(crate) struct NodeBlobs {
    pub(crate) wire: Arc<Wire>,
    pub(crate) inner: MemoryBlobs,
}

#[async_trait]
impl Blobs for NodeBlobs {
    async fn begin(&self) -> Result<Box<dyn Upload>, Error> {
        let blobs = self.inner.clone();
        let act = move |_| -> Act<_> { Box::pin(async move { blobs.begin().await }) };
        let inner = self
            .wire
            .effect(("begin a blob", false), act, |_| "begun".to_owned())
            .await?;
        Ok(Box::new(NodeUpload {
            wire: self.wire.clone(),
            blobs: self.inner.clone(),
            inner,
        }))
    }

    async fn open(&self, id: BlobId) -> Result<Box<dyn Blob>, Error> {
        let blobs = self.inner.clone();
        let act = move |_| -> Act<_> { Box::pin(async move { blobs.open(id).await }) };
        self.wire
            .effect(("open a blob", false), act, |blob| blob.stored().id.to_string())
            .await
    }

    async fn renew(&self, id: BlobId) -> Result<bool, Error> {
        let blobs = self.inner.clone();
        let act = move |_| -> Act<_> { Box::pin(async move { blobs.renew(id).await }) };
        let tell = |is_there: &bool| format!("{id} is there: {is_there}");
        self.wire.effect(("renew a blob", true), act, tell).await
    }

    async fn list(&self, after: Option<BlobId>, limit: usize) -> Result<Vec<Listed>, Error> {
        let blobs = self.inner.clone();
        let act = move |_| -> Act<_> { Box::pin(async move { blobs.list(after, limit).await }) };
        let tell = |listed: &Vec<Listed>| format!("{} blobs", listed.len());
        self.wire.effect(("list blobs", false), act, tell).await
    }

    async fn remove(&self, id: BlobId, unless_since: Timestamp) -> Result<bool, Error> {
        let blobs = self.inner.clone();
        let act = move |_| -> Act<_> { Box::pin(async move { blobs.remove(id, unless_since).await }) };
        let tell = |is_gone: &bool| format!("{id} is gone: {is_gone}");
        self.wire.effect(("remove a blob", true), act, tell).await
    }
}

struct NodeUpload {
    wire: Arc<Wire>,
    blobs: MemoryBlobs,
    inner: Box<dyn Upload>,
}

#[async_trait]
impl Upload for NodeUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        // Nothing that anybody sees before the end.
        self.inner.write(bytes).await
    }

    async fn finish(self: Box<Self>, naming: Naming) -> Result<Stored, Error> {
        let Self { wire, blobs, inner } = *self;
        let shared = wire.shared.clone();
        let act = move |_| -> Act<_> {
            Box::pin(async move {
                let stored = inner.finish(naming).await?;
                if shared.lies(Lie::LoseBlob) {
                    blobs.remove(stored.id, NEVER).await?;
                }
                Ok(stored)
            })
        };
        let tell = |stored: &Stored| format!("{} of {} bytes", stored.id, stored.bytes);
        wire.effect(("finish a blob", true), act, tell).await
    }
}
