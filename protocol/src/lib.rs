//! What the agent, the server and the offline verifier of Endcheck say to each other.
//!
//! Everything here is a pure function of its arguments: no file, socket, clock, database or web
//! framework. A type that is signed, stored or sent lives here once; a decision that the device
//! and headquarters must take alike (is this checklist complete? is this point inside the fence?
//! what does this photo say?) lives here once too.

pub mod checklist;
pub mod digest;
pub mod ids;
pub mod photo;
pub mod place;
pub mod time;
