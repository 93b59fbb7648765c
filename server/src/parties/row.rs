//! What a row of parties looks like.

use super::{NewParty, PartyKind};
use crate::rows::{Column, Faults, Fields, Placed, Row, Shape};

/// The columns of `parties.csv`; the fields of the JSON form are the same.
pub const SHAPE: Shape = Shape {
    thing: "party",
    features: false,
    columns: &[
        Column { name: "key", required: true },
        Column { name: "name", required: true },
        Column { name: "aliases", required: false },
        Column { name: "kind", required: true },
        Column { name: "address", required: true },
        Column { name: "country", required: true },
        Column { name: "registration_no", required: false },
    ],
    parts: &[],
};

/// A party, when nothing is wrong with the row.
pub fn parse(row: Row, faults: &mut Faults) -> Option<Placed<NewParty>> {
    let mut fields = Fields::of(row, faults);
    let party = NewParty {
        key: fields.key("key"),
        name: fields.text("name"),
        aliases: fields.texts("aliases"),
        kind: fields.word("kind", PartyKind::WORDS, PartyKind::parse),
        address: fields.text("address"),
        country: fields.country("country"),
        registration_no: fields.optional_text("registration_no"),
    };
    fields.finish(party)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Format, read};

    const HEADER: &str = "key,name,aliases,kind,address,country,registration_no";

    /// Rows, and the faults that they have: line, field, part of the reason.
    type Case<'a> = (&'a str, &'a [(u64, &'a str, &'a str)]);

    #[test]
    fn each_fault_is_named_with_its_line_and_field() {
        let table: &[Case<'_>] = &[
            ("P-1,Acme,A;B,company,Street 1,DE,HRB 1", &[]),
            ("P-1,Acme,,person,\"Street 1\nTown\",DE,", &[]),
            (",Acme,,company,Street 1,DE,", &[(2, "key", "is missing")]),
            ("P 1,Acme,,company,Street 1,DE,", &[(2, "key", "without blanks")]),
            ("P-1,Acme,A;;B,company,Street 1,DE,", &[(2, "aliases", "is empty")]),
            (
                "P-1,Acme,,firm,Street 1,XX,",
                &[(2, "kind", "\"firm\" is not one of company"), (2, "country", "3166")],
            ),
            ("P-1,Acme,,company,Street 1", &[(2, "row", "5 cells, the header 7")]),
            ("P-1,Ac\u{0}me,,company,Street 1,DE,", &[(2, "name", "control character")]),
            ("\r\nP-1,,,company,Street 1,DE,", &[(3, "name", "is missing")]),
            ("P-1,A,,company,S,DE,\r\nP-2,,,company,S,DE,\r\n", &[(3, "name", "is missing")]),
        ];
        for (rows, expected) in table {
            let text = format!("\u{feff}{HEADER}\r\n{rows}\r\n");
            let (_, faults) = read(text.as_bytes(), Format::Csv, &SHAPE, parse);
            let found = faults.into_listed();
            assert_eq!(found.len(), expected.len(), "{rows:?}: {found:?}");
            for (fault, (line, field, reason)) in found.iter().zip(*expected) {
                assert_eq!((fault.line, fault.field.as_str()), (Some(*line), *field), "{rows:?}: {found:?}");
                assert!(fault.reason.contains(reason), "{rows:?}: {found:?}");
            }
        }
    }

    #[test]
    fn headers_are_checked_by_name() {
        for (header, field, reason) in [
            ("key,name,kind,address,country,colour", "colour", "is not a column of a party"),
            ("key,name,kind,address", "country", "the column is missing"),
            ("key,name,name,kind,address,country", "name", "there twice"),
            ("key;name;kind;address;country", "file", "commas"),
            ("", "file", "is empty"),
        ] {
            let (rows, faults) = read(header.as_bytes(), Format::Csv, &SHAPE, parse);
            let found = faults.into_listed();
            assert!(rows.is_empty());
            assert!(
                found.iter().any(|f| f.line == Some(1) && f.field == field && f.reason.contains(reason)),
                "{found:?}"
            );
        }
    }

    #[test]
    fn json_is_checked_by_type_and_by_name() {
        let good = r#"{"key":"P-1","name":"Acme","aliases":["A"],"kind":"company","address":"S","country":"DE","registration_no":null}"#;
        let table: &[(String, u64, &str, &str)] = &[
            (good.replace("\"Acme\"", "5"), 2, "[0].name", "expected text, found a number"),
            (good.replace("[\"A\"]", "\"A\""), 2, "[0].aliases", "expected a list"),
            (good.replace("country", "land"), 2, "[0].land", "not a known field"),
            (good.replace("\"kind\":\"company\",", ""), 2, "[0].kind", "is missing"),
            (good.replace("\"name\"", "\"key\""), 2, "[0]", "there twice"),
            ("7".to_owned(), 2, "[0]", "expected an object"),
            (format!("{good},\n\n{}", good.replace("DE", "D")), 4, "[1].country", "3166"),
            (format!("{good},"), 3, "file", "trailing comma"),
        ];
        let (rows, faults) = read(format!("[\n{good}\n]").as_bytes(), Format::Json, &SHAPE, parse);
        assert_eq!((rows.len(), faults.count()), (1, 0));
        for (rows, line, field, reason) in table {
            let (_, faults) = read(format!("[\n{rows}\n]").as_bytes(), Format::Json, &SHAPE, parse);
            let found = faults.into_listed();
            let named =
                found.iter().any(|f| f.line == Some(*line) && f.field == *field && f.reason.contains(reason));
            assert!(named, "{rows}: {found:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_named_by_their_line_and_the_rest_is_still_checked() {
        let text = [HEADER.as_bytes(), b"\nP-1,\xFFcme,,company,S,DE,\nP-2,,,company,S,DE,\n"].concat();
        let (_, faults) = read(&text, Format::Csv, &SHAPE, parse);
        let lines: Vec<_> = faults.into_listed().into_iter().map(|f| (f.line, f.field)).collect();
        assert_eq!(lines, [(Some(2), "file".to_owned()), (Some(3), "name".to_owned())]);
    }
}
