//! When the calls of an open loop are due. It does no I/O and is handed the time, counted from the start of the run.

use std::time::Duration;

/// How long after the end calls that were due before it may still begin. What then still waits was more than the other
/// side keeps up with.
pub(super) const LAST_ORDERS: Duration = Duration::from_secs(1);

/// The calls of one thread: of those of all threads every `step`th.
///
/// They are due at fixed times. One that can't begin when it is due stays due, so whoever takes it later knows from when
/// its time counts.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    rate: f64,
    /// The number, among those of all threads, of the one that begins next.
    next: u64,
    step: u64,
    warm_up: Duration,
    end: End,
}

/// When no more are due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    /// At this time, warm-up included.
    At(Duration),
    /// After so many that count.
    Calls(u64),
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Next {
    /// Begin a call, whose time counts from when it was due.
    Begin { due: Duration, counts: bool },
    /// Nothing before this time.
    Wait(Duration),
    /// Nothing ever.
    Over,
}

impl Schedule {
    /// That of the `thread`th of `threads`.
    pub(super) fn new(rate: f64, warm_up: Duration, end: End, thread: usize, threads: usize) -> Self {
        Schedule { rate, next: thread as u64, step: threads as u64, warm_up, end }
    }

    /// When the call of this number is due.
    pub(super) fn due(&self, number: u64) -> Duration {
        Duration::from_secs_f64(number as f64 / self.rate)
    }

    /// To be asked whenever a call could begin.
    pub(super) fn next(&mut self, now: Duration) -> Next {
        let due = self.due(self.next);
        if self.is_past_end(self.next, due) || matches!(self.end, End::At(end) if now > end + LAST_ORDERS) {
            return Next::Over;
        }
        if due > now {
            return Next::Wait(due);
        }
        self.next += self.step;
        Next::Begin { due, counts: due >= self.warm_up }
    }

    /// Whether a call is due that has not begun.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        let due = self.due(self.next);
        due <= now && !self.is_past_end(self.next, due)
    }

    /// Ends it at this time, where it does not end before.
    pub(super) fn cut(&mut self, now: Duration) {
        // Of a number of calls none is due any more after that time either.
        let last = match self.end {
            End::At(end) => end.min(now),
            End::Calls(calls) => {
                let last = self.first_that_counts() + calls;
                if self.due(last) <= now {
                    return;
                }
                now
            }
        };
        self.end = End::At(last);
    }

    /// How long each call that counts and was due before the end has waited without being begun; of many only so many,
    /// evenly spread, and for how many each of them stands.
    pub(super) fn waiting(&self, now: Duration) -> impl Iterator<Item = (Duration, u64)> {
        /// More than anybody tells apart in a percentile.
        const MOST: u64 = 100_000;
        let warm = self.first_that_counts().saturating_sub(self.next);
        let first = self.next + warm.next_multiple_of(self.step);
        let end = match self.end {
            End::At(end) => (end.min(now).as_secs_f64() * self.rate).ceil() as u64,
            End::Calls(calls) => self.first_that_counts() + calls,
        };
        let count = end.saturating_sub(first).div_ceil(self.step);
        let each = count.div_ceil(MOST).max(1);
        (0..count).step_by(each as usize).map(move |number| {
            let waited = now.saturating_sub(self.due(first + number * self.step));
            (waited, each.min(count - number))
        })
    }

    fn first_that_counts(&self) -> u64 {
        let mut number = (self.warm_up.as_secs_f64() * self.rate) as u64;
        while self.due(number) < self.warm_up {
            number += 1;
        }
        number
    }

    fn is_past_end(&self, number: u64, due: Duration) -> bool {
        match self.end {
            End::At(end) => due >= end,
            End::Calls(calls) => number >= self.first_that_counts() + calls,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A server that answers at once, but between 1 s and 2 s nothing; its callers, `slots` of them, on a virtual clock of
    /// milliseconds. The latencies, in milliseconds, and the schedule as it ends.
    fn stalled(rate: f64, slots: u32, seconds: u64) -> (Vec<u128>, Schedule) {
        let mut schedule = Schedule::new(rate, Duration::ZERO, End::At(Duration::from_secs(seconds)), 0, 1);
        let (mut latencies, mut in_flight) = (Vec::new(), Vec::new());
        for milli in 0..=5000 {
            let now = MS * milli;
            let stalls = (1000..2000).contains(&milli);
            loop {
                if !stalls {
                    latencies.extend(in_flight.drain(..).map(|due: Duration| (now - due).as_millis()));
                }
                if in_flight.len() as u32 == slots {
                    break;
                }
                match schedule.next(now) {
                    Next::Begin { due, counts: true } => in_flight.push(due),
                    Next::Wait(until) => {
                        assert!(until > now);
                        break;
                    }
                    _ => break,
                }
            }
            if in_flight.is_empty() && schedule.next(now) == Next::Over {
                break;
            }
        }
        (latencies, schedule)
    }

    #[test]
    fn a_stall_of_a_second_is_seen_by_every_call_that_was_due_in_it() {
        // Also where a single call may be in flight, and the others wait for it.
        for slots in [1000, 1] {
            let (latencies, schedule) = stalled(100.0, slots, 4);
            assert_eq!((latencies.len(), schedule.waiting(MS * 5000).count()), (400, 0));
            let mut late: Vec<u128> = latencies.into_iter().filter(|latency| *latency > 0).collect();
            late.sort_unstable();
            assert_eq!(late, (1..=100).map(|n| n * 10).collect::<Vec<u128>>(), "with {slots} slots");
        }
    }

    #[test]
    fn what_can_not_begin_is_not_forgotten() {
        let end = Duration::from_secs(2);
        let mut schedule = Schedule::new(10.0, Duration::ZERO, End::At(end), 0, 1);
        for _ in 0..5 {
            assert!(matches!(schedule.next(end), Next::Begin { .. }));
        }
        assert!(schedule.is_due(end + LAST_ORDERS));
        assert!(matches!(schedule.next(end + LAST_ORDERS), Next::Begin { .. }));
        let late = end + LAST_ORDERS + MS;
        assert_eq!(schedule.next(late), Next::Over);
        let waiting: Vec<_> = schedule.waiting(late).collect();
        assert_eq!((waiting.len(), waiting[0], waiting[13]), (14, (MS * 2401, 1), (MS * 1101, 1)));
    }

    #[test]
    fn threads_share_the_calls_and_warm_up_does_not_count() {
        let warm_up = MS * 250;
        let mut all = Vec::new();
        for thread in 0..3 {
            let mut schedule = Schedule::new(100.0, warm_up, End::Calls(50), thread, 3);
            let waiting: Vec<_> =
                schedule.waiting(MS * 10_000).map(|(waited, _)| MS * 10_000 - waited).collect();
            let mut counted = Vec::new();
            while let Next::Begin { due, counts } = schedule.next(MS * 10_000) {
                all.push((due, counts));
                if counts {
                    counted.push(due);
                }
            }
            assert_eq!(waiting, counted, "thread {thread}");
            assert_eq!(schedule.waiting(MS * 10_000).count(), 0);
        }
        all.sort_unstable();
        let expected: Vec<_> = (0..75).map(|n| (MS * 10 * n, n >= 25)).collect();
        assert_eq!(all, expected);
    }

    #[test]
    fn many_that_wait_are_told_in_few_that_stand_for_them() {
        let end = Duration::from_secs(100);
        let schedule = Schedule::new(1e6, Duration::ZERO, End::At(end), 1, 4);
        let waiting: Vec<_> = schedule.waiting(end).collect();
        assert_eq!(waiting.iter().map(|(_, count)| count).sum::<u64>(), 25_000_000);
        assert!(waiting.len() <= 100_000);
    }

    #[test]
    fn whoever_interrupts_ends_it() {
        for end in [End::At(Duration::from_secs(10)), End::Calls(1000)] {
            let mut schedule = Schedule::new(100.0, Duration::ZERO, end, 0, 1);
            assert!(matches!(schedule.next(MS), Next::Begin { .. }));
            schedule.cut(MS * 100);
            assert_eq!(schedule.waiting(MS * 200).count(), 9, "{end:?}");
            for _ in 1..10 {
                assert!(matches!(schedule.next(MS * 100), Next::Begin { .. }));
            }
            assert_eq!(schedule.next(MS * 100), Next::Over);
        }
    }
}
