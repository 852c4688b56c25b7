//! What becomes of a session that redials when its connection is lost, and of its calls.

use super::super::machine::Policy;
use super::super::state::SessionState;
use super::*;

fn redialing(waits: bool) -> Machine {
    let mut machine = Machine::new();
    machine.set_redial(Policy { waits, max_waiting: 2 });
    machine
}

fn lose(machine: &mut Machine) -> bool {
    machine.lose(&remote("gone"), &mut Vec::new())
}

/// A new connection that no hook looks at.
fn relink(machine: &mut Machine) -> u32 {
    let generation = machine.relink(false).expect("it is down");
    machine.reopen();
    generation
}

#[test]
fn a_session_that_does_not_redial_is_not_kept() {
    let mut machine = Machine::new();
    assert!(!lose(&mut machine));
    assert!(machine.is_open(), "its driver closes it");
}

#[test]
fn what_the_driver_never_had_has_not_run_and_the_rest_may_have() {
    let settings = settings(Limits::default());
    let mut machine = redialing(true);
    let sent = pull(&mut machine, &settings, "/sent").unwrap_or_default();
    flush(&mut machine);
    let answered = pull(&mut machine, &settings, "/answered").unwrap_or_default();
    let mut taken = Output::default();
    machine.take_output(&mut taken);
    assert!(machine.end_pull(answered, Ended::Oversized(7)).is_some());
    let unsent = pull(&mut machine, &settings, "/unsent").unwrap_or_default();
    let (bell, waker) = Bell::new();
    machine.take_pull(unsent, &waker);

    let mut woken = Vec::new();
    assert!(machine.lose(&remote("gone"), &mut woken));
    woken.into_iter().for_each(Waker::wake);
    assert_eq!(bell.rung(), 1);
    assert_eq!(machine.state(), SessionState::Down);
    assert!(matches!(machine.take_pull(sent, Waker::noop()), Some(Ended::Closed(_))));
    assert!(
        matches!(machine.take_pull(answered, Waker::noop()), Some(Ended::Oversized(7))),
        "it has its reply"
    );
    assert!(matches!(machine.take_pull(unsent, Waker::noop()), Some(Ended::NotTaken(_))));

    // Nothing of it goes over the next connection, where ids count on.
    relink(&mut machine);
    assert!(flush(&mut machine).is_empty());
    assert_eq!(pull(&mut machine, &settings, "/next").unwrap_or_default(), unsent + 1);
}

#[test]
fn what_was_written_in_place_may_have_run() {
    let settings = settings(Limits::default());
    for written in [false, true] {
        let mut machine = redialing(true);
        let id = pull(&mut machine, &settings, "/a").unwrap_or_default();
        assert!(machine.is_lone());
        machine.written_in_place(usize::from(written));
        assert!(lose(&mut machine));
        match machine.take_pull(id, Waker::noop()) {
            Some(Ended::Closed(_)) => assert!(written),
            Some(Ended::NotTaken(_)) => assert!(!written),
            _ => panic!("it ended with its connection"),
        }
    }
}

#[test]
fn replies_of_a_lost_connection_never_get_into_the_next() {
    let mut machine = redialing(true);
    machine.start_serving(10);
    lose(&mut machine);
    let mut late = output_of(reply(PacketId::Sequence(0), "/r"));
    machine.append(1, &mut late);
    let generation = relink(&mut machine);
    assert_eq!(generation, 2);
    machine.append(1, &mut late);
    machine.stop_serving(10);
    assert!(flush(&mut machine).is_empty());
    assert!(!late.is_empty(), "it is left with its handler");
    machine.append(generation, &mut output_of(reply(PacketId::Sequence(0), "/r")));
    assert_eq!(packets(&flush(&mut machine)).len(), 1);
}

#[test]
fn what_sides_understand_is_told_anew() {
    let settings = settings(Limits::default());
    let mut machine = redialing(true);
    for _ in 0..2 {
        for first in [true, false] {
            assert!(pull(&mut machine, &settings, "/a").is_ok());
            let bytes = flush(&mut machine);
            let read = wire::read(&bytes, &settings.headers.codecs, &settings.wire).unwrap();
            let Some((packet, _)) = read else { panic!("packets are written whole") };
            assert_eq!(packet.header.features == settings.headers.features, first);
        }
        lose(&mut machine);
        relink(&mut machine);
    }
}

#[test]
fn calls_wait_for_a_connection_or_fail_at_once() {
    let settings = settings(Limits::default());
    let mut waiting = redialing(true);
    let mut failing = redialing(false);
    for machine in [&mut waiting, &mut failing] {
        lose(machine);
        machine.start_waiting(Need::Slot);
    }
    assert_eq!(refusal(pull(&mut waiting, &settings, "/a")), "full");
    assert_eq!(refusal(push(&mut waiting, &settings, "/a")), "full");
    waiting.start_waiting(Need::Output);
    assert_eq!(refusal(pull(&mut waiting, &settings, "/a")), "2 wait already");
    assert!(!waiting.room_for_waiting(&settings).is_there(Need::Slot), "or they would try again and again");
    assert_eq!(refusal(pull(&mut failing, &settings, "/a")), "down: gone");
    assert!(failing.room_for_waiting(&settings).is_there(Need::Slot), "those that waited before are told");
    relink(&mut waiting);
    assert!(waiting.room_for_waiting(&settings).is_there(Need::Slot));
    assert!(waiting.room_for_waiting(&settings).is_there(Need::Output));
    assert_eq!(refusal(pull(&mut waiting, &settings, "/a")), "taken");
}

#[test]
fn only_hooks_call_while_they_look_at_a_connection() {
    let settings = settings(Limits::default());
    let mut machine = redialing(true);
    lose(&mut machine);
    let Some(generation) = machine.relink(true) else { panic!("it is down") };
    assert_eq!(machine.state(), SessionState::Down);
    let call = |machine: &mut Machine, generation| {
        refusal(machine.push((&settings, generation), outgoing("/a", None)))
    };
    assert_eq!(call(&mut machine, generation), "taken");
    assert_eq!(call(&mut machine, 0), "full");
    assert_eq!(call(&mut machine, generation - 1), "full", "a handler of the connection before");
    machine.reopen();
    assert_eq!(call(&mut machine, generation - 1), "taken");
    assert_eq!(machine.state(), SessionState::Open);
}

#[test]
fn a_connection_that_hooks_refuse_is_not_the_end() {
    let later = Instant::now() + Duration::from_secs(5);
    let mut machine = redialing(true);
    lose(&mut machine);
    machine.relink(true);
    machine.give_up(remote("refused"), later);
    assert_eq!(machine.state(), SessionState::Draining);
    machine.set_early(false);
    assert!(machine.is_drained());
    assert!(lose(&mut machine));
    assert_eq!(machine.closed().map(|closed| &*closed.reason), Some("refused"));
    assert!(machine.relink(true).is_some());
}

#[test]
fn what_is_to_end_with_its_connection_and_has_none_dials_on() {
    let later = Instant::now() + Duration::from_secs(5);
    let mut machine = redialing(true);
    lose(&mut machine);
    let idle = Closed { initiator: Initiator::Library, reason: "idle".into() };
    machine.drain(idle, later);
    assert_eq!(machine.state(), SessionState::Down);
    assert_eq!(machine.closed().map(|closed| &*closed.reason), Some("gone"), "it is down because of that");
    relink(&mut machine);
    assert!(machine.is_open());
}

#[test]
fn whoever_ends_the_session_here_ends_it_for_good() {
    let later = Instant::now() + Duration::from_secs(5);
    // Open, drained by the other side, and while hooks look at a new connection.
    let drained = |machine: &mut Machine| machine.drain(remote("shutting down"), later);
    let greeting = |machine: &mut Machine| {
        lose(machine);
        assert!(machine.relink(true).is_some());
    };
    let before: [&dyn Fn(&mut Machine); 3] = [&|_| {}, &drained, &greeting];
    for prepare in before {
        let mut machine = redialing(true);
        prepare(&mut machine);
        machine.drain(closed_here(), later);
        assert_eq!(machine.state(), SessionState::Draining);
        assert!(!machine.redials());
        assert!(!lose(&mut machine), "it is to be closed");
        machine.close(remote("gone"), &mut Vec::new());
        assert_eq!(machine.closed().map(|closed| &*closed.reason), Some("this side closed it"));
    }
    // The other side alone ends a connection, and waits for no handler then.
    let mut machine = redialing(true);
    machine.start_serving(1);
    drained(&mut machine);
    assert_eq!(refusal(pull(&mut machine, &settings(Limits::default()), "/a")), "full");
    assert!(machine.is_drained());
    assert!(lose(&mut machine));
    assert!(lose(&mut machine), "told twice, it stays down");
    machine.close(closed_here(), &mut Vec::new());
    assert!(machine.relink(false).is_none());
    assert_eq!(machine.state(), SessionState::Closed);
}
