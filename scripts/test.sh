#!/usr/bin/env bash
# Sets up, builds and runs all tests. The last line reads "N passed, N failed, N skipped".
# Usage: scripts/test.sh [PATTERN]     PATTERN: only tests whose name has it
#        scripts/test.sh ha            the high-availability drill: Citus kept by Patroni (not part of all; 5 minutes)
source "$(dirname "$0")/lib/common.sh"
"$root/scripts/setup.sh"
cd "$root"
exec python3 scripts/lib/run_tests.py "$@"
