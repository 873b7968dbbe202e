#!/usr/bin/env bash
# Runs `coditect cluster` in an environment, as a job in its cluster: the databases are reached from inside only.
#
# Usage: scripts/cluster.sh ENVIRONMENT [--yes] [--dry-run] COMMAND [ARGUMENT...]     ENVIRONMENT: staging or production
#
#   COMMAND     status, log, verify, rebalance, isolate, move, split, restore-point, stop, ...; `coditect cluster --help` tells of them
#   --yes       do not ask. What changes something (all but status, log, verify, stop, and anything with --dry-run behind
#               COMMAND) is asked for first
#   --dry-run   before COMMAND: say what would be run, run nothing
#
# Its output is shown until it ends. Ctrl-C, or a lost connection, leaves the job alone: it goes on, and
# `scripts/cluster.sh ENVIRONMENT stop` ends what runs after its present step. The same command goes on after a stop.
# Exit codes: that of the command, 2 wrong use, 3 preflight failed, 4 refused.
#
# Examples:
#   scripts/cluster.sh staging status
#   scripts/cluster.sh staging verify --rows
#   scripts/cluster.sh production rebalance --dry-run
#   scripts/cluster.sh production isolate acme
source "$(dirname "$0")/lib/cloud.sh"
source "$(dirname "$0")/lib/render.sh"

yes=no name="" command=()
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help) help; exit 0 ;;
    --yes) yes=yes ;;
    --dry-run) dry=yes ;;
    -*) bad_use "unknown option $1; options of the command come behind it" ;;
    *)
      if [ -n "$name" ]; then
        command=("$@")
        break
      fi
      name=$1
      ;;
  esac
  shift
done
use_environment "$name"
[ ${#command[@]} -gt 0 ] || bad_use "say which command, such as status"
case "${command[0]}" in
  init) bad_use "scripts/deploy.sh runs 'cluster init'" ;;
  rehearse) bad_use "'coditect cluster rehearse' plays on a cluster of its own: run it on a machine of yours" ;;
esac
[ "$(jq '.citus.workers // 0' "$values")" -gt 0 ] || bad_use "$environment has no Citus: citus.workers is 0"
if [ "$dry" = no ]; then
  need gcloud kubectl jq tofu
  preflight_account
else
  need jq kubectl
fi
use_cluster
copy_kubernetes
image=IMAGE
if [ "$dry" = no ]; then
  image=$(running deployment backend)
  [ -n "$image" ] || not_ready "nothing runs there yet: scripts/deploy.sh $environment"
fi
case "${command[0]}" in
  status | log | verify | stop) ;;
  *)
    if [ $yes = no ] && [[ " ${command[*]} " != *" --dry-run "* ]]; then confirm "coditect cluster ${command[*]} on $environment?"; fi
    ;;
esac
job=cluster-${command[0]}-$(date +%s)
# Each argument as JSON, which is YAML: none of its characters means anything else.
arguments=$({ printf '%s\0' cluster "${command[@]}"; printf end; } | jq -Rsc 'split("\u0000")[:-1]')
beside cluster "$namespace" jobs/cluster components/environment | sed "s|image: coditect\$|image: $image|" >"$work/cluster-all.yaml"
pick '!/^kind: Job$/' <"$work/cluster-all.yaml" >"$work/cluster.yaml"
pick '/^kind: Job$/' <"$work/cluster-all.yaml" |
  JOB=$job ARGUMENTS=$arguments awk '/^  name: cluster$/ { print "  name: " ENVIRON["JOB"]; next }
    /^      - args:$/ { print "      - args: " ENVIRON["ARGUMENTS"]; next } /^        - ARGUMENTS$/ { next } { print }' >"$work/cluster-job.yaml"
run kubectl apply --server-side --force-conflicts --field-manager=coditect-deploy -f "$work/cluster.yaml"
kube wait --for=condition=Ready externalsecret/cluster --timeout=180s
kube apply --server-side --field-manager=coditect-deploy -f "$work/cluster-job.yaml"
[ "$dry" = no ] || exit 0
trap 'say "$job goes on: kubectl --namespace $namespace logs --follow job/$job, or scripts/cluster.sh $environment stop"; exit 130' INT TERM
code="" tries=0
while [ $tries -lt "${JOB_TRIES:-604800}" ]; do
  tries=$((tries + 1))
  # A pod may take a while to start, and a connection may be lost: the log from where it was.
  if kubectl --namespace "$namespace" logs --follow "job/$job" ${since:+--since-time="$since"} 2>/dev/null; then since=$(date -u +%Y-%m-%dT%H:%M:%SZ); fi
  code=$(kubectl --namespace "$namespace" get pods --selector "batch.kubernetes.io/job-name=$job" \
    -o 'jsonpath={.items[0].status.containerStatuses[0].state.terminated.exitCode}' 2>/dev/null || true)
  [ -z "$code" ] || break
  [ $tries -ne 60 ] || say "it has not begun yet: kubectl --namespace $namespace describe job $job"
  sleep "${JOB_WAIT:-1}"
done
[ -n "$code" ] || { printf 'error: %s has not ended\n' "$job" >&2; exit 1; }
exit "$code"
