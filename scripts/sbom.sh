#!/usr/bin/env bash
# Says what a Coditect package is made of, as SPDX 2.3: the package, and with their versions all packages that it needs, of the machine
# it runs on. In an image or on a server it is the list of what runs there.
# Usage: scripts/sbom.sh PACKAGE.deb > coditect.spdx.json
# Exit codes: 0 done, 1 failed, 2 wrong use.
source "$(dirname "$0")/lib/common.sh"
case "${1:-}" in
  -h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
  "" | -*) printf 'error: name one .deb; see --help\n' >&2; exit 2 ;;
esac
[ $# -eq 1 ] || { printf 'error: one .deb, not %s\n' "$#" >&2; exit 2; }
package=$1
[ -r "$package" ] || die "there is no $package"
field() { dpkg-deb -f "$package" "$1"; }

# All that is needed, to the end, of what is installed: alternatives and virtual names are what is there.
known=$(dpkg-query -W -f '${db:Status-Abbrev}\t${Package}\t${Version}\t${Source}\t${Provides}\t${Pre-Depends}, ${Depends}\n' | awk -F'\t' '$1 ~ /^ii/')
needed=$(awk -F'\t' -v first="$(field Depends)" '
  function names(list, into,    i, n, parts) {
    n = split(list, parts, /[,|]/)
    delete into
    for (i = 1; i <= n; i++) { gsub(/\(.*\)|\[.*\]|<.*>|:any|[[:space:]]/, "", parts[i]); if (parts[i] != "") into[parts[i]] = 1 }
  }
  { version[$2] = $3; depends[$2] = $6; names($5, provided); for (p in provided) by[p] = $2 }
  END {
    names(first, wave)
    for (p in wave) queue[++end] = p
    for (at = 1; at <= end; at++) {
      name = queue[at]
      if (!(name in version)) { if (!(name in by)) continue; name = by[name] }
      if (name in done) continue
      done[name] = 1
      names(depends[name], wave)
      for (p in wave) queue[++end] = p
    }
    for (p in done) print p "\t" version[p]
  }' <<<"$known" | sort)
[ -n "$needed" ] || die "none of what $package needs is installed here: install it first"
source /etc/os-release
jq -n --arg name "$(field Package)" --arg version "$(field Version)" --arg sum "$(sha256sum "$package" | cut -d' ' -f1)" --arg needed "$needed" \
  --arg created "$(date -u -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}" +%Y-%m-%dT%H:%M:%SZ)" --arg distribution "$ID" '
  ($needed | split("\n") | map(split("\t") | {name: .[0], version: .[1], id: ("SPDXRef-" + (.[0] | gsub("[^a-zA-Z0-9.-]"; "-")))})) as $packages
  | {spdxVersion: "SPDX-2.3", dataLicense: "CC0-1.0", SPDXID: "SPDXRef-DOCUMENT", name: ($name + "-" + $version),
     documentNamespace: ("https://spdx.org/spdxdocs/" + $name + "-" + $version + "-" + $sum), creationInfo: {created: $created, creators: ["Tool: scripts/sbom.sh"]},
     packages: ([{SPDXID: "SPDXRef-it", name: $name, versionInfo: $version, downloadLocation: "NOASSERTION", filesAnalyzed: false,
                  checksums: [{algorithm: "SHA256", checksumValue: $sum}]}]
       + ($packages | map({SPDXID: .id, name: .name, versionInfo: .version, downloadLocation: "NOASSERTION", filesAnalyzed: false,
           externalRefs: [{referenceCategory: "PACKAGE-MANAGER", referenceType: "purl",
                           referenceLocator: ("pkg:deb/" + $distribution + "/" + (.name | @uri) + "@" + (.version | @uri))}]}))),
     relationships: ([{spdxElementId: "SPDXRef-DOCUMENT", relationshipType: "DESCRIBES", relatedSpdxElement: "SPDXRef-it"}]
       + ($packages | map({spdxElementId: "SPDXRef-it", relationshipType: "DEPENDS_ON", relatedSpdxElement: .id})))}'
