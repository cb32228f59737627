#!/bin/sh
# Write requirements.txt and requirements-dev.txt from pyproject.toml; pass --upgrade to move to newer versions.
set -eu
cd "$(dirname "$0")/.."
export CUSTOM_COMPILE_COMMAND="make lock"
compile() {
    .venv/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras \
        --no-emit-index-url --no-emit-find-links --no-emit-trusted-host "$@" pyproject.toml
}
compile --extra demo --extra build --output-file requirements.txt "$@"
compile --extra demo --extra build --extra dev --output-file requirements-dev.txt "$@"
