//! A whole session, driven by a script that the bytes are read as.
//!
//! The other side sends whatever it likes, well-formed or not, reads or does not, and the time passes as it says. Whatever
//! it does, nothing panics, every call of this side ends, the session ends with its connection, and it never holds more
//! than its limits allow.

mod meter;
mod raw;
mod script;
mod served;

use std::time::Duration;

use meter::Meter;
use raw::{Pipe, Raw};
use served::Setup;
use teleport::Connection;

use super::tape::Tape;

/// Far beyond every timeout of the session. The clock is paused, and goes on where nobody has anything to do.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// Runs the script, in a thread of its own: what a thread keeps for its sessions is given back when it ends.
pub fn run(data: &[u8]) {
    let before = super::allocated();
    std::thread::scope(|scope| {
        let ran = scope.spawn(|| on_this_thread(data)).join();
        if let Err(panic) = ran {
            std::panic::resume_unwind(panic);
        }
    });
    let left = super::allocated().saturating_sub(before);
    assert!(left <= 64 * 1024, "{left} bytes are left when all is over");
}

fn on_this_thread(data: &[u8]) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().expect("a runtime");
    served::warm();
    let mut tape = Tape::new(data);
    let setup = Setup::choose(tape.byte());
    let _log = setup.is_logged().then(served::log);
    runtime.block_on(play(&mut tape, setup));
}

async fn play(tape: &mut Tape<'_>, setup: Setup) {
    let meter = Meter::new(setup.bound());
    let peer = setup.peer(&meter).await;
    let mut raw = Raw::new();
    // What was allocated until now is not the session's.
    meter.begin();
    let connection = Connection::from_stream(Pipe::new(raw.far(), &meter), "test://peer", "test://raw");
    let attaching = tokio::spawn({
        let peer = peer.clone();
        async move {
            match setup.is_dialed() {
                true => peer.attach_dialed(connection).await,
                false => peer.attach(connection).await,
            }
        }
    });
    let mut script = script::Script::new(setup, raw, peer.clone(), meter.clone());
    while !tape.is_empty() {
        script.step(tape).await;
        meter.look();
    }
    script.ask_for_a_sign_of_life().await;
    let (raw, calls) = script.end();
    drop(raw);
    let all_over = async {
        let session = attaching.await.expect("no panic");
        for call in calls {
            // Cancelled by the script, or ended.
            if let Err(error) = call.await {
                assert!(error.is_cancelled(), "a call panicked");
            }
        }
        if let Ok(session) = session {
            session.closed().await;
            assert!(session.close_reason().is_some());
            assert_eq!(session.pulls_in_flight(), 0);
        }
        peer.shutdown().await;
    };
    tokio::time::timeout(FOR_EVER, all_over).await.expect("all ends with the connection");
    assert!(peer.sessions().is_empty());
    meter.look();
}
