load common

@test "wrong use is said with the option's name" {
  it 2 deploy.sh; says "name an environment"
  it 2 deploy.sh prod; says "no environment 'prod'"
  it 2 deploy.sh dev staging
  it 2 deploy.sh dev --imag x; says "--imag"
  it 2 deploy.sh dev --image coditect:latest; says "@sha256:DIGEST"
  it 2 deploy.sh dev --database-image "$image"; says "citus.workers of dev is 0"
  it 2 deploy.sh staging --database-image citus:13; says "--database-image must be"
  it 2 deploy.sh dev --image; says "--image needs a value"
  it 2 deploy.sh dev --only network; says "opentofu, charts or kubernetes"
  it 2 deploy.sh production --yes; says "hash"
  it 2 deploy.sh staging --approve 1234
  it 0 deploy.sh --help; says "Usage: scripts/deploy.sh"
  [ ! -s "$CALLS" ]
}

@test "preflight: what is missing is said, and nothing was called that changes something" {
  FAKE_ACCOUNT="" it 3 deploy.sh dev --image "$image"; says "gcloud auth login"
  FAKE_PROJECT="" it 3 deploy.sh dev --image "$image"; says "does not see the project coditect-dev"
  FAKE_TOFU=1.9.0 it 3 deploy.sh dev --image "$image"; says "1.11 is needed"
  FAKE_IMAGE=no it 3 deploy.sh dev --image "$image"; says "there is no image"
  touch changed.txt
  it 3 deploy.sh staging --yes --image "$image"; says "not committed"
  not_called apply; not_called " add "; not_called delete
}

@test "dev is brought to what the checkout says, in order" {
  it 0 deploy.sh dev --image "$image"
  says "dev runs sha256:aaaa"
  order=$(grep -nE 'apply .*plan|first.yaml|get job bootstrap|delete externalsecret bootstrap|get job migrate|last.yaml|rollout status' "$CALLS" | cut -d: -f2- | sed 's/ --server-side.*-f / /')
  [ "$(wc -l <<<"$order")" -eq 7 ] || { echo "$order"; return 1; }
  sed -n 1p <<<"$order" | grep -q "tofu .* apply"
  sed -n 2p <<<"$order" | grep -q first.yaml
  sed -n 3p <<<"$order" | grep -q "job bootstrap"
  sed -n 4p <<<"$order" | grep -q "delete externalsecret bootstrap"
  sed -n 5p <<<"$order" | grep -q "job migrate"
  sed -n 6p <<<"$order" | grep -q last.yaml
  lacks "image: coditect$" build/deploy/dev/*.yaml
  grep -q "cidr: 10.16.240.0/20" build/deploy/dev/bootstrap.yaml
  [ -z "$(git status --porcelain)" ]
}

@test "databases come before what uses them, with a backup of their own" {
  FAKE_DATABASE="" it 3 deploy.sh staging --yes --image "$image"; says "say which --database-image"
  not_called first.yaml
  FAKE_CITUS_BACKUP="" it 0 deploy.sh staging --yes --image "$image" --database-image "${image/a@/c@}"
  order=$(grep -oE 'first.yaml|statefulset/citus-[0-9]|cluster-init.yaml|create job citus-backup-first|get job migrate|last.yaml' "$CALLS" | sed 's|[^ ]*/||' | tr '\n' ' ')
  [ "$order" = "first.yaml citus-0 citus-1 citus-2 cluster-init.yaml create job citus-backup-first get job migrate last.yaml " ] || { echo "$order"; return 1; }
  lacks "image: citus$" build/deploy/staging/*.yaml
  # The second time there is a backup.
  : >"$CALLS"
  it 0 deploy.sh staging --yes --image "$image"
  not_called citus-backup-first
  # What is being restored writes into no repository; what OpenTofu does not know is kept.
  : >"$CALLS"
  printf 'RESTORE_POINT=point-20260102T030405Z\nRESTORE_BUCKET=other\n' >>kubernetes/overlays/staging/environment.env
  sed -i 's|^  - ../../components/citus$|&\n  - ../../components/citus-restore|' kubernetes/overlays/staging/kustomization.yaml
  git -c user.name=t -c user.email=t@example.com commit -qam restore
  FAKE_CITUS_BACKUP="" it 0 deploy.sh staging --yes --image "$image"
  not_called citus-backup-first
  grep -q 'value: point-20260102T030405Z' build/deploy/staging/first.yaml
  grep -q 'PGBACKREST_REPO1_GCS_BUCKET: other' build/deploy/staging/first.yaml
  # Groups that are not those of the values.
  rm -r kubernetes/overlays/staging/citus/group-2
  git -c user.name=t -c user.email=t@example.com commit -qam x
  it 3 deploy.sh staging --yes --image "$image"; says "scripts/scale.sh staging citus --workers 2"
}

@test "what runs beside it is installed as pinned, and by its hash in production" {
  it 0 deploy.sh dev --only charts
  [ "$(grep -c '^helm upgrade' "$CALLS")" -eq "$(jq '[.[] | select(.namespace != "ENVIRONMENT")] | length' kubernetes/charts/charts.json)" ]
  not_called "upgrade hydra"
  called "helm upgrade kong ingress --install --repo https://charts.konghq.com --version 0.24.0 --namespace kong"
  called '130.211.0.0/22\,203.0.113.7/32'
  called "--values $PWD/build/deploy/dev/jaeger-values.yaml"
  # An object, which is what the collector reads, not one text.
  [ "$(sed -n '1p; /^  service:$/p; /^  extensions:$/p' build/deploy/dev/jaeger-values.yaml | tr '\n' ' ')" = "userconfig:   service:   extensions: " ]
  called "-f $PWD/build/deploy/dev/edge.yaml"
  called "-f $PWD/build/deploy/dev/monitoring.yaml"
  not_called " apply -auto"
  : >"$CALLS"
  it 0 deploy.sh production --only charts; says "nothing was installed"
  not_called "helm upgrade"
  hash=$(grep -oE -- '--approve [0-9a-f]{16}' <<<"$output" | cut -d' ' -f2)
  it 4 deploy.sh production --only charts --approve 0000000000000000
  not_called "helm upgrade"
  it 0 deploy.sh production --only charts --approve "$hash"
  called "helm upgrade jaeger"
  : >"$CALLS"
  run scripts/deploy.sh staging --only charts </dev/null
  [ "$status" -eq 4 ]
  not_called "helm upgrade"
}

@test "a share of the requests, more, given up, and all" {
  it 2 deploy.sh dev --share 200 --image "$image"; says "--share is a percentage"
  it 2 deploy.sh dev --share 10; says "--share needs --image"
  FAKE_RUNNING="" it 3 deploy.sh dev --share 10 --image "$image"; says "deploy without --share"
  old=${image/a@/c@} next=${image/aaaa/bbbb}
  FAKE_READY=5 FAKE_RUNNING=$old it 0 deploy.sh dev --share 25 --image "$next"
  says "25 of 100 requests"
  not_called last.yaml
  not_called "tofu -chdir=opentofu/environments/dev apply"
  grep -qx '  replicas: 2' build/deploy/dev/next.yaml  # of ten
  [ "$(grep -c "image: $old$" build/deploy/dev/last.yaml)" -eq 1 ]
  [ "$(grep -c "image: $next$" build/deploy/dev/next.yaml)" -eq 1 ]
  [ "$(grep -o 'weight: .*' build/deploy/dev/route.yaml | tr '\n' ' ')" = "weight: 75 weight: 25 weight: 75 weight: 25 " ]
  # Ready first, then requests.
  [ "$(grep -oE '(next|route|last).yaml|status deployment/backend-next' "$CALLS" | tr '\n' ' ')" = "next.yaml status deployment/backend-next route.yaml " ]
  : >"$CALLS"
  FAKE_READY=5 FAKE_RUNNING=$old it 0 deploy.sh dev --share 50 --image "$next"
  [ "$(grep -o 'weight: .*' build/deploy/dev/route.yaml | tr '\n' ' ')" = "weight: 50 weight: 50 weight: 50 weight: 50 " ]
  grep -qx '  replicas: 2' build/deploy/dev/next.yaml  # not five: half of the most that there may be
  it 2 deploy.sh dev --share 51 --image "$next"; says "from 0 to 50"
  not_called "helm"
  # One that does not become ready gets nobody.
  : >"$CALLS"
  FAKE_ROLLOUT=1 FAKE_RUNNING=$old it 1 deploy.sh dev --share 10 --image "$next"; says "nobody was sent there"
  not_called route.yaml; called "scale deployment/backend-next --replicas=0"
  : >"$CALLS"
  it 2 deploy.sh dev --share 0 --image "$next"; says "without --image"
  # Given up: the route, and nothing else; nobody is asked in production.
  FAKE_RUNNING=$old it 0 deploy.sh production --share 0
  [ "$(grep -o 'weight: .*' build/deploy/production/route.yaml | tr '\n' ' ')" = "weight: 100 weight: 0 weight: 100 weight: 0 " ]
  [ "$(grep -cE 'kubectl apply' "$CALLS")" -eq 1 ]
  called "scale deployment/backend-next --replicas=0"; not_called "job"
  # All: those that serve become as many as both were, or the most that the scaler makes, then the route, then the others go.
  : >"$CALLS"
  FAKE_READY=3 it 0 deploy.sh dev --image "$next"
  [ "$(grep -oE '(next|route|last).yaml|scale deployment/backend --replicas=[0-9]+|status deployment/backend ' "$CALLS" | tr '\n' ' ')" = \
    "last.yaml scale deployment/backend --replicas=3 status deployment/backend  route.yaml next.yaml " ]
  grep -qx '  replicas: 0' build/deploy/dev/next.yaml
}

@test "staging asks, and without anybody there refuses" {
  run scripts/deploy.sh staging --image "$image" </dev/null
  [ "$status" -eq 4 ]
  says "the plan"; says "--yes"
  not_called apply
  it 0 deploy.sh staging --image "$image" --yes
}

@test "production shows, and applies only what was approved" {
  it 0 deploy.sh production --image "$image"
  says "the plan"; says "nothing was changed"
  not_called apply
  hash=$(grep -oE -- '--approve [0-9a-f]{16}' <<<"$output" | cut -d' ' -f2)
  it 4 deploy.sh production --image "$image" --approve 0000000000000000; says "not 0000000000000000"
  not_called apply
  it 0 deploy.sh production --image "$image" --approve "$hash"
  called "apply $PWD/build/deploy/production/plan"
  # The cloud was approved; what runs on it was not.
  says "nothing was rolled out"
  not_called last.yaml
  mark=$(grep -oE -- '--only kubernetes --approve [0-9a-f]{16}' <<<"$output" | cut -d' ' -f4)
  it 4 deploy.sh production --only kubernetes --image "$image" --approve "$hash"
  it 4 deploy.sh production --only kubernetes --image "${image%aaaa}bbbb" --approve "$mark"
  not_called last.yaml
  it 0 deploy.sh production --only kubernetes --image "$image" --approve "$mark"
  called last.yaml
}

@test "production wants a fresh backup before it changes" {
  it 0 deploy.sh production --image "$image"
  hash=$(grep -oE -- '--approve [0-9a-f]{16}' <<<"$output" | cut -d' ' -f2)
  FAKE_BACKUP=2026-01-01T00:00:00Z it 3 deploy.sh production --image "$image" --approve "$hash"
  says "last backup is too old"
  FAKE_BACKUP="" it 3 deploy.sh production --image "$image" --approve "$hash"
  not_called apply
  # What mends it cannot wait for it.
  FAKE_BACKUP="" it 0 deploy.sh production --image "$image" --approve "$hash" --without-backup
  it 0 deploy.sh production --image "$image"
  # The first time there is nothing to lose.
  FAKE_INSTANCE="" FAKE_BACKUP="" it 0 deploy.sh production --image "$image" --approve "$hash"
  called "apply $PWD/build/deploy/production/plan"
}

@test "a plan that failed is a failure" {
  FAKE_CHANGES=1 it 1 deploy.sh dev --image "$image"; says "the plan failed"
  not_called apply
}

@test "nothing to do in the cloud: no apply" {
  FAKE_CHANGES=0 it 0 deploy.sh dev --image "$image"; says "as it should be"
  not_called "tofu -chdir=$PWD/opentofu/environments/dev apply"
}

@test "a check changes nothing and tells by its exit code" {
  FAKE_CHANGES=0 it 0 deploy.sh staging --check; says "as it should be"
  FAKE_CHANGES=2 it 1 deploy.sh staging --check; says "not as this checkout says"
  FAKE_CHANGES=1 it 1 deploy.sh staging --check; says "the plan failed"
  called "plan -lock=false"
  not_called apply
}

@test "an apply that failed stops, and says how to go on" {
  FAKE_APPLY=1 it 1 deploy.sh dev --image "$image"; says "same command goes on"
  not_called kubectl
}

@test "a migration that failed leaves what runs alone" {
  FAKE_JOB=/1 it 1 deploy.sh dev --image "$image"
  says "the log"; says "goes on running"
  not_called last.yaml
}

@test "roles that cannot be made stop it before the migration" {
  FAKE_BOOTSTRAP=/1 it 1 deploy.sh dev --image "$image"
  not_called migrate.yaml
}

@test "a roll-out that does not become ready is undone" {
  FAKE_ROLLOUT=1 it 1 deploy.sh dev --image "$image"
  called "rollout undo deployment/backend"
  says "was undone"
}

@test "without an image the one that runs stays; with none running it is asked for" {
  it 3 deploy.sh dev --only kubernetes; says "which --image"
  FAKE_RUNNING=$image it 0 deploy.sh dev --only kubernetes
  grep -q "image: $image" build/deploy/dev/last.yaml
}

@test "what OpenTofu says goes into the overlay that is applied" {
  sed -i 's/^HOST=.*/HOST=other.example.com/' kubernetes/overlays/dev/environment.env
  git -c user.name=t -c user.email=t@example.com commit -qam other
  it 0 deploy.sh dev --image "$image"
  grep -q "other.example.com" build/deploy/dev/route.yaml
}

@test "Hydra comes after its database, its secret and the program" {
  it 0 deploy.sh staging --yes --image "$image"
  called "helm upgrade hydra hydra --install --repo https://k8s.ory.sh/helm/charts --version 0.62.1 --namespace coditect-staging"
  called "--set-string hydra.config.urls.self.issuer=https://api.staging.coditect.example"
  # Its pods know which secret they were made with.
  called "--set-string deployment.podMetadata.annotations.secret=0123abcd"
  order=$(grep -oE 'first.yaml|get job bootstrap|annotate externalsecret hydra|upgrade hydra|get job migrate|last.yaml' "$CALLS" | sed 's|[^ ]*/||' | tr '\n' ' ')
  [ "$order" = "first.yaml get job bootstrap get job migrate last.yaml annotate externalsecret hydra upgrade hydra " ] || { echo "$order"; return 1; }
  # One that does not become ready leaves the program, which does not need it, as it was just rolled out.
  : >"$CALLS"
  FAKE_HELM=1 it 1 deploy.sh staging --yes --image "$image"
  called last.yaml
  # Its values and its version are part of what is approved.
  it 0 deploy.sh production --only kubernetes --image "$image"
  hash=$(grep -oE -- '--approve [0-9a-f]{16}' <<<"$output" | cut -d' ' -f2)
  sed -i 's/replicaCount: 2/replicaCount: 3/' kubernetes/charts/hydra.yaml
  git -c user.name=t -c user.email=t@example.com commit -qam more
  it 4 deploy.sh production --only kubernetes --image "$image" --approve "$hash"
  git reset -q --hard HEAD~1
  : >"$CALLS"
  it 0 deploy.sh production --only kubernetes --image "$image" --approve "$hash"
  called "upgrade hydra"
}

@test "sealing keys are made once, and are never words of a command" {
  it 0 deploy.sh dev --image "$image"
  not_called "versions add"
  # Who cannot be asked has not said that there are none.
  : >"$CALLS"
  FAKE_SEALING_CODE=1 it 1 deploy.sh dev --image "$image"
  not_called "versions add"; not_called first.yaml
  FAKE_SEALING="" it 0 deploy.sh dev --image "$image"
  called "versions add coditect-sealing-keys --project coditect-dev --data-file=-"
  grep -qE '^stdin k[0-9a-f]{6}:[A-Za-z0-9+/]{43}=$' "$CALLS"
  called "versions add coditect-identity-secrets --project coditect-dev --data-file=-"
  grep -qE '^stdin [0-9a-f]{64}$' "$CALLS"
}

@test "bootstrap moves its state into the bucket it has made" {
  FAKE_BUCKET=1 it 0 deploy.sh dev --bootstrap example/coditect
  called "init -migrate-state -force-copy"
  [ ! -e opentofu/bootstrap/backend_override.tf ]
  [ -z "$(git status --porcelain)" ]
  rm "$CALLS"; touch "$CALLS"
  it 0 deploy.sh dev --bootstrap example/coditect
  not_called "-migrate-state"
}

@test "a dry run says every command and runs none" {
  it 0 deploy.sh staging --dry-run --image "$image"
  [ ! -s "$CALLS" ]
  diff "$BATS_TEST_DIRNAME/deploy-staging.txt" <(sed 's/\x1b\[[0-9;]*m//g; s/force-sync=[0-9]*/force-sync=NOW/' <<<"$output")
}
