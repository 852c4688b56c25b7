//! Two peers on one clock that a test moves, a link that delays, splits, merges, cuts and closes, and calls at random:
//! whatever happens in whatever order, every call ends, once and with its own reply, nothing runs twice, and nothing is
//! left at the end.
//!
//! Every case is made of its number alone. One that fails tells how to run it again; see CONTRIBUTING.md.

mod link;
mod script;
mod served;
mod world;

use std::cell::Cell;
use std::ops::Range;
use std::panic;
use std::sync::Once;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use script::Script;
use world::{Kind, World};

/// Cases of each test.
const CASES: u64 = 4_000;
/// Steps of a case at the most.
const STEPS: usize = 32;
/// The number of a case, or a range as `5..100`, instead of all.
const SEED: &str = "TELEPORT_STATES_SEED";

thread_local! {
    /// Panics of this thread, also of those that are caught: what runs a task or a handler catches what goes wrong there.
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

#[test]
fn every_call_ends_once_whatever_happens() {
    check("every_call_ends_once_whatever_happens", Kind::Plain);
}

#[test]
fn every_call_ends_once_where_limits_are_reached() {
    check("every_call_ends_once_where_limits_are_reached", Kind::Tight);
}

#[test]
fn every_call_ends_once_over_sessions_that_redial() {
    check("every_call_ends_once_over_sessions_that_redial", Kind::Redials);
}

fn check(test: &str, kind: Kind) {
    count_panics();
    for seed in seeds() {
        let config = Config { failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
        let mut bytes = [0x5e; 16];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let random = TestRng::from_seed(RngAlgorithm::XorShift, &bytes);
        let mut runner = TestRunner::new_with_rng(config, random);
        let case = script::script(STEPS).new_tree(&mut runner).expect("any script will do");
        match runner.run_one(case, |script| play(kind, script)) {
            Ok(_) => {}
            Err(TestError::Abort(reason)) => panic!("{reason}"),
            Err(TestError::Fail(reason, script)) => panic!(
                "case {seed} fails: {reason}\nits least script that does: {script:#?}\nto run it again: \
                 {SEED}={seed} cargo test -p teleport --lib {test}"
            ),
        }
    }
}

/// The cases to run.
fn seeds() -> Range<u64> {
    let Ok(given) = std::env::var(SEED) else { return 0..CASES };
    let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("{SEED} is no number: {text:?}"));
    match given.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => number(&given)..number(&given) + 1,
    }
}

fn play(kind: Kind, script: Script) -> Result<(), TestCaseError> {
    let before = PANICS.get();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async { World::new(kind, script.waits).await.play(script).await });
    drop(runtime);
    match PANICS.get() - before {
        0 => Ok(()),
        count => Err(TestCaseError::fail(format!("{count} panics, which were caught"))),
    }
}

fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.with(|panics| panics.set(panics.get() + 1));
            before(info);
        }));
    });
}
