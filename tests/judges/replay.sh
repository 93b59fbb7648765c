#!/bin/sh
# Repeats assessments and draws with another implementation of CEL, from what was exported alone.
#
# usage: replay.sh WORK FOLDER
#   WORK    folder for the library, installed there when missing
#   FOLDER  what `endcheck-server policy export` wrote
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$1 folder=$2
mkdir -p "$work"
if ! "$work/venv/bin/python" -c 'import celpy' 2>/dev/null; then
    python3 -m venv "$work/venv" &&
        "$work/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/replay-requirements.txt" ||
        { echo 'cel-python cannot be installed'; exit 1; }
fi
"$work/venv/bin/python" "$here/replay.py" "$folder"
