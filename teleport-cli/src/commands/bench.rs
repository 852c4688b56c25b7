//! `teleport bench`.

use clap::Args;

use crate::failure::{Failure, Outcome};
use crate::paint::Paints;

/// (being written)
#[derive(Args, Debug)]
pub(crate) struct Bench {}

impl Bench {
    pub(crate) fn run(self, _paints: Paints) -> Outcome {
        Err(Failure::other("not written yet"))
    }
}
