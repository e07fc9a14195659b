//! Linux.

pub mod facts;
pub mod log;
pub mod netlink;
pub mod procfs;
