#!/usr/bin/env bash
# Builds the programs and tells the story of one end-use check; see tests/src/bin/demo/.
set -euo pipefail
source "$(dirname "$0")/phases.sh"
cargo build --locked -p endcheck-server -p endcheck -p endcheck-tests --bins
exec "$target/debug/demo"
