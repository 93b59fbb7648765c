//! A photo's camera against those that belong to the device.

use endcheck_protocol::photo::PhotoFacts;
use endcheck_protocol::record::{Act, Record};
use serde_json::json;

use super::{Context, METHOD};
use crate::accounts::Camera;
use crate::evidence::findings::{EXACT, NewFinding, Weight};

/// The signal that a device has no profile; said once for a device and visit.
pub(in crate::evidence) const NOT_CHECKED: &str = "camera-not-checked";

pub(super) fn camera(record: &Record, context: &Context<'_>, found: &mut Vec<NewFinding>) {
    let Act::Photo { facts, .. } = &record.act else { return };
    if context.cameras.is_empty() {
        found.push(NewFinding {
            signal: NOT_CHECKED,
            weight: Weight::Info,
            summary: "The device has no enrolled camera, so the cameras of its photos are not checked."
                .to_owned(),
            values: json!({}),
            uncertainty: "nothing was compared".to_owned(),
            explanations: "Nobody entered the device's cameras yet.",
            method: METHOD,
        });
        return;
    }
    if context.cameras.iter().any(|camera| is_of(facts, camera)) {
        return;
    }
    let stated = facts.make.is_some() || facts.model.is_some();
    let name =
        [facts.make.as_deref(), facts.model.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    found.push(NewFinding {
        signal: if stated { "camera-not-enrolled" } else { "camera-not-stated" },
        weight: if stated { Weight::Look } else { Weight::Info },
        summary: if stated {
            format!("The photo's camera ({name}) is none of those enrolled with the device.")
        } else {
            "The photo does not say which camera took it.".to_owned()
        },
        values: json!({
            "make": facts.make, "model": facts.model, "serial": facts.serial, "lens": facts.lens,
            "width_px": facts.width, "height_px": facts.height,
            "enrolled": context.cameras.iter().map(|camera| json!({
                "make": camera.make, "model": camera.model, "serial": camera.serial, "lens": camera.lens,
                "width_px": camera.width_px, "height_px": camera.height_px,
            })).collect::<Vec<_>>(),
        }),
        uncertainty: if stated {
            format!("{EXACT}; what a file leaves out is not held against it")
        } else {
            "nothing was compared".to_owned()
        },
        explanations: if stated {
            "A camera was replaced or lent and not entered yet; new firmware writes its name another way; the photo \
             was cropped in the camera."
        } else {
            "Messaging apps and screenshots leave the camera out."
        },
        method: METHOD,
    });
}

/// Whether what the photo says fits the camera; what either leaves out does not count, save the model.
pub(in crate::evidence) fn is_of(facts: &PhotoFacts, camera: &Camera) -> bool {
    let same = |one: &str, other: &str| one.trim().eq_ignore_ascii_case(other.trim());
    let fits = |stated: Option<&str>, enrolled: Option<&str>| match (stated, enrolled) {
        (Some(stated), Some(enrolled)) => same(stated, enrolled),
        _ => true,
    };
    let sides = |one: i64, other: i64| (one.min(other), one.max(other));
    let dimensions = camera.width_px.zip(camera.height_px).is_none_or(|(width_px, height_px)| {
        sides(facts.width.into(), facts.height.into()) == sides(width_px, height_px)
    });
    facts.model.as_deref().is_some_and(|model| same(model, &camera.model))
        && fits(facts.make.as_deref(), Some(&camera.make))
        && fits(facts.serial.as_deref(), camera.serial.as_deref())
        && fits(facts.lens.as_deref(), camera.lens.as_deref())
        && dimensions
}
