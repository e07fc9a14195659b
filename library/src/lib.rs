//! The library that is loaded into unmodified programs.
