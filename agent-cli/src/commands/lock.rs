//! `lock`: the kernel forgets the store key.

use crate::environment::Environment;
use crate::refusal::ExitStatus;
use crate::store::Database;
use crate::ui::Ui;
use crate::vault;

pub(super) fn run(environment: &Environment, ui: &Ui<'_>) -> anyhow::Result<ExitStatus> {
    let mut database = Database::open(&environment.home)?;
    let was_open = vault::lock(&mut database.conn)?;
    ui.report(&serde_json::json!({ "locked": true, "was_open": was_open }), || {
        if was_open {
            "Locked: the passphrase is needed again.".to_owned()
        } else {
            "It was locked already.".to_owned()
        }
    });
    Ok(ExitStatus::Success)
}
