"""Patroni with Kubernetes as its store, as in the cluster: its own API server, the objects of an overlay, the rights of the account
"citus" and no more. The pods are made by the set's controller; what would run in them runs here."""
import os
import shutil
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{ROOT}/tests/infra")
import control_plane  # noqa: E402
from test_kubernetes import deployed  # noqa: E402

try:
    import psycopg2  # noqa: F401
    from cluster import CITUS, Cluster, Ledger, wait_for
except ImportError:
    psycopg2 = None

MISSING = control_plane.MISSING + [p for p in ("patroni", "pgbackrest") if not shutil.which(p)] + ([] if psycopg2 else ["python3-psycopg2"])
NAMESPACE = "coditect-staging"


@unittest.skipIf(MISSING, "not installed: " + ", ".join(MISSING))
class KubernetesStore(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = None
        cls.plane = control_plane.ControlPlane()
        try:
            cls.plane.apply(deployed("staging"))
            for group in (0, 1):
                wait_for("pods", lambda group=group: cls.plane.kubectl("get", "pod", f"citus-{group}-1", "-n", NAMESPACE, check=False), 60)
            token = cls.plane.kubectl("create", "token", "citus", "-n", NAMESPACE, "--duration=2h").strip()
            cls.plane.configure(f"{cls.plane.folder}/citus", token, NAMESPACE)
            cls.cluster = Cluster(store=cls.store)
            shutil.copy(f"{cls.plane.folder}/citus", f"{cls.cluster.folder}/kubeconfig")
            cls.cluster.own(f"{cls.cluster.folder}/kubeconfig")
            for node in cls.cluster.nodes:
                node.start()
            wait_for("every group has a leader and a synchronous standby", cls.cluster.whole, 180)
            wait_for("Citus knows both groups", lambda: len(cls.cluster.metadata()) == 2, 60)
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        if cls.cluster:
            cls.cluster.close()
        cls.plane.close()

    @classmethod
    def store(cls, node):
        """What the set gives its container, but for what the kubelet would put in."""
        container = cls.plane.get("statefulset", f"citus-{node.group}", "-n", NAMESPACE)["spec"]["template"]["spec"]["containers"][0]
        given = {e["name"]: e["value"] for e in container["env"] if e["name"].startswith("PATRONI_KUBERNETES") and "value" in e}
        return {**given, "PATRONI_KUBERNETES_NAMESPACE": NAMESPACE, "PATRONI_KUBERNETES_POD_IP": cls.pod_address(node), "PATRONI_KUBERNETES_CONTEXT": "it", "KUBECONFIG": f"{cls.cluster.folder}/kubeconfig"}

    @staticmethod
    def pod_address(node):
        """Kubernetes takes no address of loopback."""
        return node.address.replace("127.0.", "10.99.")

    def endpoint(self, group):
        """Where the Service of a group's leader leads."""
        subsets = self.plane.get("endpoints", f"citus-{group}", "-n", NAMESPACE).get("subsets") or []
        return [(a["ip"], p["name"], p["port"]) for s in subsets for a in s["addresses"] for p in s["ports"]]

    def leads(self, group):
        leader = self.cluster.leader(group)
        return leader and self.endpoint(group) == [(self.pod_address(leader), "postgresql", 5432)]

    def test_1_the_service_leads_to_the_leader(self):
        for group in (0, 1):
            wait_for("the Service leads to the leader", lambda group=group: self.leads(group), 30)
            roles = {p["metadata"]["name"]: p["metadata"]["labels"].get("role") for p in self.plane.get("pods", "-n", NAMESPACE, "-l", f"citus-group={group}")["items"]}
            self.assertIn(roles[self.cluster.leader(group).name], ("master", "primary"))
            self.assertEqual(roles[self.cluster.standby(group).name], "replica")
        # Patroni's own objects belong to Services that keep them from being collected.
        def names(kind):
            return {e["metadata"]["name"] for e in self.plane.get(kind, "-n", NAMESPACE)["items"]}
        wanted = {"citus-0", "citus-0-config", "citus-0-sync", "citus-1", "citus-1-config", "citus-1-sync"}
        wait_for("all of them", lambda: wanted <= names("endpoints"), 30)
        self.assertEqual({n for n in names("endpoints") if n.startswith("citus")} - names("services"), set())

    def test_2_a_leader_dies(self):
        ledger = Ledger(self.cluster, 0 if CITUS else 1)
        ledger.create()
        ledger.start()
        try:
            dead = self.cluster.leader(1)
            dead.kill()
            wait_for("the standby leads", lambda: self.cluster.leader(1) and self.cluster.leader(1) is not dead, 90)
            wait_for("the Service leads to it", lambda: self.leads(1), 30)
            wait_for("Citus knows it", lambda: self.cluster.metadata()[1] == self.cluster.leader(1).address, 60)
            dead.start()
            wait_for("whole again", self.cluster.whole, 120)
            known = len(ledger.acknowledged)
            wait_for("transfers go on", lambda: len(ledger.acknowledged) > known + 5, 60)
        finally:
            ledger.stop()
        wait_for("prepared transactions are settled", lambda: not any(self.cluster.query("SELECT 1 FROM pg_prepared_xacts", g) for g in (0, 1)), 90)
        self.assertEqual(ledger.check(), (0, 0, 0), "lost, appeared, difference of the sum")

    def test_3_nothing_was_refused(self):
        """The account's rights are enough for all that happened."""
        for node in self.cluster.nodes:
            with open(node.log, encoding="utf-8", errors="replace") as f:
                refused = [line for line in f if "forbidden" in line.lower() or "(403)" in line]
            self.assertEqual(refused, [], node.name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
