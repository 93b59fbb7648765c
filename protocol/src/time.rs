//! Instants: UTC, whole microseconds, RFC 3339 with a `Z`. Both databases keep exactly that much.
//!
//! Years 1 to 9999 in UTC and no leap seconds: what is read can always be written, and read again.

use std::fmt;
use std::str::FromStr;

use chrono::{
    DateTime, Datelike as _, NaiveDate, NaiveDateTime, SecondsFormat, TimeDelta, Timelike as _, Utc,
};
use serde::{Deserialize, Serialize};

/// An instant in UTC, cut to whole microseconds when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "diesel", derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow))]
#[cfg_attr(feature = "diesel", diesel(sql_type = diesel::sql_types::Timestamp))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, format = "date-time"))]
pub struct Timestamp(NaiveDateTime);

/// A text that is not an RFC 3339 instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not an instant: expected RFC 3339 such as 2026-05-04T08:11:12Z, in the years 1 to 9999 of UTC, \
     seconds up to 59"
)]
pub struct InvalidTimestamp {
    text: String,
}

impl Timestamp {
    /// The microsecond that `micros` counts from 1970-01-01T00:00:00Z, if it can be written.
    #[must_use]
    pub fn from_unix_micros(micros: i64) -> Option<Self> {
        DateTime::from_timestamp_micros(micros).and_then(|at| Self::writable(at.naive_utc()))
    }

    /// The instant, unless RFC 3339 cannot write it or a database not keep it.
    fn writable(at: NaiveDateTime) -> Option<Self> {
        use chrono::SubsecRound as _;
        let is_leap_second = at.nanosecond() >= 1_000_000_000;
        ((1..=9999).contains(&at.year()) && !is_leap_second).then(|| Self(at.trunc_subsecs(6)))
    }

    #[must_use]
    pub fn unix_micros(self) -> i64 {
        self.0.and_utc().timestamp_micros()
    }

    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.0.and_utc().timestamp()
    }

    #[must_use]
    pub fn utc(self) -> DateTime<Utc> {
        self.0.and_utc()
    }

    /// The UTC calendar day.
    #[must_use]
    pub fn day(self) -> NaiveDate {
        self.0.date()
    }

    /// This instant moved by `delta`; stays put where the result could not be written.
    #[must_use]
    pub fn plus(self, delta: TimeDelta) -> Self {
        self.0.checked_add_signed(delta).and_then(Self::writable).unwrap_or(self)
    }

    /// `self − earlier`, negative when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> TimeDelta {
        self.0.signed_duration_since(earlier.0)
    }
}

/// For instants of a clock. One that cannot be written becomes one at that end of time that can.
impl From<DateTime<Utc>> for Timestamp {
    fn from(at: DateTime<Utc>) -> Self {
        let at = at.naive_utc();
        // The 28th: a 29 February has no counterpart in the years at the ends.
        let nearest = || {
            let second = at.with_nanosecond(999_999_000)?;
            let year = second.year().clamp(1, 9999);
            if year == second.year() { Some(second) } else { second.with_day(28)?.with_year(year) }
        };
        Self::writable(at).unwrap_or_else(|| Self(nearest().unwrap_or_default()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.utc().to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;
    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .and_then(|at| Self::writable(at.naive_utc()))
            .ok_or_else(|| InvalidTimestamp { text: text.chars().take(60).collect() })
    }
}

impl TryFrom<String> for Timestamp {
    type Error = InvalidTimestamp;
    fn try_from(text: String) -> Result<Self, InvalidTimestamp> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(at: Timestamp) -> String {
        at.to_string()
    }
}

#[cfg(feature = "diesel")]
mod column {
    use super::{NaiveDateTime, Timestamp};
    use diesel::backend::Backend;
    use diesel::deserialize::{self, FromSql};
    use diesel::serialize::{self, Output, ToSql};
    use diesel::sql_types;

    impl<DB: Backend> ToSql<sql_types::Timestamp, DB> for Timestamp
    where
        NaiveDateTime: ToSql<sql_types::Timestamp, DB>,
    {
        fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
            self.0.to_sql(out)
        }
    }

    impl<DB: Backend> FromSql<sql_types::Timestamp, DB> for Timestamp
    where
        NaiveDateTime: FromSql<sql_types::Timestamp, DB>,
    {
        fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
            NaiveDateTime::from_sql(bytes).map(|at| Self::from(at.and_utc()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_utc_to_the_microsecond() {
        let at: Timestamp = "2026-05-04T10:11:12.123456789+02:00".parse().unwrap();
        assert_eq!(at.to_string(), "2026-05-04T08:11:12.123456Z");
        assert_eq!(Timestamp::from_unix_micros(at.unix_micros()), Some(at));
        assert!("2026-05-04".parse::<Timestamp>().is_err());
    }

    #[test]
    fn what_is_read_can_be_written() {
        for text in ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
        for text in [
            "0000-12-31T23:59:59Z",
            "0000-01-01T00:00:00+14:00",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "+262142-01-01T00:00:00Z",
            "-0001-01-01T00:00:00Z",
            "2026-12-31T23:59:60Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
        let last: Timestamp = "9999-12-31T23:59:59Z".parse().unwrap();
        assert_eq!(last.plus(TimeDelta::days(1)), last);
        assert_eq!(Timestamp::from_unix_micros(i64::MAX), None);
        for far in [DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::MIN_UTC] {
            let near = Timestamp::from(far);
            assert_eq!(near.to_string().parse(), Ok(near));
        }
    }
}
