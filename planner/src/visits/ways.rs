//! How long it takes from place to place: by great circle and a table of modes, or as an operator's table says.

use super::Refusal;

/// Minutes from each place to each other, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ways {
    places: usize,
    minutes: Vec<i32>,
}

/// Where a place is, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    /// North is positive.
    pub latitude: f64,
    /// East is positive.
    pub longitude: f64,
}

/// A way to travel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mode {
    /// Used for distances up to this, by great circle.
    pub up_to_km: f64,
    /// How much longer the way is than the great circle.
    pub detour: f64,
    /// Its speed.
    pub kilometres_per_hour: f64,
    /// What is added at both ends together: parking, checking in, waiting.
    pub overhead_min: f64,
}

/// Driving up to 350 km, flying beyond: the table that is used where the operator gives none.
pub const DRIVE_AND_FLY: [Mode; 2] = [
    Mode { up_to_km: 350.0, detour: 1.3, kilometres_per_hour: 65.0, overhead_min: 10.0 },
    Mode { up_to_km: 21_000.0, detour: 1.05, kilometres_per_hour: 700.0, overhead_min: 210.0 },
];

/// The most places of one table.
const MOST_PLACES: usize = 6_000;
/// The longest way that is believed, ten days.
const LONGEST_MIN: i64 = 14_400;

impl Ways {
    /// How many places there are.
    #[must_use]
    pub fn places(&self) -> usize {
        self.places
    }

    /// Minutes from one place to another; a place that is not there is out of reach.
    #[inline]
    #[must_use]
    pub fn minutes(&self, from: u32, to: u32) -> i32 {
        self.minutes.get(from as usize * self.places + to as usize).copied().unwrap_or(LONGEST_MIN as i32)
    }

    /// Ways by the first mode whose reach suffices, or the last.
    ///
    /// # Errors
    ///
    /// Too many places, or a position that is none.
    pub fn by_great_circle(positions: &[Position], modes: &[Mode]) -> Result<Self, Refusal> {
        let mut minutes = Vec::with_capacity(positions.len().min(MOST_PLACES).pow(2));
        bounded(positions.len())?;
        for (from_number, from) in positions.iter().enumerate() {
            for (to_number, to) in positions.iter().enumerate() {
                let km = great_circle_km(*from, *to);
                let way = if from_number == to_number { 0.0 } else { by_mode(km, modes) };
                if !(0.0..=LONGEST_MIN as f64).contains(&way) {
                    let what = "no mode leads there, or a position is not on the globe";
                    return Err(Refusal::Way { from: from_number, to: to_number, what });
                }
                minutes.push(libm::ceil(way) as i32);
            }
        }
        Ok(Self { places: positions.len(), minutes })
    }

    /// Ways as an operator's table has them, row by row; `None` is a hole.
    ///
    /// # Errors
    ///
    /// The first entry that is missing or cannot be a way.
    pub fn from_table(places: usize, table: &[Option<i64>]) -> Result<Self, Refusal> {
        bounded(places)?;
        let mut minutes = Vec::with_capacity(places * places);
        for index in 0..places * places {
            let (from, to) = (index / places, index % places);
            match table.get(index).copied().flatten() {
                Some(way) if (0..=LONGEST_MIN).contains(&way) => minutes.push(way as i32),
                Some(_) => {
                    let what = "minutes from 0 to 14,400 were expected";
                    return Err(Refusal::Way { from, to, what });
                }
                None => return Err(Refusal::Way { from, to, what: "the table has a hole here" }),
            }
        }
        Ok(Self { places, minutes })
    }
}

fn bounded(places: usize) -> Result<(), Refusal> {
    if places > MOST_PLACES {
        return Err(Refusal::TooMany { what: "places", there: places, most: MOST_PLACES });
    }
    Ok(())
}

fn by_mode(km: f64, modes: &[Mode]) -> f64 {
    let mode = modes.iter().find(|mode| km <= mode.up_to_km).or(modes.last());
    mode.map_or(f64::NAN, |mode| km * mode.detour / mode.kilometres_per_hour * 60.0 + mode.overhead_min)
}

/// By the haversine formula on a sphere of 6,371.0088 km (the mean radius, IUGG). `libm` gives the same on every machine.
fn great_circle_km(from: Position, to: Position) -> f64 {
    let half = |a: f64, b: f64| {
        let sine = libm::sin((b - a).to_radians() / 2.0);
        sine * sine
    };
    let across = libm::cos(from.latitude.to_radians()) * libm::cos(to.latitude.to_radians());
    let square = half(from.latitude, to.latitude) + across * half(from.longitude, to.longitude);
    2.0 * 6_371.008_8 * libm::asin(libm::sqrt(square.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::{DRIVE_AND_FLY, Position, Refusal, Ways};

    #[test]
    fn near_is_driven_far_is_flown_and_across_the_date_line_is_near() {
        let at = |latitude, longitude| Position { latitude, longitude };
        let places = [at(48.2, 16.37), at(48.15, 17.11), at(35.69, 51.39), at(0.0, 179.9), at(0.0, -179.9)];
        let ways = Ways::by_great_circle(&places, &DRIVE_AND_FLY).unwrap();
        assert_eq!(ways.minutes(0, 0), 0);
        // Vienna to Bratislava, some 55 km; to Tehran, some 3,150 km.
        assert!((60..90).contains(&ways.minutes(0, 1)), "{}", ways.minutes(0, 1));
        assert!((450..540).contains(&ways.minutes(0, 2)), "{}", ways.minutes(0, 2));
        assert!(ways.minutes(3, 4) < 60);
        assert!(Ways::by_great_circle(&[at(f64::NAN, 0.0), at(0.0, 0.0)], &DRIVE_AND_FLY).is_err());
        assert!(Ways::by_great_circle(&places, &[]).is_err());
    }

    #[test]
    fn a_table_with_a_hole_or_a_negative_way_is_refused_where_it_is() {
        let hole = Ways::from_table(2, &[Some(0), None, Some(5), Some(0)]);
        assert!(matches!(hole, Err(Refusal::Way { from: 0, to: 1, .. })), "{hole:?}");
        let negative = Ways::from_table(2, &[Some(0), Some(5), Some(-5), Some(0)]);
        assert!(matches!(negative, Err(Refusal::Way { from: 1, to: 0, .. })), "{negative:?}");
        assert!(Ways::from_table(2, &[Some(0)]).is_err());
        assert_eq!(Ways::from_table(2, &[Some(0), Some(5), Some(6), Some(0)]).unwrap().minutes(1, 0), 6);
        assert!(matches!(Ways::from_table(100_000, &[]), Err(Refusal::TooMany { .. })));
    }
}
