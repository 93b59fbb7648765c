#!/bin/sh
# Judges a bag with python's bagit and securesystemslib.
#
# usage: bag.sh WORK BAG
#   WORK  folder for the libraries, installed there when missing
#   BAG   an unpacked bag
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$1 bag=$2
mkdir -p "$work"
if ! "$work/venv/bin/python" -c 'import bagit, securesystemslib' 2>/dev/null; then
    python3 -m venv "$work/venv" &&
        "$work/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" ||
        { echo 'bagit and securesystemslib cannot be installed'; exit 1; }
fi
"$work/venv/bin/python" "$here/bag.py" "$bag"
