#!/bin/sh
# Make .venv and install the pinned, hash-checked packages into it: `run` for a server and the demo,
# `dev` for tests and checks too. Does nothing where that was done already.
set -eu
cd "$(dirname "$0")/.."
what=${1:-run}

say() { printf '%s\n' "$*" >&2; }

find_python() {
    for name in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    found=$(python3 --version 2>/dev/null || echo "no python3 at all")
    say "Joinline needs Python 3.11 or newer, and found $found."
    say "Install a newer one, or name it: make PYTHON=/path/to/python3.12 ..."
    exit 1
}

# What is installed is told by a mark: the checksum of everything that decides about it.
mark_of() { { echo "$PWD"; .venv/bin/python --version; cat pyproject.toml "$1"; } | cksum; }

is_done() { [ "$(cat ".venv/installed-$1" 2>/dev/null)" = "$(mark_of "$2")" ]; }

if [ -x .venv/bin/python ]; then
    is_done dev requirements-dev.txt && exit 0
    [ "$what" = run ] && is_done run requirements.txt && exit 0
fi
if ! .venv/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    python=$(find_python)
    say "Making .venv with $("$python" --version) ..."
    rm -rf .venv
    if ! "$python" -m venv .venv; then
        say "Python's venv module is missing. On Debian and Ubuntu: apt-get install python3-venv"
        exit 1
    fi
fi
case $what in
    dev) list=requirements-dev.txt ;;
    run) list=requirements.txt ;;
    *) say "usage: install.sh run|dev"; exit 2 ;;
esac
say "Installing the packages of $list, pinned and hash-checked; once, about a minute ..."
pip() { .venv/bin/python -m pip --disable-pip-version-check --no-input "$@"; }
pip install -qq --require-hashes --requirement "$list"
pip install -qq --no-deps --no-build-isolation --editable .
mark_of "$list" > ".venv/installed-$what"
say "Installed."
