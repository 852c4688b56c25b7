//! The line of pulls and pushes that wait for their turn.
//!
//! Turns come in the order in which packets came. Whose turn it is, is another matter: pulls whose callers give up at a
//! time that is known have a queue of their own, and where the oldest of them is stale, the newest takes their turn. If the
//! oldest did, every one would begin with too little time left to end, and nobody would be served.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use crate::travel::Travel;
use crate::wire::{Header, Packet};

/// What a packet that waits costs beside its bytes.
const PARKED: usize = 256;
/// A pull is stale when it has waited for this part of the time that its caller gave it. That is longer than a burst lasts
/// which is no matter, and who is served sooner has most of the time left for the handler.
const STALE: u32 = 4;
/// Room that an empty line keeps: a burst must not leave its table behind.
const KEPT: usize = 64;

/// Those that wait, and how their turns come.
#[derive(Default)]
pub(super) struct Line {
    /// Pushes, and pulls whose callers wait for as long as it takes: the oldest is the next.
    patient: Queue,
    /// Pulls that come too late at a known time.
    timed: Queue,
    /// Runs of turns, of the one kind and the other by turns.
    turns: VecDeque<(Kind, usize)>,
    /// Where pulls stand, by their ids.
    // Seeded at random: the ids come from the other side.
    pulls: HashMap<u64, (Kind, u64), foldhash::fast::RandomState>,
    /// Bytes of the packets.
    held: usize,
}

/// One that waits.
pub(super) struct Parked {
    pub(super) packet: Packet,
    /// Since when, where that is logged.
    pub(super) since: Option<Instant>,
    pub(super) travel: Option<Arc<Travel>>,
    /// From when on it is stale; only of one that has a deadline.
    stale: Option<Instant>,
}

/// What is to be done with one whose turn has come.
pub(super) enum Turn {
    Run(Parked),
    /// Its time is up.
    Late(Parked),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Patient,
    Timed,
}

impl Parked {
    pub(super) fn new(
        header: &Header<'_>,
        packet: Packet,
        since: Option<Instant>,
        travel: Option<Arc<Travel>>,
    ) -> Self {
        let given = Duration::from_millis(header.timeout_ms.into());
        let deadline = travel.as_ref().and_then(|travel| travel.deadline);
        // One that the clock can't tell is long past.
        let stale = deadline.map(|at| at.checked_sub(given - given / STALE).unwrap_or(at));
        Parked { packet, since, travel, stale }
    }

    /// One that came before the session was open.
    pub(super) fn early(packet: Packet) -> Self {
        Parked { packet, since: None, travel: None, stale: None }
    }

    fn kind(&self) -> Kind {
        if self.stale.is_some() { Kind::Timed } else { Kind::Patient }
    }

    fn is_stale(&self, now: Instant) -> bool {
        self.stale.is_some_and(|at| at <= now)
    }

    fn is_late(&self, now: Instant) -> bool {
        self.travel.as_ref().and_then(|travel| travel.deadline).is_some_and(|at| at <= now)
    }

    /// The id by which its caller may say that it has gone away.
    fn pull(&self) -> Option<u64> {
        self.packet.id().number().filter(|_| self.packet.kind().is_pull())
    }
}

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// What all of them cost.
    pub(super) fn bytes(&self) -> usize {
        self.held + PARKED * (self.patient.places.len() + self.timed.places.len())
    }

    /// Puts one at the end.
    pub(super) fn push(&mut self, mut parked: Parked) {
        parked.packet.fit();
        self.held += parked.packet.held();
        let (kind, pull) = (parked.kind(), parked.pull());
        let number = self.queue(kind).push(parked);
        if let Some(pull) = pull {
            self.pulls.insert(pull, (kind, number));
        }
        match self.turns.back_mut() {
            Some((last, count)) if *last == kind => *count += 1,
            _ => self.turns.push_back((kind, 1)),
        }
    }

    /// Takes out the one whose turn it is.
    pub(super) fn pop(&mut self, now: impl FnOnce() -> Instant) -> Option<Turn> {
        match self.turns.front()?.0 {
            Kind::Patient => self.take_first(Kind::Patient).map(Turn::Run),
            Kind::Timed => {
                let now = now();
                let oldest = self.timed.first()?;
                let newest = oldest.is_stale(now) && !oldest.is_late(now);
                let number = if newest { self.timed.end().wrapping_sub(1) } else { self.timed.first };
                let parked = self.take(Kind::Timed, number)?;
                Some(if parked.is_late(now) { Turn::Late(parked) } else { Turn::Run(parked) })
            }
        }
    }

    /// Takes out the oldest one that is stale, out of its turn.
    pub(super) fn pop_stale(&mut self, now: Instant) -> Option<Parked> {
        self.timed.first().filter(|oldest| oldest.is_stale(now))?;
        self.take_first(Kind::Timed)
    }

    /// Takes out a pull whose caller has gone away. Its place stays while others of its kind wait on both sides of it, and
    /// costs something.
    pub(super) fn cancel(&mut self, pull: u64) -> Option<Parked> {
        let (kind, number) = *self.pulls.get(&pull)?;
        self.take(kind, number)
    }

    fn queue(&mut self, kind: Kind) -> &mut Queue {
        match kind {
            Kind::Patient => &mut self.patient,
            Kind::Timed => &mut self.timed,
        }
    }

    fn take_first(&mut self, kind: Kind) -> Option<Parked> {
        let number = self.queue(kind).first;
        self.take(kind, number)
    }

    fn take(&mut self, kind: Kind, number: u64) -> Option<Parked> {
        let parked = self.queue(kind).take(number)?;
        self.held -= parked.packet.held();
        if let Some(pull) = parked.pull()
            && self.pulls.get(&pull) == Some(&(kind, number))
        {
            self.pulls.remove(&pull);
        }
        self.end_turn(kind);
        Some(parked)
    }

    /// Takes out the first turn of this kind, whoever it was made for: so that none waits for the turn of one who has gone.
    fn end_turn(&mut self, kind: Kind) {
        // One of the first two, as they alternate.
        let Some(at) = self.turns.iter().position(|run| run.0 == kind) else { return };
        self.turns[at].1 -= 1;
        if self.turns[at].1 > 0 {
            return;
        }
        self.turns.remove(at);
        if at > 0
            && let Some((_, count)) = self.turns.remove(at)
        {
            self.turns[at - 1].1 += count;
        }
        if self.turns.is_empty() {
            self.pulls = HashMap::default();
            if self.turns.capacity() > KEPT {
                self.turns = VecDeque::new();
            }
        }
    }
}

/// Those of one kind, in the order in which they came.
#[derive(Default)]
struct Queue {
    /// None for one that was taken out of its turn; the first and the last are somebody's.
    places: VecDeque<Option<Parked>>,
    /// Number of the first place.
    first: u64,
}

impl Queue {
    fn first(&self) -> Option<&Parked> {
        self.places.front()?.as_ref()
    }

    /// The number of the place behind the last.
    fn end(&self) -> u64 {
        self.first.wrapping_add(self.places.len() as u64)
    }

    fn push(&mut self, parked: Parked) -> u64 {
        self.places.push_back(Some(parked));
        self.end().wrapping_sub(1)
    }

    fn take(&mut self, number: u64) -> Option<Parked> {
        let at = usize::try_from(number.wrapping_sub(self.first)).ok()?;
        let parked = self.places.get_mut(at)?.take()?;
        while let Some(None) = self.places.front() {
            self.places.pop_front();
            self.first = self.first.wrapping_add(1);
        }
        while let Some(None) = self.places.back() {
            self.places.pop_back();
        }
        if self.places.is_empty() && self.places.capacity() > KEPT {
            self.places = VecDeque::new();
        }
        Some(parked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Kind as PacketKind, PacketId, PacketRef, RawBody};

    fn parked(id: u64, kind: PacketKind, travel: Option<Arc<Travel>>, timeout_ms: u32) -> Parked {
        let header = Header { timeout_ms, ..Header::new(PacketId::Text(id.to_string().into()), kind, "/a") };
        let packet = PacketRef { header: header.clone(), header_codec: b'p', body: RawBody::new(b"j1") };
        Parked::new(&header, Packet::copy_from(&packet, Vec::new()), None, travel)
    }

    /// A line and a clock.
    struct Desk {
        line: Line,
        began: Instant,
        at: u32,
    }

    impl Desk {
        fn new() -> Self {
            Desk { line: Line::default(), began: Instant::now(), at: 0 }
        }

        fn now(&self) -> Instant {
            self.began + Duration::from_millis(self.at.into())
        }

        fn push(&mut self, id: u64) -> &mut Self {
            self.line.push(parked(id, PacketKind::PUSH, None, 0));
            self
        }

        fn pull(&mut self, id: u64) -> &mut Self {
            self.line.push(parked(id, PacketKind::PULL, None, 0));
            self
        }

        /// A pull whose caller waits for so many milliseconds.
        fn within(&mut self, timeout_ms: u32, id: u64) -> &mut Self {
            let deadline = self.now() + Duration::from_millis(timeout_ms.into());
            let travel = Travel::new(Some(deadline), None);
            self.line.push(parked(id, PacketKind::PULL, travel, timeout_ms));
            self
        }

        /// Who has the next turn, below zero if too late.
        fn next(&mut self) -> Option<i64> {
            let now = self.now();
            let (late, parked) = match self.line.pop(|| now)? {
                Turn::Run(parked) => (false, parked),
                Turn::Late(parked) => (true, parked),
            };
            let id = i64::try_from(parked.packet.id().number()?).unwrap();
            Some(if late { -id } else { id })
        }

        /// All of them, one after the other at the same time; nothing is left behind.
        fn rest(&mut self) -> Vec<i64> {
            let rest = std::iter::from_fn(|| self.next()).collect();
            let line = &self.line;
            assert_eq!((line.bytes(), line.pulls.capacity(), line.turns.len()), (0, 0, 0));
            assert!(line.is_empty() && line.patient.places.is_empty() && line.timed.places.is_empty());
            rest
        }
    }

    #[test]
    fn who_has_gone_away_is_passed_over_and_nothing_is_left() {
        for timed in [false, true] {
            for gone in [vec![], vec![0], vec![4], vec![1, 2], vec![2, 1, 0], vec![0, 1, 2, 3, 4], vec![7]] {
                let mut desk = Desk::new();
                for id in 0..5 {
                    let _ = if timed { desk.within(100, id) } else { desk.pull(id) };
                }
                for &id in &gone {
                    assert_eq!(desk.line.cancel(id).is_some(), id < 5);
                    assert!(desk.line.cancel(id).is_none(), "it is gone");
                }
                let left: Vec<i64> = (0..5).filter(|id| !gone.contains(&(*id as u64))).collect();
                assert_eq!(desk.rest(), left, "{gone:?}");
            }
        }
    }

    #[test]
    fn only_pulls_are_cancelled_and_of_one_id_the_last() {
        let mut desk = Desk::new();
        desk.pull(7).within(10, 7).push(8);
        assert!(desk.line.cancel(8).is_none());
        assert!(desk.line.cancel(7).is_some() && desk.line.cancel(7).is_none());
        assert_eq!(desk.rest(), [7, 8]);
    }

    #[test]
    fn an_empty_place_between_others_costs_something() {
        let mut desk = Desk::new();
        for id in 0..1000 {
            desk.within(100, id);
        }
        let all = desk.line.bytes();
        (1..999).for_each(|id| assert!(desk.line.cancel(id).is_some()));
        assert!(desk.line.bytes() < all && desk.line.bytes() > 1000 * PARKED);
        assert!(desk.line.cancel(999).is_some());
        assert!(desk.line.bytes() < 2 * PARKED, "none is left behind the first");
        assert_eq!(desk.rest(), [0]);
    }

    #[test]
    fn a_burst_leaves_no_table_behind() {
        let mut desk = Desk::new();
        for id in 0..1000 {
            let _ = if id % 2 == 0 { desk.within(100, id) } else { desk.pull(id) };
        }
        assert_eq!(desk.rest().len(), 1000);
        let Line { patient, timed, turns, .. } = &desk.line;
        for room in [patient.places.capacity(), timed.places.capacity(), turns.capacity()] {
            assert!(room <= KEPT, "{room}");
        }
    }

    #[test]
    fn while_none_is_stale_all_go_in_the_order_in_which_they_came() {
        let mut desk = Desk::new();
        desk.within(100, 1).push(2).within(40, 3).pull(4).within(100, 5);
        desk.at = 9;
        desk.within(100, 6);
        assert_eq!(desk.rest(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn where_the_oldest_is_stale_the_newest_is_served_and_who_is_late_is_not() {
        let mut desk = Desk::new();
        desk.within(100, 1).within(100, 2);
        desk.at = 20;
        desk.within(100, 3).within(100, 4);
        desk.at = 25;
        assert_eq!((desk.next(), desk.next()), (Some(4), Some(3)));
        // The load is over: who has waited for long is served as well.
        assert_eq!(desk.next(), Some(2));
        desk.at = 99;
        desk.within(100, 5);
        desk.at = 100;
        assert_eq!(desk.rest(), [-1, 5]);
    }

    #[test]
    fn the_newest_may_have_less_time_than_the_oldest() {
        let mut desk = Desk::new();
        desk.within(100, 1).within(1, 2);
        desk.at = 25;
        assert_eq!(desk.rest(), [-2, 1]);
    }

    #[test]
    fn who_is_patient_keeps_turn_and_order() {
        let mut desk = Desk::new();
        desk.within(100, 1).push(2).within(100, 3).pull(4).push(5).within(100, 6);
        desk.at = 50;
        desk.within(100, 7);
        assert_eq!(desk.rest(), [7, 2, 6, 4, 5, 3, 1]);
    }

    #[test]
    fn who_has_gone_away_or_is_given_up_holds_nobody_up() {
        let mut desk = Desk::new();
        desk.within(100, 1).within(100, 2).push(3).within(100, 4).push(5).within(100, 6);
        assert!(desk.line.cancel(4).is_some());
        desk.at = 25;
        let now = desk.now();
        assert_eq!(desk.line.pop_stale(now).and_then(|parked| parked.packet.id().number()), Some(1));
        assert_eq!(desk.rest(), [3, 6, 5, 2]);
    }

    #[test]
    fn only_who_is_stale_is_given_up() {
        let mut desk = Desk::new();
        desk.pull(1).push(2).within(100, 3);
        desk.at = 24;
        assert!(desk.line.pop_stale(desk.now()).is_none());
        desk.at = 25;
        assert!(desk.line.pop_stale(desk.now()).is_some());
        desk.at = 1_000_000;
        assert!(desk.line.pop_stale(desk.now()).is_none());
        assert_eq!(desk.rest(), [1, 2]);
    }

    /// Four times as many calls as there are handlers for: each has one turn in a millisecond and takes five.
    #[test]
    fn at_four_times_the_load_every_turn_is_of_use() {
        let mut desk = Desk::new();
        let (mut served, mut turns, mut id) = (0, 0, 0);
        for at in 0..10_000 {
            desk.at = at;
            for _ in 0..4 {
                id += 1;
                desk.within(250, id);
            }
            let now = desk.now();
            loop {
                match desk.line.pop(|| now) {
                    Some(Turn::Late(_)) => {}
                    Some(Turn::Run(parked)) => {
                        turns += 1;
                        served += i32::from(!parked.is_late(now + Duration::from_millis(5)));
                        break;
                    }
                    None => break,
                }
            }
        }
        assert_eq!((turns, served), (10_000, 10_000));
        assert!(desk.line.timed.places.len() <= 1000, "what is late does not stay");
    }
}
