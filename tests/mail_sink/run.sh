#!/bin/sh
# Runs a mail server that keeps nothing: it says its port, and then a JSON line for each mail it took.
#
# usage: run.sh WORK
#   WORK  folder for its packages, installed there when missing
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$1
mkdir -p "$work"
if ! "$work/venv/bin/python" -c 'import aiosmtpd' 2>/dev/null; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2
fi
exec "$work/venv/bin/python" -u "$here/sink.py"
