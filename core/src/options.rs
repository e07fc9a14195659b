//! The one table of settings (in the making).
