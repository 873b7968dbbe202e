#!/usr/bin/env bash
# Sets up, builds and runs the whole platform on this machine.
# Usage: scripts/up.sh [arguments of 'coditect up']     e.g. --detach, --http-port 9000, --state DIR
source "$(dirname "$0")/lib/common.sh"
"$root/scripts/setup.sh"
cd "$root"
[ -f build/release/build.ninja ] || cmake --preset release >/dev/null
say "building (a minute or two the first time)"
cmake --build --preset release -- --quiet
exec build/release/coditect up "$@"
