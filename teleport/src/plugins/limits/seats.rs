//! Sessions and calls that are counted for as long as they last.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::SessionState;
use crate::Status;

/// Counts what is there at once.
#[derive(Default)]
pub(super) struct Counter(AtomicUsize);

impl Counter {
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// One more, where there are fewer than so many.
    pub(super) fn take(self: &Arc<Self>, most: usize) -> Option<Permit> {
        let more = |count: usize| (count < most).then_some(count + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Permit(self.clone()))
    }
}

/// One that is counted until it is dropped.
pub(super) struct Permit(Arc<Counter>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The permits of one call: those of the peer's plugin, of a group's, and so on.
#[derive(Default)]
pub(super) struct Permits(Mutex<Vec<Permit>>);

impl Permits {
    pub(super) fn keep(&self, permits: [Option<Permit>; 2]) {
        self.0.lock().extend(permits.into_iter().flatten());
    }
}

/// The sessions of a peer, in all and by address.
#[derive(Default)]
pub(super) struct Places(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    all: usize,
    /// Of those that are there, and no others.
    by_ip: HashMap<IpAddr, usize>,
}

impl Places {
    pub(super) fn taken(&self) -> usize {
        self.0.lock().all
    }

    pub(super) fn addresses(&self) -> usize {
        self.0.lock().by_ip.len()
    }

    pub(super) fn take(
        self: &Arc<Self>,
        ip: Option<IpAddr>,
        most: Option<usize>,
        most_of_ip: Option<usize>,
    ) -> Result<Place, Status> {
        let mut taken = self.0.lock();
        if let Some(most) = most.filter(|most| taken.all >= *most) {
            return Err(Status::unavailable(format!(
                "{most} sessions are open (setting `sessions` of the plugin limits)"
            )));
        }
        if let Some(ip) = ip {
            let of_ip = taken.by_ip.get(&ip).copied().unwrap_or(0);
            if let Some(most) = most_of_ip.filter(|most| of_ip >= *most) {
                return Err(Status::unavailable(format!(
                    "{most} sessions are open from {ip} (setting `sessions_per_ip` of the plugin limits)"
                )));
            }
            taken.by_ip.insert(ip, of_ip + 1);
        }
        taken.all += 1;
        Ok(Place { places: self.clone(), ip })
    }
}

/// One session's, until it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    ip: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock();
        taken.all -= 1;
        let Some(ip) = self.ip else { return };
        let left = taken.by_ip.get_mut(&ip).map_or(0, |of_ip| {
            *of_ip -= 1;
            *of_ip
        });
        if left == 0 {
            taken.by_ip.remove(&ip);
        }
    }
}

/// What plugins of this type keep with a session, each under its own key.
#[derive(Default)]
pub(super) struct Seats(Mutex<Vec<Seat>>);

struct Seat {
    key: usize,
    state: Arc<SessionState>,
    places: Vec<Place>,
}

impl Seats {
    pub(super) fn state(&self, key: usize) -> Arc<SessionState> {
        self.with(key, |seat| seat.state.clone())
    }

    pub(super) fn sit(&self, key: usize, place: Place) {
        self.with(key, |seat| seat.places.push(place));
    }

    pub(super) fn leave(&self, key: usize) {
        let places = self.with(key, |seat| std::mem::take(&mut seat.places));
        drop(places);
    }

    fn with<T>(&self, key: usize, then: impl FnOnce(&mut Seat) -> T) -> T {
        let mut seats = self.0.lock();
        let at = seats.iter().position(|seat| seat.key == key).unwrap_or_else(|| {
            seats.push(Seat { key, state: Arc::default(), places: Vec::new() });
            seats.len() - 1
        });
        then(&mut seats[at])
    }
}
