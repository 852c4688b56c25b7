//! Closed loop: who is answered calls again.

use std::sync::Arc;
use std::time::Instant;

use super::call::{Ended, call};
use super::control::Control;
use super::link::Link;
use super::plan::Plan;
use super::record::Lane;

/// So many pushes follow each other before others have a turn: a push that finds room does not wait for anything.
const TURN: u32 = 32;

/// One caller.
pub(super) async fn run(plan: Arc<Plan>, control: Arc<Control>, lane: Arc<Lane>, link: Arc<Link>) {
    let mut line = link.line().await;
    let mut pushes = 0;
    let mut now = Instant::now();
    while let Some(counts) = control.admit(now) {
        if counts {
            lane.begin();
        }
        let ended = match call(&line.session, &plan).await {
            Ok(ended) => ended,
            Err(failure) => return control.fail(failure),
        };
        let began = now;
        now = Instant::now();
        let lost = ended == Ended::Lost;
        lane.end(counts, began, now, ended);
        if lost || !line.session.is_open() {
            let Some(next) = link.renew(&line, &control, &lane).await else { return };
            line = next;
            now = Instant::now();
        }
        if plan.push {
            pushes += 1;
            if pushes % TURN == 0 {
                tokio::task::yield_now().await;
                now = Instant::now();
            }
        }
    }
}
