#!/usr/bin/env bash
# Builds Go programs that are used when they are there, each pinned in a module of its own.
# Usage: tools/build.sh PROGRAM...     PROGRAM: jaeger, hydra (Ory Hydra), tofu (OpenTofu), kubecheck (checks kubernetes/),
#                                      kube-state-metrics, or kubernetes (its API server and controllers, and the types of what is installed beside)
# They go to /usr/local/lib/coditect/tools as root, else to $XDG_CACHE_HOME/coditect/tools.
source "$(dirname "$0")/../scripts/lib/common.sh"
usage() { sed -n '2,5s/^# \{0,1\}//p' "$0"; }
[ $# -gt 0 ] || { usage; exit 2; }
command -v go >/dev/null || die "Go is not installed: https://go.dev/dl/"
if [ "$(id -u)" -eq 0 ]; then
  to=/usr/local/lib/coditect/tools
else
  to=${XDG_CACHE_HOME:-$HOME/.cache}/coditect/tools
fi
mkdir -p "$to"
# Definitions of the types that kubecheck knows, from the modules that it is built of.
types() {
  local module folder
  rm -rf "$to/types"
  mkdir -p "$to/types"
  for module in github.com/cert-manager/cert-manager=deploy/crds sigs.k8s.io/gateway-api=config/crd/standard \
    github.com/external-secrets/external-secrets=config/crds/bases; do
    (cd "$root/tools/kubecheck" && go mod download "${module%%=*}")
    folder=$(cd "$root/tools/kubecheck" && go list -m -f '{{.Dir}}' "${module%%=*}")/${module#*=}
    # cert-manager's are written for a template of Helm.
    for file in "$folder"/*.yaml; do
      grep -q '^kind: CustomResourceDefinition' "$file" || continue
      grep -v '{{' "$file" >"$to/types/$(basename "$file")"
    done
  done
}
for program in "$@"; do
  case "$program" in
    jaeger) package=github.com/jaegertracing/jaeger/cmd/jaeger ;;
    tofu) package=github.com/opentofu/opentofu/cmd/tofu ;;
    kubecheck | hydra) package=. ;;
    kube-state-metrics) package=k8s.io/kube-state-metrics/v2 ;;
    kubernetes) package="k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager" ;;
    -h | --help) usage; exit 0 ;;
    *) die "there is no tool '$program'; there are hydra, jaeger, kubecheck, kube-state-metrics, kubernetes and tofu" ;;
  esac
  say "building $program (minutes)"
  for one in $package; do
    name=${one##*/}
    [ "$program" = kubernetes ] || name=$program
    (cd "$root/tools/$program" && go build -mod=readonly -trimpath -ldflags '-s -w' -o "$to/$name.new" "$one")
    mv "$to/$name.new" "$to/$name"
    say "$to/$name"
  done
  [ "$program" != kubernetes ] || types
done
