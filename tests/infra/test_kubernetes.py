"""Every overlay is rendered, decoded strictly, held against the restricted Pod Security Standard and this project's own
rules, and its network policies are turned into a list of who may connect to whom."""
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


def render(path):
    done = subprocess.run(["kubectl", "kustomize", f"{ROOT}/{path}"], capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"{path}: {done.stderr}")
    return done.stdout


def deployed(environment):
    """As scripts/deploy.sh applies it: with the image's digest."""
    return re.sub(r"image: coditect$", f"image: {DIGEST}", render(f"kubernetes/overlays/{environment}"), flags=re.M)


@unittest.skipUnless(shutil.which("kubectl"), "kubectl is not installed")
class Rendered(unittest.TestCase):
    def test_the_founding_paths_can_be_applied(self):
        for path in ("kubernetes/base", "kubernetes/services", *(f"kubernetes/overlays/{e}" for e in ENVIRONMENTS)):
            self.assertIn("kind:", render(path), path)

    def test_nothing_is_left_to_fill_in(self):
        for environment in ENVIRONMENTS:
            for word in ("PROJECT", "REGION", "api.example.com", "10.0.0.0/32"):
                text = re.sub(r"^kind: ConfigMap(.|\n)*?^---", "", re.sub(r"^  [A-Z_]+: .*$", "", render(f"kubernetes/overlays/{environment}"), flags=re.M), flags=re.M)
                self.assertNotIn(word, text, environment)

    def test_environments_differ_in_size_and_addresses_only(self):
        def plain(environment):
            text = render(f"kubernetes/overlays/{environment}").replace(f"coditect-{environment}", "coditect-ENV")
            text = re.sub(r"(min|max)Replicas: \d+", r"\1Replicas: N", text)
            text = re.sub(r"requests\.(cpu|memory): \S+", r"requests.\1: N", text)
            text = re.sub(r"api\.(dev\.|staging\.)?coditect\.example", "HOST", text)
            return re.sub(r"10\.\d+\.\d+\.0/20", "PRIVATE", text)
        self.assertEqual(plain("dev"), plain("staging"))
        self.assertEqual(plain("dev"), plain("production"))

    def test_what_a_scaler_asks_for_is_given_by_the_adapter(self):
        with open(f"{ROOT}/kubernetes/charts/prometheus-adapter.yaml", encoding="utf-8") as f:
            given = set(re.findall(r"as: (\w+)", f.read()))
        asked = set(re.findall(r"name: (coditect_\w+)", render("kubernetes/overlays/production")))
        self.assertEqual(asked, given)

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
    ("a route to nowhere", "port: 8081\n      weight: 100", "port: 80\n      weight: 100", "has no port 8081"),
    ("a plugin that is not there", "konghq.com/plugins: missing,", "konghq.com/plugins: strip-headers,", "there is no KongPlugin/missing"),
    ("two limits, of which Kong runs one", lambda text: text.replace("plugin: correlation-id", "plugin: rate-limiting"), None,
     "two plugins of the kind rate-limiting"),
    ("replicas that undo the scaler's", "replicas: 2\n  revisionHistoryLimit: 3", "revisionHistoryLimit: 3", "would undo the scaler's number"),
    ("a quota without room", 'requests.cpu: "8"', 'requests.cpu: "64"', "has no room for 40 pods"),
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
            self.assertEqual(self.check(deployed(environment)), "", environment)

    def test_what_the_script_would_apply(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("scripts", "opentofu", "kubernetes"):
                shutil.copytree(f"{ROOT}/{name}", f"{folder}/{name}", symlinks=True, ignore=shutil.ignore_patterns(".terraform"))
            for environment in ENVIRONMENTS:
                subprocess.run([f"{folder}/scripts/deploy.sh", environment, "--dry-run", "--image", DIGEST], check=True, capture_output=True)
                objects, bootstrap = (pathlib.Path(f"{folder}/build/deploy/{environment}/{name}.yaml").read_text() for name in ("objects", "bootstrap"))
                self.assertEqual(objects.rstrip("\n"), deployed(environment).rstrip("\n"))
                bootstrap = re.sub(r"^apiVersion: v1\n(?:(?!^---).*\n)*?kind: ConfigMap\n(?:(?!^---).*\n)*?---\n", "", bootstrap, flags=re.M)
                self.assertIn("kind: Job", bootstrap)
                self.assertEqual(self.check(objects + "\n---\n" + bootstrap), "", environment)
                stages = "".join(pathlib.Path(f"{folder}/build/deploy/{environment}/{name}.yaml").read_text() for name in ("first", "migrate", "last"))
                self.assertEqual(sorted(re.findall(r"^kind: .*", stages, re.M)), sorted(re.findall(r"^kind: .*", objects, re.M)))

    def test_planted_mistakes_are_found(self):
        text = deployed("production")
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
            found = re.sub(r"[ \t]+", " ", self.check(deployed(environment), "-network"))
            if os.environ.get("KEEP"):
                with open(path, "w", encoding="utf-8") as f:
                    f.write(found)
            with open(path, encoding="utf-8") as f:
                self.assertEqual(found, f.read(), environment)
            into = [line for line in found.split("Ingress Exposure:")[1].splitlines() if "<=" in line]
            self.assertEqual({re.search(r"<= (\w+)/", line).group(1) for line in into}, {"kong", "monitoring"})
            self.assertNotIn("0.0.0.0-255.255.255.255", found)


if __name__ == "__main__":
    unittest.main()
