#!/bin/sh
# Runs the unmodified tus clients of PyPI and npm against a running server.
#
# usage: run.sh ENDPOINT TOKEN FILE WORK
#   ENDPOINT  such as http://127.0.0.1:8080/api/v1/files
#   TOKEN     access token of an inspector or an enrolled device
#   FILE      what to upload; some megabytes
#   WORK      folder for the clients, installed there when missing
set -eu
here=$(cd "$(dirname "$0")" && pwd)
endpoint=$1 token=$2 file=$3 work=$4
mkdir -p "$work"
if [ ! -x "$work/venv/bin/python" ] || ! "$work/venv/bin/python" -c 'import tusclient' 2>/dev/null; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
fi
# Node looks for packages beside the script.
cp "$here/package.json" "$here/upload.mjs" "$work/"
[ -d "$work/node_modules/tus-js-client" ] || npm install --prefix "$work" --silent --no-audit --no-fund
"$work/venv/bin/python" "$here/upload.py" "$endpoint" "$token" "$file"
node "$work/upload.mjs" "$endpoint" "$token" "$file"
