//! The quantisation tables of a JPEG (ITU T.81 B.2.4.1): how finely its writer kept each frequency. Most cameras use a
//! few sets of them; a program that writes the file anew often uses others.

use crate::digest::Sha256;

/// The tables in force where the picture data begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuantisationTables<'a> {
    /// The values of each number, 64 of one byte or of two.
    tables: [Option<&'a [u8]>; 4],
    damaged: bool,
}

impl<'a> QuantisationTables<'a> {
    /// Takes in the body of a segment; a number that comes again stands for its last table.
    pub(super) fn add(&mut self, segment: &'a [u8]) {
        let mut rest = segment;
        while let Some((head, after)) = rest.split_first() {
            let size = if head >> 4 == 0 { 64 } else { 128 };
            let Some(((values, after), slot)) =
                after.split_at_checked(size).zip(self.tables.get_mut(usize::from(head & 0x0F)))
            else {
                self.damaged = true;
                return;
            };
            *slot = Some(values);
            rest = after;
        }
    }

    /// What tells one set of tables from another: SHA-256 over the tables in the order of their numbers, of each its
    /// number in one byte, then its 64 values as they follow in the file, two bytes each, highest first. `None` where
    /// there are none, or one is cut off.
    #[must_use]
    pub fn digest(&self) -> Option<Sha256> {
        let mut text = Vec::with_capacity(2 * 129);
        for (number, values) in (0_u8..).zip(&self.tables) {
            let Some(values) = values else { continue };
            text.push(number);
            if values.len() == 64 {
                text.extend(values.iter().flat_map(|value| [0, *value]));
            } else {
                text.extend_from_slice(values);
            }
        }
        (!self.damaged && !text.is_empty()).then(|| Sha256::of(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(number: u8, value: u8) -> Vec<u8> {
        [vec![number], vec![value; 64]].concat()
    }

    fn digest(segments: &[&[u8]]) -> Option<Sha256> {
        let mut tables = QuantisationTables::default();
        segments.iter().for_each(|segment| tables.add(segment));
        tables.digest()
    }

    #[test]
    fn the_same_tables_are_the_same_however_they_are_written() {
        let (first, second) = (table(0, 3), table(1, 5));
        let apart = digest(&[&first, &second]);
        assert!(apart.is_some());
        assert_eq!(digest(&[&[&first[..], &second].concat()]), apart, "in one segment");
        assert_eq!(digest(&[&second, &first]), apart, "in another order");
        let wide = [vec![0x10], [0, 3].repeat(64)].concat();
        assert_eq!(digest(&[&wide, &second]), apart, "of two bytes a value");
        assert_eq!(digest(&[&table(0, 9), &first, &second]), apart, "defined twice");
    }

    #[test]
    fn other_tables_are_others_and_cut_ones_none() {
        let first = table(0, 3);
        for other in [table(0, 4), table(1, 3)] {
            assert!(digest(&[&other]).is_some_and(|other| Some(other) != digest(&[&first])));
        }
        assert_ne!(digest(&[&first, &table(1, 3)]), digest(&[&first]));
        for cut in 1..first.len() {
            assert_eq!(digest(&[&first[..cut]]), None, "cut at {cut}");
        }
        assert_eq!(digest(&[]), None);
        assert_eq!(digest(&[&table(4, 3)]), None, "there are four tables");
    }
}
