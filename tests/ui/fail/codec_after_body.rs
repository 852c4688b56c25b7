//! A codec that is chosen when the body is encoded already.

use teleport::{Bincode, Session};

async fn call(session: &Session) {
    let _ = session.pull("/x").body(&1).codec(Bincode).await;
}

fn main() {}
