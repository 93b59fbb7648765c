//! What a row of sites looks like: a GeoJSON feature, or in CSV a point with a radius.

use endcheck_protocol::place::{Fence, Position};
use serde_json::{Value, json};

use super::NewSite;
use crate::rows::{Column, Faults, Fields, Placed, Row, Shape};

/// The properties of a feature, and the columns of CSV, where the fence is a point with a radius.
pub const SHAPE: Shape = Shape {
    thing: "site",
    features: true,
    columns: &[
        Column { name: "key", required: true },
        Column { name: "party", required: true },
        Column { name: "name", required: true },
        Column { name: "address", required: true },
        Column { name: "country", required: true },
        Column { name: "time_zone", required: true },
        Column { name: "latitude", required: false },
        Column { name: "longitude", required: false },
        Column { name: "radius_m", required: false },
    ],
    parts: &[],
};

/// A site, when nothing is wrong with the row.
pub fn parse(row: Row, faults: &mut Faults) -> Option<Placed<NewSite>> {
    let csv = row.csv;
    let mut fields = Fields::of(row, faults);
    let site = NewSite {
        key: fields.key("key"),
        party: fields.key("party"),
        name: fields.text("name"),
        address: fields.text("address"),
        country: fields.country("country"),
        time_zone: fields.time_zone("time_zone"),
        fence: if csv { circle(&mut fields) } else { geometry(&mut fields) },
    };
    fields.finish(site)
}

fn geometry(fields: &mut Fields<'_>) -> Option<Value> {
    let radius_m = fields.value("radius_m");
    let Some(geometry) = fields.value("geometry") else {
        if radius_m.is_some() {
            fields.fault("radius_m", "stands without a geometry; give a Point, or leave it out");
        }
        return None;
    };
    let is_point = geometry.get("type").is_some_and(|kind| kind == "Point");
    if radius_m.is_some() && !is_point {
        fields.fault("radius_m", "goes with a Point, and only there");
        return None;
    }
    let properties = radius_m.map_or_else(|| json!({}), |radius_m| json!({"radius_m": radius_m}));
    let feature = json!({"type": "Feature", "properties": properties, "geometry": geometry});
    match Fence::from_geojson(&feature) {
        Ok(fence) => Some(fence.to_geojson()),
        Err(error) => {
            fields.fault("geometry", error.to_string());
            None
        }
    }
}

fn circle(fields: &mut Fields<'_>) -> Option<Value> {
    let given = ["latitude", "longitude", "radius_m"].map(|name| fields.optional_number(name));
    let [Some(latitude), Some(longitude), Some(radius_m)] = given else {
        if given.iter().any(Option::is_some) {
            fields.fault("radius_m", "latitude, longitude and radius_m go together; give all three or none");
        }
        return None;
    };
    let fence = Position::from_degrees(latitude, longitude)
        .map_err(|error| error.to_string())
        .and_then(|centre| Fence::circle(centre, radius_m).map_err(|error| error.to_string()));
    match fence {
        Ok(fence) => Some(fence.to_geojson()),
        Err(reason) => {
            fields.fault("latitude", reason);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Format, read};

    const GOOD: &str = r#"{"type":"Feature","properties":{"key":"S-1","party":"P-1","name":"Yard","address":"S 1","country":"DE","time_zone":"Europe/Berlin","radius_m":150},"geometry":{"type":"Point","coordinates":[8.3,51.7]}}"#;

    #[test]
    fn features_become_sites_and_their_faults_are_named() {
        let square = r#"{"type":"Polygon","coordinates":[[[8.3,51.7],[8.31,51.7],[8.31,51.71],[8.3,51.7]]]}"#;
        let point = r#"{"type":"Point","coordinates":[8.3,51.7]}"#;
        let table: &[(String, &str, &str)] = &[
            (GOOD.replace("Europe/Berlin", "Berlin"), "features[0].time_zone", "IANA"),
            (GOOD.replace(point, square), "features[0].radius_m", "goes with a Point"),
            (GOOD.replace(point, "null"), "features[0].radius_m", "without a geometry"),
            (GOOD.replace("51.7]", "151.7]"), "features[0].geometry", ""),
            (GOOD.replace(",\"radius_m\":150", ""), "features[0].geometry", ""),
            (GOOD.replace("\"name\"", "\"label\""), "features[0].label", "not a known field"),
            (GOOD.replace("\"Feature\"", "\"Site\""), "features[0].type", "Feature"),
        ];
        let wrap = |feature: &str| format!("{{\"type\":\"FeatureCollection\",\"features\":[\n{feature}\n]}}");
        let (sites, faults) = read(wrap(GOOD).as_bytes(), Format::Json, &SHAPE, parse);
        assert_eq!(faults.into_listed(), []);
        assert_eq!(sites[0].value.fence.as_ref().unwrap()["properties"]["radius_m"], 150.0);
        for (feature, field, reason) in table {
            let (_, faults) = read(wrap(feature).as_bytes(), Format::Json, &SHAPE, parse);
            let found = faults.into_listed();
            let named =
                found.iter().any(|f| f.line == Some(2) && f.field == *field && f.reason.contains(reason));
            assert!(named, "{feature}: {found:?}");
        }
        let other = wrap(GOOD).replace(
            "Collection\",",
            "Collection\",\"crs\":{\"type\":\"name\",\"properties\":{\"name\":\"EPSG:3857\"}},",
        );
        let (_, faults) = read(other.as_bytes(), Format::Json, &SHAPE, parse);
        assert!(faults.into_listed()[0].reason.contains("WGS 84"));
    }

    #[test]
    fn csv_has_a_point_and_a_radius_or_none_of_them() {
        for (cells, expected) in [
            ("51.7,8.3,150", None),
            (",,", None),
            ("51.7,8.3,", Some("radius_m")),
            ("91,8.3,5", Some("latitude")),
            ("x,8.3,5", Some("latitude")),
        ] {
            let text = format!(
                "key,party,name,address,country,time_zone,latitude,longitude,radius_m\nS-1,P-1,Yard,S 1,DE,Europe/Berlin,{cells}\n"
            );
            let (_, faults) = read(text.as_bytes(), Format::Csv, &SHAPE, parse);
            let found = faults.into_listed();
            assert_eq!(found.first().map(|f| f.field.as_str()), expected, "{cells}: {found:?}");
        }
    }
}
