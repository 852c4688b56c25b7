//! `teleport dump`.

use clap::Args;

use crate::failure::{Failure, Outcome};
use crate::paint::Paints;

/// (being written)
#[derive(Args, Debug)]
pub(crate) struct Dump {}

impl Dump {
    pub(crate) fn run(self, _paints: Paints) -> Outcome {
        Err(Failure::other("not written yet"))
    }
}
