//! The handshakes of one listener that are under way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::Inner;
use crate::socket::{Address, Handshake};

/// How long those under way may take when the listener ends, at the most: enough for a slow line, and who has said
/// nothing by then has nothing to say.
const LAST: Duration = Duration::from_secs(3);

/// Handshakes, each in a task of its own, so that a slow one holds nobody back. They end
/// with the listener.
#[derive(Default)]
pub(super) struct Handshakes {
    tasks: JoinSet<()>,
    /// Those under way, the oldest first; some of them may have ended.
    begun: VecDeque<(AbortHandle, Address)>,
}

impl Handshakes {
    /// Begins a handshake, which becomes a session of `peer`. Past the limit the oldest is given up: whoever means it is
    /// through in no time.
    pub(super) fn begin(&mut self, handshake: Handshake, peer: &Arc<Inner>) {
        while self.tasks.try_join_next().is_some() {}
        let most = peer.settings.limits.max_handshakes as usize;
        if self.begun.len() >= most {
            self.begun.retain(|(task, _)| !task.is_finished());
        }
        if self.begun.len() >= most
            && let Some((task, from)) = self.begun.pop_front()
        {
            task.abort();
            tracing::warn!(
                target: "teleport",
                peer = %from,
                "a TLS handshake was given up for newer ones: {most} are under way (setting `limits.max_handshakes`)"
            );
        }
        let (address, from) = (handshake.local_addr(), handshake.remote_addr());
        let within = peer.settings.timeouts.handshake;
        let peer = Arc::downgrade(peer);
        let task = self.tasks.spawn({
            let from = from.clone();
            async move {
                match handshake.run(within).await {
                    Ok(Some(connection)) => {
                        if let Some(peer) = peer.upgrade() {
                            peer.take(connection);
                        }
                    }
                    Ok(None) => {
                        tracing::debug!(target: "teleport", %address, peer = %from, "a connection ended before its TLS handshake");
                    }
                    Err(error) => {
                        tracing::warn!(target: "teleport", %address, peer = %from, %error, "a TLS handshake failed");
                    }
                }
            }
        });
        self.begun.push_back((task, from));
    }

    /// Lets those under way come to their end, so that who has just dialed gets a session and not a broken connection; only
    /// for a while, as some never do.
    pub(super) async fn finish(mut self) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        // The others end with this.
        let _ = timeout(LAST, all).await;
    }
}
