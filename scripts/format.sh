#!/usr/bin/env bash
# Formats the C++ sources; --check only reports.
source "$(dirname "$0")/lib/common.sh"
cd "$root"
files=$(git ls-files --cached --others --exclude-standard 'src/*.h' 'src/*.cc' 'tests/*.cc' 'cmake/*.cc')
if [ "${1:-}" = --check ]; then
  # shellcheck disable=SC2086
  clang-format-19 --dry-run --Werror $files
else
  # shellcheck disable=SC2086
  clang-format-19 -i $files
fi
