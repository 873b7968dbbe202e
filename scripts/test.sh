#!/usr/bin/env bash
# Sets up, builds and runs all tests. The last line reads "N passed, N failed, N skipped".
# Usage: scripts/test.sh [PATTERN]     PATTERN: only tests whose name has it
source "$(dirname "$0")/lib/common.sh"
"$root/scripts/setup.sh"
cd "$root"
exec python3 scripts/lib/run_tests.py "$@"
