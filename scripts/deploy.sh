#!/usr/bin/env bash
# Brings an environment to what this checkout says: cloud, secrets, database, program.
#
# Usage: scripts/deploy.sh ENVIRONMENT [OPTION...]     ENVIRONMENT: dev, staging or production
#
#   --image IMAGE      what to run, as REPOSITORY@sha256:DIGEST; without it the one that runs stays
#   --database-image IMAGE
#                      the same for the databases, where the environment has Citus (kubernetes/services/citus/Dockerfile)
#   --share PERCENT    the program only: pods of --image beside those that run, which get so many of a hundred requests, 50 at most. Again
#                      with more; without --share it is rolled out to all; --share 0, without --image, gives up
#   --only PART        opentofu, charts or kubernetes; default: opentofu and kubernetes, in this order. charts installs what runs
#                      beside ours (kubernetes/charts), the way in (kubernetes/edge), rules and dashboards (monitoring). Hydra's chart
#                      comes with kubernetes: it needs the database that is made there
#   --yes              do not ask (staging, in a pipeline)
#   --approve HASH     production: apply the plan with this hash, and no other
#   --without-backup   production: also when the last backup is too old, as when this is what mends it
#   --check            change nothing: exit code 1 when the cloud is not as this checkout says
#   --dry-run          say every command, run none
#   --bootstrap OWNER/REPOSITORY
#                      once for each project: services, bucket of the state, accounts of that GitHub repository
#
# dev is changed without asking. staging shows what would change and asks. production shows it, says its hash and
# changes nothing; with --approve just that is applied. The cloud and the program are approved one after the other.
#
# It may be stopped and started again at any point. A roll-out of the program that does not become ready is undone; one of the
# databases stops at the first pod that does not, and the others serve.
# Exit codes: 0 done or nothing to do, 1 failed, 2 wrong use, 3 preflight failed, 4 refused.
#
# Examples:
#   scripts/deploy.sh dev --image europe-west1-docker.pkg.dev/coditect-dev/coditect/coditect@sha256:...
#   scripts/deploy.sh production --image ...             # shows, says a hash
#   scripts/deploy.sh production --image ... --approve 3f9a...
source "$(dirname "$0")/lib/cloud.sh"
source "$(dirname "$0")/lib/render.sh"

yes=no check=no image="" database_image="" share="" without_backup=no only="" approved="" repository="" name=""
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help) help; exit 0 ;;
    --yes) yes=yes ;;
    --dry-run) dry=yes ;;
    --check) check=yes ;;
    --without-backup) without_backup=yes ;;
    --image) value "$@"; image=$2; shift ;;
    --database-image) value "$@"; database_image=$2; shift ;;
    --share) value "$@"; share=$2; shift ;;
    --only) value "$@"; only=$2; shift ;;
    --approve) value "$@"; approved=$2; shift ;;
    --bootstrap) value "$@"; repository=$2; shift ;;
    -*) bad_use "unknown option $1" ;;
    *) [ -z "$name" ] || bad_use "one environment, not $name and $1"; name=$1 ;;
  esac
  shift
done
use_environment "$name"
case "$only" in "" | opentofu | charts | kubernetes) ;; *) bad_use "--only is opentofu, charts or kubernetes, not '$only'" ;; esac
for option in image database_image; do
  [[ -z "${!option}" || "${!option}" =~ ^[a-z0-9.-]+(/[a-z0-9._-]+)+@sha256:[0-9a-f]{64}$ ]] ||
    bad_use "--${option/_/-} must be REPOSITORY@sha256:DIGEST: a tag may be another image tomorrow"
done
if [ -n "$share" ]; then
  [[ "$share" =~ ^([0-9]|[1-4][0-9]|50)$ ]] || bad_use "--share is a percentage from 0 to 50, not '$share'; without it all requests go there"
  [ "$share" -eq 0 ] || [ -n "$image" ] || bad_use "--share needs --image: what gets the share"
  [ "$share" -gt 0 ] || [ -z "$image" ] || bad_use "--share 0 gives up and rolls nothing out: without --image"
  [ -z "$only" ] || [ "$only" = kubernetes ] || bad_use "--share is of the program, not of $only"
  only=kubernetes
fi
workers=$(jq '.citus.workers // 0' "$values")
[ -z "$database_image" ] || [ "$workers" -gt 0 ] || bad_use "--database-image is for environments with Citus, and citus.workers of $environment is 0"
[ -z "$approved" ] || [ "$environment" = production ] || bad_use "--approve is for production"
[ "$yes" = no ] || [ "$environment" != production ] || bad_use "production is approved by its plan's hash, not by --yes"

# --- Preflight ---

preflight() {
  need jq kubectl
  [ "$dry" = no ] || return 0
  need gcloud tofu
  [ "$only" = opentofu ] || [ -n "$share" ] || need helm
  local version
  version=$(tofu version -json | jq -r '.terraform_version | sub("-.*"; "")')
  at_least "$version" 1.11.0 || not_ready "OpenTofu is $version, 1.11 is needed: secrets are written without being kept in the state"
  preflight_account
  if [ "$environment" != dev ] && [ -n "$(git -C "$root" status --porcelain)" ]; then
    not_ready "the checkout has changes that are not committed: $environment gets what git has"
  fi
  local one
  for one in $image $database_image; do
    gcloud artifacts docker images describe "$one" --project "$project" --format='value(image_summary.digest)' >/dev/null 2>&1 ||
      not_ready "there is no image $one"
  done
  # The first time there is nothing that could be lost.
  if [ "$environment" = production ] && [ -n "$approved" ] && [ $without_backup = no ] &&
    [ -n "$(gcloud sql instances list --project "$project" --filter="name=$cluster" --format='value(name)')" ]; then
    "$root/scripts/backup.sh" production --check || not_ready "the last backup is too old: scripts/backup.sh production, or --without-backup if this is what mends it"
  fi
}

# --- Once for each project ---

bootstrap_project() {
  local folder=$root/opentofu/bootstrap bucket=$project-tofu-state
  local variables=(-var "project=$project" -var "repository=$repository" -var "environment=$environment")
  if [ "$dry" = yes ] || ! gcloud storage buckets describe "gs://$bucket" >/dev/null 2>&1; then
    # The bucket that holds the state is made here: before that it is in a file.
    say "making what must be there first; its state goes from a file into the bucket"
    printf 'terraform {\n  backend "local" {\n    path = "%s/bootstrap.tfstate"\n  }\n}\n' "$work" >"$folder/backend_override.tf"
    trap 'rm -f "$folder/backend_override.tf"' RETURN
    run gcloud services enable cloudresourcemanager.googleapis.com serviceusage.googleapis.com --project "$project"
    run tofu -chdir="$folder" init -reconfigure
    run tofu -chdir="$folder" apply "${variables[@]}" -auto-approve
    rm -f "$folder/backend_override.tf"
    run tofu -chdir="$folder" init -migrate-state -force-copy -var "project=$project"
    run rm -f "$work/bootstrap.tfstate"
  else
    run tofu -chdir="$folder" init -reconfigure -var "project=$project"
    run tofu -chdir="$folder" apply "${variables[@]}"
  fi
  say "done. Now give the pipeline the outputs \"provider\" and \"accounts\" (docs/DEPLOYMENT.md)"
}

# --- The cloud ---

plan_hash() { sha256sum "$work/plan" | cut -c1-16; }

check_opentofu() {
  local code=0
  run tofu -chdir="$folder" init
  # Without the lock and the new state: who checks may not write.
  run tofu -chdir="$folder" plan -lock=false -detailed-exitcode || code=$?
  case $code in
    0) [ "$dry" = yes ] || say "the cloud is as it should be" ;;
    2) printf 'error: the cloud is not as this checkout says\n' >&2; exit 1 ;;
    *) printf 'error: the plan failed\n' >&2; exit 1 ;;
  esac
}

apply_opentofu() {
  local code=0
  run tofu -chdir="$folder" init
  if [ -n "$approved" ] && [ -f "$work/plan" ]; then
    [ "$(plan_hash)" = "$approved" ] || refuse "the plan's hash is $(plan_hash), not $approved"
    approved=""
  else
    # 0: nothing to do; 2: something to do.
    run tofu -chdir="$folder" plan -out "$work/plan" -detailed-exitcode || code=$?
    [ $code -eq 0 ] || [ $code -eq 2 ] || { printf 'error: the plan failed\n' >&2; exit 1; }
    if [ $code -eq 0 ] && [ "$dry" = no ]; then
      say "the cloud is as it should be"
      rm -f "$work/plan"
      return 0
    fi
    case "$environment" in
      production)
        if [ "$dry" = no ]; then
          [ -z "$approved" ] || refuse "the cloud would change as well: approve that first, with $(plan_hash)"
          say "nothing was changed. To apply this plan: the same command with --approve $(plan_hash)"
          exit 0
        fi
        ;;
      staging) [ $yes = yes ] || confirm "Apply this to staging?" ;;
    esac
  fi
  started=yes
  run tofu -chdir="$folder" apply "$work/plan"
  [ "$dry" = yes ] || rm -f "$work/plan"
}

# --- What runs beside it ---

# At the version of charts.json, with its values and what else is said.
install_chart() { # RELEASE OPTION...
  local release=$1 into repository chart version
  shift
  IFS=$'\t' read -r into repository chart version < <(jq -r --arg release "$release" --arg namespace "$namespace" \
    '.[] | select(.release == $release) | [(.namespace | if . == "ENVIRONMENT" then $namespace else . end), .repository, .chart, .version] | @tsv' \
    "$root/kubernetes/charts/charts.json")
  run helm upgrade "$release" "$chart" --install --repo "$repository" --version "$version" --namespace "$into" --create-namespace \
    --values "$root/kubernetes/charts/$release.yaml" "$@" --atomic --timeout 15m
}

apply_charts() {
  local charts=$root/kubernetes/charts address=ADDRESS mark
  use_cluster
  copy_kubernetes
  beside edge kong edge components/edge >"$work/edge.yaml"
  { kubectl kustomize "$root/monitoring"; rules "$root"/monitoring/prometheus/rules/*.yml; } >"$work/monitoring.yaml"
  [ "$dry" = yes ] || address=$(tofu -chdir="$folder" output -json edge | jq -re .address)
  if [ "$environment" != dev ] && [ "$dry" = no ]; then
    jq -r '.[] | select(.namespace != "ENVIRONMENT") | "\(.release) \(.chart) \(.version)"' "$charts/charts.json" >&2
    mark=$(cat "$charts"/* "$work/edge.yaml" "$work/monitoring.yaml" "$root/monitoring/jaeger/jaeger.yaml" | sha256sum | cut -c1-16)
    if [ "$environment" = production ]; then
      if [ -z "$approved" ]; then
        say "nothing was installed. To do it: the same command with --approve $mark"
        return 0
      fi
      [ "$mark" = "$approved" ] || refuse "what would be installed has the hash $mark, not $approved"
    elif [ $yes = no ]; then
      confirm "Install this in staging?"
    fi
  fi
  started=yes
  local release more
  while read -r release; do
    more=()
    case "$release" in
      # Its own address is one of those that the load balancer adds to X-Forwarded-For.
      kong) more=(--set-string "gateway.env.trusted_ips=35.191.0.0/16\,130.211.0.0/22\,$address/32") ;;
      jaeger)
        # As an object: of a file that is set the chart would make one text.
        { echo "userconfig:"; sed 's/^/  /' "$root/monitoring/jaeger/jaeger.yaml"; } >"$work/jaeger-values.yaml"
        more=(--values "$work/jaeger-values.yaml")
        ;;
    esac
    install_chart "$release" "${more[@]}"
  done < <(jq -r '.[] | select(.namespace != "ENVIRONMENT") | .release' "$charts/charts.json")
  run kubectl apply --server-side --force-conflicts --field-manager=coditect-deploy -f "$work/edge.yaml"
  run kubectl apply --server-side --force-conflicts --field-manager=coditect-deploy -f "$work/monitoring.yaml"
}

# --- The program itself ---

# Pods of a deployment that are ready.
ready() {
  local number
  number=$(kubectl --namespace "$namespace" get deployment "$1" -o 'jsonpath={.status.readyReplicas}' 2>/dev/null || true)
  echo "${number:-0}"
}

# Secrets that are made once, by a command, for replacing them would lose something.
keep_secret() { # NAME WHAT COMMAND
  local there=""
  # By itself, so that an answer that does not come is no empty one. A version that was disabled is one too.
  [ "$dry" = yes ] || there=$(gcloud secrets versions list "$1" --project "$project" --filter='NOT state:DESTROYED' --format='value(name)')
  [ -z "$there" ] || return 0
  say "making $2"
  if [ "$dry" = yes ]; then
    printf '+ openssl rand | gcloud secrets versions add %s --project %s --data-file=-\n' "$1" "$project" >&2
  else
    "$3" | gcloud secrets versions add "$1" --project "$project" --data-file=-
  fi
}

# As `coditect keys new` makes them: an id and 32 bytes in base64. Without them every API key is void.
new_sealing_keys() { printf 'k%s:%s' "$(openssl rand -hex 3)" "$(openssl rand -base64 32)"; }

# Without it nothing that Hydra has stored can be read.
new_identity_secret() { printf '%s' "$(openssl rand -hex 32)"; }

# Hydra, after the program: what serves does not wait for it. Its pods are made anew when their secret is another one.
apply_identity() {
  local host=HOST hash=HASH before now=""
  before=$(refreshed)
  kube annotate externalsecret hydra --overwrite "force-sync=$(date +%s)"
  if [ "$dry" = no ]; then
    host=$(sed -n 's/^HOST=//p' "$work/kubernetes/overlays/$environment/environment.env")
    for _ in $(seq 60); do
      now=$(refreshed)
      [ "$now" = "$before" ] || break
      sleep 1
    done
    [ "$now" != "$before" ] || { printf 'error: External Secrets does not read the secret of Hydra: kubectl -n %s describe externalsecret hydra\n' "$namespace" >&2; exit 1; }
    hash=$(kubectl --namespace "$namespace" get secret hydra -o 'jsonpath={.metadata.annotations.reconcile\.external-secrets\.io/data-hash}')
  fi
  install_chart hydra --set-string "hydra.config.urls.self.issuer=https://$host" --set-string "deployment.podMetadata.annotations.secret=$hash"
}

# When External Secrets last wrote Hydra's.
refreshed() { [ "$dry" = yes ] || kubectl --namespace "$namespace" get externalsecret hydra -o 'jsonpath={.status.refreshTime}'; }

# The databases are there, know each other, and have a backup.
apply_citus() {
  local group
  for ((group = 0; group <= workers; group++)); do
    kube rollout status "statefulset/citus-$group" --timeout=1800s
  done
  run_job cluster-init "$work/cluster-init.yaml"
  # What is being restored reads another environment's repository, and writes nothing there.
  ! grep -q '^RESTORE_POINT=' "$work/kubernetes/overlays/$environment/environment.env" || return 0
  if [ "$dry" = yes ] || [ -z "$(kubectl --namespace "$namespace" get cronjob citus-backup -o 'jsonpath={.status.lastSuccessfulTime}')" ]; then
    # Until there is one the log piles up on the nodes' disks.
    kube delete job citus-backup-first --ignore-not-found
    kube create job citus-backup-first --from=cronjob/citus-backup
  fi
}

apply_kubernetes() {
  use_cluster
  render
  if [ "$share" = 0 ]; then
    give_up
    return 0
  fi
  if [ "$environment" != dev ] && [ "$dry" = no ]; then
    local code=0
    if [ -z "$(kubectl get namespace "$namespace" --ignore-not-found -o name)" ]; then
      say "$namespace is not there yet; all of this would be made:"
      awk '/^kind: / { kind = $2 } /^  name: / && kind { print "  " kind "/" $2; kind = "" }' "$work/objects.yaml" >&2
    else
      # Not the jobs, which cannot be changed and are made anew each time.
      pick '!/^kind: Job$/' <"$work/objects.yaml" >"$work/compared.yaml"
      say "Hydra: chart $(jq -r '.[] | select(.release == "hydra") | .version' "$root/kubernetes/charts/charts.json"), with kubernetes/charts/hydra.yaml"
      kubectl diff --server-side --force-conflicts --field-manager=coditect-deploy -f "$work/compared.yaml" || code=$?
      [ $code -le 1 ] || not_ready "the cluster does not accept it; see above"
    fi
    case "$environment" in
      production)
        local mark
        mark=$(cat "$work/objects.yaml" "$work/bootstrap.yaml" "$work/hydra.yaml" | sha256sum | cut -c1-16)
        if [ -z "$approved" ]; then
          say "nothing was rolled out. To do it: the same command with --only kubernetes --approve $mark"
          return 0
        fi
        [ "$mark" = "$approved" ] || refuse "what would be rolled out has the hash $mark, not $approved"
        ;;
      staging) [ $yes = yes ] || confirm "Roll this out to staging?" ;;
    esac
  fi
  started=yes
  keep_secret coditect-sealing-keys "sealing keys" new_sealing_keys
  keep_secret coditect-identity-secrets "the secret of Hydra" new_identity_secret
  run kubectl apply --server-side --force-conflicts --field-manager=coditect-deploy -f "$work/first.yaml"
  kube wait --for=condition=Ready externalsecret --all --timeout=180s
  run_job bootstrap "$work/bootstrap.yaml"
  # The administrator's password is in the cluster for as long as it is needed.
  kube delete externalsecret bootstrap --ignore-not-found
  [ "$workers" -eq 0 ] || apply_citus
  run_job migrate "$work/migrate.yaml"
  if [ "${share:-0}" -gt 0 ]; then
    apply_share
    return
  fi
  local beside=0
  [ "$dry" = yes ] || beside=$(ready backend-next)
  run kubectl apply --server-side --force-conflicts --field-manager=coditect-deploy -f "$work/last.yaml"
  # As many as both had, of what the scaler allows: the others' requests come back to these.
  if [ "$beside" -gt 0 ]; then
    beside=$((beside + $(ready backend)))
    kube scale deployment/backend --replicas=$((beside < $(most_pods) ? beside : $(most_pods)))
  fi
  if ! kube rollout status deployment/backend --timeout=600s; then
    say "it does not become ready: back to what ran before"
    events
    kube rollout undo deployment/backend
    kube rollout status deployment/backend --timeout=600s || true
    printf 'error: the roll-out was undone\n' >&2
    exit 1
  fi
  # Then nobody goes to the pods beside it any more, then they go.
  run kubectl apply --server-side --force-conflicts --field-manager=coditect-deploy -f "$work/route.yaml"
  run kubectl apply --server-side --force-conflicts --field-manager=coditect-deploy -f "$work/next.yaml"
  apply_identity
  [ "$dry" = yes ] || say "$environment runs ${image##*@}"
}

# Back to what serves, at once: no job, no migration, nobody to ask.
give_up() {
  run kubectl apply --server-side --force-conflicts --field-manager=coditect-deploy -f "$work/route.yaml"
  kube scale deployment/backend-next --replicas=0
  say "all requests go to what served before"
}

events() { kubectl --namespace "$namespace" get events --sort-by=.lastTimestamp 2>/dev/null | tail -15 >&2 || true; }

# Pods of the next release are ready before anybody is sent there.
apply_share() {
  run kubectl apply --server-side --force-conflicts --field-manager=coditect-deploy -f "$work/next.yaml"
  if ! kube rollout status deployment/backend-next --timeout=600s; then
    say "it does not become ready; nobody was sent there"
    events
    kube scale deployment/backend-next --replicas=0
    printf 'error: the next release got no share\n' >&2
    exit 1
  fi
  run kubectl apply --server-side --force-conflicts --field-manager=coditect-deploy -f "$work/route.yaml"
  [ "$dry" = yes ] || say "$share of 100 requests go to ${image##*@}. Watch the dashboard, then the same with more, or without --share for all; --share 0 alone gives up"
}

preflight
if [ -n "$repository" ]; then
  bootstrap_project
  exit 0
fi
if [ $check = yes ]; then
  check_opentofu
  exit 0
fi
case "$only" in
  opentofu) apply_opentofu ;;
  charts) apply_charts ;;
  kubernetes) apply_kubernetes ;;
  *)
    apply_opentofu
    apply_kubernetes
    ;;
esac
