//! While it runs: what the user sees, and the interrupt.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::control::Control;
use super::plan::{Ending, Plan};
use super::record::Lane;
use super::units;
use crate::failure::Outcome;
use crate::paint::Paint;

/// Time between two looks.
const STEP: Duration = Duration::from_millis(250);
/// Characters of the bar.
const WIDTH: usize = 24;

/// The thread that does it.
pub(super) struct Watch {
    thread: JoinHandle<()>,
    end: oneshot::Sender<()>,
}

impl Watch {
    /// Draws where there is a paint and standard error is a terminal.
    pub(super) fn start(
        plan: Arc<Plan>,
        control: Arc<Control>,
        lanes: Vec<Arc<Lane>>,
        paint: Option<Paint>,
    ) -> Outcome<Self> {
        let runtime = crate::commands::one_thread()?;
        let paint = paint.filter(|_| std::io::stderr().is_terminal());
        let (end, mut ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let mut step = tokio::time::interval(STEP);
                let (mut before, mut at) = (0, Instant::now());
                loop {
                    tokio::select! {
                        biased;
                        _ = &mut ended => break,
                        Ok(()) = tokio::signal::ctrl_c() => control.stop(),
                        _ = step.tick() => {
                            let Some(paint) = paint else { continue };
                            let sum = |of: fn(&Lane) -> u64| lanes.iter().map(|lane| of(lane)).sum::<u64>();
                            let ended = sum(|lane| lane.ended.load(Ordering::Relaxed));
                            let failed = sum(|lane| lane.failed.load(Ordering::Relaxed));
                            let rate = (ended - before) as f64 / at.elapsed().as_secs_f64().max(1e-3);
                            (before, at) = (ended, Instant::now());
                            let line = line(&plan, &control, ended, rate, failed);
                            // Where it can't be written nobody looks at it.
                            let _ = write!(std::io::stderr(), "\r{}\x1b[K", paint.faint(line));
                        }
                    }
                }
                if paint.is_some() {
                    let _ = write!(std::io::stderr(), "\r\x1b[K");
                }
            });
        });
        Ok(Watch { thread, end })
    }

    /// The run is over.
    pub(super) fn end(self) {
        let _ = self.end.send(());
        // What it draws is not worth a failure.
        let _ = self.thread.join();
    }
}

fn line(plan: &Plan, control: &Control, ended: u64, rate: f64, failed: u64) -> String {
    let elapsed = control.started.elapsed();
    let part = match plan.ending {
        Ending::After(duration) => elapsed.as_secs_f64() / (plan.warm_up + duration).as_secs_f64(),
        Ending::Calls(calls) => ended as f64 / calls as f64,
    };
    let phase = if elapsed < plan.warm_up { "warm-up" } else { "" };
    let failed = if failed == 0 { String::new() } else { format!("  {} errors", units::count(failed)) };
    format!(
        "{} {:>3.0} %  {:>10}/s{failed}  {phase}",
        bar(part),
        part.min(1.0) * 100.0,
        units::count(rate as u64)
    )
}

fn bar(part: f64) -> String {
    let full = ((part.clamp(0.0, 1.0) * WIDTH as f64) as usize).min(WIDTH);
    format!("[{}{}]", "=".repeat(full), " ".repeat(WIDTH - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_run_is_over() {
        assert_eq!(bar(0.0), format!("[{}]", " ".repeat(WIDTH)));
        assert_eq!(bar(0.5), format!("[{}{}]", "=".repeat(12), " ".repeat(12)));
        assert_eq!((bar(7.0), bar(f64::NAN)), (format!("[{}]", "=".repeat(WIDTH)), bar(0.0)));
    }
}
