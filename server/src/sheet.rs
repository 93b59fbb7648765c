//! Lists for spreadsheets: CSV as RFC 4180 has it, in which no cell can start a formula.

/// The media type of what [`line()`] makes.
pub const MEDIA_TYPE: &str = "text/csv; charset=utf-8; header=present";

/// A line with its end. A cell that a spreadsheet would take for a formula gets an apostrophe before it.
pub fn line<T: AsRef<str>>(cells: impl IntoIterator<Item = T>) -> String {
    let mut line = String::new();
    for (position, cell) in cells.into_iter().enumerate() {
        if position > 0 {
            line.push(',');
        }
        push(&mut line, cell.as_ref());
    }
    line.push_str("\r\n");
    line
}

fn push(line: &mut String, cell: &str) {
    // Blanks before it do not keep a spreadsheet from taking it for one.
    let first = cell.trim_start_matches(' ').chars().next();
    let is_formula =
        matches!(first, Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠'));
    let is_quoted = is_formula || cell.contains(['"', ',', '\n', '\r']);
    if is_quoted {
        line.push('"');
    }
    if is_formula {
        line.push('\'');
    }
    line.push_str(&cell.replace('"', "\"\""));
    if is_quoted {
        line.push('"');
    }
}

/// Whether a request prefers CSV: by the header `Accept`.
#[must_use]
pub fn is_wanted(request: &actix_web::HttpRequest) -> bool {
    let accept = request.headers().get(actix_web::http::header::ACCEPT);
    let first =
        accept.and_then(|accept| accept.to_str().ok()).and_then(|accept| accept.split([',', ';']).next());
    first.is_some_and(|first| first.trim().eq_ignore_ascii_case("text/csv"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_starts_a_formula_and_each_is_read_as_it_was() {
        for (cell, written) in [
            ("NVA-26", "NVA-26"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=1+1", "\"'=1+1\""),
            ("+49", "\"'+49\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("  =cmd|' /C calc'!A0", "\"'  =cmd|' /C calc'!A0\""),
            ("\t=1", "\"'\t=1\""),
            ("\r\n=1", "\"'\r\n=1\""),
            ("＝1", "\"'＝1\""),
            ("", ""),
        ] {
            assert_eq!(line([cell]), format!("{written}\r\n"), "{cell:?}");
        }
        assert_eq!(line(["a", "b"]), "a,b\r\n");
    }
}
