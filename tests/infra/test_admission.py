"""What scripts/deploy.sh would apply is applied: to Kubernetes' own API server, whose controllers make the pods. Admission, defaults,
Pod Security, quotas, rights, and validation rules of the types are Kubernetes' own, not a checker's."""
import re
import shutil
import subprocess
import tempfile
import unittest
import urllib.request

from control_plane import MISSING, ControlPlane, find
from test_kubernetes import DIGEST, ENVIRONMENTS, ROOT, beside, deployed


@unittest.skipIf(MISSING, "not installed: " + ", ".join(MISSING))
class Admission(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.plane = ControlPlane()

    @classmethod
    def tearDownClass(cls):
        cls.plane.close()

    def everything(self, environment):
        bootstrap = subprocess.run(["kubectl", "kustomize", f"{ROOT}/kubernetes/jobs/bootstrap"], capture_output=True, text=True, check=True).stdout
        bootstrap = re.sub(r"^metadata:\n", f"metadata:\n  namespace: coditect-{environment}\n", bootstrap.replace("image: coditect\n", f"image: {DIGEST}\n"), flags=re.M)
        bootstrap = re.sub(r"^(      metadata:\n)  namespace: \S+\n", r"\1", bootstrap, flags=re.M)
        return deployed(environment) + "---\n" + bootstrap + beside(environment)

    def test_1_each_environment_is_accepted(self):
        for environment in ENVIRONMENTS:
            with self.subTest(environment):
                namespace = f"coditect-{environment}"
                self.plane.kubectl("delete", "storageclass", "citus", "--ignore-not-found")  # each is a cluster of its own
                text = self.everything(environment)
                said = self.plane.apply(text)
                self.assertEqual(len(said.splitlines()), len(re.findall(r"^kind: ", text, re.M)))
                # And once more: nothing is another one than what was asked for.
                self.assertNotIn("conflict", self.plane.apply(text))
                wanted = {f"statefulset {s['metadata']['name']}": s["spec"]["replicas"] for s in self.plane.get("statefulsets", "-n", namespace)["items"]}
                wanted.update({f"deployment {d['metadata']['name']}": d["spec"]["replicas"] for d in self.plane.get("deployments", "-n", namespace)["items"]})
                pods = sum(wanted.values()) + len(self.plane.get("jobs", "-n", namespace)["items"])
                self.plane.wait(f"{pods} pods of {wanted}", lambda: len(self.plane.get("pods", "-n", namespace)["items"]) == pods, 60)
                refused = [e["message"] for e in self.plane.get("events", "-n", namespace)["items"] if e["reason"] == "FailedCreate"]
                self.assertEqual(refused, [])

    def test_1_the_way_in_and_what_watches_are_accepted(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("scripts", "opentofu", "kubernetes", "monitoring"):
                shutil.copytree(f"{ROOT}/{name}", f"{folder}/{name}", symlinks=True, ignore=shutil.ignore_patterns(".terraform"))
            subprocess.run([f"{folder}/scripts/deploy.sh", "production", "--only", "charts", "--dry-run"], check=True, capture_output=True)
            for namespace, file in (("kong", "edge"), ("monitoring", "monitoring")):
                self.plane.kubectl("create", "namespace", namespace)
                with open(f"{folder}/build/deploy/production/{file}.yaml", encoding="utf-8") as f:
                    text = f.read()
                self.assertEqual(len(self.plane.apply(text).splitlines()), len(re.findall(r"^kind: ", text, re.M)))

    @unittest.skipUnless(find("kube-state-metrics"), "tools/build.sh kube-state-metrics (Go) is missing")
    def test_2_metrics_that_rules_name(self):
        """Of the state of the cluster: the age of backups and restore points."""
        rules = ""
        for name in ("citus", "identity"):
            with open(f"{ROOT}/monitoring/prometheus/rules/{name}.yml", encoding="utf-8") as f:
                rules += f.read()
        wanted = set(re.findall(r"(kube_cronjob_status\w+)\{(cronjob)=\"([\w-]+)\"\}", rules))
        self.assertGreaterEqual(len(wanted), 2)
        for name in {w[2] for w in wanted}:
            self.plane.kubectl("patch", "cronjob", name, "-n", "coditect-production", "--subresource=status", "--type=merge", "-p",
                               '{"status": {"lastSuccessfulTime": "2026-01-02T03:04:05Z"}}')
        port = self.plane.serve("kube-state-metrics", "--kubeconfig", self.plane.kubeconfig, "--host=127.0.0.1", "--telemetry-host=127.0.0.1",
                                "--telemetry-port=0")

        def metrics():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                return answer.read().decode()
        with open(f"{ROOT}/monitoring/grafana/dashboards/coditect-kubernetes.json", encoding="utf-8") as f:
            names = set(re.findall(r"\bkube_\w+", f.read() + rules))
        self.assertGreater(len(names), 6)
        self.plane.wait(f"all of {names}", lambda: not names - set(re.findall(r"^# TYPE (\w+)", metrics(), re.M)), 30)
        for metric, label, value in wanted:
            line = re.compile(rf'^{metric}\{{namespace="coditect-production",{label}="{value}"\}} 1\.76732\d+e\+09$', re.M)
            self.plane.wait(f"{metric} of {value}", lambda line=line: line.search(metrics()), 30)

    def test_2_what_is_wrong_is_refused(self):
        """By the API server, with the rules of this namespace."""
        def refused(kind, change, said):
            text = deployed("production")
            one = next(d for d in text.split("---\n") if re.search(f"^kind: {kind}$", d, re.M) and change(d) != d)
            answer = self.plane.apply(change(one), "--dry-run=server", check=False)
            self.assertRegex(answer, said)
        refused("Deployment", lambda d: d.replace("readinessProbe:", "readynessProbe:"), "field not declared in schema|unknown field")
        refused("Certificate", lambda d: d.replace("issuerRef:", "issuerReference:"), "issuerRef|issuerReference")
        refused("ExternalSecret", lambda d: d.replace("refreshInterval: 15m", "refreshInterval: {}"), "refreshInterval")
        refused("HTTPRoute", lambda d: d.replace("value: /v1", "value: v1"), "value must be an absolute path|path")
        # Which is why docs/SCALING.md says how a disk grows.
        refused("StatefulSet", lambda d: d.replace("storage: 500Gi", "storage: 600Gi"), "updates to statefulset spec")
        # A pod that Pod Security does not let in.
        pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: bad, namespace: coditect-production}\nspec: {containers: [{name: a, image: a, securityContext: {privileged: true}}]}\n"
        self.assertIn("violates PodSecurity", self.plane.apply(pod, check=False))
        service = "apiVersion: v1\nkind: Service\nmetadata: {name: open, namespace: coditect-production}\nspec: {type: LoadBalancer, ports: [{port: 80}], selector: {a: b}}\n"
        self.assertIn("exceeded quota", self.plane.apply(service, check=False))

    def test_3_who_may_do_what(self):
        def can(who, verb, what, namespace="coditect-production"):
            resource, _, sub = what.partition("/")
            return self.plane.kubectl("auth", "can-i", verb, resource, f"--subresource={sub}", "-n", namespace, "--as", who, check=False).strip() == "yes"
        deployer = "deployer@coditect-production.iam.gserviceaccount.com"
        for verb, what in (("patch", "deployments.apps"), ("create", "jobs.batch"), ("delete", "jobs.batch"), ("patch", "externalsecrets.external-secrets.io"),
                           ("patch", "certificates.cert-manager.io"), ("get", "pods"), ("patch", "httproutes.gateway.networking.k8s.io")):
            self.assertTrue(can(deployer, verb, what), (verb, what))
        for verb, what in (("get", "secrets"), ("create", "pods/exec"), ("create", "rolebindings.rbac.authorization.k8s.io"), ("delete", "statefulsets.apps"),
                           ("create", "serviceaccounts/token")):
            self.assertFalse(can(deployer, verb, what), (verb, what))
        self.assertFalse(can(deployer, "patch", "deployments.apps", "coditect-staging"))
        citus = "system:serviceaccount:coditect-production:citus"
        for verb, what in (("update", "endpoints"), ("patch", "pods"), ("list", "pods")):
            self.assertTrue(can(citus, verb, what), (verb, what))
        for verb, what in (("get", "secrets"), ("create", "pods"), ("delete", "pods"), ("get", "configmaps"), ("create", "services")):
            self.assertFalse(can(citus, verb, what), (verb, what))
        self.assertFalse(can("system:serviceaccount:coditect-production:backend", "get", "pods"))
        certificates = "system:serviceaccount:coditect-production:certificates"
        for verb, what, allowed in (("get", "secrets/gateway-client", True), ("list", "secrets", False), ("get", "secrets/services-authority", False),
                                    ("patch", "secrets/gateway-client", False)):
            answer = self.plane.kubectl("auth", "can-i", verb, what, "-n", "coditect-production", "--as", certificates, check=False).strip()
            self.assertEqual(answer == "yes", allowed, (verb, what))


if __name__ == "__main__":
    unittest.main(verbosity=2)
