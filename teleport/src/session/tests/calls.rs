//! What is written for a call, what refuses it, and how it ends.

use super::*;

#[test]
fn pulls_and_pushes_are_written_in_order_and_count_apart() {
    let formats = [IdFormat::Text, IdFormat::Sequence];
    for (codec, id_format) in b"pj".iter().flat_map(|codec| formats.map(|format| (*codec, format))) {
        let headers = Headers { codec, id_format, ..Headers::default() };
        let settings = Settings::new(Limits::default(), Timeouts::default(), headers, Logs::default());
        let mut machine = Machine::new();
        let mut payload = b"payload".to_vec();
        let first = Outgoing { gzip: 5, ..outgoing("/0", Some(&mut payload)) };
        assert!(matches!(machine.start_pull((&settings, 0), first, None, Waker::noop()), Ok(0)));
        assert!(push(&mut machine, &settings, "/push/0").is_ok());
        assert!(matches!(pull(&mut machine, &settings, "/1?a=b"), Ok(1)));
        assert!(push(&mut machine, &settings, "/push/1").is_ok());
        let queued = machine.queued();
        let bytes = flush(&mut machine);
        assert_eq!((bytes.len(), machine.queued()), (queued, 0));

        let sent = packets(&bytes);
        let id = |number: u64| match id_format {
            IdFormat::Sequence => PacketId::Sequence(number),
            // An absent id is a number; this one is written.
            _ => PacketId::Text(number.to_string().into()),
        };
        let expected = [
            (0, Kind::PULL, "/0"),
            (0, Kind::PUSH, "/push/0"),
            (1, Kind::PULL, "/1?a=b"),
            (1, Kind::PUSH, "/push/1"),
        ];
        assert_eq!(sent.len(), expected.len());
        for (packet, (number, kind, uri)) in sent.iter().zip(expected) {
            assert_eq!((packet.id(), packet.kind(), packet.uri()), (id(number), kind, uri));
            assert_eq!((packet.code(), packet.status(), packet.header_codec()), (0, "", codec));
        }
        let body = sent[0].body();
        assert_eq!((sent[0].gzip(), body.codec(), body.payload()), (5, b's', &b"payload"[..]));
        assert!(sent[1..].iter().all(|packet| packet.gzip() == 0 && packet.body().is_none()));
    }
}

#[test]
fn a_body_is_the_same_on_both_sides_of_the_size_that_is_copied() {
    let settings = settings(Limits::default());
    for length in [0, 1, LARGE_BODY - 1, LARGE_BODY, LARGE_BODY + 1, 100_000] {
        let mut machine = Machine::new();
        let mut payload = vec![7; length];
        let taken =
            machine.start_pull((&settings, 0), outgoing("/a", Some(&mut payload)), None, Waker::noop());
        assert!(taken.is_ok());
        assert_eq!(payload.is_empty(), length == 0 || length >= LARGE_BODY, "a large one is not copied");
        let mut more = vec![8; length];
        assert!(machine.push((&settings, 0), outgoing("/b", Some(&mut more))).is_ok());
        let sent = packets(&flush(&mut machine));
        assert_eq!(sent[0].body().payload(), vec![7; length]);
        assert_eq!(sent[1].body().payload(), vec![8; length]);
    }
}

#[test]
fn pulls_up_to_their_limit_are_taken_and_a_free_place_is_used_again() {
    let settings = settings(Limits::default().with_max_pulls_out(2));
    let mut machine = Machine::new();
    assert!(pull(&mut machine, &settings, "/0").is_ok() && pull(&mut machine, &settings, "/1").is_ok());
    let queued = machine.queued();
    let mut payload = vec![7; LARGE_BODY];
    for _ in 0..3 {
        let full =
            machine.start_pull((&settings, 0), outgoing("/2", Some(&mut payload)), None, Waker::noop());
        assert_eq!(refusal(full), "full");
    }
    assert_eq!((machine.queued(), payload.len()), (queued, LARGE_BODY), "what waits for room is kept");
    assert!(push(&mut machine, &settings, "/push").is_ok(), "a push needs no place");

    // A reply frees the place when its caller takes it, a cancel at once.
    assert!(machine.end_pull(0, Ended::Oversized(9)).is_some());
    assert_eq!(refusal(pull(&mut machine, &settings, "/2")), "full");
    assert_eq!(ended(&mut machine, 0), "oversized 9");
    assert!(matches!(pull(&mut machine, &settings, "/2"), Ok(2)), "no number is used up by a refusal");
    machine.cancel_pull(&settings, 1);
    assert!(pull(&mut machine, &settings, "/3").is_ok());
    assert_eq!(refusal(pull(&mut machine, &settings, "/4")), "full");
}

#[test]
fn one_packet_may_go_over_what_may_be_queued() {
    let settings = settings(Limits::default().with_max_queued(100));
    let mut machine = Machine::new();
    let mut payload = vec![7; 1000];
    assert!(machine.push((&settings, 0), outgoing("/large", Some(&mut payload))).is_ok());
    let queued = machine.queued();
    assert_eq!(refusal(push(&mut machine, &settings, "/push")), "full");
    assert_eq!(refusal(pull(&mut machine, &settings, "/pull")), "full");
    assert_eq!(machine.queued(), queued);
    flush(&mut machine);
    assert!(push(&mut machine, &settings, "/push").is_ok());
    assert!(matches!(pull(&mut machine, &settings, "/pull"), Ok(0)));
    assert_eq!(packets(&flush(&mut machine))[0].id().number(), Some(1), "the refused push has no number");

    // At the limit there is still room, one byte beyond it there is none.
    let mut machine = Machine::new();
    assert!(push(&mut machine, &settings, "/first").is_ok());
    flush(&mut machine);
    assert!(push(&mut machine, &settings, "/push").is_ok());
    let one = machine.queued() as u32;
    for (most, fits) in [(one, true), (one - 1, false)] {
        let settings = self::settings(Limits::default().with_max_queued(most));
        machine.start_waiting(Need::Output);
        assert_eq!(machine.room_for_waiting(&settings).is_there(Need::Output), fits);
        machine.stop_waiting(Need::Output);
        assert_eq!(push(&mut machine, &settings, "/push").is_ok(), fits);
        flush(&mut machine);
        assert!(push(&mut machine, &settings, "/push").is_ok());
    }
}

#[test]
fn what_can_not_be_written_leaves_no_trace() {
    let settings = settings(Limits::default().with_max_uri(10).with_max_body(20_000));
    let (bell, driver) = Bell::new();
    let mut machine = Machine::new();
    machine.register_driver(&driver);
    let start = Instant::now();
    for length in [20_000, 30_000] {
        let mut payload = vec![7; length];
        let pull = machine.start_pull(
            (&settings, 0),
            outgoing("/a", Some(&mut payload)),
            deadline(start, 1),
            Waker::noop(),
        );
        assert!(refusal(pull).contains("limits.max_body"));
        let push = machine.push((&settings, 0), outgoing("/a", Some(&mut payload)));
        assert!(refusal(push).contains("limits.max_body"));
        assert_eq!(payload.len(), length, "the body is still the caller's");
    }
    assert!(refusal(pull(&mut machine, &settings, "/a/long/uri")).contains("limits.max_uri"));
    assert!(refusal(push(&mut machine, &settings, "/a/long/uri")).contains("limits.max_uri"));
    machine.nudge().give();
    assert_eq!((machine.queued(), machine.is_armed(), machine.timeout(), bell.rung()), (0, false, None, 0));

    assert!(pull(&mut machine, &settings, "/a").is_ok() && push(&mut machine, &settings, "/a").is_ok());
    let sent = packets(&flush(&mut machine));
    assert_eq!((sent.len(), sent[1].id().number()), (2, Some(0)));
    machine.drain(closed_here(), start);
    machine.cancel_pull(&settings, sent[0].id().number().unwrap());
    assert!(machine.is_drained(), "no pull is left behind");
}

#[test]
fn a_reply_ends_its_pull_once_and_wakes_its_caller() {
    let settings = settings(Limits::default());
    let (bell, caller) = Bell::new();
    let mut machine = Machine::new();
    let id = machine.start_pull((&settings, 0), outgoing("/a", None), None, &caller);
    let Ok(id) = id else { panic!("there is room") };
    assert!(machine.is_waiting(id));
    assert_eq!(ended(&mut machine, id), "waiting");
    // The waker of the last poll counts.
    let (later, caller) = Bell::new();
    assert!(machine.take_pull(id, &caller).is_none());
    let packet = || packets(&reply(PacketId::Sequence(id), "/a")).remove(0);
    machine.end_pull(id, Ended::Reply(packet())).expect("somebody waits").wake();
    assert_eq!((bell.rung(), later.rung()), (0, 1));
    assert!(!machine.is_waiting(id));
    assert!(machine.end_pull(id, Ended::Reply(packet())).is_none(), "a second reply is nobody's");
    assert_eq!(ended(&mut machine, id), "reply of /a");
    assert!(machine.end_pull(id, Ended::Reply(packet())).is_none());
}

#[test]
fn a_deadline_ends_its_pull_and_no_other() {
    let settings = settings(Limits::default());
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut machine = Machine::new();
    assert_eq!(machine.timeout(), None);
    let bells = [5, 2, 9].map(|seconds| {
        let (bell, caller) = Bell::new();
        assert!(
            machine
                .start_pull((&settings, 0), outgoing("/a", None), deadline(start, seconds), &caller)
                .is_ok()
        );
        bell
    });
    assert!(pull(&mut machine, &settings, "/never").is_ok());
    assert_eq!(machine.timeout(), Some(at(2)), "the earliest");
    let mut rung_at = |seconds| {
        let mut woken = Vec::new();
        machine.handle_timeout(&settings, at(seconds), &mut woken);
        woken.into_iter().for_each(Waker::wake);
        (machine.timeout(), bells.each_ref().map(|bell| bell.rung()))
    };
    assert_eq!(rung_at(1), (Some(at(2)), [0, 0, 0]), "too early");
    assert_eq!(rung_at(2), (Some(at(5)), [0, 1, 0]));
    assert_eq!(rung_at(4), (Some(at(5)), [0, 0, 0]));
    assert_eq!(rung_at(20), (None, [1, 0, 1]), "late, both at once");
    assert_eq!(rung_at(30), (None, [0, 0, 0]));
    assert!(machine.end_pull(1, Ended::Oversized(0)).is_none(), "a late reply is nobody's");
    for (id, how) in [(0, "timeout"), (1, "timeout"), (2, "timeout"), (3, "waiting")] {
        assert_eq!(ended(&mut machine, id), how);
    }
}

#[test]
fn a_pull_that_ended_in_time_does_not_time_out() {
    let settings = settings(Limits::default());
    let start = Instant::now();
    let mut machine = Machine::new();
    for seconds in [1, 2, 3] {
        assert!(
            machine
                .start_pull((&settings, 0), outgoing("/a", None), deadline(start, seconds), Waker::noop())
                .is_ok()
        );
    }
    machine.end_pull(0, Ended::Oversized(7));
    machine.cancel_pull(&settings, 1);
    let mut woken = Vec::new();
    machine.handle_timeout(&settings, start + Duration::from_secs(2), &mut woken);
    assert!(woken.is_empty());
    assert_eq!(machine.timeout(), Some(start + Duration::from_secs(3)));
    assert_eq!(ended(&mut machine, 0), "oversized 7");
    assert_eq!(ended(&mut machine, 2), "waiting");
}

/// Pulls wait for the output and for a slot, pushes and replies for the output alone.
#[test]
fn who_waits_is_told_of_the_room_that_it_needs() {
    let settings = settings(Limits::default().with_max_pulls_out(1).with_max_queued(100));
    let mut machine = Machine::new();
    let told =
        |machine: &Machine| Need::OF_CALLS.map(|need| machine.room_for_waiting(&settings).is_there(need));
    assert_eq!(told(&machine), [false, false], "nobody waits");
    Need::ALL.iter().for_each(|need| machine.start_waiting(*need));
    assert_eq!(told(&machine), [true, true]);
    assert!(pull(&mut machine, &settings, "/a").is_ok());
    assert_eq!(told(&machine), [true, false], "the slot is taken");
    assert!(push(&mut machine, &settings, &"/long".repeat(50)).is_ok());
    assert_eq!(told(&machine), [false, false], "the output is full too");
    machine.cancel_pull(&settings, 0);
    assert_eq!(told(&machine), [false, false]);
    flush(&mut machine);
    assert_eq!(told(&machine), [true, true]);
    machine.close(closed_here(), &mut Vec::new());
    assert_eq!(told(&machine), [true, true], "they are to find out");
}
