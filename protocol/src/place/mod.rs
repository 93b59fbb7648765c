//! Where something was: positions, fixes, geofences, and what may be said of one against the other.
//!
//! Used on the device and at headquarters alike, so that both reach the same verdict. Pure functions
//! only: nothing here opens a file, a port or a clock. Whatever can end up in a signed record holds
//! whole numbers (1e-7 degrees, millimetres, milliseconds), never floats; a [`Fence`] holds floats
//! and is therefore carried as GeoJSON, outside records.

pub mod fence;
pub mod fix;
pub mod gpsd;
pub mod manual;
pub mod nmea;
pub mod position;
pub mod termux;
pub mod track;
pub mod verdict;

pub use fence::{Fence, FenceError};
pub use fix::{Fix, Mock, Provider};
pub use position::{InvalidPosition, Position};
pub use track::{Interpolated, Track, TrackPlace, TrackPoint, TrackRefusal};
pub use verdict::{DEFAULT_ACCURACY_MM, NotChecked, Verdict, judge, judge_fix, moved_since_mm};
