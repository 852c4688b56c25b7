//! `teleport routes`.

use clap::Args;

use crate::failure::{Failure, Outcome};
use crate::paint::Paints;

/// (being written)
#[derive(Args, Debug)]
pub(crate) struct Routes {}

impl Routes {
    pub(crate) async fn run(self, _paints: Paints) -> Outcome {
        Err(Failure::other("not written yet"))
    }
}
