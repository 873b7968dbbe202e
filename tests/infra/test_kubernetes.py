"""Every overlay is rendered, decoded strictly, held against the restricted Pod Security Standard and this project's own
rules, and its network policies are turned into a list of who may connect to whom."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ENVIRONMENTS = ("dev", "staging", "production")
DIGEST = "registry.example/coditect@sha256:" + "0" * 64


def find(program):
    places = ["/usr/local/lib/coditect/tools", os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "coditect/tools")]
    return shutil.which(program) or next((f"{p}/{program}" for p in places if os.access(f"{p}/{program}", os.X_OK)), None)


def render(path, root=ROOT):
    done = subprocess.run(["kubectl", "kustomize", f"{root}/{path}"], capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"{path}: {done.stderr}")
    return done.stdout


def deployed(environment):
    """As scripts/deploy.sh applies it: with the image's digest."""
    return re.sub(r"image: (coditect|coditect-next|citus)$", f"image: {DIGEST}", render(f"kubernetes/overlays/{environment}"), flags=re.M)


def beside(environment):
    """What a chart adds to the environment's namespace, as documents to put behind ours."""
    with open(f"{ROOT}/tests/infra/hydra.yaml", encoding="utf-8") as f:
        return "\n---\n" + f.read().replace("NAMESPACE", f"coditect-{environment}").replace("IMAGE", DIGEST)


@unittest.skipUnless(shutil.which("kubectl"), "kubectl is not installed")
class Rendered(unittest.TestCase):
    def test_the_founding_paths_can_be_applied(self):
        for path in ("kubernetes/base", "kubernetes/services", *(f"kubernetes/overlays/{e}" for e in ENVIRONMENTS)):
            self.assertIn("kind:", render(path), path)

    def test_nothing_is_left_to_fill_in(self):
        for environment in ENVIRONMENTS:
            for word in ("PROJECT", "REGION", "api.example.com", "10.0.0.0/32", ": BUCKET", ": DISKS_KEY", ": POOL", "citus-N"):
                text = re.sub(r"^kind: ConfigMap(.|\n)*?^---", "", re.sub(r"^  [A-Z_]+: .*$", "", render(f"kubernetes/overlays/{environment}"), flags=re.M), flags=re.M)
                self.assertFalse(word in text, (word, environment))

    def test_environments_differ_in_size_and_addresses_only(self):
        def plain(environment, root=ROOT):
            text = render(f"kubernetes/overlays/{environment}", root).replace(f"coditect-{environment}", "coditect-ENV")
            # Groups, whose number is a size.
            text = "".join(d + "---\n" for d in text.split("---\n") if not re.search(r"^  name: citus-(?!0|1)\d", d, re.M))
            text = re.sub(r"(min|max)Replicas: \d+", r"\1Replicas: N", text)
            text = re.sub(r"(requests|limits)\.(cpu|memory): \S+|pods: \"\d+\"|replicas: \d", "N", text)
            text = re.sub(r"(cpu|memory|storage): \S+", r"\1: N", text)
            text = re.sub(r"api\.(dev\.|staging\.)?coditect\.example", "HOST", text)
            text = re.sub(r"(citus-hosts)-\w+$|^    [0-9] citus-\S+\n", r"\1", text, flags=re.M)
            return re.sub(r"10\.\d+\.\d+\.0/(20|28)", r"RANGE/\1", text)
        self.assertEqual(plain("staging"), plain("production"))
        with tempfile.TemporaryDirectory() as folder:  # staging without Citus is dev
            shutil.copytree(f"{ROOT}/kubernetes", f"{folder}/kubernetes")
            path = pathlib.Path(f"{folder}/kubernetes/overlays/staging/kustomization.yaml")
            path.write_text(re.sub(r"^  - (citus|../../components/citus)\n", "", path.read_text(), flags=re.M))
            self.assertEqual(plain("dev"), plain("staging", folder))

    def test_groups_are_those_of_the_values(self):
        """scripts/scale.sh has nothing left to write."""
        with tempfile.TemporaryDirectory() as folder:
            for name in ("scripts", "opentofu", "kubernetes"):
                shutil.copytree(f"{ROOT}/{name}", f"{folder}/{name}", symlinks=True, ignore=shutil.ignore_patterns(".terraform"))
            for environment in ENVIRONMENTS:
                with open(f"{ROOT}/opentofu/environments/{environment}/terraform.tfvars.json", encoding="utf-8") as f:
                    workers = json.load(f)["citus"]["workers"]
                if workers:
                    done = subprocess.run([f"{folder}/scripts/scale.sh", environment, "citus", "--workers", str(workers)], capture_output=True, text=True)
                    self.assertIn("that is the size it has", done.stdout + done.stderr)
                self.assertEqual(len(re.findall(r"^kind: StatefulSet$", render(f"kubernetes/overlays/{environment}"), re.M)), workers and workers + 1)

    def test_patroni_has_what_a_node_must_be_set_to(self):
        """citus/setup says what nodes need; on servers that Patroni keeps nothing else may set it."""
        with open(f"{ROOT}/kubernetes/services/citus/patroni.yml", encoding="utf-8") as f:
            parameters = {k: v.strip('"').split("  #")[0] for k, v in re.findall(r"^        ([a-z_.]+): (.*)$", f.read(), re.M)}
        with open(f"{ROOT}/citus/setup/settings.conf", encoding="utf-8") as f:
            for name, value in re.findall(r"^([a-z_.]+) = (.*)$", f.read(), re.M):
                self.assertEqual(parameters.get(name), value, name)
        with open(f"{ROOT}/citus/setup/restart.conf", encoding="utf-8") as f:
            for name, how, value in re.findall(r"^([a-z_]+) (\S+) (\S+)$", f.read(), re.M):
                if how == ">=":
                    self.assertGreaterEqual(int(parameters[name]), int(value), name)
                elif name != "shared_preload_libraries":  # which Patroni adds
                    self.assertEqual(parameters[name], value, name)

    def test_what_a_scaler_asks_for_is_given_by_the_adapter(self):
        with open(f"{ROOT}/kubernetes/charts/prometheus-adapter.yaml", encoding="utf-8") as f:
            given = set(re.findall(r"as: (\w+)", f.read()))
        asked = set(re.findall(r"name: (coditect_\w+)", render("kubernetes/overlays/production")))
        self.assertEqual(asked, given)

    def test_both_routes_to_the_api_lead_to_the_same(self):
        """With a credential and without: one limit each, the same releases with the same shares."""
        for environment in ENVIRONMENTS:
            routes = {re.search(r"^  name: (\S+)", d, re.M).group(1): d for d in render(f"kubernetes/overlays/{environment}").split("---\n") if re.search("^kind: HTTPRoute$", d, re.M)}
            ways = [re.search(r"  - backendRefs:\n((?:    .*\n)*?)    matches:", routes[name]).group(1) for name in ("backend", "backend-with-credential")]
            self.assertEqual(ways[0], ways[1])
            hosts = [re.search(r"hostnames:\n  - (\S+)", d).group(1) for d in routes.values()]
            self.assertEqual(len(set(hosts)), 1)
            self.assertEqual([re.findall(r"limit-by-\w+", routes[name]) for name in ("backend", "backend-with-credential")], [["limit-by-address"], ["limit-by-credential"]])

    def test_what_one_service_shows_is_what_the_other_asks_for(self):
        with open(f"{ROOT}/docs/reference/settings.md", encoding="utf-8") as f:
            known = {"CODITECT_" + n.replace(".", "_").upper() for n in re.findall(r"^\| `([a-z0-9_.]+)` \|", f.read(), re.M)}
        for environment in ENVIRONMENTS:
            documents = render(f"kubernetes/overlays/{environment}").split("---\n")

            def one(kind, name):
                return next(d for d in documents if re.search(rf"^kind: {kind}$", d, re.M) and re.search(rf"^  name: {name}$", d, re.M))
            names = lambda certificate: re.findall(r"^  - (\S+)$", re.search(r"dnsNames:\n((?:  - .*\n)+)", certificate).group(1), re.M)  # noqa: E731
            for release in ("backend", "backend-next"):
                settings = dict(re.findall(r"- name: (CODITECT_\w+)\n +value: \"?([^\"\n]*)", one("Deployment", release)))
                self.assertGreater(len(settings), 8)
                self.assertLessEqual(set(settings), known)
                self.assertEqual(settings["CODITECT_HTTP_TLS_CLIENT_NAMES"].split(","), names(one("Certificate", "gateway-client")))
            # Kong asks each for its own name, and the API compares origins with the host that clients see.
            host = re.search(r"hostnames:\n  - (\S+)", one("HTTPRoute", "backend")).group(1)
            self.assertEqual(settings["CODITECT_AUTH_ORIGIN"], f"https://{host}")
            self.assertEqual((names(one("Certificate", "backend")), names(one("Certificate", "hydra"))), (["backend"], ["hydra-public"]))
            self.assertIn(f"remoteNamespace: coditect-{environment}", one("SecretStore", "certificates"))

    def test_what_stands_in_for_a_chart_has_its_values(self):
        with open(f"{ROOT}/kubernetes/charts/hydra.yaml", encoding="utf-8") as f:
            values = f.read()
        with open(f"{ROOT}/tests/infra/hydra.yaml", encoding="utf-8") as f:
            stand_in = f.read()

        def plain(text):
            """Numbers and names, however they are written."""
            text = re.sub(r"[{}\[\],]", " ", text)
            found = set(re.findall(r"konghq\.com/\S+:\s+\S+|secretName:\s+\S+|runAsUser:\s+\d+|schedule: .*|maxUnavailable: \d+", text))
            sizes = re.findall(r"requests:\s+cpu:\s+(\w+)\s+memory:\s+(\w+)\s+limits:\s+memory:\s+(\w+)", text)
            ports = set(re.findall(r"[pP]ort:\s+(444[45])", text))
            return found, set(sizes), ports, set(re.findall(r"(?:replicaCount|replicas):\s+(\d)", text))
        self.assertEqual(plain(values), plain(stand_in))
        self.assertEqual(len(plain(values)[1]), 2)

    def test_charts_are_pinned_and_have_values(self):
        with open(f"{ROOT}/kubernetes/charts/charts.json", encoding="utf-8") as f:
            charts = json.load(f)
        self.assertEqual(sorted(f"{c['release']}.yaml" for c in charts), sorted(n for n in os.listdir(f"{ROOT}/kubernetes/charts") if n.endswith(".yaml")))
        for chart in charts:
            self.assertRegex(chart["version"], r"^v?\d+\.\d+\.\d+$", chart["release"])
            self.assertTrue(chart["repository"].startswith("https://"), chart["release"])
            with open(f"{ROOT}/kubernetes/charts/{chart['release']}.yaml", encoding="utf-8") as f:
                for tag in re.findall(r"tag: (\S+)", f.read()):
                    self.assertRegex(tag, r"^\"\d+\.\d+\.\d+\"$", chart["release"])

    def test_each_environment_has_a_namespace_of_its_own(self):
        for environment in ENVIRONMENTS:
            text = render(f"kubernetes/overlays/{environment}")
            # The gateway's is the only other one that is named, by the route's parent.
            self.assertEqual(set(re.findall(r"^ +namespace: (\S+)", text, re.M)), {f"coditect-{environment}", "kong"})


def budget_for_nobody(text):
    budget = re.search(r"apiVersion: policy/v1\n(?:.|\n)*?(?=^---)", text, re.M).group(0)
    return text.replace(budget, budget.replace("app.kubernetes.io/name: backend", "app.kubernetes.io/name: nobody"))


# What has gone wrong elsewhere: name, what is written wrong instead of what (or a function that does it), and what must be said.
PLANTED = [
    ("a field that does not exist", "imagePullPolicyy: Always\n        livenessProbe:", "livenessProbe:", "unknown field"),
    ("a mutable tag", "image: coditect:latest", f"image: {DIGEST}", "has no digest"),
    ("root", "runAsNonRoot: false", "runAsNonRoot: true", "runAsNonRoot != true"),
    ("more rights than the parent", "allowPrivilegeEscalation: true", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation != false"),
    ("capabilities", "add: [SYS_ADMIN]", "drop:\n            - ALL", "unrestricted capabilities"),
    ("no seccomp profile", "type: Unconfined", "type: RuntimeDefault", "seccompProfile"),
    ("an image that is written to", "readOnlyRootFilesystem: false", "readOnlyRootFilesystem: true", "may write to its image"),
    ("a token that nobody needs", "automountServiceAccountToken: true", "automountServiceAccountToken: false", "automountServiceAccountToken is not false"),
    ("a budget for nobody", budget_for_nobody, None, "no PodDisruptionBudget"),
    ("a route to nowhere", "port: 80\n      weight: 100", "port: 443\n      weight: 100", "has no port 80"),
    ("a share for nobody", "name: backend-last\n      port: 443\n      weight: 0", "name: backend-next\n      port: 443\n      weight: 0", "there is no Service/backend-last"),
    ("a gateway that believes anybody", 'konghq.com/tls-verify: "false"', 'konghq.com/tls-verify: "true"', "Kong would believe whoever answers for Service/backend"),
    ("one that passes as another", "konghq.com/host-header: hydra-public", "konghq.com/host-header: backend", "does not ask Service/backend for its own name"),
    ("any name that a client asks for", 'konghq.com/preserve-host: "true"', 'konghq.com/preserve-host: "false"', "the name that the client did"),
    ("a gateway without a certificate", "konghq.com/client-cert: backend-tls", "konghq.com/client-cert: gateway-client", "no Certificate for clients is what Kong shows"),
    ("an authority that Kong does not find", 'konghq.com/ca-cert: "no"', 'konghq.com/ca-cert: "true"', "no secret holds the authority that Kong believes"),
    ("two releases, of which Kong takes none", lambda text: "---\n".join(
        d.replace("konghq.com/protocol: https", "konghq.com/protocol: tls") if re.search(r"^kind: Service\n(.*\n)*?  name: backend-next$", d, re.M) else d
        for d in text.split("---\n")), None, "Kong is told other things of Service/backend-next"),
    ("a probe that has no certificate", "path: /health/ready\n            port: https", "path: /health/ready\n            port: management", "a probe of api asks where"),
    ("any secret for an account", "  resources:\n  - secrets\n  verbs:\n  - get", "  resourceNames:\n  - gateway-client\n  resources:\n  - secrets\n  verbs:\n  - get", "it may use secrets"),
    ("a plugin that is not there", "konghq.com/plugins: missing,", "konghq.com/plugins: strip-headers,", "there is no KongPlugin/missing"),
    ("two limits, of which Kong runs one", lambda text: text.replace("plugin: correlation-id", "plugin: rate-limiting"), None,
     "two plugins of the kind rate-limiting"),
    ("replicas that undo the scaler's", "replicas: 2\n  revisionHistoryLimit: 3", "revisionHistoryLimit: 3", "would undo the scaler's number"),
    ("a quota without room", 'requests.cpu: "8"', 'requests.cpu: "112"', "requests.cpu of 8 has no room"),
    ("all rights of the cluster", "kind: ClusterRole\n  name: deployer\nsubjects", "kind: Role\n  name: deployer\nsubjects", "is not a Role of this namespace"),
    ("an image before the image", lambda text: text.replace("      containers:\n", "      initContainers:\n      - image: busybox:latest\n        name: first\n      containers:\n", 1),
     None, "busybox:latest has no digest"),
    ("a setting that a plugin has not", "limit_bye: ip", "limit_by: ip", "has no setting limit_bye"),
    ("a limit by an unverified path", "limit_by: path", "limit_by: ip", "use up a tenant's budget"),
    ("a service open to the world", "type: LoadBalancer\n  selector:", "selector:", "opens it to the world"),
    ("a policy for everywhere", "cidr: 0.0.0.0/0", "cidr: 169.254.20.10/32", "is everywhere"),
    ("a namespace by a label that none has", "name: kube-system", "kubernetes.io/metadata.name: kube-system", "no namespace has the label name by itself"),
    ("a rule with *", "verbs:\n  - '*'", "verbs:\n  - get", "a rule with *"),
    ("secrets for the pipeline", "resources:\n  - secrets\n  - deployments", "resources:\n  - deployments", "it may use secrets"),
    ("a password written down", "- name: CODITECT_DATABASE_APP_PASSWORD\n          value: hunter2\n        - name: CODITECT_HTTP_HOST", "- name: CODITECT_HTTP_HOST", "written down"),
    ("no time to drain", "terminationGracePeriodSeconds: 0", "terminationGracePeriodSeconds: 60", "leaves no time to drain"),
    ("pod security that only warns", "pod-security.kubernetes.io/enforce: baseline", "pod-security.kubernetes.io/enforce: restricted", "pod security is not enforced"),
    ("no time for a last checkpoint", "terminationGracePeriodSeconds: 0", "terminationGracePeriodSeconds: 180", "too short for a last checkpoint"),
    ("databases that share a node", lambda text: re.sub(r"      affinity:\n(        .*\n)+", "", text), None, "two of its pods may be on one node"),
    ("a group in one zone", "whenUnsatisfiable: ScheduleAnyway", "whenUnsatisfiable: DoNotSchedule", "two of its pods may be in one zone"),
    ("data that goes with the pod", lambda text: re.sub(r"  volumeClaimTemplates:\n(  [- ] .*\n)+", "", text), None, "would be gone with the pod"),
    ("a disk that goes with its claim", "reclaimPolicy: Delete", "reclaimPolicy: Retain", "would be deleted with its claim"),
    ("one budget for several groups", lambda text: re.sub(r"(apiVersion: policy/v1\n(?:.*\n)*?  name: citus-1\n(?:.*\n)*?)      citus-group: \"1\"\n", r"\1", text), None,
     "each would wait for the other"),
    ("the address of a pod", "value: $(PATRONI_KUBERNETES_POD_IP):5432", "value: $(PATRONI_NAME).$(SERVICE).$(PATRONI_KUBERNETES_NAMESPACE).svc:5432", "another one after each restart"),
    ("pods without names", "serviceName: citus-1\n", "serviceName: citus-1-pods\n", "is no headless Service of theirs"),
    ("a signer that is not there", "kind: Issuer\n    name: nobody\n  privateKey", "kind: Issuer\n    name: citus\n  privateKey", "there is no Issuer/nobody"),
    ("an account of elsewhere", "kind: ServiceAccount\n  name: citus\n  namespace: default", "kind: ServiceAccount\n  name: citus\n  namespace: coditect-production", "of the namespace 'default'"),
    ("a configuration that is not there", "name: citus-nothing\n        image", "name: citus-repository\n        image", "there is no ConfigMap/citus-nothing"),
    ("nothing to look at", "port: metrics\n    relabelings", "port: management\n    relabelings", "has the port metrics"),
    ("pods without that port", "port: exporter\n    relabelings", "port: patroni\n    relabelings", "no pod that it selects"),
    ("a store that is not there", lambda text: re.sub(r"(secretStoreRef:\n +kind: SecretStore\n +name: )secret-manager", r"\1missing", text), None,
     "there is no SecretStore/missing"),
]


@unittest.skipUnless(shutil.which("kubectl") and find("kubecheck"), "kubectl or tools/build.sh kubecheck (Go) is missing")
class Checked(unittest.TestCase):
    def check(self, text, *flags):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            done = subprocess.run([find("kubecheck"), *flags, file.name], capture_output=True, text=True)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return done.stdout + done.stderr

    def test_nothing_is_wrong_with_any_environment(self):
        for environment in ENVIRONMENTS:
            self.assertEqual(self.check(deployed(environment) + beside(environment)), "", environment)

    def test_what_the_script_would_apply(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("scripts", "opentofu", "kubernetes"):
                shutil.copytree(f"{ROOT}/{name}", f"{folder}/{name}", symlinks=True, ignore=shutil.ignore_patterns(".terraform"))
            for environment in ENVIRONMENTS:
                subprocess.run([f"{folder}/scripts/deploy.sh", environment, "--dry-run", "--image", DIGEST, *(["--database-image", DIGEST] if environment != "dev" else [])], check=True, capture_output=True)
                objects, bootstrap = (pathlib.Path(f"{folder}/build/deploy/{environment}/{name}.yaml").read_text() for name in ("objects", "bootstrap"))
                self.assertEqual(sorted(re.split(r"^---\n", objects, flags=re.M)[1:]), sorted(d if d.endswith("\n") else d + "\n" for d in deployed(environment).split("---\n")))
                bootstrap = re.sub(r"^apiVersion: v1\n(?:(?!^---).*\n)*?kind: ConfigMap\n(?:(?!^---).*\n)*?---\n", "", bootstrap, flags=re.M)
                self.assertIn("kind: Job", bootstrap)
                self.assertEqual(self.check(objects + "\n---\n" + bootstrap + beside(environment)), "", environment)
                stages = "".join(pathlib.Path(f"{folder}/build/deploy/{environment}/{name}.yaml").read_text() for name in ("first", "cluster-init", "migrate", "route", "last", "next"))
                self.assertEqual(sorted(re.findall(r"^kind: .*", stages, re.M)), sorted(re.findall(r"^kind: .*", objects, re.M)))

    def test_the_job_of_a_command(self):
        """scripts/cluster.sh: accepted beside everything else, and it reaches the databases of the cell and of the directory."""
        with tempfile.TemporaryDirectory() as folder:
            for name in ("scripts", "opentofu", "kubernetes"):
                shutil.copytree(f"{ROOT}/{name}", f"{folder}/{name}", symlinks=True, ignore=shutil.ignore_patterns(".terraform"))
            subprocess.run([f"{folder}/scripts/cluster.sh", "staging", "--dry-run", "rebalance", "--by-shards"], check=True, capture_output=True)
            made = "".join(pathlib.Path(f"{folder}/build/deploy/staging/{name}.yaml").read_text() for name in ("cluster", "cluster-job"))
        made = re.sub(r"^---\napiVersion: v1\n(?:(?!^---).*\n)*?kind: ConfigMap\n(?:(?!^---).*\n)*", "", made.replace("image: IMAGE", f"image: {DIGEST}"), flags=re.M)
        everything = deployed("staging") + beside("staging") + "\n" + made
        self.assertEqual(self.check(everything), "")
        ways = [line.split(" => ")[1] for line in re.sub(r"[ \t]+", " ", self.check(everything, "-network")).splitlines() if re.match(r"coditect-staging/cluster-rebalance-\d+\[Job\] => ", line)]
        self.assertTrue({"coditect-staging/citus-0[StatefulSet] : TCP 5432", "10.48.240.0-10.48.255.255 : TCP 5432"} <= set(ways), ways)
        self.assertFalse([w for w in ways if "6379" in w or "kong" in w or ": TCP 443" in w])

    def test_a_cluster_that_is_restored(self):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(f"{ROOT}/kubernetes", f"{folder}/kubernetes")
            overlay = pathlib.Path(f"{folder}/kubernetes/overlays/staging")
            (overlay / "environment.env").write_text((overlay / "environment.env").read_text() + "RESTORE_POINT=point-20260102T030405Z\nRESTORE_BUCKET=elsewhere-pgbackrest\n")
            path = overlay / "kustomization.yaml"
            path.write_text(path.read_text().replace("  - ../../components/citus\n", "  - ../../components/citus\n  - ../../components/citus-restore\n"))
            text = re.sub(r"image: (coditect|coditect-next|citus)$", f"image: {DIGEST}", render("kubernetes/overlays/staging", folder), flags=re.M)
        self.assertEqual(text.count("value: point-20260102T030405Z"), len(re.findall("^kind: StatefulSet$", text, re.M)))
        self.assertEqual(text.count("suspend: true"), 2)
        self.assertIn("PGBACKREST_REPO1_GCS_BUCKET: elsewhere-pgbackrest", text)
        self.assertEqual(self.check(text + beside("staging")), "")

    def test_what_is_installed_beside_it(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("scripts", "opentofu", "kubernetes", "monitoring"):
                shutil.copytree(f"{ROOT}/{name}", f"{folder}/{name}", symlinks=True, ignore=shutil.ignore_patterns(".terraform"))
            for environment in ENVIRONMENTS:
                subprocess.run([f"{folder}/scripts/deploy.sh", environment, "--only", "charts", "--dry-run"], check=True, capture_output=True)
                edge, monitoring = (pathlib.Path(f"{folder}/build/deploy/{environment}/{name}.yaml").read_text() for name in ("edge", "monitoring"))
                self.assertEqual(self.check(edge, "-service", "kong-gateway-proxy:443"), "")
                self.assertNotIn("ENVIRONMENT", edge)
                self.assertNotIn("example.com", edge)
                self.assertIn("there is no Service/kong-gateway-proxy", self.check(edge))
                self.assertIn("unknown field", self.check(edge.replace("securityPolicy:", "securityPolicies:"), "-service", "kong-gateway-proxy:443"))
                self.assertEqual(self.check(monitoring), "")
                self.assertEqual(len(re.findall("^kind: PrometheusRule$", monitoring, re.M)), len(os.listdir(f"{ROOT}/monitoring/prometheus/rules")))
                self.assertEqual(set(re.findall(r"^  (coditect-[a-z]+\.json):", monitoring, re.M)), set(os.listdir(f"{ROOT}/monitoring/grafana/dashboards")))

    def test_planted_mistakes_are_found(self):
        text = deployed("production") + beside("production")
        for name, wrong, right, said in PLANTED:
            with self.subTest(name):
                if callable(wrong):
                    changed = wrong(text)
                else:
                    self.assertIn(right, text, "the mistake cannot be planted")
                    changed = text.replace(right, wrong, 1)
                self.assertIn(said, self.check(changed))

    def test_who_may_connect_to_whom(self):
        """Kept as a file: a change of it is a decision. KEEP=1 writes it anew."""
        for environment in ENVIRONMENTS:
            path = f"{ROOT}/tests/infra/network-{environment}.txt"
            found = re.sub(r"[ \t]+", " ", self.check(deployed(environment) + beside(environment), "-network"))
            if os.environ.get("KEEP"):
                with open(path, "w", encoding="utf-8") as f:
                    f.write(found)
            with open(path, encoding="utf-8") as f:
                self.assertEqual(found, f.read(), environment)
            inside = f"coditect-{environment}"
            into = [line for line in found.split("Ingress Exposure:")[1].splitlines() if "<=" in line]
            self.assertEqual({re.search(r"<= ([\w-]+)/", line).group(1) for line in into} - {inside}, {"kong", "monitoring"})
            self.assertNotIn("0.0.0.0-255.255.255.255", found)
            # Strangers reach the API only, and databases are reached by what needs them.
            self.assertEqual({re.match(r"\S+/([a-z0-9-]+)\[", line).group(1) for line in into if "<= kong/" in line}, {"backend", "backend-next", "hydra"})
            users = set(re.findall(r"/([a-z-]+)(?:-\d)?\[\w+\] => [\w-]+/citus-\d\[", found))
            self.assertEqual(users, set() if environment == "dev" else {"backend", "backend-next", "citus", "citus-backup", "citus-restore-point", "cluster-init", "migrate", "pgbouncer"})


if __name__ == "__main__":
    unittest.main()
