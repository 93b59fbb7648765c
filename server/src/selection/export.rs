//! Everything that somebody else needs to repeat assessments and draws: policies, assessments, pools, and what the
//! log says of seeds and draws, each with its proof. Contains no names; the shipments' keys and facts are in it.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use endcheck_protocol::digest::Sha256;
use tokio::runtime::Handle;

use super::{Selection, store};
use crate::app::App;
use crate::db::Conn;
use crate::error::Error;
use crate::{log, risk};

/// Largest pool, in bytes.
const MAX_POOL_BYTES: u64 = 1 << 30;

/// Writes into a new folder: `policies/HASH.toml`, `assessments.ndjson` (a document a line, by their hashes),
/// `draws/ID.{seed.json,seed.tlog-proof,selection.json,selection.tlog-proof,pool.tsv}`, `checkpoint` and
/// `policy` of the log. Answers what was written.
///
/// # Errors
/// When the folder is there already or cannot be written, the database fails, or a pool is not kept any more.
pub fn export(app: &App, folder: &Path, runtime: &Handle) -> anyhow::Result<String> {
    fs::create_dir(folder).with_context(|| {
        format!("{} cannot be made; what is there already is never written over", folder.display())
    })?;
    let mut conn = app.pool.get()?;
    let write = |name: &str, bytes: &[u8]| -> anyhow::Result<()> {
        let path = folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("{} cannot be written", path.display()))
    };
    fs::create_dir(folder.join("policies"))?;
    fs::create_dir(folder.join("draws"))?;
    let policies = risk::documents(&mut conn).map_err(Error::told)?;
    for (hash, document) in &policies {
        write(&format!("policies/{hash}.toml"), document)?;
    }
    let assessments = write_assessments(&mut conn, &folder.join("assessments.ndjson"))?;
    let (mut draws, mut before) = (0_u64, None);
    loop {
        let page = super::list(&mut conn, before.as_ref(), 200).map_err(Error::told)?;
        let Some(last) = page.last() else { break };
        before = Some(last.id.clone());
        for one in &page {
            draws += 1;
            let draw = super::get(&mut conn, &one.id).map_err(Error::told)?;
            for (name, bytes) in files(&mut conn, app, &draw, runtime)? {
                write(&format!("draws/{}.{name}", draw.id), &bytes)?;
            }
        }
    }
    let checkpoint = log::checkpoint(&mut conn, &app.keys.log).map_err(Error::told)?;
    write("checkpoint", checkpoint.as_bytes())?;
    write("policy", log::policy_text(app).as_bytes())?;
    Ok(format!(
        "{} written: {} policies, {assessments} assessments, {draws} draws",
        folder.display(),
        policies.len()
    ))
}

fn write_assessments(conn: &mut Conn, path: &Path) -> anyhow::Result<u64> {
    let mut file = std::io::BufWriter::new(fs::File::create_new(path)?);
    let (mut after, mut count) = (String::new(), 0);
    loop {
        let page = risk::assessment_documents(conn, &after, 2_000).map_err(Error::told)?;
        let Some((last, _)) = page.last() else { break };
        after = last.to_string();
        for (_, document) in &page {
            file.write_all(document.as_bytes())?;
            file.write_all(b"\n")?;
            count += 1;
        }
    }
    file.flush()?;
    Ok(count)
}

/// The files of one draw, each with the end of its name.
fn files(
    conn: &mut Conn,
    app: &App,
    draw: &Selection,
    runtime: &Handle,
) -> anyhow::Result<Vec<(&'static str, Vec<u8>)>> {
    let row = store::find(conn, &draw.id).map_err(Error::told)?.context("the draw was just listed")?;
    let mut proof = |index: i64| -> anyhow::Result<Vec<u8>> {
        let proof = log::proof(conn, &app.keys.log, &app.witnesses, index).map_err(Error::told)?;
        Ok(proof.text().into_bytes())
    };
    let mut files =
        vec![("seed.tlog-proof", proof(row.log_index)?), ("seed.json", row.document.into_bytes())];
    let (Some(drawn), Some(index)) = (&draw.drawn, draw.drawn_index) else { return Ok(files) };
    files.push(("selection.tlog-proof", proof(index)?));
    files.push(("selection.json", super::written(drawn).map_err(Error::told)?.into_bytes()));
    files.push(("pool.tsv", pool(app, &drawn.pool_sha256, runtime)?));
    Ok(files)
}

fn pool(app: &App, sha256: &Sha256, runtime: &Handle) -> anyhow::Result<Vec<u8>> {
    let found = runtime.block_on(app.files.read(sha256, MAX_POOL_BYTES))?;
    let bytes = found.with_context(|| format!("the pool {sha256} is not kept any more"))?;
    anyhow::ensure!(Sha256::of(&bytes) == *sha256, "the pool {sha256} is not what it was");
    Ok(bytes.to_vec())
}
