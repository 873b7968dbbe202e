# shellcheck shell=bash
# Shared by the scripts that work on an environment in the cloud: options, preflight, and how a command is run.
# Exit codes: 0 done, 1 failed, 2 wrong use, 3 preflight, 4 refused.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
set -E
dry=no
started=no
trap 'on_error $? "${BASH_SOURCE[0]#"$root"/}:$LINENO" "$BASH_COMMAND"' ERR

on_error() {
  [ "$BASH_SUBSHELL" -eq 0 ] || return "$1"
  printf 'error: %s: "%s" ended with %s\n' "$2" "$3" "$1" >&2
  [ "$started" = no ] || printf 'The same command goes on: what is done is found done.\n' >&2
  exit 1
}
bad_use() { printf 'error: %s; see --help\n' "$*" >&2; exit 2; }
not_ready() { printf 'error: %s\n' "$*" >&2; exit 3; }
refuse() { printf 'refused: %s\n' "$*" >&2; exit 4; }

# The comment at the script's top, from its second line on.
help() { sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; }

# Says a command, and runs it unless this is a dry run.
run() {
  printf '+' >&2
  printf ' %q' "${@//"$root"\//}" >&2
  printf '\n' >&2
  [ "$dry" = yes ] || "$@"
}

# What an option needs: $1 is the option, $2 its value.
value() { [[ -n "${2:-}" && "$2" != --* ]] || bad_use "$1 needs a value"; }

# Sets environment, folder, work, project, region, cluster and namespace from ENVIRONMENT.
use_environment() {
  environment=${1:-}
  case "$environment" in
    dev | staging | production) ;;
    "") bad_use "name an environment: dev, staging or production" ;;
    *) bad_use "there is no environment '$environment': dev, staging or production" ;;
  esac
  folder=$root/opentofu/environments/$environment
  values=$folder/terraform.tfvars.json
  work=$root/build/deploy/$environment
  jq -e . "$values" >/dev/null 2>&1 || not_ready "$values is not JSON"
  project=$(jq -r .project "$values")
  region=$(jq -r .region "$values")
  host=$(jq -r .host "$values")
  cluster=coditect-$environment
  namespace=$cluster
  mkdir -p "$work"
  # Never the user's own: what is done here must not change where their next kubectl goes.
  export KUBECONFIG=$work/kubeconfig
  export TF_IN_AUTOMATION=1 TF_INPUT=0
}

need() {
  local missing=()
  for program in "$@"; do command -v "$program" >/dev/null || missing+=("$program"); done
  [ ${#missing[@]} -eq 0 ] || not_ready "not installed: ${missing[*]} (docs/DEPLOYMENT.md says where they come from)"
}

# $1 >= $2, as versions.
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -1)" = "$2" ]; }

# Who is asking, and whether they see the project.
preflight_account() {
  local account
  account=$(gcloud auth list --filter=status:ACTIVE --format='value(account)' 2>/dev/null) || true
  [ -n "$account" ] || not_ready "nobody is logged in: gcloud auth login"
  [ "$(gcloud projects describe "$project" --format='value(lifecycleState)' 2>/dev/null || true)" = ACTIVE ] ||
    not_ready "$account does not see the project $project, or it is not active"
  say "$account on $project ($environment)"
}

# A cluster by its DNS endpoint, into a kubeconfig of our own.
use_cluster() {
  run gcloud container clusters get-credentials "$cluster" --location "$region" --project "$project" --dns-endpoint
}
kube() { run kubectl --namespace "$namespace" "$@"; }

# Asks on the terminal; $1 is the question.
confirm() {
  [ "$dry" = no ] || return 0
  [ -t 0 ] || refuse "nobody is there to ask; say --yes"
  local answer
  read -r -p "$1 [y/N] " answer
  [ "$answer" = y ] || [ "$answer" = yes ] || refuse "nothing was changed"
}

# The objects of the input that have a line as $1 says, or, with !, none.
pick() {
  local not="" pattern=$1
  [ "${pattern#!}" = "$pattern" ] || { not='!'; pattern=${pattern#!}; }
  pattern=${pattern#/} pattern=${pattern%/}
  awk -v RS='\n?---\n' -v pattern="(^|\n)${pattern#^}" -v not="$not" '
    BEGIN { sub(/\$$/, "(\n|$)", pattern) }
    { found = ($0 ~ pattern); if (NF && ((not == "!") ? !found : found)) printf "---\n%s\n", $0 }'
}

# Runs the job of a file to its end; its log is shown when it fails.
run_job() {
  local job=$1 file=$2 state
  kube delete job "$job" --ignore-not-found
  kube apply --server-side --field-manager=coditect-deploy -f "$file"
  [ "$dry" = no ] || return 0
  for _ in $(seq 1 "${JOB_TRIES:-1200}"); do
    state=$(kubectl --namespace "$namespace" get job "$job" -o 'jsonpath={.status.succeeded}/{.status.failed}')
    case "$state" in
      1/*) say "$job: done"; return 0 ;;
      */[1-9]*)
        kubectl --namespace "$namespace" logs "job/$job" --tail=50 >&2 || true
        printf 'error: the job %s failed; the program that ran before goes on running\n' "$job" >&2
        exit 1
        ;;
    esac
    sleep "${JOB_WAIT:-3}"
  done
  printf 'error: the job %s did not end\n' "$job" >&2
  exit 1
}
