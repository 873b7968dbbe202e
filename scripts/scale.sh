#!/usr/bin/env bash
# Changes the size of an environment, in the files that scripts/deploy.sh brings to the cloud: nothing runs
# differently before that.
#
# Usage: scripts/scale.sh ENVIRONMENT                                     says the sizes
#        scripts/scale.sh ENVIRONMENT api --least N --most N              pods of the API
#        scripts/scale.sh ENVIRONMENT nodes [--least N] [--most N] [--machine TYPE]
#                                                                         nodes of each zone that run them
#        scripts/scale.sh ENVIRONMENT cloudsql [--vcpu N] [--memory GIB] [--connections N]
#        scripts/scale.sh ENVIRONMENT redis [--shards N] [--replicas N]
#        scripts/scale.sh ENVIRONMENT citus [--workers N] [--machine TYPE]
#
#   --dry-run   show the difference, write nothing
#
# What it takes to serve a load, and what it costs: coditect plan --help.
# Exit codes: 0 done, 1 failed, 2 wrong use, 4 refused.
source "$(dirname "$0")/lib/cloud.sh"

name="" part="" least="" most="" machine="" vcpu="" memory="" connections="" shards="" replicas="" workers=""
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help) help; exit 0 ;;
    --dry-run) dry=yes ;;
    --least | --most | --vcpu | --connections | --shards | --replicas | --workers)
      value "$@"
      [[ "$2" =~ ^[0-9]{1,5}$ ]] || bad_use "$1 is a whole number, not '$2'"
      printf -v "${1#--}" %s "$2"
      shift
      ;;
    --memory)
      value "$@"
      [[ "$2" =~ ^[0-9]{1,4}(\.[0-9]{1,2})?$ ]] || bad_use "--memory is a number of GiB, not '$2'"
      memory=$2
      shift
      ;;
    --machine)
      value "$@"
      [[ "$2" =~ ^[a-z][a-z0-9]*-[a-z]+-[0-9]+$ ]] || bad_use "--machine is a machine type such as n2-standard-4, not '$2'"
      machine=$2
      shift
      ;;
    -*) bad_use "unknown option $1" ;;
    *)
      if [ -z "$name" ]; then name=$1; elif [ -z "$part" ]; then part=$1; else bad_use "unexpected '$1'"; fi
      ;;
  esac
  shift
done
need jq
use_environment "$name"
overlay=$root/kubernetes/overlays/$environment/kustomization.yaml

# Only the options of this part.
only() {
  local option
  for option in least most machine vcpu memory connections shards replicas workers; do
    [ -z "${!option}" ] || [[ " $* " == *" $option "* ]] || bad_use "--$option is not an option of $part"
  done
  for option in "$@"; do [ -z "${!option}" ] || return 0; done
  bad_use "say what to change of $part: $(printf -- '--%s ' "$@")"
}

replicas_now() { sed -n "s|.*path: /spec/$1Replicas, value: \([0-9]*\)}.*|\1|p" "$overlay"; }

new=$work/values.json
cp "$values" "$new"
# change PATH VALUE: VALUE is JSON.
change() { jq "$1 = $2" "$new" >"$new.new" && mv "$new.new" "$new"; }
number() { [ -z "$2" ] || change "$1" "$2"; }

case "$part" in
  "")
    printf 'api       %s to %s pods\n' "$(replicas_now min)" "$(replicas_now max)"
    jq -r '"nodes     \(.application.least) to \(.application.most) \(.application.machine_type) in each of \(.zones | length) zones",
      "cloudsql  \(.cloudsql.vcpu) vCPU, \(.cloudsql.memory_gb) GiB, \(.cloudsql.connections) connections\(if .cloudsql.high_availability then ", with a standby" else "" end)",
      "redis     \(.redis.shards) shards of \(.redis.node_type), \(.redis.replicas) replicas each",
      (if .citus.workers > 0 then "citus     \(.citus.workers) workers of \(.citus.worker_replicas // 2) \(.citus.worker_machine_type // "n2-highmem-4")" else "citus     none: phase 1" end)' "$values"
    exit 0
    ;;
  api)
    only least most
    least=${least:-$(replicas_now min)} most=${most:-$(replicas_now max)}
    [ "$least" -ge 1 ] || bad_use "--least must be 1 or more"
    [ "$least" -le "$most" ] || bad_use "--least $least is above --most $most"
    sed "s|\(path: /spec/minReplicas, value: \)[0-9]*}|\1$least}|; s|\(path: /spec/maxReplicas, value: \)[0-9]*}|\1$most}|" "$overlay" >"$work/overlay.yaml"
    ;;
  nodes)
    only least most machine
    number .application.least "$least"
    number .application.most "$most"
    [ -z "$machine" ] || change .application.machine_type "\"$machine\""
    jq -e '.application | .least <= .most and .most >= 1' "$new" >/dev/null ||
      bad_use "--least must not be above --most: that would be $(jq -r '.application | "\(.least) and \(.most)"' "$new")"
    ;;
  cloudsql)
    only vcpu memory connections
    number .cloudsql.vcpu "$vcpu"
    number .cloudsql.memory_gb "$memory"
    number .cloudsql.connections "$connections"
    jq -e '.cloudsql | .vcpu == 1 or .vcpu % 2 == 0 and .vcpu >= 2 and .vcpu <= 96' "$new" >/dev/null || bad_use "--vcpu must be 1 or an even number from 2 to 96"
    jq -e '.cloudsql | .memory_gb >= 3.75 and .memory_gb >= 0.9 * .vcpu and .memory_gb <= 6.5 * .vcpu' "$new" >/dev/null ||
      bad_use "--memory must be 0.9 to 6.5 GiB for each of the $(jq .cloudsql.vcpu "$new") vCPU, at least 3.75"
    ;;
  redis)
    only shards replicas
    number .redis.shards "$shards"
    number .redis.replicas "$replicas"
    ;;
  citus)
    only workers machine
    now=$(jq .citus.workers "$values")
    if [ -n "$workers" ] && [ "$workers" -lt "$now" ]; then
      refuse "it has $now workers; first take the shards off those that go: coditect cluster remove-node, then change the file by hand"
    fi
    number .citus.workers "$workers"
    [ -z "$machine" ] || change .citus.worker_machine_type "\"$machine\""
    ;;
  *) bad_use "there is no part '$part': api, nodes, cloudsql, redis or citus" ;;
esac

# A folder for each Patroni group of the values in $1: its size is a part of its node's. What it takes: kubernetes/services/citus/group.
citus_groups() { # VALUES FOLDER
  jq -r '
    def machine: capture("^(?<family>[a-z0-9]+-(?<kind>[a-z]+))-(?<cpu>[0-9]+)$") | (.cpu | tonumber) as $cpu
      | {cpu: ([$cpu - 1, 1] | max), memory: ($cpu * {standard: 4, highmem: 8, highcpu: 1}[.kind] * 7 / 10 * 1024 | floor)};
    .citus | .workers as $workers | (.coordinator_machine_type // "n2-standard-4" | machine) as $c | (.worker_machine_type // "n2-highmem-4" | machine) as $w
      | (if $workers > 0 then [0, 3, "citus-coordinator", $c.cpu, $c.memory, 50] else empty end),
        (range($workers) | [. + 1, ($root.citus.worker_replicas // 2), "citus-worker", $w.cpu, $w.memory, ($root.citus.worker_disk_gb // 500)])
      | @tsv' --argjson root "$(cat "$1")" "$1" | {
    rm -rf "$2"
    mkdir -p "$2"
    local resources="" number replicas pool cpu memory disk index hosts=""
    while IFS=$'\t' read -r number replicas pool cpu memory disk; do
      mkdir "$2/group-$number"
      cat >"$2/group-$number/kustomization.yaml" <<END
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
components: [../../../../services/citus/group]
configMapGenerator:
  - name: group-$number
    literals: [NUMBER=$number, LEADER=citus-$number, PODS=citus-$number-pods, NAMESPACE=$namespace, REPLICAS=$replicas, POOL=$pool, CPU=$cpu, MEMORY=${memory}Mi, DISK=${disk}Gi]
    options: {disableNameSuffixHash: true, annotations: {config.kubernetes.io/local-config: "true"}}
END
      resources+="  - group-$number"$'\n'
      for ((index = 0; index < replicas; index++)); do hosts+="$number citus-$number-$index.citus-$number-pods"$'\n'; done
    done
    printf '%s' "$hosts" >"$2/hosts"
    cat >"$2/kustomization.yaml" <<END
# Written by scripts/scale.sh from opentofu/environments/$environment/terraform.tfvars.json.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
$resources  - ../../../services/citus
configMapGenerator:
  - name: citus-hosts
    files: [hosts]
END
  }
}

changed=no
replace() { # NEW OLD
  if ! diff -u --label "${2#"$root"/}" --label "${2#"$root"/}" "$2" "$1"; then
    changed=yes
    # In one step: a file half written would be deployed.
    if [ "$dry" = no ]; then cp "$1" "$2.new" && mv "$2.new" "$2"; fi
  fi
}
if [ "$part" = api ]; then replace "$work/overlay.yaml" "$overlay"; else replace "$new" "$values"; fi
if [ "$part" = citus ] && [ "$(jq .citus.workers "$new")" -gt 0 ]; then
  groups=$root/kubernetes/overlays/$environment/citus
  citus_groups "$new" "$work/citus"
  if [ -d "$groups" ] || [ "$dry" = no ]; then diff -ruN "$groups" "$work/citus" || changed=yes; fi
  if [ "$dry" = no ] && [ $changed = yes ]; then
    rm -rf "$groups.new"
    cp -r "$work/citus" "$groups.new"
    rm -rf "$groups"
    mv "$groups.new" "$groups"
  fi
fi
[ $changed = yes ] || { say "that is the size it has"; exit 0; }
if [ "$dry" = yes ]; then say "nothing was written"; else say "written. Commit it, then: scripts/deploy.sh $environment"; fi
