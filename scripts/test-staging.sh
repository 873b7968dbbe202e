#!/usr/bin/env bash
# Tries an environment from outside, as a client and as an attacker: TLS, what must not be reachable, errors, and one
# tenant against another. It signs up organizations of its own and deletes them.
#
# Usage: scripts/test-staging.sh [--url URL] [--direct] [--operator-key-file FILE]
#
#   --url URL       what to test; default: the host of staging
#   --direct        not behind the gateway: leave out what only the gateway does
#   --operator-key-file FILE
#                   an operator's key (coditect admin new-operator): suspended organizations are tried too.
#                   Or CODITECT_OPERATOR_KEY
#
# Exit codes: 0 all is well, 1 something is not, 2 wrong use, 3 preflight failed.
source "$(dirname "$0")/lib/cloud.sh"

url="" direct=no key_file=""
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help) help; exit 0 ;;
    --url) value "$@"; url=${2%/}; shift ;;
    --direct) direct=yes ;;
    --operator-key-file) value "$@"; key_file=$2; shift ;;
    *) bad_use "unknown argument $1" ;;
  esac
  shift
done
need curl jq
if [ -z "$url" ]; then
  use_environment staging
  url=https://$host
fi
[[ "$url" =~ ^https?://[^/]+$ ]] || bad_use "--url is http:// or https:// and a host, not '$url'"
[ -z "$key_file" ] || [ -r "$key_file" ] || bad_use "--operator-key-file: $key_file cannot be read"

failed=0 checked=0
# check NAME WANTED GOT
check() {
  checked=$((checked + 1))
  if [ "$2" = "$3" ]; then printf 'ok      %s\n' "$1"; else printf 'FAILED  %s: %s instead of %s\n' "$1" "$3" "$2"; failed=$((failed + 1)); fi
}
ask() { curl --silent --show-error --max-time 15 "$@"; }
status() { ask -o /dev/null -w '%{http_code}' "$@" || true; }
header() { ask -o /dev/null -D - "$2" | tr -d '\r' | sed -n "s/^$1: //ip" | head -1; }

ask -o /dev/null "$url/openapi.json" || not_ready "$url does not answer"
check "the description is served" 200 "$(status "$url/openapi.json")"
check "and is OpenAPI 3.1" 3.1.0 "$(ask "$url/openapi.json" | jq -r .openapi)"
check "who is not logged in is told so" 401 "$(status "$url/v1/tenants/acme/projects")"
check "in the form of RFC 9457" application/problem+json "$(header content-type "$url/v1/tenants/acme/projects")"
check "a tenant that is not there looks like one that is not yours" "$(ask "$url/v1/tenants/acme/projects" | jq -r .code)" "$(ask "$url/v1/tenants/nobody-at-all/projects" | jq -r .code)"
check "what is not there is 404" 404 "$(status "$url/v1/nowhere")"
check "a body that is no JSON is 400" 400 "$(status -X POST -H 'content-type: application/json' -d '{' "$url/v1/signup")"
check "and one that is too large is 413" 413 "$(head -c 3000000 /dev/zero | tr '\0' 'x' | status -X POST -H 'content-type: application/json' --data-binary @- "$url/v1/signup")"
if [ $direct = no ]; then
  check "metrics are not reachable" 404 "$(status "$url/metrics")"
  check "nor is health" 404 "$(status "$url/health/ready")"
  check "old TLS is refused" 000 "$(status --tls-max 1.1 "$url/openapi.json" 2>/dev/null)"
fi

program=$(command -v coditect || echo "$root/build/release/coditect")
if [ -n "$key_file" ]; then
  CODITECT_OPERATOR_KEY=$(cat "$key_file")
  export CODITECT_OPERATOR_KEY
fi
if [ -x "$program" ]; then
  code=0 log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  "$program" attack --url "$url" >"$log" 2>&1 || code=$?
  check "no tenant reaches another's (coditect attack)" 0 $code
  [ $code -eq 0 ] || tail -20 "$log"
else
  printf 'SKIP    no tenant reaches another'"'"'s: the program coditect is not here\n'
fi
printf '%d checked, %d failed\n' $checked $failed
exit $((failed > 0))
