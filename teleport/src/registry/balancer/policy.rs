//! Which of the instances gets a call.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::member::Member;
use crate::registry::Instance;
use crate::session::Session;

/// An instance that may get a call.
#[derive(Clone)]
pub struct Candidate {
    pub(super) instance: Arc<Instance>,
    /// Empty where it is dialed only when it is chosen.
    pub(super) sessions: Vec<Session>,
    pub(super) member: Arc<Member>,
}

impl Candidate {
    /// The instance as the registry told it.
    #[must_use]
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// How many pulls of this process wait for a reply of it, over the balancer's own sessions.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.sessions.iter().map(Session::pulls_in_flight).sum()
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("instance", &self.instance)
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

/// Chooses which instance gets a call: a load balancing policy.
///
/// # Examples
///
/// Those in the same zone, where there are any:
///
/// ```
/// use teleport::registry::{Candidate, Policy, RoundRobin};
///
/// #[derive(Default)]
/// struct Near {
///     any: RoundRobin,
/// }
///
/// impl Policy for Near {
///     fn choose(&self, candidates: &[Candidate]) -> usize {
///         let near = |candidate: &Candidate| candidate.instance().metadata.get("zone").is_some_and(|zone| zone == "eu");
///         candidates.iter().position(near).unwrap_or_else(|| self.any.choose(candidates))
///     }
/// }
/// ```
pub trait Policy: Send + Sync + 'static {
    /// The index of the candidate that gets the next call. There is at least one; they stand in the order of their ids. An
    /// index past the end begins again at the front.
    ///
    /// It is called for each call, so it should be quick, and must not block.
    fn choose(&self, candidates: &[Candidate]) -> usize;
}

/// One instance after the other, each as often as its weight says.
///
/// The spread is exact: while the instances stay the same, each gets its weight's part of every round, and the calls of a
/// heavy one are spread over the round.
#[derive(Debug, Default)]
pub struct RoundRobin {
    next: AtomicUsize,
    credits: Mutex<Credits>,
}

/// What each instance has saved up, by id, where weights differ.
type Credits = HashMap<Arc<Instance>, i64>;

impl RoundRobin {
    /// A policy that begins with the first instance.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Policy for RoundRobin {
    fn choose(&self, candidates: &[Candidate]) -> usize {
        let weight = |candidate: &Candidate| candidate.instance.weight;
        if candidates.iter().all(|candidate| weight(candidate) == weight(&candidates[0])) {
            return self.next.fetch_add(1, Ordering::Relaxed) % candidates.len();
        }
        choose_by_credit(&mut self.credits.lock(), candidates.iter().map(|candidate| &candidate.instance))
    }
}

/// Each saves up its weight; the richest pays what all have got together, and is chosen.
fn choose_by_credit<'a>(
    credits: &mut Credits,
    instances: impl Iterator<Item = &'a Arc<Instance>> + Clone,
) -> usize {
    let mut total = 0;
    let mut richest: Option<(usize, i64, &Arc<Instance>)> = None;
    let mut count = 0;
    for (index, instance) in instances.clone().enumerate() {
        let weight = i64::from(instance.weight);
        let credit = match credits.get_mut(instance) {
            Some(credit) => {
                *credit += weight;
                *credit
            }
            None => {
                credits.insert(instance.clone(), weight);
                weight
            }
        };
        total += weight;
        count += 1;
        if richest.is_none_or(|(_, most, _)| credit > most) {
            richest = Some((index, credit, instance));
        }
    }
    let Some((chosen, _, instance)) = richest else { return 0 };
    if let Some(credit) = credits.get_mut(instance) {
        *credit -= total;
    }
    if credits.len() > count {
        // Some have gone; what they had saved is gone with them.
        let mut present = Credits::with_capacity(count);
        present.extend(instances.filter_map(|instance| credits.remove_entry(instance)));
        *credits = present;
    }
    chosen
}

/// The instance with the fewest pulls of this process in flight, for its weight; among equals one after the other.
///
/// It finds out by itself who is slow, and sends it less. What other processes call is not counted.
#[derive(Debug, Default)]
pub struct LeastInFlight {
    first: AtomicUsize,
}

impl LeastInFlight {
    /// A policy that begins with the first instance.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Policy for LeastInFlight {
    fn choose(&self, candidates: &[Candidate]) -> usize {
        let first = self.first.fetch_add(1, Ordering::Relaxed);
        let load = |index: usize| {
            (candidates[index].in_flight() as u64, u64::from(candidates[index].instance.weight))
        };
        let indices = (0..candidates.len()).map(|n| first.wrapping_add(n) % candidates.len());
        let least = indices.map(|index| (index, load(index))).reduce(|best, other| {
            let ((most, best_weight), (calls, weight)) = (best.1, other.1);
            // calls / weight < most / best_weight, without fractions; one more call counts, so that weight does at rest.
            let is_less = (calls + 1).saturating_mul(best_weight) < (most + 1).saturating_mul(weight);
            if is_less { other } else { best }
        });
        least.map_or(0, |(index, _)| index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_exact_in_each_round_and_spread_over_it() {
        let instances: Vec<_> = [("a", 3), ("b", 1), ("c", 2)]
            .map(|(id, weight)| Arc::new(Instance::new(id, "x:1").with_weight(weight)))
            .into();
        let mut credits = Credits::new();
        for _ in 0..3 {
            let round: String = (0..6)
                .map(|_| instances[choose_by_credit(&mut credits, instances.iter())].id.clone())
                .collect();
            assert_eq!(round, "acabca");
        }
        // One that has gone is forgotten.
        choose_by_credit(&mut credits, instances[1..].iter());
        assert_eq!(credits.len(), 2);
    }
}
