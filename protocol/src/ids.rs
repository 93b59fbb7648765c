//! Identifiers: one newtype a thing, UUIDv7 text inside, so that any party can mint them offline.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An identifier that is not a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an identifier: expected a UUID such as 0190b3c8-5f4e-7c1a-9d2e-3f4a5b6c7d8e")]
pub struct InvalidId {
    text: String,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        #[cfg_attr(feature = "diesel", derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow))]
        #[cfg_attr(feature = "diesel", diesel(sql_type = diesel::sql_types::Text))]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[cfg_attr(feature = "openapi", schema(value_type = String, format = "uuid"))]
        pub struct $name(String);

        impl $name {
            /// A fresh id; sorts after those made earlier on the same machine.
            #[must_use]
            pub fn mint() -> Self {
                Self(uuid::Uuid::now_v7().hyphenated().to_string())
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                uuid::Uuid::try_parse(text)
                    .map(|id| Self(id.hyphenated().to_string()))
                    .map_err(|_| InvalidId { text: text.chars().take(60).collect() })
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        #[cfg(feature = "diesel")]
        crate::ids::text_column!($name);
    )+};
}

/// Stores a newtype over `String` in a text column of whichever database.
#[cfg(feature = "diesel")]
macro_rules! text_column {
    ($name:ident) => {
        impl<DB> diesel::serialize::ToSql<diesel::sql_types::Text, DB> for $name
        where
            DB: diesel::backend::Backend,
            String: diesel::serialize::ToSql<diesel::sql_types::Text, DB>,
        {
            fn to_sql<'b>(
                &'b self,
                out: &mut diesel::serialize::Output<'b, '_, DB>,
            ) -> diesel::serialize::Result {
                self.0.to_sql(out)
            }
        }

        impl<DB> diesel::deserialize::FromSql<diesel::sql_types::Text, DB> for $name
        where
            DB: diesel::backend::Backend,
            String: diesel::deserialize::FromSql<diesel::sql_types::Text, DB>,
        {
            fn from_sql(bytes: DB::RawValue<'_>) -> diesel::deserialize::Result<Self> {
                String::from_sql(bytes).map(Self)
            }
        }
    };
}
#[cfg(feature = "diesel")]
pub(crate) use text_column;

ids! {
    /// A person with an account.
    UserId,
    /// A field device, from its enrolment on.
    DeviceId,
    /// An exporter, intermediate, consignee or end user.
    PartyId,
    /// A place that can be visited.
    SiteId,
    /// An export licence.
    LicenceId,
    /// A shipment under a licence line.
    ShipmentId,
    /// One item (or lot) of a shipment.
    ItemId,
    /// An end-use check.
    CheckId,
    /// One visit of a check.
    VisitId,
    /// A determination.
    DeterminationId,
    /// A finding.
    FindingId,
    /// Something that headquarters noted in the ledger.
    NoteId,
    /// An export of a visit's evidence.
    ExportId,
    /// A camera enrolled with a device.
    CameraId,
    /// A version of a checklist template.
    TemplateId,
    /// A tus upload.
    UploadId,
    /// Something known of a party or shipment besides its papers.
    SignalId,
    /// A draw of shipments to be checked.
    SelectionId,
    /// A plan of visits.
    PlanId,
    /// Something that happened to a serial.
    SerialEventId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid_in_lower_case_or_refused_by_name() {
        let id: VisitId = "0190B3C8-5F4E-7C1A-9D2E-3F4A5B6C7D8E".parse().unwrap();
        assert_eq!(id.as_str(), "0190b3c8-5f4e-7c1a-9d2e-3f4a5b6c7d8e");
        let refused = "../../etc/passwd".parse::<VisitId>().unwrap_err();
        assert!(refused.to_string().contains("../../etc/passwd"));
    }
}
