#!/usr/bin/env bash
# Makes the secrets of compose.yaml beside it, once; each service gets what it needs and no more. Keep the files as you keep passwords.
# Usage: packaging/compose/environment.sh [FOLDER]     FOLDER: where compose.yaml is
# Exit codes: 0 done, 1 failed, 2 wrong use, 4 they are there already.
set -Eeuo pipefail
case "${1:-}" in -*) sed -n '2,4s/^# \{0,1\}//p' "$0"; [ "$1" = --help ] && exit 0; exit 2 ;; esac
folder=${1:-$(dirname "$0")}
for file in api bootstrap migrate postgres; do
  # Another password for a database that has one would lock everybody out.
  [ ! -e "$folder/$file.env" ] || { printf 'refused: %s/%s.env is there\n' "$folder" "$file" >&2; exit 4; }
done
umask 077
work=$(mktemp -d "$folder/new.XXXXXX")
trap 'rm -rf "$work"' EXIT
password() { openssl rand -hex 24; }
administrator=$(password)
printf 'POSTGRES_PASSWORD=%s\n' "$administrator" >"$work/postgres.env"
for file in api bootstrap migrate; do printf 'CODITECT_DATABASE_URL=postgresql://postgres:5432\n' >"$work/$file.env"; done
printf 'PGPASSWORD=%s\n' "$administrator" >>"$work/bootstrap.env"
for role in APP OPERATOR MAINTENANCE MIGRATOR IMPORT; do
  line=CODITECT_DATABASE_${role}_PASSWORD=$(password)
  printf '%s\n' "$line" >>"$work/bootstrap.env"
  case $role in
    MIGRATOR) printf '%s\n' "$line" >>"$work/migrate.env" ;;
    APP | OPERATOR | MAINTENANCE) printf '%s\n' "$line" >>"$work/api.env" ;;
  esac
done
# As `coditect keys new` makes them: an id and 32 bytes in base64.
printf 'CODITECT_REDIS_URL=redis://redis:6379\nCODITECT_SEALING_KEYS=k%s:%s\n' "$(openssl rand -hex 3)" "$(openssl rand -base64 32)" >>"$work/api.env"
mv "$work"/*.env "$folder/"
