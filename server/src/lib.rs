//! The headquarters of Endcheck.
//!
//! Three storeys: the ground (`config`, `error`, `clock`, `keys`, `db`, `log`, `files`, `accounts`),
//! slices named by a noun of the domain that import only slices to their left, and a roof (`app`,
//! `jobs`, `pages`) that wires them.

pub mod accounts;
pub mod app;
pub mod clock;
pub mod config;
pub mod db;
pub mod error;
pub mod files;
pub mod keys;
pub mod log;
pub mod tls;
