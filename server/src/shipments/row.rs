//! What a row of shipments looks like.

use std::collections::BTreeSet;

use super::{NewItem, NewShipment};
use crate::rows::{Column, Faults, Fields, Part, Placed, Row, Shape};

/// The columns of `shipments.csv`, a row for each item.
pub const SHAPE: Shape = Shape {
    thing: "shipment",
    features: false,
    columns: &[
        Column { name: "key", required: true },
        Column { name: "licence", required: true },
        Column { name: "line", required: true },
        Column { name: "exporter", required: true },
        Column { name: "intermediates", required: false },
        Column { name: "consignee", required: true },
        Column { name: "end_user", required: true },
        Column { name: "site", required: true },
        Column { name: "shipped_on", required: false },
        Column { name: "arrived_on", required: false },
        Column { name: "hs6", required: true },
        Column { name: "declared_use", required: true },
    ],
    parts: &[Part {
        list: "items",
        row: "item",
        columns: &[
            ("item", "key"),
            ("manufacturer", "manufacturer"),
            ("part_number", "part_number"),
            ("description", "description"),
            ("serial", "serial"),
            ("lot", "lot"),
            ("quantity", "quantity"),
            ("unit", "unit"),
        ],
    }],
};

/// A shipment, when nothing is wrong with the row.
pub fn parse(row: Row, faults: &mut Faults) -> Option<Placed<NewShipment>> {
    let mut fields = Fields::of(row, faults);
    let shipment = NewShipment {
        key: fields.key("key"),
        licence: fields.key("licence"),
        line: fields.integer("line", 1),
        exporter: fields.key("exporter"),
        intermediates: fields.keys("intermediates"),
        consignee: fields.key("consignee"),
        end_user: fields.key("end_user"),
        site: fields.key("site"),
        shipped_on: fields.optional_date("shipped_on"),
        arrived_on: fields.optional_date("arrived_on"),
        hs6: fields.hs6("hs6"),
        declared_use: fields.text("declared_use"),
        items: items(&mut fields),
    };
    if let (Some(shipped), Some(arrived)) = (&shipment.shipped_on, &shipment.arrived_on)
        && arrived < shipped
    {
        fields.fault("arrived_on", format!("is before shipped_on ({shipped})"));
    }
    fields.finish(shipment)
}

fn items(fields: &mut Fields<'_>) -> Vec<NewItem> {
    let before = fields.faults();
    let items = fields.list("items", item);
    if items.is_empty() && fields.faults() == before {
        fields.fault("items", "a shipment has at least one item");
    }
    let mut seen = BTreeSet::new();
    for twice in items.iter().filter(|item| !seen.insert(&item.value.key)) {
        fields.fault_at(&twice.place, "key", format!("item {} is in this shipment already", twice.value.key));
    }
    items.into_iter().map(|placed| placed.value).collect()
}

fn item(row: Row, faults: &mut Faults) -> Option<Placed<NewItem>> {
    let mut fields = Fields::of(row, faults);
    let item = NewItem {
        key: fields.key("key"),
        manufacturer: fields.text("manufacturer"),
        part_number: fields.text("part_number"),
        description: fields.text("description"),
        serial: fields.optional_text("serial"),
        lot: fields.optional_text("lot"),
        quantity: fields.quantity("quantity"),
        unit: fields.text("unit"),
    };
    match (&item.serial, &item.lot) {
        (None, None) => fields.fault("serial", "an item has a serial or a lot; both are missing"),
        (Some(_), Some(_)) => fields.fault("lot", "an item has a serial or a lot, not both"),
        (Some(_), None) if item.unit == "piece" && !matches!(item.quantity.as_str(), "" | "1") => {
            fields.fault("quantity", "a serial is that of a single piece; give a lot for many");
        }
        _ => {}
    }
    fields.finish(item)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Format, read};

    const HEADER: &str = "key,licence,line,exporter,intermediates,consignee,end_user,site,shipped_on,arrived_on,hs6,declared_use,item,manufacturer,part_number,description,serial,lot,quantity,unit";
    const OWN: &str = "SH-1,L-1,1,P-1,P-2;P-3,P-4,P-5,S-1,2026-03-12,2026-03-24,854370,Links";

    #[test]
    fn rows_of_one_shipment_are_its_items() {
        let text = format!(
            "{HEADER}\r\n{OWN},i1,M,PN,D,N1,,1,piece\r\n{OWN},i2,M,PN,D,,LOT,0.50,kg\r\n{}\r\n",
            format_args!("{},i1,M,PN,D,N1,,1,piece", OWN.replace("SH-1", "SH-2"))
        );
        let (shipments, faults) = read(text.as_bytes(), Format::Csv, &SHAPE, parse);
        assert_eq!(faults.into_listed(), []);
        let counts: Vec<_> = shipments.iter().map(|s| (s.value.key.as_str(), s.value.items.len())).collect();
        assert_eq!(counts, [("SH-1", 2), ("SH-2", 1)]);
        assert_eq!(shipments[0].value.items[1].quantity, "0.5");
        assert_eq!(shipments[0].value.intermediates, ["P-2", "P-3"]);
    }

    #[test]
    fn faults_are_named_on_the_line_of_the_item() {
        let good = format!("{HEADER}\n{OWN},i1,M,PN,D,N1,,1,piece\n{OWN},i2,M,PN,D,N2,,1,piece\n");
        for (from, to, line, field, reason) in [
            ("854370,Links,i1", "85437,Links,i1", 2, "hs6", "six digits"),
            (
                "2026-03-24,854370,Links,i1",
                "2026-03-02,854370,Links,i1",
                2,
                "arrived_on",
                "before shipped_on",
            ),
            ("i2,M,PN,D,N2,,1", "i2,M,PN,D,N2,,2", 3, "quantity", "single piece"),
            ("i2,M,PN,D,N2,,1", "i2,M,PN,D,,,1", 3, "serial", "both are missing"),
            ("i2,M,PN,D,N2,,1", "i2,M,PN,D,N2,B,1", 3, "lot", "not both"),
            ("i2,M,PN,D,N2,,1", "i2,M,PN,D,N2,,-1", 3, "quantity", "positive decimal"),
            ("i2,M,PN", "i1,M,PN", 3, "key", "already"),
            ("Links,i2", "Radar,i2", 3, "declared_use", "differs from line 2"),
            ("L-1,1,P-1", "L-1,one,P-1", 2, "line", "whole number"),
        ] {
            assert!(good.contains(from), "{from}");
            let text = good.replacen(from, to, 1);
            let (_, faults) = read(text.as_bytes(), Format::Csv, &SHAPE, parse);
            let found = faults.into_listed();
            let named =
                found.iter().any(|f| f.line == Some(line) && f.field == field && f.reason.contains(reason));
            assert!(named, "{to}: {found:?}");
        }
    }
}
