//! Each program runs and has something to say; what it says of time is for no test.

use std::process::Command;

/// Runs a program and returns what it prints.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?} ended with {}:\n{error}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// The cells of the row that begins so.
fn row<'a>(table: &'a str, name: &str) -> Vec<&'a str> {
    let line = table.lines().find(|line| line.starts_with(&format!("| {name}")));
    let line = line.unwrap_or_else(|| panic!("no row {name:?} in:\n{table}"));
    line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).skip(1).collect()
}

#[test]
fn memory_has_a_row_for_each_kind_of_session() {
    let printed = run(env!("CARGO_BIN_EXE_memory"), &["--quick"]);
    for kind in ["Teleport session", "tokio task", "tokio socket"] {
        for cell in row(&printed, kind) {
            assert!(cell.parse::<u64>().is_ok_and(|bytes| bytes > 0), "{kind}: {cell}");
        }
    }
    assert_eq!(row(&printed, "server: a handler").len(), 1);
}

#[test]
fn fairness_has_a_row_for_each_thing_beside() {
    let printed = run(env!("CARGO_BIN_EXE_fairness"), &["--quick"]);
    assert_eq!(row(&printed, "an idle session").last(), Some(&"1.00"));
    assert_eq!(row(&printed, "the same in `spawn_blocking`").len(), 3);
}

#[test]
fn overload_has_a_row_for_each_setting_and_load() {
    let printed = run(env!("CARGO_BIN_EXE_overload"), &["--quick"]);
    for way in ["wait, callers held back", "refuse", "wait, callers with deadlines"] {
        let loads: Vec<&str> = printed.lines().filter(|line| line.starts_with(&format!("| {way}"))).collect();
        assert_eq!(loads.len(), 6, "{way} in:\n{printed}");
    }
}

/// Long enough for every kind of call, and for what one leaves behind to be seen.
#[test]
#[ignore = "takes a minute, and a machine that has little else to do"]
fn soak_finds_out_what_grows_and_nothing_where_nothing_does() {
    let arguments = ["--seconds", "12", "--every", "0.2", "--busy", "10"];
    assert!(run(env!("CARGO_BIN_EXE_soak"), &arguments).ends_with("nothing has grown\n"));
    for (leak, told) in [("memory", "heap, B: "), ("tasks", "tasks: "), ("descriptors", "descriptors: ")] {
        let mut leaking = Command::new(env!("CARGO_BIN_EXE_soak"));
        let output = leaking.args(arguments).args(["--leak", leak]).output().unwrap();
        assert!(!output.status.success(), "{leak}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.starts_with("it grows:\n") && error.contains(told), "{leak}: {error}");
    }
}

#[test]
fn what_is_not_understood_is_told() {
    for program in [
        env!("CARGO_BIN_EXE_memory"),
        env!("CARGO_BIN_EXE_fairness"),
        env!("CARGO_BIN_EXE_macro-cost"),
        env!("CARGO_BIN_EXE_overload"),
        env!("CARGO_BIN_EXE_soak"),
    ] {
        let output = Command::new(program).arg("--fast").output().unwrap();
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("usage: "));
    }
}

#[cfg(feature = "peers")]
#[test]
fn allocs_counts_none_for_teleport() {
    let printed = run(env!("CARGO_BIN_EXE_allocs"), &["--quick"]);
    for count in row(&printed, "teleport, 1 in flight") {
        assert!(count.starts_with("0.0"), "{count}");
    }
    assert_eq!(row(&printed, "tarpc, 100 in flight").len(), 3);
}

/// Every peer with every workload that is for it, very shortly.
#[cfg(feature = "peers")]
#[test]
fn compare_measures_every_peer() {
    let folder = std::env::temp_dir().join(format!("teleport-compare-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let out = folder.to_str().unwrap();
    let arguments = ["--rounds", "1", "--seconds", "0.1", "--mode", "two", "--out", out];
    let printed = run(env!("CARGO_BIN_EXE_compare"), &arguments);
    assert_eq!(row(&printed, "struct, 100 in flight").len(), 6);
    assert_eq!(row(&printed, "64 KiB with gzip, 1 in flight").len(), 2);
    assert!(std::fs::read_to_string(folder.join("RESULTS.md")).unwrap().contains("## Two cores"));
    let plot = std::fs::read_to_string(folder.join("throughput.svg")).unwrap();
    assert!(plot.starts_with("<svg") && plot.contains(">teleport-json</text>"));
    std::fs::remove_dir_all(folder).unwrap();
}
