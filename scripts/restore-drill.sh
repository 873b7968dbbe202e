#!/usr/bin/env bash
# Proves that an environment can be restored: its PostgreSQL as it was at a moment, beside the one that runs, held
# against the program's own table registry, and deleted again. Says how long each step took.
#
# Usage: scripts/restore-drill.sh ENVIRONMENT [--at TIME] [--keep] [--dry-run]
#
#   --at TIME    RFC 3339, such as 2026-03-01T12:00:00Z; default: ten minutes ago
#   --keep       leave the restored instance for a look, and say how to delete it
#   --dry-run    say every command, run none
#
# The copy costs what an instance of that size costs for as long as it is there. Stopped by Ctrl-C it is deleted.
# One machine without a cloud: `coditect restore` (docs/SINGLE-HOST.md).
# Exit codes: 0 restored and right, 1 failed, 2 wrong use, 3 preflight failed, 4 refused.
source "$(dirname "$0")/lib/cloud.sh"

at="" keep=no name=""
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help) help; exit 0 ;;
    --at) value "$@"; at=$2; shift ;;
    --keep) keep=yes ;;
    --dry-run) dry=yes ;;
    -*) bad_use "unknown option $1" ;;
    *) [ -z "$name" ] || bad_use "one environment, not $name and $1"; name=$1 ;;
  esac
  shift
done
use_environment "$name"
if [ -z "$at" ]; then
  [ "$dry" = no ] && at=$(date -u -d '10 minutes ago' +%Y-%m-%dT%H:%M:%SZ) || at=TIME
elif ! [[ "$at" =~ ^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$ ]] || ! date -d "$at" >/dev/null 2>&1; then
  bad_use "--at is a time in UTC such as 2026-03-01T12:00:00Z, not '$at'"
fi
need jq kubectl
copy=$cluster-drill
if [ "$dry" = no ]; then
  need gcloud
  preflight_account
  # The name of a deleted instance is blocked for a week.
  copy=$copy-$(date -u +%Y%m%d%H%M)
  left=$(gcloud sql instances list --project "$project" --filter="name~^$cluster-drill-" --format='value(name)')
  [ -z "$left" ] || refuse "an earlier drill left $left: gcloud sql instances delete $left --project $project"
fi

delete_copy() {
  if [ $keep = yes ]; then
    say "kept: gcloud sql instances delete $copy --project $project"
  else
    run gcloud sql instances delete "$copy" --project "$project" --quiet
  fi
}

use_cluster
begun=$SECONDS
# shellcheck disable=SC2154
trap 'code=$?; delete_copy; exit $code' EXIT
trap 'exit 130' INT TERM
run gcloud sql instances clone "$cluster" "$copy" --project "$project" --point-in-time "$at"
restored=$((SECONDS - begun))
address=ADDRESS image=IMAGE
if [ "$dry" = no ]; then
  address=$(gcloud sql instances describe "$copy" --project "$project" --format=json | jq -r '.ipAddresses[] | select(.type == "PRIVATE") | .ipAddress')
  image=$(kubectl --namespace "$namespace" get deployment backend -o 'jsonpath={.spec.template.spec.containers[0].image}')
fi

# The cell is elsewhere where there is Citus: scripts/test.sh ha rehearses that one's restore.
verify="[migrate, verify]"
[ "$(jq '.citus.workers // 0' "$values")" -eq 0 ] || verify="[migrate, verify, --only, directory]"

# The job of the migrations, which looks instead of changing, and at the copy.
rm -rf "$work/drill"
mkdir -p "$work/drill"
cp "$root/kubernetes/jobs/migrate/job.yaml" "$work/drill/"
cat >"$work/drill/kustomization.yaml" <<END
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: $namespace
resources: [job.yaml]
patches:
  - target: {kind: Job, name: migrate}
    options: {allowNameChange: true}
    patch: |
      - {op: replace, path: /metadata/name, value: restore-drill}
      - {op: replace, path: /spec/template/spec/containers/0/image, value: "$image"}
      - {op: replace, path: /spec/template/spec/containers/0/args, value: $verify}
      - op: add
        path: /spec/template/spec/containers/0/env
        value:
          # A copy has a certificate authority of its own: the connection is encrypted, and the other side
          # is known by its address in a network that is ours.
          - {name: CODITECT_DATABASE_URL, value: "postgresql://$address:5432?sslmode=require"}
END
kubectl kustomize "$work/drill" | pick '/^kind: Job$/' >"$work/drill.yaml"
run_job restore-drill "$work/drill.yaml"
[ "$dry" = yes ] || say "restored to $at in $restored s, found right after $((SECONDS - begun)) s"
