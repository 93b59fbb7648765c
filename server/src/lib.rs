//! The headquarters of Endcheck.
//!
//! Three storeys: the ground (`config`, `error`, `clock`, `keys`, `db`, `log`, `files`, `accounts`,
//! `custody`, `notices`, `outbox`, `body`, `client`, `resource`, `rows`, `sheet`, `reason`, `listing`, `idempotency`),
//! slices named by a noun of the domain that import only slices to their left, and a roof (`app`,
//! `import`, `jobs`, `pages`) that wires them. `witness` is a program of its own beside them.

pub mod accounts;
pub mod app;
pub mod audit;
pub mod body;
pub mod checklists;
pub mod checks;
pub mod client;
pub mod clock;
pub mod config;
pub mod custody;
pub mod db;
pub mod error;
pub mod evidence;
pub mod exports;
pub mod files;
pub mod idempotency;
pub mod import;
pub mod jobs;
pub mod keys;
pub mod listing;
pub mod log;
pub mod notices;
pub mod outbox;
pub mod pages;
pub mod parties;
pub mod picture;
pub mod planning;
pub mod programme;
pub mod reason;
pub mod resource;
pub mod reviews;
pub mod risk;
pub mod rows;
pub mod selection;
pub mod serials;
pub mod sheet;
pub mod shipments;
pub mod sites;
pub mod tls;
pub mod uploads;
pub mod visits;
pub mod witness;
