//! Finding what is near to a PDQ hash among a million, beside faiss's flat binary index on the same data, one thread
//! each. Both must find exactly the same.
//!
//! A third of the stored hashes lie around a few thousand centres, as photos of the same things do; half of the
//! queries are stored hashes with up to 31 bits turned over, half are of no picture held.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use endcheck_server::picture::SAME_PICTURE_BITS;
use endcheck_server::picture::near::Near;
use serde_json::Value;

use crate::measure::{milliseconds, quantile, timed};
use crate::programs::run as run_program;
use crate::table::Row;

const STORED: [usize; 3] = [1_000, 100_000, 1_000_000];
const QUERIES: usize = 200;
const ROUNDS: usize = 9;
/// Photos are asked about in as many orientations.
const ORIENTATIONS: f64 = 8.0;

type Hash = [u64; 4];
/// Which query found which stored hash.
type Hits = BTreeSet<(u32, u32)>;

pub fn run() -> anyhow::Result<Vec<Row>> {
    let mut random = fastrand::Rng::with_seed(31);
    let mut rows = Vec::new();
    for stored in STORED {
        let (hashes, queries) = data(&mut random, stored)?;
        let mut near = Near::<4>::within(SAME_PICTURE_BITS);
        let (built, ()) = timed(|| {
            near.extend(hashes.iter().copied());
            Ok(())
        })?;
        let mut times = Vec::new();
        let mut hits = BTreeSet::new();
        for _ in 0..ROUNDS {
            let (took, found) =
                timed(|| Ok(queries.iter().map(|query| near.find(query)).collect::<Vec<_>>()))?;
            times.push(milliseconds(took) / QUERIES as f64);
            for (query, found) in (0_u32..).zip(&found) {
                hits.extend(found.iter().map(|one| (query, one.number)));
            }
        }
        let ours = quantile(&times, 0.0);
        let (figure, ours_text) =
            (format!("near duplicates among {stored} PDQ hashes, a query"), format!("{ours:.4} ms"));
        if stored < 1_000_000 {
            rows.push(Row::new(figure, ours_text, ""));
            continue;
        }
        let (one_by_one, all_at_once, theirs) = faiss(&hashes, &queries)?;
        ensure!(hits == theirs, "we find {} and faiss {}, not the same", hits.len(), theirs.len());
        let flat = one_by_one.min(all_at_once);
        rows.push(Row::new(figure, ours_text, format!("faiss flat: {flat:.3} ms")).at_most(ours / flat, 0.2));
        rows.push(Row::new(
            "  of a photo, in its eight orientations",
            format!("{:.3} ms", ours * ORIENTATIONS),
            format!("one by one {one_by_one:.3} ms, {QUERIES} at once {all_at_once:.3} ms a query"),
        ));
        rows.push(Row::new(
            "  sorting all of them in",
            format!("{:.0} ms", milliseconds(built)),
            format!("{} hits, the same on both sides", hits.len()),
        ));
    }
    Ok(rows)
}

/// Stored hashes and queries.
fn data(random: &mut fastrand::Rng, stored: usize) -> anyhow::Result<(Vec<Hash>, Vec<Hash>)> {
    let hash = |random: &mut fastrand::Rng| -> Hash { std::array::from_fn(|_| random.u64(..)) };
    let centres: Vec<Hash> = (0..stored.div_ceil(300)).map(|_| hash(random)).collect();
    let mut hashes = Vec::with_capacity(stored);
    for nth in 0..stored {
        hashes.push(if nth % 3 == 0 {
            let centre = *random.choice(&centres).context("a centre")?;
            let bits = random.usize(0..60);
            flipped(random, centre, bits)
        } else {
            hash(random)
        });
    }
    let mut queries = Vec::with_capacity(QUERIES);
    for nth in 0..QUERIES {
        queries.push(if nth % 2 == 0 {
            let known = *random.choice(&hashes).context("a hash")?;
            let bits = random.usize(0..=SAME_PICTURE_BITS as usize);
            flipped(random, known, bits)
        } else {
            hash(random)
        });
    }
    Ok((hashes, queries))
}

fn flipped(random: &mut fastrand::Rng, hash: Hash, bits: usize) -> Hash {
    let mut changed = hash;
    for place in random.choose_multiple(0..256_usize, bits) {
        if let Some(word) = changed.get_mut(place / 64) {
            *word ^= 1 << (place % 64);
        }
    }
    changed
}

/// Milliseconds a query, one by one and all at once, and the hits.
fn faiss(hashes: &[Hash], queries: &[Hash]) -> anyhow::Result<(f64, f64, Hits)> {
    let python = std::env::var_os("ENDCHECK_BENCH_PYTHON")
        .map(PathBuf::from)
        .context("where faiss is: run scripts/bench.sh, which sets ENDCHECK_BENCH_PYTHON")?;
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let bytes = |hashes: &[Hash]| -> Vec<u8> {
        hashes.iter().flatten().flat_map(|word| word.to_le_bytes()).collect()
    };
    std::fs::write(path("stored"), bytes(hashes))?;
    std::fs::write(path("queries"), bytes(queries))?;
    std::fs::write(path("near.py"), include_str!("near-faiss.py"))?;
    let said = run_program(
        Command::new(python)
            .arg(path("near.py"))
            .args([path("stored"), path("queries")])
            .arg(SAME_PICTURE_BITS.to_string())
            .arg(path("hits")),
    )?;
    let said: Value = serde_json::from_slice(&said)?;
    let took = |name: &str| said.get(name).and_then(Value::as_f64).with_context(|| name.to_owned());
    let number = |bytes: &[u8]| bytes.try_into().map(u32::from_le_bytes).context("a number");
    let hits = std::fs::read(path("hits"))?
        .chunks_exact(8)
        .map(|pair| {
            let (query, stored) = pair.split_at(4);
            Ok((number(query)?, number(stored)?))
        })
        .collect::<anyhow::Result<_>>()?;
    Ok((took("one_by_one_ms")?, took("all_at_once_ms")?, hits))
}
