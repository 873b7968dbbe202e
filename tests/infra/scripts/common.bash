# A copy of what the scripts work on, in git, with programs that only record how they were called.
setup() {
  project_root=$(cd "$BATS_TEST_DIRNAME/../../.." && pwd)
  REAL_KUBECTL=$(command -v kubectl)
  export REAL_KUBECTL CALLS=$BATS_TEST_TMPDIR/calls
  mkdir -p "$BATS_TEST_TMPDIR/it"
  cp -r "$project_root/scripts" "$project_root/opentofu" "$project_root/kubernetes" "$project_root/monitoring" "$project_root/.gitignore" "$BATS_TEST_TMPDIR/it/"
  cd "$BATS_TEST_TMPDIR/it"
  git init -q . && git add -A && git -c user.name=t -c user.email=t@example.com commit -qm all
  export PATH=$BATS_TEST_DIRNAME/fakes:$PATH JOB_TRIES=2 JOB_WAIT=0
  unset KUBECONFIG
  image=europe-west1-docker.pkg.dev/p/coditect/coditect@sha256:$(printf 'a%.0s' $(seq 64))
  touch "$CALLS"
}
# it STATUS SCRIPT WORDS...: runs it, and wants this exit code.
it() {
  local wanted=$1 script=$2
  shift 2
  run "scripts/$script" "$@"
  [ "$status" -eq "$wanted" ] || { echo "exit code $status, not $wanted: $output"; return 1; }
}
says() { [[ "$output" == *"$1"* ]] || { echo "not said: $1 in: $output"; return 1; }; }
called() { grep -qF -- "$1" "$CALLS" || { echo "not called: $1 in:"; cat "$CALLS"; return 1; }; }
not_called() { if grep -F -- "$1" "$CALLS"; then echo "was called"; return 1; fi; }
lacks() { # PATTERN FILE...
  if grep -n "$@"; then return 1; fi
}
