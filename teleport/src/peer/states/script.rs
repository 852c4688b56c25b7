//! What may happen in a case.

use proptest::prelude::*;
use proptest::sample::Index;

/// What a handler does with its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Answers at once.
    Quick,
    /// Answers after so many milliseconds.
    Slow(u16),
    Panic,
    /// Panics after so many milliseconds.
    PanicLater(u16),
    Fail,
    /// Pulls from the other side, and answers when that has.
    Back,
    /// Closes its session, and answers.
    Close,
    /// Aborts its session.
    Abort,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Pull {
        side: usize,
        task: Task,
        /// Bytes of the body, and of the reply.
        size: usize,
        /// In milliseconds; none waits as long as the session lives.
        timeout: Option<u16>,
        idempotent: bool,
    },
    Push {
        side: usize,
        task: Task,
        size: usize,
    },
    /// Drops the future of a call.
    Cancel(Index),
    /// Gives the tasks that are ready so many turns.
    Turns(u8),
    /// Lets so many milliseconds pass.
    Pass(u16),
    Hold(usize),
    Deliver(usize, usize),
    Release(usize),
    Split(usize, u32, usize),
    Cut,
    Lose(usize),
    Shut(usize),
    Close(usize),
    Abort(usize),
    GiveUp(usize),
    /// Drops this side's handle.
    Drop(usize),
    /// Drops the peer too.
    DropPeer(usize),
    Shutdown(usize),
    /// So many attempts to dial again fail.
    Refuse(u32),
}

/// A whole case.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) steps: Vec<Step>,
    /// What ends the sessions after all calls have.
    pub(super) end: Step,
    /// Calls that begin while a session is down wait for its next connection.
    pub(super) waits: bool,
}

fn task() -> impl Strategy<Value = Task> {
    prop_oneof![
        6 => Just(Task::Quick),
        5 => (1..3000u16).prop_map(Task::Slow),
        1 => Just(Task::Slow(20_000)),
        1 => Just(Task::Panic),
        1 => (1..300u16).prop_map(Task::PanicLater),
        1 => Just(Task::Fail),
        3 => Just(Task::Back),
    ]
}

/// What also a handler seldom does.
fn any_task() -> impl Strategy<Value = Task> {
    prop_oneof![40 => task(), 1 => Just(Task::Close), 1 => Just(Task::Abort)]
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![30 => 0..200usize, 3 => Just(20_000usize), 1 => Just(140_000usize)]
}

fn harmless() -> impl Strategy<Value = Step> {
    let side = 0..2usize;
    let call = (side.clone(), any_task(), size(), prop::option::of(1..5000u16), any::<bool>());
    prop_oneof![
        24 => call.prop_map(|(side, task, size, timeout, idempotent)| Step::Pull {
            side, task, size, timeout, idempotent
        }),
        4 => (side.clone(), task(), size()).prop_map(|(side, task, size)| Step::Push { side, task, size }),
        4 => any::<Index>().prop_map(Step::Cancel),
        14 => (0..6u8).prop_map(Step::Turns),
        5 => prop_oneof![1..100u16, 100..3000u16].prop_map(Step::Pass),
        3 => side.clone().prop_map(Step::Hold),
        4 => (side.clone(), prop_oneof![0..40usize, 40..9000usize]).prop_map(|(side, count)| Step::Deliver(side, count)),
        3 => side.clone().prop_map(Step::Release),
        3 => (side, 1..60u32, prop_oneof![1..4usize, 4..300usize])
            .prop_map(|(side, times, most)| Step::Split(side, times, most)),
    ]
}

/// What ends sessions, or connections.
fn harm() -> impl Strategy<Value = Step> {
    let side = 0..2usize;
    prop_oneof![
        4 => Just(Step::Cut),
        2 => side.clone().prop_map(Step::Lose),
        2 => side.clone().prop_map(Step::Shut),
        3 => side.clone().prop_map(Step::Close),
        2 => side.clone().prop_map(Step::Abort),
        2 => side.clone().prop_map(Step::GiveUp),
        1 => side.clone().prop_map(Step::Drop),
        1 => side.clone().prop_map(Step::DropPeer),
        2 => side.prop_map(Step::Shutdown),
        2 => (1..4u32).prop_map(Step::Refuse),
        1 => Just(Step::Pass(50_000)),
    ]
}

/// Cases of at most so many steps. One in three has nothing in it that may end a session.
pub(super) fn script(most: usize) -> impl Strategy<Value = Script> {
    let calm = prop::collection::vec(harmless(), 1..most).boxed();
    let rough = prop::collection::vec(prop_oneof![9 => harmless(), 1 => harm()], 1..most).boxed();
    (prop_oneof![1 => calm, 2 => rough], harm(), any::<bool>()).prop_map(|(steps, end, waits)| Script {
        steps,
        end,
        waits,
    })
}
