//! The lease of one instance: granted, kept alive over a stream, given back.

use std::time::Duration;

use super::client::{Client, Stream};
use super::proto::{
    Done, GrantRequest, GrantResponse, KeepAliveRequest, KeepAliveResponse, PutRequest, RevokeRequest,
};
use crate::registry::BoxError;

/// What this process holds of the lease; nothing at first, and where it was lost.
#[derive(Default)]
pub(super) struct Lease {
    held: Option<Held>,
}

struct Held {
    id: i64,
    ttl: i64,
    value: Vec<u8>,
    keep_alive: Option<Stream<KeepAliveRequest, KeepAliveResponse>>,
}

impl Lease {
    /// Puts a value under the lease, or keeps it alive where that is done already.
    pub(super) async fn put(
        &mut self,
        client: &Client,
        key: &str,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), BoxError> {
        let ttl = seconds(ttl);
        if let Some(held) = &mut self.held
            && held.ttl == ttl
            && held.keep_alive(client).await?
        {
            if held.value == value {
                return Ok(());
            }
            if put(client, key, &value, held.id).await? {
                held.value = value;
                return Ok(());
            }
        }
        // Never granted, or lost. One with another time runs out by itself: the key will belong to the new one.
        self.held = None;
        let granted: Option<GrantResponse> =
            client.ask("/etcdserverpb.Lease/LeaseGrant", GrantRequest { ttl }).await?;
        let granted = granted.ok_or("etcd grants no lease")?;
        if !granted.error.is_empty() {
            return Err(granted.error.into());
        }
        // Held from here on, so that it is given back whatever becomes of the put.
        let held = self.held.insert(Held { id: granted.id, ttl, value: Vec::new(), keep_alive: None });
        if !put(client, key, &value, held.id).await? {
            self.held = None;
            return Err("the lease was lost as soon as it was granted".into());
        }
        held.value = value;
        Ok(())
    }

    /// Gives the lease back; what was put under it goes, unless another lease has taken it over.
    pub(super) async fn revoke(&mut self, client: &Client) -> Result<(), BoxError> {
        if let Some(held) = &self.held {
            let request = RevokeRequest { id: held.id };
            let _: Option<Done> = client.ask("/etcdserverpb.Lease/LeaseRevoke", request).await?;
            self.held = None;
        }
        Ok(())
    }
}

impl Held {
    /// Whether the lease is still there.
    async fn keep_alive(&mut self, client: &Client) -> Result<bool, BoxError> {
        let request = KeepAliveRequest { id: self.id };
        // Taken out, so that a stream whose answer nobody waited for is not used again.
        if let Some(mut stream) = self.keep_alive.take()
            && stream.send(request.clone()).await.is_ok()
            && let Ok(answer) = stream.answer().await
        {
            self.keep_alive = Some(stream);
            return Ok(answer.ttl > 0);
        }
        let mut stream = client.open("/etcdserverpb.Lease/LeaseKeepAlive", request).await?;
        let answer = stream.answer().await?;
        self.keep_alive = Some(stream);
        Ok(answer.ttl > 0)
    }
}

/// Whether there was such a lease.
async fn put(client: &Client, key: &str, value: &[u8], lease: i64) -> Result<bool, BoxError> {
    let request = PutRequest { key: key.into(), value: value.into(), lease };
    let done: Option<Done> = client.ask("/etcdserverpb.KV/Put", request).await?;
    Ok(done.is_some())
}

/// Whole seconds, of which there is at least one.
fn seconds(ttl: Duration) -> i64 {
    let whole = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
    i64::try_from(whole.max(1)).unwrap_or(i64::MAX)
}
