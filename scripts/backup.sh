#!/usr/bin/env bash
# Backs up the managed PostgreSQL of an environment now, beside its nightly backups and its log.
#
# Usage: scripts/backup.sh ENVIRONMENT [--check] [--max-age HOURS] [--dry-run]
#
#   --check           make none: say how old the newest is; exit code 1 when older than --max-age
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
  [ "$dry" = no ] || exit 0
fi
newest=$(gcloud sql backups list --instance "$cluster" --project "$project" --filter=status=SUCCESSFUL --sort-by='~endTime' --limit=1 --format='value(endTime)')
[ -n "$newest" ] || { printf 'error: there is no backup of %s\n' "$cluster" >&2; exit 1; }
age=$((($(date +%s) - $(date -d "$newest" +%s)) / 3600))
printf '%s: newest backup %s, %d h old\n' "$cluster" "$newest" "$age"
[ "$age" -le "$hours" ] || { printf 'error: that is older than %s h\n' "$hours" >&2; exit 1; }
