//! Linux.

mod addresses;
mod cleared;
pub mod clock;
mod container;
mod descriptor;
pub mod facts;
mod files;
pub mod follow;
pub mod guest;
mod hints;
pub mod identity;
pub mod image;
mod interfaces;
mod limits;
pub mod log;
pub mod memory;
mod namespaces;
pub mod netlink;
mod owner;
mod paths;
pub mod pool;
mod ports;
pub mod procfs;
#[cfg(any(test, feature = "fuzzing"))]
pub mod properties;
mod script;
pub mod signals;
mod sockdiag;
pub mod socket;
mod start;
mod system;
pub mod trial;
#[cfg(test)]
mod turns;
mod unit;
mod unixdiag;
mod users;
pub mod wait;

pub use crate::{json, line};
