#!/bin/bash
# Starts Patroni on a node of a Citus group; or, as `start.sh restore`, is what Patroni calls to fill an empty node from
# the repository. The drill of tests/ha runs this file.
#
# CITUS_MEMORY_MIB     memory of the node, MiB: the server's caches are parts of it
# CITUS_RESTORE_POINT  a restore point (backup.sh): an empty group is made of the backup before it and is as it was then.
#                      Such a cluster writes nothing to the repository, and settles no transactions that were prepared,
#                      for its list of nodes is the old one's until Patroni has put in its own
# CITUS_ETC, CITUS_RUN where the configuration is, and where the whole of it is put together
set -Eeuo pipefail
etc=${CITUS_ETC:-/etc/coditect} run=${CITUS_RUN:-/run/patroni}

if [ "${1:-}" = restore ]; then
  # The backup that was the newest when the point was made carries its name.
  label=$(pgbackrest info --stanza="$PGBACKREST_STANZA" --output=json | python3 -c '
import json, sys
point, found = sys.argv[1], [b["label"] for s in json.load(sys.stdin) for b in s.get("backup", []) if sys.argv[1] in b.get("annotation", {})]
print(found[0] if found else sys.exit(f"error: no backup of this stanza knows the restore point {point}"))' "$CITUS_RESTORE_POINT")
  # Patroni writes what follows: to recover until the point, and to promote there.
  exec pgbackrest restore --set="$label" --type=none --archive-mode=off
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

# Certificates are renewed while it runs: Patroni and the server read them anew when they are told to.
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
exec patroni "$run"
