#!/usr/bin/env bash
# Installs what is missing to build, run and test Coditect, from the distribution's packages.
# Usage: scripts/setup.sh [--check]     --check only reports; exit code 1 when something is missing
# Fast when nothing is missing. Debian 12 and 13.
source "$(dirname "$0")/lib/common.sh"

check=no
case "${1:-}" in
  "") ;;
  --check) check=yes ;;
  *) die "unknown argument '$1'; usage: scripts/setup.sh [--check]" ;;
esac

version=$(. /etc/os-release && echo "${ID:-unknown}-${VERSION_ID:-0}")
case "$version" in
  debian-12) boost="libboost1.81-dev libboost-json1.81-dev" ; postgres=postgresql-15 ;;
  debian-13) boost="libboost-dev libboost-json-dev" ; postgres=postgresql-17 ;;
  *) boost="libboost-dev libboost-json-dev" ; postgres=postgresql
     say "this is $version: made for Debian 12 and 13, trying all the same" ;;
esac

packages="clang-19 lld-19 llvm-19 libclang-rt-19-dev clang-tidy-19 clang-format-19 g++ cmake ninja-build ccache pkg-config
  dpkg-dev file
  $boost libpq-dev libssl-dev libargon2-dev libjemalloc-dev libfmt-dev libtomlplusplus-dev libcli11-dev prometheus-cpp-dev zlib1g-dev
  libgtest-dev libgmock-dev $postgres redis-server nginx-light python3 git curl jq wrk ca-certificates openssl procps iproute2
  prometheus prometheus-alertmanager shellcheck yamllint bats
  patroni python3-etcd python3-psycopg2 etcd-server pgbackrest pgbouncer"

missing=()
installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' 2>/dev/null | awk '$1 == "ii" { print $2 }')
for package in $packages; do
  grep -qxF "$package" <<<"$installed" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  [ "$check" = no ] || echo "nothing is missing"
  exit 0
fi
if [ "$check" = yes ]; then
  printf 'missing: %s\n' "${missing[*]}"
  exit 1
fi

say "installing ${#missing[@]} packages: ${missing[*]}"
sudo=""
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || die "run as root, or install these packages: ${missing[*]}"
  sudo=sudo
fi
# Without these two the packages would start servers of their own on ports 5432 and 6379.
if ! dpkg -s postgresql-common >/dev/null 2>&1; then
  $sudo mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] ||
    echo 'create_main_cluster = false' | $sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
policy=/usr/sbin/policy-rc.d
made_policy=no
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
  $sudo chmod +x $policy
  made_policy=yes
fi
remove_policy() { if [ $made_policy = yes ]; then $sudo rm -f $policy; fi; }
trap remove_policy EXIT
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
say "installed"
