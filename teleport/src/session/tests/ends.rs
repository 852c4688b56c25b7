//! From open to closed.

use super::*;

#[test]
fn a_drain_takes_no_calls_and_ends_with_the_last_thing_in_flight() {
    let settings = settings(Limits::default());
    let (bell, driver) = Bell::new();
    let start = Instant::now();
    let until = start + Duration::from_secs(5);
    let mut machine = Machine::new();
    machine.register_driver(&driver);
    assert!(pull(&mut machine, &settings, "/0").is_ok() && pull(&mut machine, &settings, "/1").is_ok());
    machine.start_serving(10);
    machine.nudge().give();
    bell.rung();
    let rings = |machine: &mut Machine| {
        machine.nudge().give();
        bell.rung()
    };

    assert!(!machine.is_drained() && machine.closed().is_none());
    machine.drain(remote("first"), until);
    assert_eq!(rings(&mut machine), 1);
    machine.drain(closed_here(), until + Duration::from_secs(9));
    assert_eq!((rings(&mut machine), machine.timeout()), (0, Some(until)), "the first drain counts");
    assert!(!machine.is_open() && !machine.is_closed());
    assert_eq!(refusal(pull(&mut machine, &settings, "/2")), "closed: first");
    assert_eq!(refusal(push(&mut machine, &settings, "/2")), "closed: first");

    // In flight: two pulls, a handler, what waits to be written. The driver looks whenever one of them is gone.
    assert!(!machine.is_drained());
    assert_eq!(packets(&flush(&mut machine)).len(), 2);
    machine.end_pull(0, Ended::Oversized(1));
    assert_eq!(rings(&mut machine), 0, "the caller has not seen it yet");
    assert_eq!(ended(&mut machine, 0), "oversized 1");
    assert_eq!((rings(&mut machine), machine.is_drained()), (1, false));
    machine.cancel_pull(&settings, 1);
    assert_eq!((rings(&mut machine), machine.is_drained()), (1, false));
    machine.append(1, &mut output_of(reply(PacketId::Sequence(0), "/r")));
    machine.stop_serving(10);
    assert_eq!((rings(&mut machine), machine.is_drained()), (1, false), "the reply is to be written");
    assert_eq!(packets(&flush(&mut machine)).len(), 1);
    assert!(machine.is_drained());

    let mut woken = Vec::new();
    machine.close(remote("second"), &mut woken);
    assert!(machine.is_closed() && !machine.is_drained());
    assert_eq!(machine.closed().unwrap().reason, "first", "the first reason is kept");
}

#[test]
fn each_thing_in_flight_alone_holds_a_drain_up() {
    let settings = settings(Limits::default());
    type Change = fn(&mut Machine, &Settings);
    let end: [Change; 3] = [
        |machine, settings| machine.cancel_pull(settings, 0),
        |machine, _| machine.stop_serving(10),
        |machine, _| drop(flush(machine)),
    ];
    for (what, end) in end.into_iter().enumerate() {
        let (bell, driver) = Bell::new();
        let mut machine = Machine::new();
        machine.register_driver(&driver);
        match what {
            0 => assert!(pull(&mut machine, &settings, "/a").is_ok()),
            1 => machine.start_serving(10),
            _ => assert!(push(&mut machine, &settings, "/a").is_ok()),
        }
        if what == 0 {
            flush(&mut machine);
        }
        machine.drain(closed_here(), Instant::now());
        machine.nudge().give();
        assert!(bell.rung() == 1 && !machine.is_drained());
        end(&mut machine, &settings);
        assert!(machine.is_drained());
        // The driver writes by itself; of the others it has to hear.
        machine.nudge().give();
        assert_eq!(bell.rung(), usize::from(what < 2));
    }
}

#[test]
fn a_drain_is_over_at_its_time_and_deadlines_before_it_still_count() {
    let settings = settings(Limits::default());
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut machine = Machine::new();
    for seconds in [2, 60] {
        assert!(
            machine
                .start_pull((&settings, 0), outgoing("/a", None), deadline(start, seconds), Waker::noop())
                .is_ok()
        );
    }
    machine.drain(closed_here(), at(5));
    assert_eq!(machine.timeout(), Some(at(2)));
    let mut woken = Vec::new();
    machine.handle_timeout(&settings, at(2), &mut woken);
    assert_eq!((woken.len(), machine.timeout()), (1, Some(at(5))), "the drain comes next");
    assert_eq!((machine.is_past_drain(at(4)), machine.is_past_drain(at(5))), (false, true));
    machine.handle_timeout(&settings, at(5), &mut woken);
    assert_eq!(ended(&mut machine, 1), "waiting", "the driver decides what follows");

    let mut machine = Machine::new();
    assert!(!machine.is_past_drain(at(100)), "an open session has no such time");
    machine.drain(closed_here(), at(5));
    machine.close(closed_here(), &mut woken);
    assert!(!machine.is_past_drain(at(100)));
}

#[test]
fn a_close_ends_everything_and_wakes_everybody() {
    let settings = settings(Limits::default());
    let start = Instant::now();
    let ([caller, answered, driver], mut wakers): ([Arc<Bell>; 3], Vec<Waker>) = {
        let pairs = [Bell::new(), Bell::new(), Bell::new()];
        (pairs.each_ref().map(|(bell, _)| bell.clone()), pairs.into_iter().map(|(_, waker)| waker).collect())
    };
    let mut machine = Machine::new();
    machine.register_driver(&wakers.pop().unwrap());
    for waker in &wakers {
        assert!(machine.start_pull((&settings, 0), outgoing("/a", None), deadline(start, 1), waker).is_ok());
    }
    machine.end_pull(1, Ended::Oversized(7));
    let mut woken = Vec::new();
    machine.close(remote("lost"), &mut woken);
    woken.drain(..).for_each(Waker::wake);
    assert_eq!((caller.rung(), answered.rung(), driver.rung()), (1, 0, 1));
    assert!(machine.is_closed());
    assert_eq!((machine.queued(), machine.timeout()), (0, None), "nothing is left to be done");
    assert_eq!(ended(&mut machine, 0), "closed: lost");
    assert_eq!(ended(&mut machine, 1), "oversized 7", "what came before the end counts");

    // Nothing begins any more, and nobody is woken again.
    assert_eq!(refusal(pull(&mut machine, &settings, "/b")), "closed: lost");
    assert_eq!(refusal(push(&mut machine, &settings, "/b")), "closed: lost");
    machine.append(1, &mut output_of(reply(PacketId::Sequence(0), "/r")));
    assert!(!machine.take_output(&mut Output::default()));
    machine.drain(closed_here(), start);
    machine.close(closed_here(), &mut woken);
    machine.nudge().give();
    assert!(woken.is_empty() && machine.is_closed() && machine.timeout().is_none());
    assert_eq!(machine.closed().unwrap().reason, "lost");
    assert_eq!(driver.rung(), 0);
}

#[test]
fn the_end_of_the_other_side_ends_the_pulls_and_nothing_else() {
    let settings = settings(Limits::default());
    let (bell, caller) = Bell::new();
    let mut machine = Machine::new();
    for _ in 0..2 {
        assert!(machine.start_pull((&settings, 0), outgoing("/a", None), None, &caller).is_ok());
    }
    machine.end_pull(0, Ended::Oversized(7));
    let mut woken = Vec::new();
    machine.end_pulls(&remote("the other side closed"), &mut woken);
    woken.into_iter().for_each(Waker::wake);
    assert_eq!(bell.rung(), 1);
    assert_eq!(ended(&mut machine, 0), "oversized 7");
    assert_eq!(ended(&mut machine, 1), "closed: the other side closed");
    assert!(machine.is_open());
    assert_eq!(packets(&flush(&mut machine)).len(), 2, "the output stays");
}

#[test]
fn a_held_session_waits_for_the_other_side_to_end() {
    let settings = settings(Limits::default());
    let (bell, driver) = Bell::new();
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut machine = Machine::new();
    machine.register_driver(&driver);
    machine.hold(remote("takes no more"), at(1000));
    assert_eq!(refusal(pull(&mut machine, &settings, "/a")), "closed: takes no more");
    assert!(!machine.is_open() && !machine.is_drained(), "with nothing in flight");
    machine.drain(remote("ended"), at(5));
    machine.nudge().give();
    assert!(bell.rung() == 1 && machine.is_drained());
    assert_eq!(
        (machine.timeout(), machine.closed().unwrap().reason.as_ref()),
        (Some(at(5)), "takes no more")
    );
    machine.hold(remote("again"), at(1));
    assert!(machine.is_drained(), "a drain is not held");
    machine.drain(closed_here(), at(2));
    assert!(machine.is_past_drain(at(2)), "an earlier end counts");
}

#[test]
fn pulls_that_were_not_taken_end_so_and_no_others() {
    let settings = settings(Limits::default());
    let (bell, caller) = Bell::new();
    let mut machine = Machine::new();
    for _ in 0..2 {
        assert!(machine.start_pull((&settings, 0), outgoing("/a", None), None, &caller).is_ok());
    }
    machine.end_pull(0, Ended::Oversized(7));
    let mut woken = Vec::new();
    machine.refuse_pulls(&remote("gone"), &mut woken);
    machine.end_pulls(&remote("lost"), &mut woken);
    woken.into_iter().for_each(Waker::wake);
    assert_eq!(bell.rung(), 1);
    assert_eq!(ended(&mut machine, 0), "oversized 7");
    assert_eq!(ended(&mut machine, 1), "not taken: gone");
}
