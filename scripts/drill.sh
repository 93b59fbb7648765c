#!/usr/bin/env bash
# The long drills: what `make test` does a few times. Faults, KILLS times on both databases (the module
# `drill`); changes of what was signed or proved, CHANGES of each file (`verify`); changes of a bag, some
# sixty in each of CHANGES / 5 rounds (`bag::changes`). Takes the build that `make test` makes.
set -euo pipefail
source "$(dirname "$0")/phases.sh"
export ENDCHECK_DRILL_KILLS=${KILLS:-2000}

drill() {
    ENDCHECK_TEST_DATABASE=$1 "$target/debug/with-postgres" \
        cargo test --workspace --locked --test it -- --nocapture --test-threads=2 drill::
}

changes() {
    ENDCHECK_DRILL_CHANGES=${CHANGES:-2000} cargo test --workspace --locked --test it -- --nocapture --test-threads=2 verify:: bag::changes
}

clocks() {
    ENDCHECK_DRILL_TICKS=${TICKS:-10000} ENDCHECK_TEST_DATABASE=$1 "$target/debug/with-postgres" \
        cargo test --workspace --locked --test it -- --nocapture clocks::
}

# The planner beside others on the literature's instances, where they are; PLAN_SEEDS runs of each.
plans() {
    local data=${ENDCHECK_TEST_DATA:-}/vrptw
    if [ ! -e "$data/best_known.tsv" ]; then
        echo 'no instances under ENDCHECK_TEST_DATA: left out'
        return 0
    fi
    scripts/bench-plan.sh table "$data/best_known.tsv" "$data/solomon" "${PLAN_SEEDS:-5}" 2 10
}

phase 'build' cargo build --workspace --all-targets --locked
phase "drill with SQLite, $ENDCHECK_DRILL_KILLS kills" drill sqlite
phase "drill with PostgreSQL, $ENDCHECK_DRILL_KILLS kills" drill postgres
phase 'clocks with SQLite' clocks sqlite
phase 'clocks with PostgreSQL' clocks postgres
phase 'changes of signed and proved papers' changes
phase 'the planner beside others' plans
closing 'DRILL OK'
