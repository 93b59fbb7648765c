//! What is carried by hand between a device and headquarters: a package of sealed parts on the way there,
//! receipts on the way back. The same records, files, receipts and proofs as over the network.
//!
//! A package says no more to whoever finds it than how many parts there are and how large: each part is an
//! age file named by its hash, and the keys in it are fingerprints. Nothing here reads or writes files.

use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::ids::DeviceId;
use crate::merkle::CompactRange;
use crate::sync::{Quarantine, ReceiptPage};

/// Payload type of a signed [`Package`].
pub const PACKAGE_TYPE: &str = "application/vnd.endcheck.package+json";
/// Payload type of a signed [`ReceiptsHead`].
pub const RECEIPTS_TYPE: &str = "application/vnd.endcheck.carried-receipts+json";
pub const PACKAGE_SCHEMA: &str = "endcheck-package-1";
pub const RECEIPTS_SCHEMA: &str = "endcheck-carried-receipts-1";

/// The signed [`Package`] in a package's folder.
pub const PACKAGE_FILE: &str = "package.dsse.json";
/// The list of parts, as `sha256sum` reads it.
pub const MANIFEST_FILE: &str = "manifest-sha256.txt";
/// What headquarters writes beside the parts, to be carried back.
pub const RECEIPTS_FILE: &str = "receipts.endcheck";
/// How a part's name ends.
pub const PART_EXTENSION: &str = "age";

/// Bytes of the records in one part at most, unpacked.
pub const MAX_BATCH_BYTES: usize = crate::sync::MAX_RECORDS_BYTES;

/// What a device signs about a package, with the key that it signs in with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    pub schema: String,
    /// SHA-256 of the list of parts.
    pub manifest: Sha256,
    /// Entries of the log in the newest checkpoint that the device holds; 0 for none.
    pub log_size: u64,
}

/// The folder of a device's package on a stick: more than one device may use it.
#[must_use]
pub fn package_folder(sign_in_fingerprint: &Sha256) -> String {
    format!("endcheck-{}", sign_in_fingerprint.as_str().get(..12).unwrap_or_default())
}

/// The name of a part.
#[must_use]
pub fn part_name(sealed: &Sha256) -> String {
    format!("{sealed}.{PART_EXTENSION}")
}

/// The list of parts, a line each.
#[must_use]
pub fn manifest(parts: &[Sha256]) -> String {
    parts.iter().map(|part| format!("{part}  {}\n", part_name(part))).collect()
}

/// Reads a list of parts.
///
/// # Errors
/// The number of the first line that is none of a part.
pub fn read_manifest(text: &str) -> Result<Vec<Sha256>, usize> {
    let read = |(at, line): (usize, &str)| {
        let (hash, name) = line.split_once("  ").ok_or(at + 1)?;
        let hash: Sha256 = hash.parse().map_err(|_| at + 1)?;
        if name == part_name(&hash) { Ok(hash) } else { Err(at + 1) }
    };
    text.lines().enumerate().map(read).collect()
}

/// How the log grew: with it, and nothing else, the holder of any checkpoint from `size` on can see whether
/// the log went on from there. The device may have heard of headquarters on another way meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogGrowth {
    pub size: u64,
    /// Roots of the full subtrees of the log of `size` entries, largest first.
    pub roots: Vec<Sha256>,
    /// Leaf hashes of the entries after these.
    pub leaves: Vec<Sha256>,
}

impl LogGrowth {
    /// The roots of the log at each of `sizes`; `None` where it does not tell.
    #[must_use]
    pub fn roots_at<const N: usize>(&self, sizes: [u64; N]) -> [Option<Sha256>; N] {
        let mut found = [const { None }; N];
        let Some(mut range) = CompactRange::from_parts(self.size, self.roots.clone()) else { return found };
        let mut note = |range: &CompactRange| {
            for (size, found) in sizes.iter().zip(&mut found) {
                if *size == range.size() {
                    *found = Some(range.root());
                }
            }
        };
        note(&range);
        for leaf in &self.leaves {
            range.push(leaf.clone());
            // A root costs some hashes: only where it is asked for.
            if sizes.contains(&range.size()) {
                note(&range);
            }
        }
        found
    }
}

/// A record that headquarters set aside, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetAside {
    pub record: Sha256,
    pub quarantine: Quarantine,
}

/// What the authority signs about carried receipts: the first line of their file. The second holds
/// [`CarriedReceipts`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptsHead {
    pub schema: String,
    /// SHA-256 of the second line, without its newline.
    pub content: Sha256,
}

/// What headquarters gives back for a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarriedReceipts {
    pub device: DeviceId,
    pub page: ReceiptPage,
    /// Absent where the log grew by too much.
    pub growth: Option<LogGrowth>,
    pub set_aside: Vec<SetAside>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::leaf_hash;

    #[test]
    fn a_list_of_parts_reads_as_it_is_written() {
        let parts = [Sha256::of(b"a"), Sha256::of(b"b")];
        assert_eq!(read_manifest(&manifest(&parts)).unwrap(), parts);
        assert_eq!(read_manifest("").unwrap(), []);
        let other = manifest(&parts).replace(&part_name(&parts[1]), "../x.age");
        assert_eq!(read_manifest(&other), Err(2));
        assert_eq!(read_manifest("nonsense\n"), Err(1));
    }

    #[test]
    fn growth_tells_the_roots_from_its_size_on() {
        let leaves: Vec<Sha256> = (0..40_u8).map(|n| leaf_hash(&[n])).collect();
        let range = |size: usize| {
            let mut range = CompactRange::default();
            for leaf in &leaves[..size] {
                range.push(leaf.clone());
            }
            range
        };
        for size in [0, 1, 7, 16, 40] {
            let growth = LogGrowth {
                size: size as u64,
                roots: range(size).roots().to_vec(),
                leaves: leaves[size..].to_vec(),
            };
            for at in size..=40 {
                assert_eq!(growth.roots_at([at as u64, 41]), [Some(range(at).root()), None]);
            }
            let missing = LogGrowth { roots: Vec::new(), ..growth };
            assert_eq!(missing.roots_at([40])[0].is_some(), size == 0);
        }
    }
}
