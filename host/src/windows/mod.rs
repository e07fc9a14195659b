//! Windows, from Windows 7 and Server 2008 R2 upwards: a function that those lack is looked up at
//! run time.

pub mod error;
pub mod handshake;
pub mod inject;
pub mod job;
