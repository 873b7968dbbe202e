#!/usr/bin/env bash
# Measures beside a peer in the same run. Builds what it needs and starts servers of its own.
# Usage: scripts/bench.sh NAME [OPTIONS]     NAME: one of these, or all
#   api      read, list and insert over HTTP beside pgbench of the same statement
#   django   the same beside Django 5.2 with django-multitenant
#   tenants  point reads with a thousand, 100,000 and a million tenants; --citus N: on a cluster
#   faults   what crashes, cuts, full disks, jumping clocks and hostile clients cost (not part of all)
#   mutants  how many faults `coditect attack` finds (minutes; not part of all)
#   citus    tenants' transactions straight to their worker, through the coordinator, on PostgreSQL
#   rebalance  what requests feel of shards that are moved
#   tls      reads through nginx to the API in plain text and over mutual TLS
#   onboard  signups beside Argon2id alone; import of a million tenants beside COPY
# Each prints a table and ends with one line per figure. --help after NAME lists its options.
source "$(dirname "$0")/lib/common.sh"
name=${1:-}
[ -n "$name" ] || { sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 2; }
shift
case "$name" in
  api | tenants | tls | onboard | citus | rebalance) modules=("$name") ;;
  django) modules=(django_peer) ;;
  faults)
    "$root/scripts/setup.sh" >/dev/null
    cd "$root"
    [ -f build/release/build.ninja ] || cmake --preset release >/dev/null
    cmake --build --preset release --target coditect >/dev/null
    exec python3 bench/faults/run.py "$@"
    ;;
  mutants)
    "$root/scripts/setup.sh" >/dev/null
    cd "$root"
    cmake --preset mutants >/dev/null
    cmake --build --preset mutants --target coditect >/dev/null
    exec python3 tests/mutation/run.py "$@"
    ;;
  all) modules=(api django_peer tenants tls onboard) ;;
  -h | --help) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) die "there is no bench '$name'; there are api, django, tenants, tls, onboard, citus, rebalance, faults, mutants and all" ;;
esac
"$root/scripts/setup.sh" >/dev/null
cd "$root"
[ -f build/release/build.ninja ] || cmake --preset release >/dev/null
cmake --build --preset release --target coditect load argon2_bound tenant_sql >/dev/null
for module in "${modules[@]}"; do
  python3 "bench/$module.py" "$@"
done
