//! Linux.

pub mod cleared;
pub mod clock;
pub mod facts;
pub mod guest;
pub mod identity;
pub mod json;
pub mod line;
pub mod log;
pub mod memory;
pub mod netlink;
pub mod pool;
pub mod procfs;
pub mod socket;
mod start;
pub mod wait;
