#!/usr/bin/env bash
# Checks what runs the platform, without a cloud: monitoring/, and what is written for Kubernetes and
# OpenTofu. Part of scripts/test.sh.
# Usage: scripts/check-infra.sh [NAME...]     NAME: monitoring, kubernetes, admission, opentofu, scripts, docs, checkov, kubelinter (tests/infra/test_NAME.py)
# The last lines name each part with its time, and what was skipped for want of a program.
source "$(dirname "$0")/lib/common.sh"
case "${1:-}" in -h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
"$root/scripts/setup.sh" >/dev/null
cd "$root/tests/infra"
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  for file in test_*.py; do file=${file#test_}; names+=("${file%.py}"); done
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
summary=()
for name in "${names[@]}"; do
  [ -f "test_$name.py" ] || die "there is no part '$name'; see --help"
  start=$(date +%s.%N)
  if python3 -m unittest -v "test_$name" >"$log" 2>&1; then verdict=ok; else verdict=FAILED; failed=1; fi
  [ $verdict = ok ] || cat "$log"
  summary+=("$(printf '%-7s %s (%.1f s, %s)' "$verdict" "$name" "$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { print b - a }')" \
    "$(sed -n 's/^Ran \([0-9]* tests\?\) in.*/\1/p' "$log")")")
  while read -r line; do summary+=("$line"); done < <(sed -n "s/^\(test_[a-z_0-9]*\) .*\.\.\. skipped '\(.*\)'$/SKIP \1: \2/p" "$log")
done
printf '%s\n' "${summary[@]}"
exit $failed
