#!/usr/bin/env bash
# Builds the programs and tells the story of one end-use check; see tests/src/bin/demo.rs.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked -p endcheck-server -p endcheck -p endcheck-tests --bins
exec "${CARGO_TARGET_DIR:-target}/debug/demo"
