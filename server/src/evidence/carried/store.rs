//! Rows of what came by hand: one when a package is begun, one when it is done. Never changed.

use std::sync::Arc;

use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::DeviceId;
use endcheck_protocol::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::judge::storable;
use crate::app::App;
use crate::db::Conn;
use crate::db::schema::carried_packages;
use crate::error::Result;

/// Who brought what.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Carried {
    /// SHA-256 of the signed package.
    pub package: Sha256,
    /// Absent where the package's signature does not hold.
    pub device: Option<DeviceId>,
    pub carried_by: String,
    pub taken_in_at: Timestamp,
    /// `{"state": "begun"}`, or what came of it.
    #[schema(value_type = Object)]
    pub report: serde_json::Value,
}

/// Puts on record who brings a package, and what came of it.
pub(super) async fn note(
    app: &Arc<App>,
    package: &Sha256,
    device: Option<DeviceId>,
    carried_by: &str,
    report: &serde_json::Value,
) -> Result<()> {
    let (package, carried_by) = (package.clone(), storable(carried_by));
    let (report, now) = (storable(&report.to_string()), app.clock.now());
    app.write(move |conn| {
        diesel::insert_into(carried_packages::table)
            .values((
                carried_packages::id.eq(uuid::Uuid::now_v7().to_string()),
                carried_packages::package.eq(package),
                carried_packages::device_id.eq(device),
                carried_packages::carried_by.eq(carried_by),
                carried_packages::taken_in_at.eq(now),
                carried_packages::report.eq(report),
            ))
            .execute(conn)?;
        Ok(())
    })
    .await
}

/// The newest, first.
pub(in super::super) fn list(conn: &mut Conn) -> Result<Vec<Carried>> {
    type Row = (Sha256, Option<DeviceId>, String, Timestamp, String);
    let rows: Vec<Row> = carried_packages::table
        .order((carried_packages::taken_in_at.desc(), carried_packages::id.desc()))
        .limit(1000)
        .select((
            carried_packages::package,
            carried_packages::device_id,
            carried_packages::carried_by,
            carried_packages::taken_in_at,
            carried_packages::report,
        ))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(package, device, carried_by, taken_in_at, report)| Carried {
            package,
            device,
            carried_by,
            taken_in_at,
            report: serde_json::from_str(&report).unwrap_or_default(),
        })
        .collect())
}
