//! Windows, from Windows 7 and Server 2008 R2 upwards: a function that those lack is looked up at
//! run time.

mod addresses;
pub mod clock;
pub mod error;
pub mod facts;
mod found;
pub mod guest;
mod handle;
pub mod handshake;
pub mod identity;
pub mod inject;
pub mod job;
pub mod learn;
mod lists;
mod log;
pub mod memory;
mod netsh;
mod optional;
mod pool;
mod process;
pub mod ranges;
pub mod seen;
mod services;
pub mod socket;
mod standard_error;
mod start;
pub mod tables;
pub mod trial;
mod turn;
mod users;
mod version;
pub mod wait;
mod wide;
