#!/usr/bin/env bash
# Backs up the databases of an environment now, beside the nightly backups and the log: the managed PostgreSQL, and Citus where the
# environment has it.
#
# Usage: scripts/backup.sh ENVIRONMENT [--check] [--max-age HOURS] [--dry-run]
#
#   --check           make none: say how old the newest is; exit code 1 when older than --max-age, or when Citus' newest restore
#                     point is older than half an hour
#   --max-age HOURS   default 26: a day and time to run
#   --dry-run         say every command, run none
#
# One machine without a cloud: `coditect backup` (docs/SINGLE-HOST.md).
# Exit codes: 0 done, 1 failed or too old, 2 wrong use, 3 preflight failed.
source "$(dirname "$0")/lib/cloud.sh"

check=no hours=26 name=""
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help) help; exit 0 ;;
    --check) check=yes ;;
    --dry-run) dry=yes ;;
    --max-age) value "$@"; hours=$2; shift ;;
    -*) bad_use "unknown option $1" ;;
    *) [ -z "$name" ] || bad_use "one environment, not $name and $1"; name=$1 ;;
  esac
  shift
done
[[ "$hours" =~ ^[1-9][0-9]{0,3}$ ]] || bad_use "--max-age is a number of hours, not '$hours'"
use_environment "$name"
if [ "$dry" = no ]; then
  need gcloud jq
  preflight_account
fi

if [ $check = no ]; then
  run gcloud sql backups create --instance "$cluster" --project "$project" --description "scripts/backup.sh"
fi
if [ "$dry" = yes ]; then
  if [ "$(jq '.citus.workers // 0' "$values")" -gt 0 ]; then
    use_cluster
    kube create job citus-backup-TIME --from=cronjob/citus-backup
  fi
  exit 0
fi
newest=$(gcloud sql backups list --instance "$cluster" --project "$project" --filter=status=SUCCESSFUL --sort-by='~endTime' --limit=1 --format='value(endTime)')
[ -n "$newest" ] || { printf 'error: there is no backup of %s\n' "$cluster" >&2; exit 1; }
age=$((($(date +%s) - $(date -d "$newest" +%s)) / 3600))
printf '%s: newest backup %s, %d h old\n' "$cluster" "$newest" "$age"
[ "$age" -le "$hours" ] || { printf 'error: that is older than %s h\n' "$hours" >&2; exit 1; }

# --- Citus ---

[ "$(jq '.citus.workers // 0' "$values")" -gt 0 ] || exit 0
use_cluster
if [ -z "$(kubectl --namespace "$namespace" get statefulset citus-0 --ignore-not-found -o name)" ]; then
  say "Citus is not there yet"
  exit 0
fi
if [ $check = no ]; then
  job=citus-backup-$(date -u +%Y%m%d%H%M%S)
  kube create job "$job" --from=cronjob/citus-backup
  kube wait --for=condition=complete "job/$job" --timeout=6h
  exit 0
fi
last() { kubectl --namespace "$namespace" get cronjob "$1" -o 'jsonpath={.status.lastSuccessfulTime}'; }
for what in citus-backup:$((hours * 60)) citus-restore-point:30; do
  newest=$(last "${what%:*}")
  [ -n "$newest" ] || { printf 'error: no %s has succeeded yet\n' "${what%:*}" >&2; exit 1; }
  age=$((($(date +%s) - $(date -d "$newest" +%s)) / 60))
  printf '%s: newest %s, %d min old\n' "${what%:*}" "$newest" "$age"
  [ "$age" -le "${what#*:}" ] || { printf 'error: that is older than %s min (docs/runbooks)\n' "${what#*:}" >&2; exit 1; }
done
