//! `teleport push`.

use clap::Args;

use crate::failure::{Failure, Outcome};
use crate::paint::Paints;

/// (being written)
#[derive(Args, Debug)]
pub(crate) struct Push {}

impl Push {
    pub(crate) async fn run(self, _paints: Paints) -> Outcome {
        Err(Failure::other("not written yet"))
    }
}
