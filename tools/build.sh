#!/usr/bin/env bash
# Builds Go programs that are used when they are there, each pinned in a module of its own.
# Usage: tools/build.sh PROGRAM...     PROGRAM: jaeger, tofu (OpenTofu), or kubecheck (checks kubernetes/)
# They go to /usr/local/lib/coditect/tools as root, else to $XDG_CACHE_HOME/coditect/tools.
source "$(dirname "$0")/../scripts/lib/common.sh"
[ $# -gt 0 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 2; }
command -v go >/dev/null || die "Go is not installed: https://go.dev/dl/"
if [ "$(id -u)" -eq 0 ]; then
  to=/usr/local/lib/coditect/tools
else
  to=${XDG_CACHE_HOME:-$HOME/.cache}/coditect/tools
fi
mkdir -p "$to"
for program in "$@"; do
  case "$program" in
    jaeger) package=github.com/jaegertracing/jaeger/cmd/jaeger ;;
    tofu) package=github.com/opentofu/opentofu/cmd/tofu ;;
    kubecheck) package=. ;;
    -h | --help) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) die "there is no tool '$program'; there are jaeger, kubecheck and tofu" ;;
  esac
  say "building $program (minutes)"
  (cd "$root/tools/$program" && go build -mod=readonly -trimpath -ldflags '-s -w' -o "$to/$program.new" "$package")
  mv "$to/$program.new" "$to/$program"
  say "$to/$program"
done
