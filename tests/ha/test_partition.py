"""A leader that is cut off from everybody, in network namespaces: it believes in itself for as long as its lease lasts, and nothing
that it would still accept may be acknowledged."""
import os
import shutil
import subprocess
import unittest

try:
    import psycopg2  # noqa: F401
    from cluster import CITUS, PORT, Cluster, Ledger, wait_for
except ImportError:
    psycopg2 = None


def missing():
    absent = [p for p in ("patroni", "etcd", "pgbackrest", "ip") if not shutil.which(p)] + ([] if psycopg2 else ["python3-psycopg2"])
    if absent:
        return "not installed: " + ", ".join(absent)
    if os.getuid() != 0 or subprocess.run(["ip", "netns", "add", "coditect-probe"], capture_output=True).returncode:
        return "network namespaces need root"
    subprocess.run(["ip", "netns", "delete", "coditect-probe"], check=True)
    return None


MISSING = missing()


@unittest.skipIf(MISSING, MISSING)
class Partition(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(namespaces=True)
        try:
            for node in cls.cluster.nodes:
                node.start()
            wait_for("every group has a leader and a synchronous standby", cls.cluster.whole, 180)
            wait_for("Citus knows both groups", lambda: len(cls.cluster.metadata()) == 2, 60)
            cls.ledger = Ledger(cls.cluster, 0 if CITUS else 1)
            cls.ledger.create()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.cluster.close()

    def inside(self, node, sql):
        """Asked in the node's own namespace, by its socket."""
        done = subprocess.run(self.cluster.command(["psql", "-XAtq", "-h", node.sockets, "-p", str(PORT), "-U", "postgres", "-d", "coditect_cell", "-c", sql]),
                              capture_output=True, text=True, timeout=20)
        return done.stdout.strip()

    def test_a_leader_that_is_cut_off(self):
        ledger, cluster = self.ledger, self.cluster
        ledger.start()
        try:
            known = len(ledger.acknowledged)
            wait_for("transfers", lambda: len(ledger.acknowledged) > known + 20, 60)
            old = cluster.leader(1)
            self.assertEqual(self.inside(old, "SELECT pg_is_in_recovery()"), "f")
            cluster.cut(old)
            # It gives up by itself, without being told, before or as the other takes over.
            wait_for("the other leads", lambda: cluster.leader(1) and cluster.leader(1) is not old, 90)
            self.assertNotEqual(self.inside(old, "SELECT pg_is_in_recovery()"), "f", "two leaders")
            wait_for("Citus knows it", lambda: cluster.metadata()[1] == cluster.leader(1).address, 60)
            known = len(ledger.acknowledged)
            wait_for("transfers go on", lambda: len(ledger.acknowledged) > known + 20, 60)
            cluster.cut(old, off=False)
            wait_for("it is back, as a standby", lambda: old.role() == "replica", 120)
            wait_for("whole again", cluster.whole, 120)
        finally:
            ledger.stop()
        wait_for("prepared transactions are settled", lambda: not any(cluster.query("SELECT 1 FROM pg_prepared_xacts", g) for g in (0, 1)), 90)
        self.assertEqual(ledger.check(), (0, 0, 0), "lost, appeared, difference of the sum")

    def test_the_coordinator_is_cut_off(self):
        ledger, cluster = self.ledger, self.cluster
        old = cluster.leader(0)
        cluster.cut(old)
        try:
            wait_for("the other leads", lambda: cluster.leader(0) and cluster.leader(0) is not old, 90)
            self.assertNotEqual(self.inside(old, "SELECT pg_is_in_recovery()"), "f", "two leaders")
        finally:
            cluster.cut(old, off=False)
        wait_for("whole again", cluster.whole, 120)
        wait_for("Citus knows it", lambda: cluster.metadata()[0] == cluster.leader(0).address, 60)
        self.assertEqual(ledger.check(), (0, 0, 0))


if __name__ == "__main__":
    unittest.main(verbosity=2)
