//! Every seed and every past finding through its target. The only test of its process, as allocations are counted for all
//! threads.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use teleport_fuzzing::{TARGETS, Target, seeds};

/// Panics of any thread, also of those that are caught: what runs a handler catches what goes wrong around it.
static PANICS: AtomicUsize = AtomicUsize::new(0);

#[test]
fn no_seed_and_no_past_finding_fails() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        before(info);
    }));
    for target in TARGETS {
        let seeds = seeds::of(target.name);
        let findings = findings(target.name);
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        for (number, seed) in seeds.iter().enumerate() {
            check(target, &format!("seed {number}"), seed);
        }
        for path in &findings {
            check(target, &path.display().to_string(), &std::fs::read(path).expect("it is there"));
        }
        println!("{}: {} seeds, {} findings", target.name, seeds.len(), findings.len());
    }
}

fn check(target: Target, name: &str, input: &[u8]) {
    let ran = std::panic::catch_unwind(|| (target.run)(input));
    assert!(ran.is_ok() && PANICS.load(Ordering::SeqCst) == 0, "{}, {name}: {input:?}", target.name);
}

fn findings(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/findings").join(target);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    paths.sort();
    paths
}
