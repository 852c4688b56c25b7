//! What the macro accepts and what it says about mistakes.
//!
//! After a change of a message, `TRYBUILD=overwrite cargo test -p teleport-tests --test ui` writes the new ones; read
//! the difference before it is committed.

#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    cases.pass("ui/pass/*.rs");
    cases.compile_fail("ui/fail/*.rs");
}
