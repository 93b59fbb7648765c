#!/usr/bin/env bash
# The benchmarks: each figure beside a peer or a limit of the same run. FIGURES chooses some of exif,
# capture, ingest, list, link, log, bundle, analysis, duplicates and risk. Installs the peers from Debian, npm and PyPI where they are
# missing.
set -euo pipefail
source "$(dirname "$0")/phases.sh"
packages=$(mkdir -p "$target/bench/npm" && cd "$target/bench/npm" && pwd)
python=$(cd "$target/bench" && pwd)/python

# The Debian packages of programs that are not there.
missing() {
    local need=()
    command -v exiftool >/dev/null || need+=(libimage-exiftool-perl)
    command -v exiv2 >/dev/null || need+=(exiv2)
    command -v age >/dev/null || need+=(age)
    command -v node >/dev/null || need+=(nodejs)
    command -v vipsthumbnail >/dev/null || need+=(libvips-tools)
    python3 -c 'import venv, ensurepip' 2>/dev/null || need+=(python3-venv)
    command -v npm >/dev/null || need+=(npm)
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || need+=(postgresql)
    echo "${need[@]}"
}

need=$(missing)
if [ -n "$need" ]; then
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo -n)
    "${as_root[@]}" apt-get update -qq
    # shellcheck disable=SC2086 # a list of names
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $need
fi
if [ ! -d "$packages/node_modules/@tus/server" ] || [ ! -d "$packages/node_modules/@tus/file-store" ]; then
    npm install --prefix "$packages" --no-audit --no-fund --loglevel=error @tus/server@2 @tus/file-store@2
fi
if ! "$python/bin/python" -c 'import faiss' 2>/dev/null; then
    python3 -m venv "$python"
    "$python/bin/pip" install --quiet --disable-pip-version-check 'faiss-cpu==1.*'
fi

cargo build --release --locked -p endcheck-server -p endcheck -p endcheck-tests \
    --bin endcheck-server --bin endcheck --bin bench
# shellcheck disable=SC2086 # a list of names
ENDCHECK_BENCH_NPM=$packages ENDCHECK_BENCH_PYTHON=$python/bin/python exec "$target/release/bench" ${FIGURES:-}
