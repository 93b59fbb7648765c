#!/usr/bin/env bash
# The long fault drills: what `make test` does a few times, KILLS times, on both databases. Tests are
# drills when their module is called `drill`. Takes the build that `make test` makes.
set -euo pipefail
source "$(dirname "$0")/phases.sh"
export ENDCHECK_DRILL_KILLS=${KILLS:-2000}

drill() {
    ENDCHECK_TEST_DATABASE=$1 "$target/debug/with-postgres" \
        cargo test --workspace --locked --test it -- --nocapture --test-threads=2 drill::
}

phase 'build' cargo build --workspace --all-targets --locked
phase "drill with SQLite, $ENDCHECK_DRILL_KILLS kills" drill sqlite
phase "drill with PostgreSQL, $ENDCHECK_DRILL_KILLS kills" drill postgres
closing 'DRILL OK'
