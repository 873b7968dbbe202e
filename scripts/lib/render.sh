# What scripts/deploy.sh applies, as files in $work. Sourced by it: uses its options, and those of cloud.sh.
# shellcheck shell=bash disable=SC2154

# Copies kubernetes/ to $work and puts what OpenTofu says into its environment.env.
copy_kubernetes() {
  rm -rf "$work/kubernetes"
  cp -r "$root/kubernetes" "$work/kubernetes"
  local overlay=$work/kubernetes/overlays/$environment
  [ "$dry" = no ] || return 0
  tofu -chdir="$folder" output -json kubernetes_environment | jq -r 'to_entries[] | "\(.key)=\(.value)"' >"$work/environment.env"
  [ -s "$work/environment.env" ] || not_ready "OpenTofu has no outputs for $environment: deploy it with --only opentofu first"
  # What OpenTofu does not know is kept: RESTORE_POINT, RESTORE_BUCKET.
  awk -F= 'NR == FNR { known[$1] = 1; next } !($1 in known)' "$work/environment.env" "$overlay/environment.env" >"$work/more.env"
  cat "$work/more.env" >>"$work/environment.env"
  if ! diff <(sort "$work/environment.env") <(sort "$overlay/environment.env") >/dev/null; then
    say "kubernetes/overlays/$environment/environment.env is not what OpenTofu says; what OpenTofu says is used. Commit it:"
    diff "$overlay/environment.env" "$work/environment.env" >&2 || true
  fi
  cp "$work/environment.env" "$overlay/environment.env"
}

# Renders what has this environment's values and is not part of its overlay.
beside() { # NAME NAMESPACE RESOURCE COMPONENT
  local into=$work/kubernetes/overlays/$1
  mkdir -p "$into"
  cp "$work/kubernetes/overlays/$environment/environment.env" "$into/"
  cat >"$into/kustomization.yaml" <<END
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: $2
resources: [../../$3]
components: [../../$4]
configMapGenerator:
  - name: environment
    envs: [environment.env]
    options: {disableNameSuffixHash: true, annotations: {config.kubernetes.io/local-config: "true"}}
END
  kubectl kustomize "$into"
}

rules() { # FILE...: as the Prometheus operator takes them
  local file
  for file in "$@"; do
    printf -- '---\napiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: coditect-%s\n  namespace: monitoring\nspec:\n' "$(basename "$file" .yml)"
    grep -v '^#' "$file" | sed 's/^/  /'
  done
}

# The image that runs; nothing when nothing does.
running() { # KIND NAME
  kubectl --namespace "$namespace" get "$1" "$2" -o 'jsonpath={.spec.template.spec.containers[0].image}' 2>/dev/null || true
}

# The most pods of the program that the scaler makes.
most_pods() { sed -n 's|.*/spec/maxReplicas, value: \([0-9]*\)}.*|\1|p' "$work/kubernetes/overlays/$environment/kustomization.yaml"; }

# The overlay with this environment's values and image, in $work/kubernetes and $work/objects.yaml.
render() {
  copy_kubernetes
  local overlay=$work/kubernetes/overlays/$environment
  if [ -z "$image" ] && [ "$dry" = no ]; then
    image=$(running deployment backend)
    [ -n "$image" ] || not_ready "nothing runs yet: say which --image"
  fi
  if [ "$workers" -gt 0 ] && [ -z "$database_image" ] && [ "$dry" = no ]; then
    database_image=$(running statefulset citus-0)
    [ -n "$database_image" ] || not_ready "no database runs yet: say which --database-image"
  fi
  local folders
  folders=$(find "$overlay" -name 'group-*' | wc -l)
  [ "$folders" -eq $((workers == 0 ? 0 : workers + 1)) ] ||
    not_ready "kubernetes/overlays/$environment/citus has not the groups of citus.workers = $workers: scripts/scale.sh $environment citus --workers $workers"
  # With a share what serves goes on, and the image is that of the pods beside it and of the jobs.
  local serving=$image pods=0
  if [ "${share:-0}" -gt 0 ]; then
    serving=SERVING_IMAGE pods=PODS
    if [ "$dry" = no ]; then
      serving=$(running deployment backend)
      [ -n "$serving" ] || not_ready "nothing runs yet that could keep a share: deploy without --share"
      # Its share of all that are ready now, of which those that serve may have become fewer.
      pods=$((($(ready backend) + $(ready backend-next)) * share / 100))
      # The databases have room for half as many beside those that serve.
      [ "$pods" -le $((($(most_pods) + 1) / 2)) ] || pods=$((($(most_pods) + 1) / 2))
      [ "$pods" -ge 1 ] || pods=1
    fi
  fi
  kubectl kustomize "$overlay" | pick '/^kind: Deployment$/' | pick '/^  name: backend$/' | sed "s|image: coditect\$|image: ${serving:-IMAGE}|" >"$work/serving.yaml"
  {
    kubectl kustomize "$overlay" | awk -v RS='\n?---\n' 'NF && !(/(^|\n)kind: Deployment\n/ && /\n  name: backend\n/) { sub(/\n+$/, ""); printf "---\n%s\n", $0 }' |
      sed "s|image: coditect\(-next\)\{0,1\}\$|image: ${image:-IMAGE}|; s|image: citus\$|image: ${database_image:-DATABASE_IMAGE}|
        s|weight: 100\$|weight: SERVING|; s|weight: 0\$|weight: ${share:-0}|; s|weight: SERVING\$|weight: $((100 - ${share:-0}))|"
    cat "$work/serving.yaml"
  } >"$work/objects.yaml"
  # Not part of the overlay: it would leave the administrator's password in the cluster.
  beside bootstrap "$namespace" jobs/bootstrap components/environment | sed "s|image: coditect\$|image: ${image:-IMAGE}|" >"$work/bootstrap.yaml"
  { jq -c '.[] | select(.namespace == "ENVIRONMENT")' "$root/kubernetes/charts/charts.json"; cat "$root/kubernetes/charts/hydra.yaml"; } >"$work/hydra.yaml"
  # What must be there before the database is touched, the migrations, and what runs after them.
  pick '!/^kind: (Deployment|HorizontalPodAutoscaler|HTTPRoute|Job)$/' <"$work/objects.yaml" >"$work/first.yaml"
  local job
  for job in cluster-init migrate; do
    pick '/^kind: Job$/' <"$work/objects.yaml" | pick "/^  name: $job\$/" >"$work/$job.yaml"
  done
  pick '/^kind: HTTPRoute$/' <"$work/objects.yaml" >"$work/route.yaml"
  # Their number is no part of what is approved: it follows that of those that serve.
  pick '/^kind: Deployment$/' <"$work/objects.yaml" | pick '/^  name: backend-next$/' | sed "s|^  replicas: 0\$|  replicas: $pods|" >"$work/next.yaml"
  pick '/^kind: (Deployment|HorizontalPodAutoscaler)$/' <"$work/objects.yaml" | pick '!/^  name: backend-next$/' >"$work/last.yaml"
}
