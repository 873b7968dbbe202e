#!/bin/bash
# Starts Patroni on a node of a Citus group. The drill of tests/ha runs this file.
#
# Usage: start.sh                  Patroni
#        start.sh with PROGRAM...  another program that reads renewed certificates when it gets SIGHUP
#        start.sh restore          what Patroni calls to fill an empty node from the repository
#
# CITUS_MEMORY_MIB     memory of the node, MiB: the server's caches are parts of it
# CITUS_RESTORE_POINT  a restore point (backup.sh): an empty group is made of the backup before it and is as it was then.
#                      Such a cluster writes nothing to the repository, and settles no transactions that were prepared,
#                      for its list of nodes is the old one's until Patroni has put in its own
# CITUS_ETC, CITUS_RUN where the configuration is, and where the whole of it is put together
set -Eeuo pipefail
etc=${CITUS_ETC:-/etc/coditect} run=${CITUS_RUN:-/run/patroni}

if [ "${1:-}" = restore ]; then
  # The newest backup that had ended when the point was made, a minute before if there is one: clocks differ.
  label=$(pgbackrest info --stanza="$PGBACKREST_STANZA" --output=json | python3 -c '
import datetime, json, sys
point = sys.argv[1]
try:
    at = datetime.datetime.strptime(point, "point-%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()
except ValueError:
    sys.exit(f"error: CITUS_RESTORE_POINT is point-YYYYMMDDTHHMMSSZ, not {point}")
ended = [(b["timestamp"]["stop"], b["label"]) for s in json.load(sys.stdin) for b in s.get("backup", []) if b["timestamp"]["stop"] <= at]
safe = [b for b in ended if b[0] <= at - 60] or ended
print(max(safe)[1] if safe else sys.exit(f"error: no backup of this stanza is older than {point}"))' "$CITUS_RESTORE_POINT")
  # Patroni writes what follows: to recover until the point, and to promote there.
  exec pgbackrest restore --set="$label" --type=none --archive-mode=off
fi

# Certificates are renewed while it runs: it reads them anew when it is told to.
certificate() { cksum <"$etc/tls/tls.crt"; }
watch_certificate() {
  local known now
  known=$(certificate)
  while sleep "${CITUS_CERTIFICATE_INTERVAL:-60}" && kill -0 $$ 2>/dev/null; do
    now=$(certificate) || continue
    [ "$now" = "$known" ] || kill -HUP $$
    known=$now
  done
}
watch_certificate &

if [ "${1:-}" = with ]; then
  shift
  exec "$@"
fi

mkdir -p "$run"
cp "$etc/citus/patroni.yml" "$run/10-patroni.yml"
memory=${CITUS_MEMORY_MIB:?it must be set}
cat >"$run/20-size.yml" <<END
postgresql:
  parameters:
    shared_buffers: $((memory / 4))MB
    effective_cache_size: $((memory * 7 / 10))MB
    maintenance_work_mem: $((memory / 16 > 2048 ? 2048 : memory / 16))MB
    autovacuum_work_mem: $((memory / 32 > 1024 ? 1024 : memory / 32))MB
END
rm -f "$run/30-restore.yml"
if [ -n "${CITUS_RESTORE_POINT:-}" ]; then
  cat >"$run/30-restore.yml" <<END
bootstrap:
  method: restore
  restore:
    command: bash $etc/citus/start.sh restore
    no_params: true
    recovery_conf:
      restore_command: pgbackrest archive-get %f "%p"
      recovery_target_name: $CITUS_RESTORE_POINT
      recovery_target_action: promote
      recovery_target_timeline: latest
postgresql:
  parameters:
    archive_mode: "off"
    citus.recover_2pc_interval: -1
END
fi

exec patroni "$run"
