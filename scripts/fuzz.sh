#!/usr/bin/env bash
# Fuzzes every parser of bytes from outside (libFuzzer, with AddressSanitizer and
# UndefinedBehaviorSanitizer), starting from tests/fuzz/corpus.
# Usage: scripts/fuzz.sh [--seconds N] [--keep] [TARGET...]
#   --seconds N  for each target; 60 by default
#   --keep       merge what reached new code into the corpus
#   TARGET       e.g. http_server_fuzz; all by default
# A crash ends it with exit code 1; its input is left in build/fuzz/.
source "$(dirname "$0")/lib/common.sh"
seconds=60
keep=no
targets=()
while [ $# -gt 0 ]; do
  case "$1" in
    --seconds) seconds=${2:?--seconds needs a number}; shift ;;
    --keep) keep=yes ;;
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    -*) die "unknown flag '$1'; there are --seconds and --keep" ;;
    *) targets+=("$1") ;;
  esac
  shift
done
[[ $seconds =~ ^[1-9][0-9]*$ ]] || die "--seconds takes a number from 1, not '$seconds'"
cd "$root"
"$root/scripts/setup.sh"
[ -f build/asan/build.ninja ] || cmake --preset asan >/dev/null
cmake --build --preset asan >/dev/null
if [ ${#targets[@]} -eq 0 ]; then
  for program in build/asan/src/*_fuzz; do targets+=("$(basename "$program")"); done
fi
mkdir -p build/fuzz
failed=()
run_one() {
  local target=$1 new=build/fuzz/$1.new log=build/fuzz/$1.log
  mkdir -p "$new" "tests/fuzz/corpus/$target"
  build/asan/src/"$target" "$new" "tests/fuzz/corpus/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix="build/fuzz/$target." -print_final_stats=1 >"$log" 2>&1
}
for target in "${targets[@]}"; do
  [ -x "build/asan/src/$target" ] || die "there is no target '$target'"
done
# As many at once as there are cores.
printf '%s\n' "${targets[@]}" | {
  status=0
  while read -r target; do
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || status=1; done
    run_one "$target" &
  done
  while [ -n "$(jobs -p)" ]; do wait -n || status=1; done
  exit $status
} || failed=(some)
ok=0
for target in "${targets[@]}"; do
  log=build/fuzz/$target.log
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  cover=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
  if grep -q '^==.*ERROR\|^SUMMARY: \|deadly signal' "$log" || [ -z "$runs" ]; then
    failed+=("$target")
    printf '%-32s FAILED\n' "$target"
    grep -m 3 'ERROR\|SUMMARY\|CHECK\|Test unit written' "$log" | sed 's/^/    /' || true
  else
    ok=$((ok + 1))
    printf '%-32s %10s runs %6s edges\n' "$target" "$runs" "${cover:-?}"
    if [ "$keep" = yes ]; then
      build/asan/src/"$target" -merge=1 "tests/fuzz/corpus/$target" "build/fuzz/$target.new" >/dev/null 2>&1
    fi
  fi
done
printf '%s passed, %s failed\n' "$ok" "$((${#targets[@]} - ok))"
[ "$ok" -eq ${#targets[@]} ]
