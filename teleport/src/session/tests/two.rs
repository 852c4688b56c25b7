//! Two machines wired by hand, with one clock: whatever happens in whatever order, every call ends as it has to.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// A pull that may wait this long; so many bytes of it go in place, where that is allowed.
    Pull {
        side: usize,
        wait: Option<u64>,
        large: bool,
        in_place: usize,
    },
    Push {
        side: usize,
    },
    /// The driver writes so many bytes at most.
    Write {
        side: usize,
        most: usize,
    },
    /// So many bytes at most reach the other side.
    Carry {
        side: usize,
        most: usize,
    },
    /// A handler is through.
    Answer {
        side: usize,
        which: Index,
    },
    /// A caller goes away.
    Cancel {
        side: usize,
        which: Index,
    },
    /// The callers look for their replies.
    Look {
        side: usize,
    },
    /// So many seconds pass.
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let side = 0..2usize;
    let most = prop_oneof![0..30usize, Just(usize::MAX)];
    prop_oneof![
        4 => (side.clone(), prop::option::of(0..20u64), prop::bool::weighted(0.1), most.clone())
            .prop_map(|(side, wait, large, in_place)| Step::Pull { side, wait, large, in_place }),
        1 => side.clone().prop_map(|side| Step::Push { side }),
        4 => (side.clone(), most.clone()).prop_map(|(side, most)| Step::Write { side, most }),
        4 => (side.clone(), most).prop_map(|(side, most)| Step::Carry { side, most }),
        4 => (side.clone(), any::<Index>()).prop_map(|(side, which)| Step::Answer { side, which }),
        1 => (side.clone(), any::<Index>()).prop_map(|(side, which)| Step::Cancel { side, which }),
        1 => side.prop_map(|side| Step::Look { side }),
        1 => (0..8u64).prop_map(Step::Pass),
    ]
}

/// One machine, and what stands around it: a driver, callers and handlers.
struct Side {
    machine: Machine,
    settings: Settings,
    bell: Arc<Bell>,
    /// The driver was woken, and has not run to its end since.
    awake: bool,
    /// When the driver's timer goes off.
    timer: Option<Instant>,
    /// What the driver is writing.
    output: Output,
    /// What is on its way to the other side.
    sent: Vec<u8>,
    /// The start of a packet that is not whole.
    received: Vec<u8>,
    /// Pulls of the other side that are to be answered.
    asked: Vec<Packet>,
    calls: BTreeMap<u64, Call>,
    made: usize,
    pushes_in: u64,
    answered: usize,
    timed_out: usize,
}

struct Call {
    uri: String,
    deadline: Option<Instant>,
}

impl Side {
    fn new() -> Self {
        let (bell, driver) = Bell::new();
        let mut machine = Machine::new();
        machine.register_driver(&driver);
        Side {
            machine,
            settings: settings(Limits::default().with_max_pulls_out(6).with_max_queued(500)),
            bell,
            awake: false,
            timer: None,
            output: Output::default(),
            sent: Vec::new(),
            received: Vec::new(),
            asked: Vec::new(),
            calls: BTreeMap::new(),
            made: 0,
            pushes_in: 0,
            answered: 0,
            timed_out: 0,
        }
    }

    fn pull(&mut self, now: Instant, wait: Option<u64>, large: bool, in_place: usize) {
        let uri = format!("/{}", self.made);
        let deadline = wait.map(|seconds| now + Duration::from_secs(seconds));
        let mut payload = vec![7; if large { LARGE_BODY } else { 3 }];
        let has_room = self.calls.len() < 6 && self.machine.queued() <= 500;
        let call = outgoing(&uri, Some(&mut payload));
        match self.machine.start_pull((&self.settings, 0), call, deadline, Waker::noop()) {
            Ok(id) => {
                assert!(has_room);
                assert!(self.calls.insert(id, Call { uri, deadline }).is_none(), "an id of a call in flight");
                self.made += 1;
            }
            Err(Refused::Full) => assert!(!has_room),
            Err(_) => panic!("it is open, and the call is good"),
        }
        if self.machine.is_lone()
            && let Some(bytes) = self.machine.lone_output()
        {
            assert!(self.output.is_empty(), "the driver has begun to write");
            let count = bytes.len().min(in_place);
            self.sent.extend_from_slice(&bytes[..count]);
            self.machine.written_in_place(count);
        }
    }

    /// One write of the driver.
    fn write(&mut self, most: usize) {
        if !self.output.is_begun() && !self.machine.take_output(&mut self.output) {
            self.awake = false;
        }
        let bytes: Vec<u8> = self
            .output
            .with_slices(|slices| slices.iter().flat_map(|slice| slice.iter().copied()).take(most).collect());
        self.output.advance(bytes.len());
        self.sent.extend(bytes);
        self.timer = self.machine.timeout();
    }

    /// Takes what has come, and hands each packet to whom it belongs.
    fn receive(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
        while let Ok(Frame::Complete(parts)) = wire::split(&self.received, &wire::Limits::default()) {
            let rest = self.received.split_off(parts.len);
            let bytes = std::mem::replace(&mut self.received, rest);
            let packet = packets(&bytes).remove(0);
            let id = packet.id().number().expect("both sides count");
            if packet.kind().is_pull() {
                self.asked.push(packet);
            } else if packet.kind().is_push() {
                assert_eq!(id, self.pushes_in, "in order, each once");
                self.pushes_in += 1;
            } else if self.machine.is_waiting(id) {
                assert_eq!(packet.uri(), self.calls[&id].uri, "a reply to another call");
                assert!(self.machine.end_pull(id, Ended::Reply(packet)).is_some());
            }
        }
    }

    /// A handler is through; `which` chooses one of so many.
    fn answer(&mut self, which: impl FnOnce(usize) -> usize) {
        if self.asked.is_empty() {
            return;
        }
        let pull = self.asked.swap_remove(which(self.asked.len()));
        self.machine.append(1, &mut output_of(reply(pull.id(), pull.uri())));
    }

    fn look(&mut self, now: Instant) {
        for (id, call) in std::mem::take(&mut self.calls) {
            match self.machine.take_pull(id, Waker::noop()) {
                None => {
                    self.calls.insert(id, call);
                }
                Some(Ended::Reply(packet)) => {
                    assert_eq!(packet.uri(), call.uri);
                    self.answered += 1;
                }
                Some(Ended::Timeout) => {
                    assert!(call.deadline.expect("it waits for ever") <= now);
                    self.timed_out += 1;
                }
                Some(Ended::Oversized(_) | Ended::Closed(_) | Ended::NotTaken(_)) => panic!("nobody said so"),
            }
        }
    }

    fn pass(&mut self, now: Instant) {
        if self.timer.is_some_and(|at| at <= now) {
            self.machine.handle_timeout(&self.settings, now, &mut Vec::new());
            self.timer = self.machine.timeout();
            assert!(self.timer.is_none_or(|at| at > now), "what is over is over");
        }
    }

    /// What no order of events may break.
    fn check(&mut self) {
        self.machine.nudge().give();
        self.awake |= self.bell.rung() > 0;
        if self.machine.queued() > 0 {
            assert!(
                self.awake || !self.output.is_empty(),
                "there is output, and nobody is going to write it"
            );
        }
        if let Some(at) = self.machine.timeout() {
            assert!(
                self.awake || self.timer.is_some_and(|timer| timer <= at),
                "a deadline that nobody waits for"
            );
        }
    }
}

fn carry(sides: &mut [Side; 2], from: usize, most: usize) {
    let count = sides[from].sent.len().min(most);
    let bytes: Vec<u8> = sides[from].sent.drain(..count).collect();
    sides[1 - from].receive(&bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_call_ends_with_its_own_reply_or_at_its_time(steps in prop::collection::vec(step(), 1..120)) {
        let mut now = Instant::now();
        let mut sides = [Side::new(), Side::new()];
        let mut cancelled = [0, 0];
        for step in steps {
            match step {
                Step::Pull { side, wait, large, in_place } => sides[side].pull(now, wait, large, in_place),
                Step::Push { side } => {
                    let Side { machine, settings, .. } = &mut sides[side];
                    let has_room = machine.queued() <= 500;
                    prop_assert_eq!(push(machine, settings, "/push").is_ok(), has_room);
                }
                Step::Write { side, most } => sides[side].write(most),
                Step::Carry { side, most } => carry(&mut sides, side, most),
                Step::Answer { side, which } => sides[side].answer(|count| which.index(count)),
                Step::Cancel { side, which } => {
                    let Side { machine, calls, settings, .. } = &mut sides[side];
                    if !calls.is_empty() {
                        let id = *calls.keys().nth(which.index(calls.len())).expect("it is one of them");
                        machine.cancel_pull(settings, id);
                        calls.remove(&id);
                        cancelled[side] += 1;
                    }
                }
                Step::Look { side } => sides[side].look(now),
                Step::Pass(seconds) => {
                    now += Duration::from_secs(seconds);
                    sides.iter_mut().for_each(|side| side.pass(now));
                }
            }
            sides.iter_mut().for_each(Side::check);
        }

        // Both drain; everything that is still on its way arrives and is answered.
        for side in &mut sides {
            side.machine.drain(closed_here(), now + Duration::from_secs(5));
            side.check();
            assert!(side.awake, "the driver has to look whether that was all");
        }
        for _ in 0..3 {
            for from in [0, 1] {
                while !sides[from].asked.is_empty() {
                    sides[from].answer(|_| 0);
                }
                while sides[from].machine.queued() > 0 || !sides[from].output.is_empty() {
                    sides[from].write(usize::MAX);
                }
                carry(&mut sides, from, usize::MAX);
            }
        }
        for (side, cancelled) in sides.iter_mut().zip(cancelled) {
            side.look(now);
            prop_assert!(side.calls.is_empty());
            prop_assert_eq!(side.answered + side.timed_out + cancelled, side.made);
            prop_assert!(side.machine.is_drained());
        }
    }
}
