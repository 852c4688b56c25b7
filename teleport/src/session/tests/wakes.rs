//! Who writes, and who is woken for it.

use super::*;

#[test]
fn the_driver_is_woken_for_output_exactly_when_it_is_not_about_to_look() {
    let settings = settings(Limits::default());
    let (bell, driver) = Bell::new();
    let mut machine = Machine::new();
    machine.register_driver(&driver);
    let rings = |machine: &mut Machine, expected: usize, why: &str| {
        machine.nudge().give();
        assert_eq!(bell.rung(), expected, "{why}");
        machine.nudge().give();
        assert_eq!(bell.rung(), 0, "once for each change");
    };
    rings(&mut machine, 0, "nothing has happened");
    assert!(push(&mut machine, &settings, "/1").is_ok());
    rings(&mut machine, 1, "the first output");
    assert!(push(&mut machine, &settings, "/2").is_ok() && pull(&mut machine, &settings, "/3").is_ok());
    rings(&mut machine, 0, "it has been told");

    let mut output = Output::default();
    assert!(machine.take_output(&mut output));
    assert!(push(&mut machine, &settings, "/4").is_ok());
    rings(&mut machine, 0, "it writes, and looks again after that");
    write_out(&mut output, 7);
    assert!(machine.take_output(&mut output), "it does look again");
    assert_eq!(packets(&write_out(&mut output, 7)).len(), 1);
    assert!(!machine.take_output(&mut output), "and again, to find nothing");
    assert!(push(&mut machine, &settings, "/5").is_ok());
    rings(&mut machine, 1, "it is through");
    flush(&mut machine);

    // Told that it is about to be polled anyway.
    machine.pre_arm();
    assert!(machine.is_armed());
    assert!(pull(&mut machine, &settings, "/6").is_ok());
    rings(&mut machine, 0, "pre-armed");
    assert_eq!(packets(&flush(&mut machine)).len(), 1);
    machine.append(1, &mut Output::default());
    rings(&mut machine, 0, "nothing was added");
    machine.append(1, &mut output_of(reply(PacketId::Sequence(1), "/r")));
    rings(&mut machine, 1, "a reply");
    machine.pre_arm();
    flush(&mut machine);

    // Another waker takes the place of the first.
    let (other, driver) = Bell::new();
    machine.register_driver(&driver);
    assert!(push(&mut machine, &settings, "/7").is_ok());
    rings(&mut machine, 0, "the old one");
    assert_eq!(other.rung(), 1);
}

#[test]
fn the_driver_is_woken_for_its_timer_only_when_that_comes_sooner() {
    let settings = settings(Limits::default());
    let (bell, driver) = Bell::new();
    let mut machine = Machine::new();
    machine.register_driver(&driver);
    let start = Instant::now();
    // While it writes, output alone wakes nobody.
    assert!(push(&mut machine, &settings, "/push").is_ok());
    let mut output = Output::default();
    machine.take_output(&mut output);
    machine.nudge().give();
    bell.rung();
    for (seconds, expected) in [(10, 1), (10, 0), (20, 0), (5, 1), (7, 0), (4, 1)] {
        assert!(
            machine
                .start_pull((&settings, 0), outgoing("/a", None), deadline(start, seconds), Waker::noop())
                .is_ok()
        );
        machine.nudge().give();
        assert_eq!(bell.rung(), expected, "{seconds}");
    }
    assert!(pull(&mut machine, &settings, "/never").is_ok());
    machine.nudge().give();
    assert_eq!(bell.rung(), 0);
}

#[test]
fn nobody_is_woken_before_there_is_a_driver() {
    let settings = settings(Limits::default());
    let mut machine = Machine::new();
    assert!(push(&mut machine, &settings, "/1").is_ok());
    machine.nudge().give();
    // What was done before it is there for it to find.
    assert!(machine.is_armed());
    assert_eq!(packets(&flush(&mut machine)).len(), 1);
}

#[test]
fn a_lone_pull_is_written_in_place_and_wakes_nobody() {
    let settings = settings(Limits::default());
    let (bell, driver) = Bell::new();
    let mut machine = Machine::new();
    machine.register_driver(&driver);
    assert!(!machine.is_lone(), "nothing is to be written");
    for round in 0..3 {
        assert!(pull(&mut machine, &settings, "/a").is_ok());
        assert!(machine.is_lone());
        let bytes = machine.lone_output().expect("it is in one piece").to_vec();
        machine.written_in_place(bytes.len());
        machine.nudge().give();
        assert_eq!((bell.rung(), machine.queued(), machine.is_armed()), (0, 0, false));
        assert!(!machine.is_lone(), "it is written");
        assert_eq!(packets(&bytes)[0].id().number(), Some(round));
        machine.end_pull(round, Ended::Oversized(0));
        assert_eq!(ended(&mut machine, round), "oversized 0");
    }
}

#[test]
fn what_could_not_be_written_in_place_is_the_drivers() {
    let settings = settings(Limits::default());
    let whole = {
        let mut machine = Machine::new();
        assert!(pull(&mut machine, &settings, "/a").is_ok());
        flush(&mut machine)
    };
    for count in 0..whole.len() {
        let (bell, driver) = Bell::new();
        let mut machine = Machine::new();
        machine.register_driver(&driver);
        assert!(pull(&mut machine, &settings, "/a").is_ok());
        let mut written = machine.lone_output().unwrap()[..count].to_vec();
        machine.written_in_place(count);
        machine.nudge().give();
        assert_eq!((bell.rung(), machine.queued()), (1, whole.len() - count));
        // What comes after it stays behind it, and so does what the driver has of its own.
        assert!(push(&mut machine, &settings, "/b").is_ok());
        let mut output = output_of(reply(PacketId::Sequence(9), "/r"));
        assert!(machine.take_output(&mut output));
        written.extend(write_out(&mut output, 5));
        let uris: Vec<String> = packets(&written).iter().map(|packet| packet.uri().to_owned()).collect();
        // A packet that has not begun has no place to keep.
        let expected = if count == 0 { ["/r", "/a", "/b"] } else { ["/a", "/b", "/r"] };
        assert_eq!(uris, expected, "{count} bytes in place");
    }
}

#[test]
fn the_rest_of_a_pull_may_go_in_place_as_well() {
    let settings = settings(Limits::default());
    let mut machine = Machine::new();
    assert!(pull(&mut machine, &settings, "/a").is_ok());
    let mut written = Vec::new();
    while machine.is_lone() {
        let byte = machine.lone_output().unwrap()[0];
        written.push(byte);
        machine.written_in_place(1);
    }
    assert_eq!(packets(&written)[0].uri(), "/a");
    assert_eq!(machine.queued(), 0);
}

#[test]
fn a_call_that_is_not_alone_is_left_to_the_driver() {
    let settings = settings(Limits::default());
    let mut machine = Machine::new();
    // Two pulls leave together.
    assert!(pull(&mut machine, &settings, "/a").is_ok() && pull(&mut machine, &settings, "/b").is_ok());
    assert!(!machine.is_lone());
    flush(&mut machine);
    // One still waits for its reply.
    machine.cancel_pull(&settings, 0);
    assert!(pull(&mut machine, &settings, "/c").is_ok());
    assert!(!machine.is_lone());
    machine.cancel_pull(&settings, 1);
    assert!(machine.is_lone());
    // A handler may be about to answer.
    machine.start_serving(10);
    assert!(!machine.is_lone());
    machine.stop_serving(10);
    assert!(machine.is_lone());
    // The driver has it.
    let mut output = Output::default();
    machine.take_output(&mut output);
    assert!(!machine.is_lone());
    machine.cancel_pull(&settings, 2);
    assert!(pull(&mut machine, &settings, "/d").is_ok());
    assert!(!machine.is_lone(), "the driver is writing, and two must not write at once");

    // Pushes alone are in no hurry; a large body is not in one piece.
    let mut machine = Machine::new();
    assert!(push(&mut machine, &settings, "/a").is_ok());
    assert!(!machine.is_lone());
    let mut payload = vec![7; LARGE_BODY];
    assert!(
        machine.start_pull((&settings, 0), outgoing("/b", Some(&mut payload)), None, Waker::noop()).is_ok()
    );
    assert!(machine.is_lone() && machine.lone_output().is_none());
}

#[test]
fn as_many_handlers_as_may_run_pause_the_reader_until_one_ends() {
    let settings = settings(Limits::default().with_max_pulls_in(2));
    let (bell, driver) = Bell::new();
    let mut machine = Machine::new();
    machine.register_driver(&driver);
    let rings = |machine: &mut Machine| {
        machine.nudge().give();
        bell.rung()
    };
    machine.start_serving(10);
    assert!(!machine.is_serving_full(&settings));
    machine.start_serving(10);
    assert!(machine.is_serving_full(&settings));
    assert_eq!(rings(&mut machine), 0);
    machine.stop_serving(10);
    assert_eq!(rings(&mut machine), 1, "the reader waits for this");
    machine.start_serving(10);
    machine.stop_serving(10);
    assert_eq!(rings(&mut machine), 0, "nobody has asked since");
    assert!(!machine.is_serving_full(&settings));
    machine.stop_serving(10);
    assert_eq!(rings(&mut machine), 0);
}

#[test]
fn there_is_room_for_a_waiting_call_when_there_is_some_or_will_be_none() {
    let settings = settings(Limits::default().with_max_pulls_out(1).with_max_queued(10));
    let mut machine = Machine::new();
    assert!(!machine.room_for_waiting(&settings).is_there(Need::Slot), "nobody waits");
    machine.start_waiting(Need::Slot);
    assert!(machine.room_for_waiting(&settings).is_there(Need::Slot));
    assert!(pull(&mut machine, &settings, "/a/long/uri").is_ok());
    assert!(
        !machine.room_for_waiting(&settings).is_there(Need::Slot),
        "neither a place nor room in the output"
    );
    flush(&mut machine);
    assert!(!machine.room_for_waiting(&settings).is_there(Need::Slot), "no place");
    machine.cancel_pull(&settings, 0);
    assert!(machine.room_for_waiting(&settings).is_there(Need::Slot));
    assert!(push(&mut machine, &settings, "/a/long/uri").is_ok());
    assert!(!machine.room_for_waiting(&settings).is_there(Need::Slot), "no room in the output");
    machine.drain(closed_here(), Instant::now());
    assert!(
        machine.room_for_waiting(&settings).is_there(Need::Slot),
        "it has to hear that there will be none"
    );
    machine.close(closed_here(), &mut Vec::new());
    assert!(machine.room_for_waiting(&settings).is_there(Need::Slot));
    machine.stop_waiting(Need::Slot);
    assert!(!machine.room_for_waiting(&settings).is_there(Need::Slot));
}
