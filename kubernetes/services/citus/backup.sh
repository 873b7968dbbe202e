#!/bin/bash
# Backs a Citus cluster up with pgBackRest, a stanza for each group, and names points that all groups can be restored to.
# The drill of tests/ha runs this file.
#
# Usage: backup.sh backup     full on Sundays or when there is none, else what changed since; then a point
#        backup.sh full       full
#        backup.sh point      a point only; a minute at most
#
# A restore point is in the log of each group at one consistent moment. It counts once the log up to it is in the repository, and is
# found again by the time in its name (start.sh). Every group's newest backup is annotated with its name and place, for who looks
# (pgbackrest info --set=LABEL); a backup that runs meanwhile may forget annotations, which loses no point.
#
# CITUS_HOSTS  file with a line for each node: GROUP HOST [DATA SOCKETS]
# CITUS_TLS    certificate of the database user postgres, its key, and the authority
# Exit codes: 0 done, 1 failed, 2 wrong use.
set -Eeuo pipefail
hosts=${CITUS_HOSTS:-/etc/coditect/citus/hosts} tls=${CITUS_TLS:-/etc/coditect/tls}
port=${CITUS_PORT:-5432} backup_port=${CITUS_BACKUP_PORT:-8432} patience=${CITUS_ARCHIVE_PATIENCE:-120}
say() { printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*"; }
fail() { say "error: $*" >&2; exit 1; }

groups() { awk '{ print $1 }' "$hosts" | sort -nu; }

# SQL on the leader of a group, whoever that is now.
ask() { # GROUP SQL
  local all
  all=$(awk -v group="$1" '$1 == group { printf "%s%s", sep, $2; sep = "," }' "$hosts")
  psql "host=$all port=$port dbname=${CITUS_DATABASE:-coditect_cell} user=postgres target_session_attrs=read-write connect_timeout=5 \
    sslmode=verify-full sslrootcert=$tls/ca.crt sslcert=$tls/tls.crt sslkey=$tls/tls.key" -XAtq -v ON_ERROR_STOP=1 -c "$2"
}

# pgBackRest for a group; it finds the leader among the nodes by itself.
pgbackrest_of() { # GROUP ARGUMENT...
  local group=$1 options=() number=0 host data sockets
  shift
  while read -r _ host data sockets; do
    number=$((number + 1))
    options+=("--pg$number-host=$host" "--pg$number-host-type=tls" "--pg$number-host-port=$backup_port" "--pg$number-port=$port"
      "--pg$number-host-ca-file=$tls/ca.crt" "--pg$number-host-cert-file=$tls/tls.crt" "--pg$number-host-key-file=$tls/tls.key"
      "--pg$number-path=${data:-$PGBACKREST_PG1_PATH}" "--pg$number-socket-path=${sockets:-$PGBACKREST_PG1_SOCKET_PATH}")
  done < <(awk -v group="$group" '$1 == group' "$hosts")
  pgbackrest --stanza="group-$group" "${options[@]}" "$@"
}

newest() { # GROUP
  pgbackrest info --stanza="group-$1" --output=json |
    python3 -c 'import json, sys; b = [b["label"] for s in json.load(sys.stdin) for b in s.get("backup", [])]; print(b[-1] if b else "")'
}

backup() { # full or diff
  local group job jobs=() failed=""
  for group in $(groups); do pgbackrest_of "$group" stanza-create; done
  for group in $(groups); do
    (pgbackrest_of "$group" backup --type="$1" && say "group $group: $1 backup $(newest "$group")") &
    jobs+=("$!:$group")
  done
  for job in "${jobs[@]}"; do
    wait "${job%%:*}" || failed+=" ${job#*:}"
  done
  [ -z "$failed" ] || fail "no backup of group$failed; those of the others are made"
}

point() {
  local name group segment archived place waited places=()
  declare -A backups
  name=point-$(date -u +%Y%m%dT%H%M%SZ)
  # Those that ended before the point: one that ends meanwhile cannot be brought to it.
  for group in $(groups); do
    backups[$group]=$(newest "$group")
    [ -n "${backups[$group]}" ] || fail "there is no backup of group $group for the point to belong to: backup.sh backup"
  done
  ask 0 "SELECT citus_create_restore_point('$name')" >/dev/null
  for group in $(groups); do
    place=$(ask "$group" "SELECT pg_current_wal_lsn()")
    segment=$(ask "$group" "SELECT pg_walfile_name(pg_switch_wal())")
    places+=("$group $place $segment")
  done
  for place in "${places[@]}"; do
    read -r group _ segment <<<"$place"
    waited=0
    until archived=$(ask "$group" "SELECT coalesce(left(last_archived_wal, 24), '') FROM pg_stat_archiver") && [[ ! "$archived" < "$segment" ]]; do
      waited=$((waited + 1))
      [ $waited -lt "$patience" ] || fail "group $group: its log up to $segment is not in the repository after $patience s: see pg_stat_archiver there"
      sleep 1
    done
  done
  for place in "${places[@]}"; do
    read -r group place segment <<<"$place"
    pgbackrest annotate --stanza="group-$group" --set="${backups[$group]}" --annotation="$name=$place"
  done
  say "restore point $name: $(IFS=';' && echo "${places[*]}")"
}

case "${1:-}" in full | backup | point) [ -r "$hosts" ] || fail "there is no list of hosts, $hosts" ;; esac
case "${1:-}" in
  full) backup full; point ;;
  backup)
    if [ "$(date -u +%u)" = 7 ]; then backup full; else backup diff; fi
    point
    ;;
  point) point ;;
  *) sed -n '2,17s/^# \{0,1\}//p' "$0"; [ "${1:-}" = --help ] && exit 0; exit 2 ;;
esac
