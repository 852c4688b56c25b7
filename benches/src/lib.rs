//! What the benchmark programs have in common: processes that measure each other, and the machine they run on.
//!
//! `README.md` beside this package says what each program measures and how to run it.

pub mod machine;
pub mod payload;
pub mod process;
pub mod stats;
pub mod table;
pub mod usage;

/// What a program fails with: a text for whoever ran it.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// What a program comes to.
pub type Result<T, E = Error> = std::result::Result<T, E>;
