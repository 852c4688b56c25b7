//! The pulls of one side that wait for their reply.

use std::task::Waker;
use std::time::Instant;

use crate::error::Closed;
use crate::wire::Packet;

/// Slots of the first table.
const FIRST: usize = 8;

/// Table of the pulls in flight, by id.
///
/// Ids count up from 0, and a pull stands in the slot of its id's low bits, so that finding one costs an index and
/// a comparison. A number whose slot is still taken by an older pull is passed over. At most seven of eight slots are
/// taken: their size is what a pull in flight costs, and numbers in a row stand side by side, so passing over is cheap.
pub(crate) struct Pending {
    slots: Box<[Slot]>,
    next: u64,
    taken: usize,
}

struct Slot {
    id: u64,
    deadline: Option<Instant>,
    state: SlotState,
}

enum SlotState {
    Free,
    Waiting(Waker),
    Ended(Ended),
}

/// How a pull ended.
pub(crate) enum Ended {
    Reply(Packet),
    /// The reply's body of this many bytes was over the limit and skipped.
    Oversized(u64),
    Timeout,
    Closed(Closed),
    /// The other side closes and told that it did not take the pull.
    NotTaken(Closed),
}

impl Pending {
    pub(crate) fn new() -> Self {
        Pending { slots: Box::default(), next: 0, taken: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.taken
    }

    /// An id that no pull has had yet, nor any above it.
    pub(crate) fn next_id(&self) -> u64 {
        self.next
    }

    /// Enters a pull and returns its id.
    pub(crate) fn insert(&mut self, waker: Waker, deadline: Option<Instant>) -> u64 {
        if self.taken >= self.slots.len() / 8 * 7 {
            self.resize((self.slots.len() * 2).max(FIRST));
        }
        let mask = self.slots.len() as u64 - 1;
        // Some slot is free, and consecutive numbers visit all of them.
        let id = loop {
            let id = self.next;
            self.next = self.next.wrapping_add(1);
            if matches!(self.slots[index(id, mask)].state, SlotState::Free) {
                break id;
            }
        };
        self.slots[index(id, mask)] = Slot { id, deadline, state: SlotState::Waiting(waker) };
        self.taken += 1;
        id
    }

    /// Ends a pull; the waker of who waits for it. `None` where no such pull waits: it was cancelled, has timed
    /// out, or never was.
    pub(crate) fn end(&mut self, id: u64, ended: Ended) -> Option<Waker> {
        let slot = self.slot(id)?;
        match std::mem::replace(&mut slot.state, SlotState::Ended(ended)) {
            SlotState::Waiting(waker) => Some(waker),
            SlotState::Ended(first) => {
                slot.state = SlotState::Ended(first);
                None
            }
            SlotState::Free => {
                slot.state = SlotState::Free;
                None
            }
        }
    }

    /// Whether a pull of this id waits for its reply.
    #[cfg(test)]
    pub(crate) fn is_waiting(&mut self, id: u64) -> bool {
        self.slot(id).is_some_and(|slot| matches!(slot.state, SlotState::Waiting(_)))
    }

    /// Takes out how the pull ended, or keeps `waker` for when it does.
    pub(crate) fn take(&mut self, id: u64, waker: &Waker) -> Option<Ended> {
        let slot = self.slot(id)?;
        match std::mem::replace(&mut slot.state, SlotState::Free) {
            SlotState::Ended(ended) => {
                self.freed();
                Some(ended)
            }
            SlotState::Waiting(mut old) => {
                old.clone_from(waker);
                slot.state = SlotState::Waiting(old);
                None
            }
            SlotState::Free => None,
        }
    }

    /// Forgets a pull whose caller has gone away; whether it was still waiting for its reply.
    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let Some(slot) = self.slot(id) else { return false };
        let state = std::mem::replace(&mut slot.state, SlotState::Free);
        if !matches!(state, SlotState::Free) {
            self.freed();
        }
        matches!(state, SlotState::Waiting(_))
    }

    /// Ends every pull whose deadline has passed, and tells the earliest deadline that is left.
    pub(crate) fn expire(
        &mut self,
        now: Instant,
        woken: &mut Vec<Waker>,
        mut expired: impl FnMut(u64),
    ) -> Option<Instant> {
        let mut earliest: Option<Instant> = None;
        for slot in &mut self.slots {
            let (SlotState::Waiting(_), Some(deadline)) = (&slot.state, slot.deadline) else {
                continue;
            };
            if deadline > now {
                earliest = Some(earliest.map_or(deadline, |other| other.min(deadline)));
            } else if let SlotState::Waiting(waker) =
                std::mem::replace(&mut slot.state, SlotState::Ended(Ended::Timeout))
            {
                woken.push(waker);
                expired(slot.id);
            }
        }
        earliest
    }

    /// Ends every pull that still waits.
    pub(crate) fn end_all(&mut self, ended: impl Fn(u64) -> Ended, woken: &mut Vec<Waker>) {
        for slot in &mut self.slots {
            if let SlotState::Waiting(_) = slot.state
                && let SlotState::Waiting(waker) =
                    std::mem::replace(&mut slot.state, SlotState::Ended(ended(slot.id)))
            {
                woken.push(waker);
            }
        }
    }

    fn slot(&mut self, id: u64) -> Option<&mut Slot> {
        let mask = (self.slots.len() as u64).checked_sub(1)?;
        let slot = &mut self.slots[index(id, mask)];
        (slot.id == id).then_some(slot)
    }

    fn freed(&mut self) {
        self.taken -= 1;
        // A burst must not leave its table behind; small ones are kept so that single calls don't allocate.
        if self.taken == 0 && self.slots.len() > 8 * FIRST {
            self.slots = Box::default();
        }
    }

    /// Two ids that differ in their low bits also differ in more of them, so no two meet in a larger table.
    fn resize(&mut self, size: usize) {
        let old = std::mem::take(&mut self.slots);
        self.slots = std::iter::repeat_with(|| Slot { id: 0, deadline: None, state: SlotState::Free })
            .take(size)
            .collect();
        let mask = size as u64 - 1;
        for slot in old {
            if !matches!(slot.state, SlotState::Free) {
                let at = index(slot.id, mask);
                self.slots[at] = slot;
            }
        }
    }
}

/// The mask is less than the number of slots, so the result fits `usize`.
#[allow(clippy::cast_possible_truncation)]
fn index(id: u64, mask: u64) -> usize {
    (id & mask) as usize
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn insert(pending: &mut Pending) -> u64 {
        pending.insert(Waker::noop().clone(), None)
    }

    #[test]
    fn ids_count_from_zero() {
        let mut pending = Pending::new();
        for expected in 0..100 {
            let id = insert(&mut pending);
            assert_eq!(id, expected);
            pending.remove(id);
        }
        assert_eq!(pending.len(), 0);
    }

    #[test]
    fn a_slow_pull_keeps_its_slot_while_thousands_pass() {
        let mut pending = Pending::new();
        let slow = insert(&mut pending);
        for _ in 0..10_000 {
            let id = insert(&mut pending);
            assert_ne!(id, slow);
            assert!(pending.end(id, Ended::Oversized(0)).is_some());
            assert!(pending.take(id, Waker::noop()).is_some());
        }
        assert!(pending.is_waiting(slow));
        assert!(pending.slots.len() <= 2 * FIRST, "one slow pull must not grow the table");
    }

    #[test]
    fn many_at_once_each_find_their_own() {
        let mut pending = Pending::new();
        let ids: Vec<u64> = (0..1000).map(|_| insert(&mut pending)).collect();
        for &id in ids.iter().rev() {
            assert!(pending.end(id, Ended::Oversized(id)).is_some());
            assert!(pending.end(id, Ended::Oversized(0)).is_none(), "ends once");
        }
        for &id in &ids {
            assert!(matches!(pending.take(id, Waker::noop()), Some(Ended::Oversized(own)) if own == id));
        }
        assert_eq!(pending.len(), 0);
        assert_eq!(pending.slots.len(), 0, "a burst leaves no table behind");
    }

    #[test]
    fn a_reply_to_a_forgotten_or_unknown_pull_ends_nothing() {
        let mut pending = Pending::new();
        assert!(pending.end(7, Ended::Oversized(0)).is_none());
        let id = insert(&mut pending);
        assert!(pending.remove(id));
        assert!(!pending.remove(id));
        assert_eq!(pending.len(), 0);
        let again = insert(&mut pending);
        assert!(pending.end(id, Ended::Oversized(0)).is_none());
        assert!(pending.end(again + 8, Ended::Oversized(0)).is_none(), "same slot, other number");
        assert!(pending.is_waiting(again));
    }

    /// The table is at its emptiest when it has just grown.
    #[test]
    fn a_pull_in_flight_costs_256_bytes_at_the_most() {
        let mut pending = Pending::new();
        for pulls in 1..10_000 {
            insert(&mut pending);
            let bytes = pending.slots.len() * size_of::<Slot>();
            assert!(pulls < FIRST || bytes <= 256 * pulls, "{bytes} bytes for {pulls} pulls");
        }
    }

    #[test]
    fn deadlines_end_those_they_belong_to() {
        let mut pending = Pending::new();
        let start = Instant::now();
        let at = |seconds| Some(start + Duration::from_secs(seconds));
        let (early, late) =
            (pending.insert(Waker::noop().clone(), at(1)), pending.insert(Waker::noop().clone(), at(5)));
        let (mut woken, mut expired) = (Vec::new(), Vec::new());
        assert_eq!(
            pending.expire(start + Duration::from_secs(2), &mut woken, |id| expired.push(id)),
            Some(start + Duration::from_secs(5))
        );
        assert_eq!((woken.len(), expired), (1, vec![early]));
        assert!(matches!(pending.take(early, Waker::noop()), Some(Ended::Timeout)));
        assert!(pending.is_waiting(late));
        assert_eq!(pending.expire(start + Duration::from_secs(5), &mut woken, drop), None);
        assert!(!pending.is_waiting(late));
    }
}
