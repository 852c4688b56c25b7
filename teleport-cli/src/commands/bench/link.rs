//! A connection that is dialed again when it was lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use teleport::{Peer, Session};
use tokio::sync::Mutex;

use super::control::Control;
use super::plan::Plan;
use super::record::Lane;
use crate::failure::{Failure, Outcome};

/// The first pause before a dial.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest.
const LONGEST: Duration = Duration::from_secs(1);
/// A session that lived so long was a good one: the next dial follows at once.
const LIVED: Duration = Duration::from_secs(1);

/// A place for sessions, one after the other.
#[derive(Debug)]
pub(super) struct Link {
    /// Whose sessions they are.
    peer: Arc<Peer>,
    plan: Arc<Plan>,
    /// Held while it is dialed: those who need the next session wait for it here.
    line: Mutex<Line>,
}

/// A session, and which of its link's it is.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) session: Session,
    number: u64,
    since: Instant,
    /// How many attempts and short lives came before it.
    failed: u32,
}

impl Link {
    /// # Errors
    ///
    /// Where the first dial fails.
    pub(super) async fn dial(peer: Arc<Peer>, plan: Arc<Plan>) -> Outcome<Self> {
        let session = peer.dial(&plan.address).await.map_err(|error| Failure::dial(&error))?;
        let line = Mutex::new(Line { session, number: 0, since: Instant::now(), failed: 0 });
        Ok(Link { peer, plan, line })
    }

    /// The session that there is.
    pub(super) async fn line(&self) -> Line {
        self.line.lock().await.clone()
    }

    /// The session after this one, which was lost; `None` where the run was over first.
    ///
    /// # Cancel safety
    ///
    /// A dial that is dropped leaves no session behind, and the next to ask goes on.
    pub(super) async fn renew(&self, lost: &Line, control: &Control, lane: &Lane) -> Option<Line> {
        tokio::select! {
            biased;
            line = self.redial(lost, lane) => Some(line),
            () = control.over() => None,
        }
    }

    async fn redial(&self, lost: &Line, lane: &Lane) -> Line {
        let mut line = self.line.lock().await;
        if line.number != lost.number {
            return line.clone();
        }
        line.failed = if line.since.elapsed() < LIVED { line.failed + 1 } else { 0 };
        loop {
            tokio::time::sleep(pause(line.failed)).await;
            if let Ok(session) = self.peer.dial(&self.plan.address).await {
                let (number, failed) = (line.number + 1, line.failed);
                *line = Line { session, number, since: Instant::now(), failed };
                lane.counts().reconnects += 1;
                return line.clone();
            }
            line.failed += 1;
        }
    }
}

fn pause(failed: u32) -> Duration {
    match failed.checked_sub(1) {
        None => Duration::ZERO,
        Some(growths) => PAUSE.saturating_mul(2u32.saturating_pow(growths)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_second() {
        let pauses: Vec<_> = (0..9).map(|failed| pause(failed).as_millis()).collect();
        assert_eq!(pauses, [0, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert_eq!(pause(u32::MAX), LONGEST);
    }
}
