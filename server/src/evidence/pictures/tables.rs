//! The quantisation tables of a photo against those of the device's cameras.

use std::collections::BTreeSet;

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::photo::PhotoFacts;
use serde_json::json;

use crate::accounts::Camera;
use crate::evidence::findings::{NewFinding, Weight};
use crate::evidence::observe::is_of;
use crate::picture::Analysis;

const METHOD: &str = "quantisation-1";
/// The signal that the photo's camera has no tables to compare with; said once for a device and visit.
pub(in crate::evidence) const NOT_CHECKED: &str = "quantisation-not-checked";

/// Whether one of the cameras that the photo can be of writes such tables. A photo of no enrolled camera is told
/// as that when its record comes in.
pub(in crate::evidence) fn of_tables(
    facts: &PhotoFacts,
    analysis: &Analysis,
    cameras: &[Camera],
) -> Option<NewFinding> {
    let cameras: Vec<&Camera> = cameras.iter().filter(|camera| is_of(facts, camera)).collect();
    let first = cameras.first()?;
    let (make, model) = (&first.make, &first.model);
    let known: BTreeSet<&Sha256> = cameras.iter().flat_map(|camera| &camera.quantisation).collect();
    let not_checked = |summary: String| NewFinding {
        signal: NOT_CHECKED,
        weight: Weight::Info,
        summary,
        values: json!({ "make": make, "model": model, "quantisation": analysis.quantisation }),
        uncertainty: "nothing was compared".to_owned(),
        explanations: "Nobody entered the camera's tables yet; other formats than JPEG have none.",
        method: METHOD,
    };
    let Some(own) = &analysis.quantisation else {
        return Some(not_checked(format!(
            "A photo of the camera {make} {model} has no quantisation tables that can be read; they are not checked."
        )));
    };
    if known.is_empty() {
        return Some(not_checked(format!(
            "No quantisation tables are enrolled with the camera {make} {model}, so those of its photos are not checked."
        )));
    }
    if known.contains(own) {
        return None;
    }
    Some(NewFinding {
        signal: "quantisation-differs",
        weight: Weight::Look,
        summary: format!(
            "The photo's quantisation tables are none of the {} that are enrolled with the camera {make} {model}: \
             something else may have written the file.",
            match known.len() {
                1 => "one set".to_owned(),
                many => format!("{many} sets"),
            }
        ),
        values: json!({ "make": make, "model": model, "quantisation": own, "enrolled": known }),
        uncertainty: "a camera may have more sets than were enrolled".to_owned(),
        explanations: "The camera was set to another quality or size, chose finer tables for the scene, or got new \
                       firmware; an app passed the photo on and wrote it anew.",
        method: METHOD,
    })
}

#[cfg(test)]
mod tests {
    use endcheck_protocol::photo;

    use super::*;
    use crate::picture;

    fn camera(model: &str, quantisation: &[&Sha256]) -> Camera {
        Camera {
            id: "0190b3c8-5f4e-7c1a-9d2e-3f4a5b6c7d8e".parse().unwrap(),
            device: "0190b3c8-5f4e-7c1a-9d2e-3f4a5b6c7d8e".parse().unwrap(),
            make: "SONY".to_owned(),
            model: model.to_owned(),
            serial: None,
            lens: None,
            width_px: None,
            height_px: None,
            quantisation: quantisation.iter().copied().cloned().collect(),
            note: None,
            added_by: "0190b3c8-5f4e-7c1a-9d2e-3f4a5b6c7d8e".parse().unwrap(),
            added_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn tables_are_compared_with_those_of_the_cameras_that_it_can_be_of() {
        let bytes = std::fs::read("../fixtures/photos/02-sign.jpg").unwrap();
        let facts = photo::read(&bytes).unwrap();
        let analysis = picture::analyse(&bytes, &facts);
        let own = analysis.quantisation.clone().unwrap();
        let other = Sha256::of(b"other tables");
        let model = "DSC-HX5V";
        for (cameras, told) in [
            (vec![camera(model, &[&own])], None),
            (vec![camera(model, &[&other, &own])], None),
            (vec![camera(model, &[&other]), camera(model, &[&own])], None),
            (vec![camera(model, &[&other])], Some("quantisation-differs")),
            (vec![camera(model, &[])], Some(NOT_CHECKED)),
            (vec![camera(model, &[&other]), camera("other", &[&own])], Some("quantisation-differs")),
            (vec![camera("other", &[&own])], None),
            (vec![], None),
        ] {
            let found = of_tables(&facts, &analysis, &cameras);
            assert_eq!(found.map(|finding| finding.signal), told, "{cameras:?}");
        }
        let unreadable = picture::Analysis { quantisation: None, ..analysis };
        let found = of_tables(&facts, &unreadable, &[camera(model, &[&own])]);
        assert_eq!(
            found.map(|finding| finding.signal),
            Some(NOT_CHECKED),
            "what cannot be compared is not passed"
        );
    }
}
