#!/usr/bin/env bash
# A point read over HTTP beside the same statement by pgbench -M prepared, in turn, on one server.
# Usage: bench/first_figure.sh [ROUNDS]      prints each round, the medians and their ratio
# pgbench has as many connections as the API's pools together, over the same Unix socket; wrk has 64.
source "$(dirname "$0")/../scripts/lib/common.sh"
rounds=${1:-5}
program=$root/build/release/coditect
state=$(mktemp -d /tmp/coditect-bench-XXXXXX)
port=18980
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
cleanup() { "$program" down --state "$state" >/dev/null 2>&1 || true; rm -rf "$state"; }
trap cleanup EXIT
"$program" up --detach --no-demo --state "$state" --http-port $port --http-access-log false \
  --auth-signup-per-address 1000000 --auth-signup-global 1000000 >/dev/null
api=http://127.0.0.1:$port
key=$(curl -s $api/v1/signup -H 'Content-Type: application/json' \
  -d '{"email":"a@bench.example","password":"a long enough password","organization":{"name":"Bench","slug":"bench"}}' | jq -r .api_key.secret)
project=$(curl -s $api/v1/tenants/bench/projects -H "Authorization: Bearer $key" -H 'Content-Type: application/json' -d '{"name":"Bench"}')
id=$(jq -r .id <<<"$project")
secret() { awk -v n="$1" '$1 == n { print $2 }' "$state/secrets"; }
pg_port=$(awk '$1 == "postgres" { print $2 }' "$state/ports")
export PGPASSWORD; PGPASSWORD=$(secret postgres)
row=$("$bin/psql" -XAtq "host=$state/run port=$pg_port user=coditect_admin dbname=coditect_cell" -c "SELECT tenant_id, id FROM projects")
cat > "$state/read.sql" <<SQL
SELECT p.id, p.name, p.created_at, p.updated_at, p.deleted_at, p.version FROM projects p WHERE p.tenant_id = ${row%%|*} AND p.id = '${row##*|}' AND p.deleted_at IS NULL;
SQL
chmod 755 "$state"; chmod 644 "$state/read.sql"
echo "round   pgbench/s   http/s   ratio   api CPU us/request   api RSS MiB"
pid=$(cat "$state/lock")
ticks() { awk '{ print $14 + $15 }' "/proc/$pid/stat"; }
for round in $(seq "$rounds"); do
  tps=$("$bin/pgbench" -n -M prepared -c 16 -j 2 -T 5 -f "$state/read.sql" "host=$state/run port=$pg_port user=coditect_admin dbname=coditect_cell" 2>/dev/null | awk '/^tps/ { print $3 }')
  before=$(ticks)
  out=$(wrk -t 1 -c 64 -d 5 -H "Authorization: Bearer $key" "$api/v1/tenants/bench/projects/$id")
  used=$(( $(ticks) - before ))
  grep -q "Non-2xx" <<<"$out" && die "requests failed: $out"
  rate=$(awk '/Requests\/sec/ { print $2 }' <<<"$out")
  count=$(awk '/requests in/ { print $1 }' <<<"$out")
  rss=$(awk '/VmRSS/ { print $2 / 1024 }' "/proc/$pid/status")
  awk -v n="$round" -v a="$tps" -v b="$rate" -v u="$used" -v c="$count" -v r="$rss" -v hz="$(getconf CLK_TCK)" \
    'BEGIN { printf "%5d %11.0f %8.0f   %.3f   %18.1f   %11.1f\n", n, a, b, b / a, u / hz * 1e6 / c, r }' | tee -a "$state/table"
done
awk '{ ratio[NR] = $4; cpu[NR] = $5 } END { n = asort_(ratio); asort_(cpu); printf "api.read ratio=%.3f cpu_us=%.1f\n", ratio[int((NR + 1) / 2)], cpu[int((NR + 1) / 2)] }
  function asort_(a,  i, j, t) { for (i = 2; i <= NR; i++) for (j = i; j > 1 && a[j - 1] > a[j]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t } return NR }' "$state/table"
