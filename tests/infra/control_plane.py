"""Kubernetes' own API server and controllers on etcd, without a node: it admits, counts quotas, makes pods of sets, and gives tokens.
Nothing is started by it."""
import json
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import tempfile
import time

PLACES = ["/usr/local/lib/coditect/tools", os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "coditect/tools")]


def find(program):
    return shutil.which(program) or next((f"{p}/{program}" for p in PLACES if os.access(f"{p}/{program}", os.X_OK)), None)


def types():
    return next((f"{p}/types" for p in PLACES if os.path.isdir(f"{p}/types")), None)


MISSING = [what for what, there in (("kubectl", shutil.which("kubectl")), ("etcd", shutil.which("etcd")),
                                    ("tools/build.sh kubernetes (Go)", find("kube-apiserver") and find("kube-controller-manager") and types())) if not there]

# Definitions that are in no module: as much as tells one kind from another. What is in them kubecheck looks at.
LOOSE = {"configuration.konghq.com": ["KongPlugin"], "monitoring.coreos.com": ["ServiceMonitor", "PodMonitor", "PrometheusRule"],
         "networking.gke.io": ["GCPBackendPolicy", "GCPGatewayPolicy", "HealthCheckPolicy"]}


def loose(group, kind):
    singular = kind.lower()
    plural = singular[:-1] + "ies" if singular.endswith("y") else singular + "s"
    return f"""
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {plural}.{group}}}
spec:
  group: {group}
  names: {{kind: {kind}, listKind: {kind}List, plural: {plural}, singular: {singular}}}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


class ControlPlane:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="coditect-control-plane-")
        self.processes = []
        self.port = free_port()
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def spawn(self, name, *words):
        with open(f"{self.folder}/{name}.log", "wb") as log:
            self.processes.append(subprocess.Popen([find(name), *words], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL))

    def start(self):
        client, peer = free_port(), free_port()
        self.spawn("etcd", "--data-dir", f"{self.folder}/etcd", "--listen-client-urls", f"http://127.0.0.1:{client}", "--advertise-client-urls",
                   f"http://127.0.0.1:{client}", "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                   "--initial-cluster", f"default=http://127.0.0.1:{peer}", "--unsafe-no-fsync")
        key = f"{self.folder}/accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        admin = secrets.token_hex(16)
        with open(f"{self.folder}/tokens", "w", encoding="ascii") as f:
            f.write(f'{admin},admin,admin,"system:masters"\n')
        self.spawn("kube-apiserver", "--etcd-servers", f"http://127.0.0.1:{client}", "--secure-port", str(self.port), "--bind-address", "127.0.0.1",
                   "--cert-dir", f"{self.folder}/tls", "--token-auth-file", f"{self.folder}/tokens", "--authorization-mode", "RBAC",
                   "--service-account-key-file", key, "--service-account-signing-key-file", key, "--service-account-issuer", "https://kubernetes.default.svc",
                   "--service-cluster-ip-range", "10.96.0.0/16", "--allow-privileged", "--enable-aggregator-routing=false")
        self.kubeconfig = f"{self.folder}/kubeconfig"
        self.configure(self.kubeconfig, admin)
        self.wait("the API server", lambda: self.kubectl("get", "--raw", "/readyz", check=False).strip() == "ok", 90)
        self.spawn("kube-controller-manager", "--kubeconfig", self.kubeconfig, "--service-account-private-key-file", key, "--use-service-account-credentials",
                   "--controllers", "*,-node-lifecycle-controller,-node-ipam-controller", "--leader-elect=false", "--secure-port", "0")
        for path in sorted(pathlib.Path(types()).glob("*.yaml")):
            if path.name.startswith(("crd-", "gateway", "external-secrets.io")):
                self.kubectl("apply", "--server-side", "-f", str(path))
        self.apply("---".join(loose(group, kind) for group, kinds in LOOSE.items() for kind in kinds))
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")

    def serve(self, name, *words):
        """Starts a program that serves HTTP; its port, once it answers."""
        port = free_port()
        self.spawn(name, *words, f"--port={port}")

        def answers():
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return True
            except OSError:
                return False
        self.wait(name, answers, 30)
        return port

    def configure(self, path, token, namespace="default"):
        """A kubeconfig for whoever has this token."""
        with open(path, "w", encoding="utf-8") as f:
            json.dump({"apiVersion": "v1", "kind": "Config", "current-context": "it",
                       "clusters": [{"name": "it", "cluster": {"server": f"https://127.0.0.1:{self.port}", "insecure-skip-tls-verify": True}}],
                       "users": [{"name": "it", "user": {"token": token}}],
                       "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it", "namespace": namespace}}]}, f)
        os.chmod(path, 0o600)

    def kubectl(self, *words, text=None, check=True, kubeconfig=None):
        done = subprocess.run(["kubectl", "--kubeconfig", kubeconfig or self.kubeconfig, *words], capture_output=True, text=True, input=text, timeout=120)
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(words)}: {done.stdout[-1000:]}{done.stderr[-3000:]}")
        return done.stdout if done.returncode == 0 or check else done.stdout + done.stderr

    def apply(self, text, *words, check=True):
        return self.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=coditect-deploy", *words, "-f", "-", text=text, check=check)

    def get(self, *words):
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    @staticmethod
    def wait(what, check, seconds=60):
        end = time.time() + seconds
        while not check():
            if time.time() > end:
                raise AssertionError(f"waited {seconds} s in vain: {what}")
            time.sleep(0.3)

    def close(self):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if os.environ.get("KEEP") != "1":
            shutil.rmtree(self.folder, ignore_errors=True)
