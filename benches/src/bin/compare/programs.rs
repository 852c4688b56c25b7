//! The other programs of this package, whose output belongs to the results.

use std::process::Command;

use teleport_benches::Result;

use crate::options::Options;

/// Name, title, and whether a quick run has it too.
const PROGRAMS: [(&str, &str, bool); 4] = [
    ("allocs", "Allocations", true),
    ("memory", "Memory", true),
    ("fairness", "Fairness", true),
    ("macro-cost", "The macro's cost", false),
];

/// Builds and runs them where everything is asked for; returns a section for each.
pub(crate) fn run(options: &Options) -> Result<Vec<String>> {
    if !options.whole {
        return Ok(Vec::new());
    }
    build()?;
    let mut sections = Vec::new();
    for (name, title, quick) in PROGRAMS {
        if options.quick && !quick {
            continue;
        }
        eprintln!("{name}");
        let mut command = Command::new(std::env::current_exe()?.with_file_name(name));
        if options.quick {
            command.arg("--quick");
        }
        let output = command.stderr(std::process::Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err(format!("{name} ended with {}", output.status).into());
        }
        sections.push(format!("## {title}\n\n{}\n", String::from_utf8(output.stdout)?.trim_end()));
    }
    Ok(sections)
}

/// `cargo run` has built this program alone. The others go beside it.
fn build() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let release = (!cfg!(debug_assertions)).then_some("--release");
    let status = Command::new(cargo)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--quiet", "--package", "teleport-benches", "--features", "peers", "--bins"])
        .args(release)
        .status()?;
    if !status.success() {
        return Err("the other programs can't be built".into());
    }
    Ok(())
}
