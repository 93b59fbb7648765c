//! What the agent, the server and the offline verifier of Endcheck say to each other.
//!
//! Everything here is a pure function of its arguments: no file, socket, clock, database or web
//! framework (but for fresh ids, which take randomness and the time). A type that is signed, stored or sent lives here once; a decision that the device
//! and headquarters must take alike (is this checklist complete? is this point inside the fence?
//! what does this photo say?) lives here once too.

pub mod bag;
pub mod canonical;
pub mod carry;
pub mod checklist;
pub mod determination;
pub mod digest;
pub mod dossier;
pub mod envelope;
pub mod ids;
pub mod ledger;
pub mod merkle;
pub mod package;
pub mod photo;
pub mod place;
pub mod problem;
pub mod record;
pub mod selftest;
pub mod sync;
pub mod terminal;
pub mod time;
pub mod tlog;
pub mod visit;
