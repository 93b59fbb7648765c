//! Published vectors: RFC 6962 proofs, RFC 8785 canonical JSON and Ed25519 at its edges. Read from the folder
//! that `ENDCHECK_TEST_DATA` names; says so and passes where it is absent.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may fail loudly and says what it skips"
)]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, VerifyingKey};
use endcheck_protocol::canonical;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::merkle::{verify_consistency, verify_inclusion};
use serde::Deserialize;
use serde_json::Value;

fn vectors(name: &str) -> Option<PathBuf> {
    common::data(&format!("vectors/{name}"))
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// A hash of a vector. Some have words in place of a hash, which only need to be equal or not; none at all
/// can only fail.
fn hash(text: &str) -> Option<Sha256> {
    let bytes = BASE64.decode(text).ok().filter(|bytes| !bytes.is_empty())?;
    Some(<[u8; 32]>::try_from(bytes.as_slice()).map_or_else(|_| Sha256::of(&bytes), Sha256::from_raw))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Inclusion {
    leaf_idx: u64,
    tree_size: u64,
    root: String,
    leaf_hash: String,
    proof: Option<Vec<String>>,
    desc: String,
    want_err: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Consistency {
    size1: u64,
    size2: u64,
    root1: String,
    root2: String,
    proof: Option<Vec<String>>,
    desc: String,
    want_err: bool,
}

#[test]
fn inclusion_and_consistency_proofs_hold_and_fail_as_published() {
    let Some(folder) = vectors("rfc6962") else { return };
    let hashes = |proof: Option<Vec<String>>| -> Option<Vec<Sha256>> {
        proof.unwrap_or_default().iter().map(|text| hash(text)).collect()
    };
    let (mut tried, mut refused) = (0, 0);
    for path in files_below(&folder.join("inclusion")) {
        let vector: Inclusion = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let holds = hash(&vector.root).zip(hash(&vector.leaf_hash)).zip(hashes(vector.proof)).is_some_and(
            |((root, leaf), proof)| {
                verify_inclusion(&leaf, vector.leaf_idx, vector.tree_size, &proof, &root).is_ok()
            },
        );
        assert_eq!(holds, !vector.want_err, "{}: {}", path.display(), vector.desc);
        (tried, refused) = (tried + 1, refused + u32::from(!holds));
    }
    for path in files_below(&folder.join("consistency")) {
        let vector: Consistency = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let holds = hash(&vector.root1).zip(hash(&vector.root2)).zip(hashes(vector.proof)).is_some_and(
            |((root1, root2), proof)| {
                verify_consistency((vector.size1, &root1), (vector.size2, &root2), &proof).is_ok()
            },
        );
        assert_eq!(holds, !vector.want_err, "{}: {}", path.display(), vector.desc);
        (tried, refused) = (tried + 1, refused + u32::from(!holds));
    }
    assert!(tried >= 90 && refused > tried / 2, "{tried} tried, {refused} refused");
    println!("{tried} proofs, {refused} refused as they should be");
}

#[test]
fn canonical_json_is_written_as_published() {
    let Some(folder) = vectors("jcs") else { return };
    for path in files_below(&folder.join("input")) {
        let name = path.file_name().unwrap();
        let input: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let expected = std::fs::read(folder.join("output").join(name)).unwrap();
        let expected = expected.trim_ascii_end();
        assert_eq!(serde_json_canonicalizer::to_vec(&input).unwrap(), expected, "{}", path.display());
        match canonical::write(&input) {
            Ok(written) => {
                assert_eq!(written, expected);
                assert_eq!(canonical::read::<Value>(expected).unwrap(), input);
            }
            // Our documents hold whole numbers up to 2^53−1 only, and refuse all others by name.
            Err(error) => {
                assert!(
                    ["arrays.json", "values.json", "structures.json"].iter().any(|known| name == *known),
                    "{name:?}"
                );
                println!("{}: written as published, and refused in our documents: {error}", path.display());
            }
        }
    }
}

#[derive(Deserialize)]
struct Signed {
    number: u32,
    key: String,
    sig: String,
    msg: String,
    flags: Option<Vec<String>>,
}

/// What strict verification turns away (the policy of RFC 8032 without the cofactor, small orders refused).
const REFUSED: [&str; 6] =
    ["low_order_R", "low_order_A", "low_order_residue", "non_canonical_R", "non_canonical_A", "reencoded_k"];

#[test]
fn signatures_at_the_edges_of_ed25519_are_judged_strictly() {
    let Some(folder) = vectors("ed25519") else { return };
    let text = std::fs::read(folder.join("ed25519vectors.json")).unwrap();
    let vectors: Vec<Signed> = serde_json::from_slice(&text).unwrap();
    let mut seen: BTreeMap<(bool, bool), u32> = BTreeMap::new();
    for vector in vectors {
        let flags = vector.flags.unwrap_or_default();
        let refused = flags.iter().any(|flag| REFUSED.contains(&flag.as_str()));
        let verifies = || {
            let key: [u8; 32] = hex::decode(&vector.key).ok()?.try_into().ok()?;
            let key = VerifyingKey::from_bytes(&key).ok()?;
            let signature = Signature::from_slice(&hex::decode(&vector.sig).ok()?).ok()?;
            key.verify_strict(vector.msg.as_bytes(), &signature).ok()
        };
        let holds = verifies().is_some();
        assert_eq!(holds, !refused, "vector {}: {flags:?}", vector.number);
        *seen.entry((refused, holds)).or_default() += 1;
    }
    println!("refused, holds: {seen:?}");
    assert!(seen.get(&(true, false)).is_some_and(|count| *count > 100), "{seen:?}");
}
