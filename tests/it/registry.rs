//! Registries of services, announcing in them, and balancing over what they list.

mod announce;
mod balance;
mod client;
mod etcd;
mod faults;

use std::sync::Arc;

use teleport::registry::{Balancer, Instance, InstanceStatus, StaticRegistry};
use teleport::{Peer, PeerBuilder};
use tokio::sync::Notify;

/// A server that answers `/who` with its name.
fn named(name: &'static str) -> PeerBuilder {
    Peer::builder().pull("/who", move |_, ()| async move { Ok(name) }).unwrap()
}

/// As [`named`], and `/wait` with its name once it is told so.
fn waiting(name: &'static str) -> (PeerBuilder, Arc<Notify>, Arc<Notify>) {
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, told) = (begun.clone(), go.clone());
    let builder = named(name).pull("/wait", move |_, ()| {
        let (tell, told) = (tell.clone(), told.clone());
        async move {
            tell.notify_one();
            told.notified().await;
            Ok(name)
        }
    });
    (builder.unwrap(), begun, go)
}

async fn listen(builder: PeerBuilder) -> Peer {
    builder.listen("127.0.0.1:0").await.unwrap()
}

/// Lists a server under its name.
fn add(registry: &StaticRegistry, name: &str, server: &Peer) {
    registry.add("who", Instance::new(name, server.local_addr().unwrap()));
}

fn client() -> Peer {
    Peer::builder().build().unwrap()
}

async fn who(balancer: &Balancer) -> String {
    balancer.session().await.unwrap().pull("/who").await.unwrap().decode().unwrap()
}

/// Who answers so many calls, one after the other.
async fn answers(balancer: &Balancer, count: usize) -> String {
    let mut all = String::new();
    for _ in 0..count {
        all += &who(balancer).await;
    }
    all
}

async fn ready(balancer: &Balancer, count: usize) {
    balancer.wait_for(|all| all.iter().filter(|status| status.is_ready).count() == count).await;
}

fn status(balancer: &Balancer, id: &str) -> InstanceStatus {
    balancer.instances().into_iter().find(|status| status.instance.id == id).unwrap()
}

/// The address of a server that is no more.
async fn nowhere() -> String {
    let server = listen(Peer::builder()).await;
    let address = server.local_addr().unwrap().to_string();
    server.close().await;
    address
}
