//! The line of pulls and pushes that wait for their turn.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;

use crate::travel::Travel;
use crate::wire::Packet;

/// What a packet that waits costs beside its bytes.
const PARKED: usize = 256;

/// In the order in which they came.
#[derive(Default)]
pub(super) struct Line {
    /// None for one whose caller has gone away.
    places: VecDeque<Option<Parked>>,
    /// Number of the first place.
    first: u64,
    /// Pulls, by their ids, and the numbers of their places.
    // Seeded at random: the ids come from the other side.
    pulls: HashMap<u64, u64, foldhash::fast::RandomState>,
    bytes: usize,
}

/// One that waits.
pub(super) struct Parked {
    pub(super) packet: Packet,
    /// Since when, where that is logged.
    pub(super) since: Option<Instant>,
    pub(super) travel: Option<Arc<Travel>>,
}

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// What all of them cost.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Puts one at the end.
    pub(super) fn push(&mut self, mut parked: Parked) {
        parked.packet.fit();
        self.bytes += PARKED + parked.packet.held();
        if let Some(pull) = pull_of(&parked.packet) {
            self.pulls.insert(pull, self.first.wrapping_add(self.places.len() as u64));
        }
        self.places.push_back(Some(parked));
    }

    /// Takes the first one out.
    pub(super) fn pop(&mut self) -> Option<Parked> {
        let parked = self.places.pop_front()??;
        self.bytes -= PARKED + parked.packet.held();
        if let Some(pull) = pull_of(&parked.packet)
            && self.pulls.get(&pull) == Some(&self.first)
        {
            self.pulls.remove(&pull);
        }
        self.first = self.first.wrapping_add(1);
        self.skip();
        Some(parked)
    }

    /// Takes out a pull whose caller has gone away. Its place stays while others wait before it, and costs something.
    pub(super) fn cancel(&mut self, pull: u64) -> Option<Parked> {
        let number = self.pulls.remove(&pull)?;
        let at = usize::try_from(number.wrapping_sub(self.first)).ok()?;
        let parked = self.places.get_mut(at)?.take()?;
        self.bytes -= parked.packet.held();
        self.skip();
        Some(parked)
    }

    /// Drops the places at the front whose callers have gone away: the first one is always somebody's.
    fn skip(&mut self) {
        while let Some(None) = self.places.front() {
            self.places.pop_front();
            self.first = self.first.wrapping_add(1);
            self.bytes -= PARKED;
        }
        // A burst must not leave its table behind.
        if self.places.is_empty() {
            self.pulls = HashMap::default();
        }
    }
}

fn pull_of(packet: &Packet) -> Option<u64> {
    packet.id().number().filter(|_| packet.kind().is_pull())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Header, Kind, PacketId, PacketRef, RawBody};

    fn parked(id: u64, kind: Kind) -> Parked {
        let header = Header::new(PacketId::Text(id.to_string().into()), kind, "/a");
        let packet = PacketRef { header, header_codec: b'p', body: RawBody::new(b"j1") };
        Parked { packet: Packet::copy_from(&packet, Vec::new()), since: None, travel: None }
    }

    fn line(ids: impl IntoIterator<Item = u64>) -> Line {
        let mut line = Line::default();
        ids.into_iter().for_each(|id| line.push(parked(id, Kind::PULL)));
        line
    }

    fn rest(line: &mut Line) -> Vec<u64> {
        std::iter::from_fn(|| line.pop()).filter_map(|parked| parked.packet.id().number()).collect()
    }

    #[test]
    fn who_has_gone_away_is_passed_over_and_nothing_is_left() {
        for gone in [vec![], vec![0], vec![4], vec![1, 2], vec![2, 1, 0], vec![0, 1, 2, 3, 4], vec![7]] {
            let mut line = line(0..5);
            for &id in &gone {
                assert_eq!(line.cancel(id).is_some(), id < 5);
                assert!(line.cancel(id).is_none(), "it is gone");
            }
            let left: Vec<u64> = (0..5).filter(|id| !gone.contains(id)).collect();
            assert_eq!((rest(&mut line), line.bytes(), line.is_empty()), (left, 0, true));
            assert!(line.pulls.is_empty());
        }
    }

    #[test]
    fn only_pulls_are_cancelled_and_of_one_id_the_last() {
        let mut line = line([7, 7]);
        line.push(parked(8, Kind::PUSH));
        assert!(line.cancel(8).is_none());
        assert!(line.cancel(7).is_some() && line.cancel(7).is_none());
        assert_eq!(rest(&mut line), [7, 8]);
        assert_eq!(line.bytes(), 0);
    }

    #[test]
    fn an_empty_place_costs_something_until_its_turn_comes() {
        let mut line = line(0..1000);
        let all = line.bytes();
        (1..1000).for_each(|id| assert!(line.cancel(id).is_some()));
        assert!(line.bytes() < all && line.bytes() > 1000 * PARKED);
        assert!(line.pop().is_some());
        assert_eq!((line.bytes(), line.is_empty()), (0, true));
    }
}
