//! What the tests are built from: a room of its own for each test, programs that are started with
//! and without the library, the records that come out, and a second opinion on who holds a port.
//!
//! The programs under test are found in the directory that `BINDSHIM_TEST_DIR` names, else in the
//! target directory of the tests themselves; one that is missing fails the test.
#![cfg(target_os = "linux")]

pub mod client;
pub mod dice;
pub mod process;
pub mod programs;
pub mod record;
pub mod room;
pub mod sockets;
pub mod variant;
pub mod victims;
pub mod wait;
pub mod wine;

pub use process::{Ended, Running, Subject, Way};
pub use record::Records;
pub use room::Room;
pub use wine::Wine;
