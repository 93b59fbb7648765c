//! Paths of tiles (C2SP tlog-tiles): `tile/LEVEL/N[.p/WIDTH]` and `tile/entries/N[.p/WIDTH]`, N in
//! groups of three digits.

use super::decimal;
use crate::merkle::TILE_WIDTH;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TileKind {
    /// Hashes of a level, 0 to 63.
    Hashes { level: u32 },
    /// Entries, each after its length in two bytes.
    Entries,
}

/// One tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    pub kind: TileKind,
    /// Place among the tiles of its level.
    pub index: u64,
    /// Hashes or entries in it, 1 to 256.
    pub width: u64,
}

impl Tile {
    /// Positions within the level that the tile covers.
    #[must_use]
    pub fn positions(&self) -> std::ops::Range<u64> {
        let start = self.index.saturating_mul(TILE_WIDTH);
        start..start.saturating_add(self.width)
    }

    /// Reads the part of the path behind `tile/`. `None` where it is not written as it must be.
    #[must_use]
    pub fn from_path(path: &str) -> Option<Self> {
        let (kind, rest) = path.split_once('/')?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => {
                TileKind::Hashes { level: u32::try_from(decimal(level)?).ok().filter(|level| *level < 64)? }
            }
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => {
                (number, decimal(width).filter(|width| (1..TILE_WIDTH).contains(width))?)
            }
            None => (rest, TILE_WIDTH),
        };
        let tile = Self { kind, index: index_from_path(number)?, width };
        // One way to write each: no leading groups of zeros.
        (tile.path() == path).then_some(tile)
    }

    /// The path behind `tile/`.
    #[must_use]
    pub fn path(&self) -> String {
        let mut groups = vec![format!("{:03}", self.index % 1000)];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(format!("x{:03}", rest % 1000));
            rest /= 1000;
        }
        groups.reverse();
        let kind = match self.kind {
            TileKind::Hashes { level } => level.to_string(),
            TileKind::Entries => "entries".to_owned(),
        };
        let width = if self.width == TILE_WIDTH { String::new() } else { format!(".p/{}", self.width) };
        format!("{kind}/{}{width}", groups.join("/"))
    }
}

fn index_from_path(path: &str) -> Option<u64> {
    path.split('/').try_fold(0_u64, |index, group| {
        let digits = group.strip_prefix('x').unwrap_or(group);
        let number: u64 = digits.parse().ok().filter(|_| digits.len() == 3)?;
        index.checked_mul(1000)?.checked_add(number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_in_one_form_only() {
        let hashes = |level, index, width| Tile { kind: TileKind::Hashes { level }, index, width };
        for (path, tile) in [
            ("0/x001/x234/067", hashes(0, 1_234_067, 256)),
            ("1/000", hashes(1, 0, 256)),
            ("63/005.p/17", hashes(63, 5, 17)),
            ("entries/x001/000.p/1", Tile { kind: TileKind::Entries, index: 1000, width: 1 }),
        ] {
            assert_eq!(Tile::from_path(path), Some(tile), "{path}");
            assert_eq!(tile.path(), path);
        }
        for path in [
            "",
            "0",
            "0/",
            "0/1",
            "00/000",
            "64/000",
            "0/x000/001",
            "0/001/002",
            "0/000.p/0",
            "0/000.p/256",
            "0/000.p/01",
            "0/0a0",
            "0/x18446744073709551616/000",
            "entries/../000",
        ] {
            assert_eq!(Tile::from_path(path), None, "{path}");
        }
    }
}
