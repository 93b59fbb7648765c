//! The cameras that belong to a device. Rows are added and never changed: what a photo was compared with stays.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path};
use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{CameraId, DeviceId, UserId};
use endcheck_protocol::problem::{FieldProblem, Problem};
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Actor, Permission, device_store};
use crate::app::App;
use crate::db::schema::device_cameras;
use crate::db::{Conn, MultiBackend};
use crate::error::{Error, Result};

/// A camera to be enrolled with a device.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddCamera {
    /// As its photos state it in Exif, such as `Apple`.
    pub make: String,
    /// As its photos state it in Exif, such as `iPhone 11 Pro Max`.
    pub model: String,
    /// Of the body, where its photos state one.
    #[serde(default)]
    pub serial: Option<String>,
    #[serde(default)]
    pub lens: Option<String>,
    /// Of its photos; together with the height, or not at all.
    #[serde(default)]
    pub width_px: Option<i64>,
    #[serde(default)]
    pub height_px: Option<i64>,
    /// What its JPEG files' quantisation tables are told by, each set that it uses: `endcheck inspect` shows them.
    #[serde(default)]
    pub quantisation: Vec<Sha256>,
    #[serde(default)]
    pub note: Option<String>,
}

/// A camera enrolled with a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Camera {
    pub id: CameraId,
    pub device: DeviceId,
    pub make: String,
    pub model: String,
    pub serial: Option<String>,
    pub lens: Option<String>,
    pub width_px: Option<i64>,
    pub height_px: Option<i64>,
    /// Sorted, each once.
    pub quantisation: Vec<Sha256>,
    pub note: Option<String>,
    pub added_by: UserId,
    pub added_at: Timestamp,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = device_cameras, check_for_backend(MultiBackend))]
struct CameraRow {
    id: CameraId,
    device_id: DeviceId,
    make: String,
    model: String,
    serial: Option<String>,
    lens: Option<String>,
    width_px: Option<i64>,
    height_px: Option<i64>,
    quantisation: String,
    note: Option<String>,
    added_by: UserId,
    added_at: Timestamp,
}

const MAX_CHARS: usize = 200;
const MAX_SIDE_PX: i64 = 65_535;
/// Cameras of one device at most.
const MAX_CAMERAS: i64 = 100;
/// Sets of quantisation tables of one camera at most.
const MAX_TABLES: usize = 100;

/// Enrols a camera with a device. The same camera again answers as the first time.
///
/// # Errors
/// 403 without the permission to manage accounts; 404 when there is no such device; 409 `too-many-cameras`;
/// 422 with every fault.
pub fn add(
    conn: &mut Conn,
    actor: &Actor,
    device: &DeviceId,
    camera: AddCamera,
    now: Timestamp,
) -> Result<Camera> {
    actor.require(Permission::ManageAccounts)?;
    check(&camera)?;
    // Two requests at once wait for each other here.
    device_store::lock_device(conn, device)?.ok_or_else(|| Error::not_found("device"))?;
    let quantisation: BTreeSet<Sha256> = camera.quantisation.into_iter().collect();
    let camera = Camera {
        id: CameraId::mint(),
        device: device.clone(),
        make: camera.make.trim().to_owned(),
        model: camera.model.trim().to_owned(),
        serial: trimmed(camera.serial),
        lens: trimmed(camera.lens),
        width_px: camera.width_px,
        height_px: camera.height_px,
        quantisation: quantisation.into_iter().collect(),
        note: trimmed(camera.note),
        added_by: actor.user.clone(),
        added_at: now,
    };
    let held = of_device(conn, device)?;
    if let Some(same) = held.iter().find(|held| held.is_same(&camera)) {
        return Ok(same.clone());
    }
    if held.len() as i64 >= MAX_CAMERAS {
        return Err(Error::conflict(
            "too-many-cameras",
            format!("A device takes {MAX_CAMERAS} cameras at most. Enrol a device for the others."),
        ));
    }
    diesel::insert_into(device_cameras::table).values(CameraRow::try_from(&camera)?).execute(conn)?;
    Ok(camera)
}

impl Camera {
    /// Whether both are one camera, whoever enrolled it when.
    fn is_same(&self, other: &Self) -> bool {
        let Self { id, added_by, added_at, .. } = self.clone();
        self == &Self { id, added_by, added_at, ..other.clone() }
    }
}

impl TryFrom<&Camera> for CameraRow {
    type Error = Error;

    fn try_from(camera: &Camera) -> Result<Self> {
        let Camera {
            id,
            device,
            make,
            model,
            serial,
            lens,
            width_px,
            height_px,
            quantisation,
            note,
            added_by,
            added_at,
        } = camera.clone();
        let quantisation = serde_json::to_string(&quantisation).map_err(|e| Error::Internal(e.into()))?;
        Ok(Self {
            id,
            device_id: device,
            make,
            model,
            serial,
            lens,
            width_px,
            height_px,
            quantisation,
            note,
            added_by,
            added_at,
        })
    }
}

impl TryFrom<CameraRow> for Camera {
    type Error = Error;

    fn try_from(row: CameraRow) -> Result<Self> {
        let quantisation = serde_json::from_str(&row.quantisation).map_err(|e| Error::Internal(e.into()))?;
        Ok(Self {
            id: row.id,
            device: row.device_id,
            make: row.make,
            model: row.model,
            serial: row.serial,
            lens: row.lens,
            width_px: row.width_px,
            height_px: row.height_px,
            quantisation,
            note: row.note,
            added_by: row.added_by,
            added_at: row.added_at,
        })
    }
}

fn trimmed(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn check(camera: &AddCamera) -> Result<()> {
    let mut errors = Vec::new();
    let mut wrong = |field: &str, reason: String| {
        errors.push(FieldProblem { line: None, field: field.to_owned(), reason });
    };
    let texts = [
        ("make", Some(&camera.make), true),
        ("model", Some(&camera.model), true),
        ("serial", camera.serial.as_ref(), false),
        ("lens", camera.lens.as_ref(), false),
        ("note", camera.note.as_ref(), false),
    ];
    for (field, text, required) in texts {
        let text = text.map_or("", String::as_str);
        if required && text.trim().is_empty() {
            wrong(field, "is empty: write it as the camera's own photos state it".to_owned());
        }
        if text.chars().count() > MAX_CHARS {
            wrong(field, format!("is longer than {MAX_CHARS} characters"));
        }
        if text.chars().any(char::is_control) {
            wrong(field, "has a control character".to_owned());
        }
    }
    if camera.width_px.is_some() != camera.height_px.is_some() {
        wrong("width_px", "width and height are given together or not at all".to_owned());
    }
    for (field, side) in [("width_px", camera.width_px), ("height_px", camera.height_px)] {
        if side.is_some_and(|side| !(1..=MAX_SIDE_PX).contains(&side)) {
            wrong(field, format!("is not 1 to {MAX_SIDE_PX}"));
        }
    }
    if camera.quantisation.len() > MAX_TABLES {
        wrong("quantisation", format!("has more than {MAX_TABLES} sets"));
    }
    if errors.is_empty() { Ok(()) } else { Err(Error::invalid(errors)) }
}

/// The cameras of a device, in the order in which they were enrolled.
///
/// # Errors
/// When the database fails.
pub fn of_device(conn: &mut Conn, device: &DeviceId) -> Result<Vec<Camera>> {
    let rows: Vec<CameraRow> = device_cameras::table
        .filter(device_cameras::device_id.eq(device))
        .order((device_cameras::added_at, device_cameras::id))
        .select(CameraRow::as_select())
        .load(conn)?;
    rows.into_iter().map(Camera::try_from).collect()
}

fn list(conn: &mut Conn, actor: &Actor, device: &DeviceId) -> Result<Vec<Camera>> {
    if !actor.may(Permission::ManageAccounts) {
        actor.require(Permission::ReadVisits)?;
    }
    device_store::device(conn, device)?.ok_or_else(|| Error::not_found("device"))?;
    of_device(conn, device)
}

/// The cameras whose photos are expected from a device.
#[utoipa::path(get, path = "/api/v1/devices/{id}/cameras", tag = "accounts", params(("id" = DeviceId, Path)),
    responses((status = 200, body = [Camera]), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn list_cameras(
    app: Data<App>,
    actor: Actor,
    id: Path<DeviceId>,
) -> Result<Json<Vec<Camera>>> {
    app.read(move |conn| list(conn, &actor, &id)).await.map(Json)
}

/// Enrol a camera with a device: photos of others become findings. Rows are never changed or removed; the
/// same camera again answers as the first time.
#[utoipa::path(post, path = "/api/v1/devices/{id}/cameras", tag = "accounts", params(("id" = DeviceId, Path)),
    request_body = AddCamera, responses((status = 201, body = Camera), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn add_camera(
    app: Data<App>,
    actor: Actor,
    id: Path<DeviceId>,
    body: Json<AddCamera>,
) -> Result<HttpResponse> {
    let now = app.clock.now();
    let camera = app.write(move |conn| add(conn, &actor, &id, body.into_inner(), now)).await?;
    Ok(HttpResponse::Created().json(camera))
}
