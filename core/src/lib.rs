//! What an attempt to take a port is, and what its failure means.
//!
//! This crate does no input or output: it has no heap, no clock and no system call. The engine
//! ([`engine::Engine`]) is a state machine that a driver feeds with what the system answered; the
//! diagnosis ([`diagnose::diagnose`]) is a pure function from facts to a cause.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "schema"))]
extern crate std;

pub mod address;
pub mod attempt;
pub mod catalogue;
pub mod cause;
pub mod code;
pub mod conflict;
pub mod diagnose;
pub mod engine;
pub mod explain;
pub mod facts;
pub mod image;
pub mod netsh;
pub mod options;
pub mod policy;
pub mod preload;
pub mod record;
pub mod reservation;
pub mod text;
