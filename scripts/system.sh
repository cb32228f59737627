#!/bin/sh
# What tests and checks need from the system: a Chromium, Node 16.20 or newer, npm, a Redis server 6.2 or
# newer, nginx, and Caddy 2 where there is a package of it. Installs what is missing by the system's package manager where that is allowed, and else says what
# to install.
set -eu

say() { printf '%s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }
has_chromium() { has chromium || has chromium-browser || has google-chrome; }
has_node() { has npm && node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 16 || (a == 16 && b >= 20) ? 0 : 1)' 2>/dev/null; }
has_redis() { redis-server --version 2>/dev/null | awk '{ split(substr($3, 3), v, "."); found = v[1] > 6 || (v[1] == 6 && v[2] >= 2) } END { exit !found }'; }
has_nginx() { has nginx || [ -x /usr/sbin/nginx ]; }
has_caddy() { has caddy || ! has apt-get || ! apt-cache show caddy >/dev/null 2>&1; } # without it, its tests are skipped

missing=""
has_chromium || missing="chromium"
has_node || missing="$missing nodejs npm"
has_redis || missing="$missing $(if has apt-get; then echo redis-server; else echo redis; fi)"
has_nginx || missing="$missing $(if has apt-get; then echo nginx-light; else echo nginx; fi)"
has_caddy || missing="$missing caddy"
[ -z "$missing" ] && exit 0

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

refuse() {
    say "Missing:$(printf ' %s' $missing). $1"
    say "Tests and checks need a Chromium, Node 16.20 or newer with npm, a Redis server 6.2 or newer, and nginx."
    exit 1
}

if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
    refuse "Only root may install them; on Debian and Ubuntu: apt-get install $missing"
fi
say "Installing$(printf ' %s' $missing) by the system's package manager ..."
# shellcheck disable=SC2086  # a list of words
if has apt-get; then
    as_root apt-get update -qq
    has_caddy || case $missing in *caddy*) ;; *) missing="$missing caddy" ;; esac
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null
elif has dnf; then
    as_root dnf install -q -y $missing
elif has apk; then
    as_root apk add -q $missing
elif has pacman; then
    as_root pacman -S --noconfirm --needed $missing
else
    refuse "No package manager that this script knows."
fi
has_chromium && has_node && has_redis && has_nginx || refuse "The system's packages do not provide them in these versions."
