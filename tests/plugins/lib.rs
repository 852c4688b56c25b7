//! The plugins that come with the library, built as their users would have to: they name its public face and nothing
//! else. Where one does, this crate does not build.

pub use teleport::*;

#[path = "../../teleport/src/plugins/mod.rs"]
mod bundled;

/// In place of the library's own.
pub mod plugins {
    pub use crate::bundled::*;
}
