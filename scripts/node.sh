#!/bin/sh
# Install the type checker for the JavaScript as package-lock.json pins it; once.
set -eu
cd "$(dirname "$0")/.."
mark=$(cat package.json package-lock.json | cksum)
[ "$(cat node_modules/.installed 2>/dev/null)" = "$mark" ] && exit 0
echo "Installing the JavaScript type checker ..." >&2
npm ci --silent --no-progress >&2
echo "$mark" > node_modules/.installed
