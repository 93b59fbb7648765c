#!/usr/bin/env bash
# Everything CI runs: form, lints, imports, documentation, licences, unit tests, and the end-to-end
# tests on SQLite and on PostgreSQL. Installs from Debian what is missing, where it may.
set -euo pipefail
source "$(dirname "$0")/phases.sh"

# The packages of programs that are not there.
missing() {
    local need=()
    command -v make cc >/dev/null || need+=(build-essential)
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || need+=(postgresql)
    command -v exiftool >/dev/null || need+=(libimage-exiftool-perl)
    command -v exiv2 >/dev/null || need+=(exiv2)
    command -v age >/dev/null || need+=(age)
    command -v openssl >/dev/null || need+=(openssl)
    command -v go >/dev/null || need+=(golang-go)
    [ -d /usr/share/gocode/src/golang.org/x/mod ] || need+=(golang-golang-x-mod-dev)
    command -v chromium >/dev/null || need+=(chromium)
    command -v node >/dev/null || need+=(nodejs)
    command -v npm >/dev/null || need+=(npm)
    python3 -c 'import venv, ensurepip' 2>/dev/null || need+=(python3-venv)
    echo "${need[@]}"
}

install() {
    local need as_root=()
    need=$(missing)
    [ -n "$need" ] || { echo 'nothing is missing'; return 0; }
    [ "$(id -u)" = 0 ] || as_root=(sudo -n)
    if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
        echo "Missing: $need. Install these Debian packages, or what they are called elsewhere, and start again." >&2
        return 1
    fi
    "${as_root[@]}" apt-get update -qq &&
        # shellcheck disable=SC2086 # a list of names
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $need
}

# `protocol` builds without a runtime, a web framework or a database; the agent without the server; the planner without
# anything that asks a clock, a file or the others.
imports() {
    local package found
    for package in endcheck-protocol:'tokio|actix-.*|diesel.*' endcheck:'endcheck-server|actix-.*|tokio' \
        endcheck-planner:'endcheck|endcheck-(protocol|server)|tokio|diesel.*|chrono|getrandom'; do
        found=$(cargo tree --locked -e normal --prefix none -f '{p}' -p "${package%%:*}" | cut -d' ' -f1 |
            grep -xE "${package#*:}" | sort -u) || continue
        echo "${package%%:*} must not depend on:" $found >&2
        return 1
    done
}

# Without cargo-deny the test `licences` holds the same file.
deny() {
    if cargo deny --version >/dev/null 2>&1; then
        cargo deny --offline check licenses bans sources
    else
        echo 'cargo-deny is not installed: the test `licences` reads deny.toml instead'
    fi
}

# The first run takes every package, the second only what talks to a database; both select from the
# same build.
tests() {
    local database=$1
    shift
    if cargo nextest --version >/dev/null 2>&1; then
        [ "$database" = sqlite ] || set -- -E 'package(endcheck-tests) & kind(test)'
        ENDCHECK_TEST_DATABASE=$database "$target/debug/with-postgres" \
            cargo nextest run --workspace --locked --status-level slow --final-status-level slow "$@"
    else
        [ "$database" = sqlite ] || set -- --test it
        ENDCHECK_TEST_DATABASE=$database "$target/debug/with-postgres" \
            cargo test --workspace --locked --quiet --no-fail-fast "$@"
    fi
}

phase 'install what is missing' install
phase 'layout' cargo fmt --all --check
phase 'imports' imports
phase 'licences, bans, sources' deny
phase 'build' cargo build --workspace --all-targets --locked
phase 'tests, with SQLite' tests sqlite
phase 'end-to-end tests, with PostgreSQL' tests postgres
phase 'lints' cargo clippy --workspace --all-targets --locked -- -D warnings
phase 'documentation' env RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked --document-private-items
closing 'TEST OK: everything passed, on SQLite and on PostgreSQL,'
