load common

@test "backup: made, and its age said" {
  it 0 backup.sh staging
  called "sql backups create --instance coditect-staging --project coditect-staging"
  called "create job citus-backup-"
  called "wait --for=condition=complete job/citus-backup-"
  says "0 h old"
  FAKE_CREATE=1 it 1 backup.sh staging
}

@test "backup --check: fresh, old, none" {
  it 0 backup.sh staging --check
  FAKE_BACKUP=$(date -u -d '30 hours ago' +%Y-%m-%dT%H:%M:%SZ) it 1 backup.sh staging --check; says "older than 26 h"
  FAKE_BACKUP=$(date -u -d '30 hours ago' +%Y-%m-%dT%H:%M:%SZ) it 0 backup.sh staging --check --max-age 40
  FAKE_BACKUP="" it 1 backup.sh staging --check; says "no backup"
  it 0 backup.sh staging --check; says "citus-restore-point: newest"
  FAKE_POINT=$(date -u -d '50 minutes ago' +%Y-%m-%dT%H:%M:%SZ) it 1 backup.sh staging --check; says "older than 30 min"
  FAKE_CITUS_BACKUP=$(date -u -d '30 hours ago' +%Y-%m-%dT%H:%M:%SZ) it 1 backup.sh staging --check; says "older than 1560 min"
  FAKE_CITUS_BACKUP="" it 1 backup.sh staging --check; says "no citus-backup has succeeded"
  FAKE_DATABASE="" it 0 backup.sh staging --check; says "Citus is not there yet"
  it 0 backup.sh dev --check
  [[ "$output" != *itus* ]]
  it 2 backup.sh staging --max-age soon; says "--max-age"
  not_called create
}

@test "restore drill: cloned, looked at, deleted" {
  FAKE_RUNNING=$image it 0 restore-drill.sh staging
  says "restored to"
  called "sql instances clone coditect-staging coditect-staging-drill-"
  called "sql instances delete coditect-staging-drill-"
  grep -q 'value: postgresql://10.48.240.9:5432' build/deploy/staging/drill.yaml
  grep -q "$image" build/deploy/staging/drill.yaml
  tr -d ' \n' <build/deploy/staging/drill.yaml | grep -q 'args:-migrate-verify'
  lacks "kind: ExternalSecret" build/deploy/staging/drill.yaml
}

@test "restore drill: a copy that is not right fails, and is deleted all the same" {
  FAKE_RUNNING=$image FAKE_JOB=/1 it 1 restore-drill.sh staging
  says "the log"
  called "sql instances delete coditect-staging-drill-"
  FAKE_CLONE=1 it 1 restore-drill.sh staging
}

@test "restore drill: kept when asked, and what an earlier one left is named" {
  FAKE_RUNNING=$image it 0 restore-drill.sh staging --keep
  not_called "sql instances delete"
  FAKE_LEFT=coditect-staging-drill-1 it 4 restore-drill.sh staging; says "coditect-staging-drill-1"
  it 2 restore-drill.sh staging --at yesterday; says "--at"
  it 2 restore-drill.sh staging --at 2026-13-01T00:00:00Z
}

@test "scale: says the sizes" {
  it 0 scale.sh production
  says "api       3 to 20 pods"
  says "citus     4 workers of 3 n2-highmem-4"
}

@test "scale: writes the files and nothing else" {
  it 0 scale.sh production api --least 5 --most 60
  says "+      - {op: replace, path: /spec/minReplicas, value: 5}"
  [ "$(git status --porcelain)" = " M kubernetes/overlays/production/kustomization.yaml" ]
  it 0 scale.sh staging cloudsql --vcpu 4 --memory 16
  [ "$(jq -c '[.cloudsql.vcpu, .cloudsql.memory_gb]' opentofu/environments/staging/terraform.tfvars.json)" = "[4,16]" ]
  it 0 scale.sh staging cloudsql --vcpu 4; says "that is the size it has"
  it 0 scale.sh staging citus --workers 4 --dry-run; says "nothing was written"
  [ ! -e kubernetes/overlays/staging/citus/group-4 ]
  it 0 scale.sh staging citus --workers 4
  [ "$(find kubernetes/overlays/staging/citus -name 'group-*' | wc -l)" -eq 5 ]
  grep -q '^4 citus-4-1.citus-4-pods$' kubernetes/overlays/staging/citus/hosts
  it 0 scale.sh staging citus --machine n2-highmem-8; says "CPU=7, MEMORY=45875Mi"
  it 0 scale.sh staging redis --shards 3
  it 0 scale.sh staging nodes --machine n2-standard-8
  lacks -vE '^.. (kubernetes/overlays/(production/kustomization.yaml|staging/citus/.*)|opentofu/environments/staging/terraform.tfvars.json)$' <(git status --porcelain)
}

@test "scale: what cannot be is refused, and nothing is written" {
  it 2 scale.sh staging api --least 9 --most 2; says "--least 9 is above --most 2"
  it 2 scale.sh staging api --workers 2; says "--workers is not an option of api"
  it 2 scale.sh staging api; says "--least"
  it 2 scale.sh staging nodes --least 9; says "--least"
  it 2 scale.sh staging cloudsql --vcpu 3; says "--vcpu"
  it 2 scale.sh staging cloudsql --memory 64; says "--memory"
  it 2 scale.sh staging cloudsql --vcpu many; says "whole number"
  it 2 scale.sh staging disks --least 1; says "no part 'disks'"
  it 4 scale.sh production citus --workers 2; says "remove-node"
  it 0 scale.sh staging redis --shards 5 --dry-run; says "nothing was written"
  [ -z "$(git status --porcelain)" ]
}

@test "cluster: runs a command beside the databases, and ends as it does" {
  it 2 cluster.sh; it 2 cluster.sh staging; says "say which command"
  it 2 cluster.sh dev status; says "dev has no Citus"
  it 2 cluster.sh staging init; says "scripts/deploy.sh runs"
  it 2 cluster.sh staging --rows verify; says "options of the command come behind it"
  FAKE_RUNNING="" it 3 cluster.sh staging status; says "nothing runs there yet"
  export FAKE_RUNNING=$image
  it 0 cluster.sh staging status --json
  says "the log"
  called "-f $PWD/build/deploy/staging/cluster.yaml"
  called "wait --for=condition=Ready externalsecret/cluster"
  grep -qx '      - args: \["cluster","status","--json"\]' build/deploy/staging/cluster-job.yaml
  grep -qE '^  name: cluster-status-[0-9]+$' build/deploy/staging/cluster-job.yaml
  grep -q "image: $image" build/deploy/staging/cluster-job.yaml
  grep -q "cidr: 10.48.240.0/20" build/deploy/staging/cluster.yaml
  lacks "kind: Job" build/deploy/staging/cluster.yaml
  FAKE_EXIT=5 it 5 cluster.sh staging status
  # What changes something is asked for, and its words stay words.
  : >"$CALLS"
  run scripts/cluster.sh production move 102008 'a"b $(id)' </dev/null
  [ "$status" -eq 4 ]
  not_called "apply"
  run scripts/cluster.sh production rebalance --dry-run </dev/null
  [ "$status" -eq 0 ]
  it 0 cluster.sh production --yes move 102008 'a"b $(id)'
  grep -qxF '      - args: ["cluster","move","102008","a\"b $(id)"]' build/deploy/production/cluster-job.yaml
  : >"$CALLS"
  it 0 cluster.sh staging --dry-run isolate acme
  [ ! -s "$CALLS" ]
}
