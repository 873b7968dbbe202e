"""The high-availability drill: Citus kept by Patroni, with the configuration that Kubernetes gets, while transfers are made.
Nothing that was acknowledged may be lost."""
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
import unittest

try:
    import psycopg2  # noqa: F401
    from cluster import BACKUP, CITUS, PORT, REST, ROOT, Cluster, Ledger, wait_for
except ImportError:
    psycopg2 = None

COTEST_BINARY = os.environ.get("COTEST_BINARY", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../build/release/coditect"))
MISSING = [p for p in ("patroni", "etcd", "pgbackrest", "pgbouncer", "openssl") if not shutil.which(p)] + ([] if psycopg2 else ["python3-psycopg2"]) + (
    [] if os.path.isdir("/usr/lib/postgresql/15/bin") else ["postgresql-15"])

@unittest.skipIf(MISSING, "not installed: " + ", ".join(MISSING))
class HighAvailability(unittest.TestCase):
    """One cluster, on which one thing after the other goes wrong; the order is that of the names. Where Citus is not installed a
    stand-in takes its place (stub.sql): Patroni does the same, and each group keeps accounts of its own."""

    @classmethod
    def setUpClass(cls):
        cls.figures = {}
        begun = time.time()
        cls.cluster = Cluster()
        try:
            for node in cls.cluster.nodes:
                node.start()
            wait_for("every group has a leader and a synchronous standby", cls.cluster.whole, 180)
            wait_for("Citus knows both groups", lambda: len(cls.cluster.metadata()) == 2, 60)
            cls.figures["formed"] = time.time() - begun
            cls.ledgers = [Ledger(cls.cluster, g) for g in ((0,) if CITUS else (0, 1))]
            for ledger in cls.ledgers:
                ledger.create()
            if not CITUS:
                cls.cluster.query("CREATE EXTENSION dblink")
            cls.cluster.backup_script("full")
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        if os.environ.get("KEEP"):
            print("kept:", cls.cluster.folder)
            for process in cls.cluster.processes:
                process.kill()
            return
        cls.cluster.close()
        print(f"ha on {'Citus' if CITUS else 'the stand-in'}: " + ", ".join(f"{name} {value:.2f} s" for name, value in cls.figures.items()))

    def during(self, name, act, seconds=3, before=2, dsn=None):
        """Transfers before, while and after `act`; nothing acknowledged is lost, and they go on."""
        ledgers = self.ledgers if dsn is None else self.ledgers[:1]

        def go_on():
            counts = [len(ledger.acknowledged) for ledger in ledgers]
            wait_for("transfers go on", lambda: all(len(ledger.acknowledged) > n + 5 for ledger, n in zip(ledgers, counts)), 60)
        for ledger in ledgers:
            ledger.longest = 0.0
            ledger.start(dsn)
        try:
            time.sleep(before)
            go_on()
            act()
            wait_for("every group is whole again", self.cluster.whole, 150)
            go_on()
            time.sleep(seconds)
        finally:
            for ledger in ledgers:
                ledger.stop()
        self.figures[name] = max(ledger.longest for ledger in ledgers)
        wait_for("prepared transactions are settled", lambda: not self.cluster.query(
            "SELECT 1 FROM pg_prepared_xacts") and not self.cluster.query("SELECT 1 FROM pg_prepared_xacts", 1), 90)
        for ledger in ledgers:
            self.assertEqual(ledger.check(), (0, 0, 0), f"lost, appeared, difference of the sum after {name}")

    def metadata_follows(self):
        leaders = {g: self.cluster.leader(g) for g in (0, 1)}
        return all(leaders.values()) and self.cluster.metadata() == {g: n.address for g, n in leaders.items()}

    def test_1_formed(self):
        wait_for("metadata", self.metadata_follows, 30)
        if CITUS:
            self.assertEqual(self.cluster.query("SELECT count(*) FROM citus_shards WHERE table_name = 'drill.accounts'::regclass")[0][0], 8)
        # By certificate and over TLS only, in both directions.
        self.assertEqual(self.cluster.query("SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL"), [(True,)])
        with self.assertRaises(psycopg2.OperationalError):
            psycopg2.connect(f"host={self.cluster.leader(0).address} port={PORT} dbname=coditect_cell user=postgres sslmode=disable")

    def test_2_worker_leader_dies(self):
        def act():
            dead = self.cluster.leader(1)
            dead.kill()
            wait_for("the standby leads", lambda: self.cluster.leader(1) and self.cluster.leader(1) is not dead, 90)
            wait_for("metadata follows", self.metadata_follows, 60)
            dead.start()
        self.during("worker dies", act)

    def test_3_coordinator_switchover(self):
        def act():
            old = self.cluster.leader(0)
            wait_for("a synchronous standby", lambda: self.cluster.synchronous(0))
            self.cluster.ctl("switchover", "citus", "--group", "0", "--force")
            wait_for("the other leads", lambda: self.cluster.leader(0) and self.cluster.leader(0) is not old, 60)
            wait_for("metadata follows", self.metadata_follows, 60)
        self.during("coordinator switches", act)

    def test_4_address_changes(self):
        """As a pod that is born again elsewhere: same name and disk, another address."""
        def act():
            node = self.cluster.leader(1)
            node.stop()
            node.address = f"127.0.{node.group + 1}.{node.index + 7}"
            node.start()
            wait_for("whole", self.cluster.whole, 120)
            wait_for("metadata follows", self.metadata_follows, 60)
            other = self.cluster.leader(1)
            if other is not node:  # and it leads again from its new address
                self.cluster.ctl("switchover", "citus", "--group", "1", "--force")
                wait_for("it leads", lambda: self.cluster.leader(1) is node, 60)
                wait_for("metadata follows", self.metadata_follows, 60)
        self.during("address changes", act)
        self.assertTrue(self.cluster.metadata()[1].startswith("127.0.2."))

    def test_5_store_away(self):
        """Longer than a leader's lease: failsafe keeps it."""
        leaders = {g: self.cluster.leader(g) for g in (0, 1)}
        acknowledged = []

        def act():
            self.cluster.etcd.kill()
            self.cluster.etcd.wait()
            known = [len(ledger.acknowledged) for ledger in self.ledgers]
            time.sleep(30)
            acknowledged.extend(len(ledger.acknowledged) - n for ledger, n in zip(self.ledgers, known))
            self.cluster.start_etcd()
        self.during("store away", act)
        self.assertGreater(min(acknowledged), 100)
        self.assertEqual({g: self.cluster.leader(g) for g in (0, 1)}, leaders)

    def test_6_rolling_restart(self):
        def act():
            for node in self.cluster.nodes:
                node.stop()
                node.start()
                wait_for(f"{node.name} is back", self.cluster.whole, 150)
        self.during("rolling restart", act)

    def test_7_backup_and_restore_to_one_point(self):
        """Every node's own last moment would be another one; the named point is the same for all."""
        ledgers, cluster = self.ledgers, self.cluster
        for ledger in ledgers:
            ledger.start()
        time.sleep(2)
        try:
            begun = time.time()
            before = [set(ledger.acknowledged) for ledger in ledgers]
            point = cluster.back_up()
            self.figures["backed up"] = time.time() - begun
            after = [set(ledger.acknowledged) for ledger in ledgers]
            wait_for("the cluster goes on", lambda: all(len(ledger.acknowledged) > len(a) + 20 for ledger, a in zip(ledgers, after)), 60)
            # A backup that is newer than the point is of no use for it: the one before is found.
            later = cluster.back_up("backup")
            self.assertNotEqual(later, point)
        finally:
            for ledger in ledgers:
                ledger.stop()
        begun = time.time()
        with cluster.restored(point) as query:
            self.figures["restored"] = time.time() - begun
            for ledger, earlier, acknowledged in zip(ledgers, before, after):
                there = set(query("SELECT tenant_id, id FROM drill.transfers", ledger.group))
                self.assertEqual(query("SELECT sum(amount) FROM drill.accounts", ledger.group)[0][0], ledger.ACCOUNTS * ledger.EACH)
                self.assertEqual(earlier - there, set(), "what was acknowledged before the point is there")
                self.assertEqual({t for t in there - acknowledged - ledger.unknown if t in ledger.acknowledged}, set(), "what came after is not")
                self.assertLess(len(there), len(ledger.acknowledged))
            # The cluster that it came from has not noticed.
            for ledger in ledgers:
                self.assertEqual(ledger.check(), (0, 0, 0))
            self.assertTrue(self.metadata_follows())

    def test_7_point_without_an_archive_is_none(self):
        """The log does not reach the repository: no point is promised."""
        leader = self.cluster.leader(1)
        stanza = f"{self.cluster.repository}/archive/group-1"
        os.rename(stanza, stanza + "-away")
        try:
            done = self.cluster.backup_script("point", check=False, patience=5)
            self.assertNotIn("restore point", done)
        finally:
            os.rename(stanza + "-away", stanza)
        wait_for("the log goes on", lambda: self.cluster.query(
            "SELECT last_archived_time > now() - interval '10 s' OR pg_switch_wal() IS NULL FROM pg_stat_archiver", leader.group)[0][0], 60)
        self.assertRegex(self.cluster.backup_script("point"), "restore point point-")

    def test_7_metrics_that_rules_name(self):
        with open(f"{ROOT}/monitoring/prometheus/rules/citus.yml", encoding="utf-8") as f:
            text = f.read()
        with open(f"{ROOT}/monitoring/grafana/dashboards/coditect-kubernetes.json", encoding="utf-8") as f:
            names = set(re.findall(r"\b(patroni_\w+)\b", text + f.read()))
        self.assertGreater(len(names), 5)
        names.add("patroni_sync_standby")  # of a pattern; patroni_quorum_standby is 4.x
        for node in self.cluster.nodes:
            there = set(re.findall(r"^(patroni_\w+)\{", node.metrics(), re.M))
            self.assertEqual(names - there, set(), node.name)
        for group in (0, 1):
            text = "".join(n.metrics() for n in self.cluster.group(group))
            self.assertEqual(len(re.findall(r"^patroni_primary\{.*\} 1$", text, re.M)), 1)
            self.assertEqual(len(re.findall(r"^patroni_sync_standby\{.*\} 1$", text, re.M)), 1)

    def test_7_renewed_certificate(self):
        """It is used without a restart, by the server, Patroni, and what backups are read from."""
        leader = self.cluster.leader(0)
        before, postmaster = self.serials(leader), leader.postmaster()
        self.cluster.renew_certificate()
        wait_for("all use the new one", lambda: all(new != old for new, old in zip(self.serials(leader), before)), 60)
        self.assertEqual(leader.postmaster(), postmaster)

    @staticmethod
    def serial(*words):
        shown = subprocess.run(["openssl", "s_client", "-connect", *words], input="", capture_output=True, text=True, timeout=10).stdout
        return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=shown, capture_output=True, text=True).stdout

    @classmethod
    def serials(cls, node):
        of = cls.serial
        return of(f"{node.address}:{PORT}", "-starttls", "postgres"), of(f"{node.address}:{REST}"), of(f"{node.address}:{BACKUP}")

    def test_8_pgbouncer_finds_the_new_leader(self):
        """Clients of the pooler lose at most the transactions that ran, and need not connect anew."""
        cluster = self.cluster
        with cluster.service(0) as service, cluster.pgbouncer(service) as dsn:
            def act():
                old = cluster.leader(0)
                cluster.ctl("switchover", "citus", "--group", "0", "--force")
                wait_for("the other leads", lambda: cluster.leader(0) and cluster.leader(0) is not old, 60)
            self.during("switch behind PgBouncer", act, dsn=dsn)
            before = self.serial("127.0.8.1:6432", "-starttls", "postgres")
            self.assertTrue(before)
            cluster.renew_certificate()
            wait_for("PgBouncer uses the new certificate", lambda: self.serial("127.0.8.1:6432", "-starttls", "postgres") != before, 60)
            psycopg2.connect(dsn).close()

    @unittest.skipUnless(CITUS and os.access(COTEST_BINARY, os.X_OK), "Citus, or the program (scripts/test.sh builds it), is missing")
    def test_8_the_platform_on_it(self):
        """Set up, migrated, filled and served on a cluster that Patroni keeps, whose list of nodes and settings stay Patroni's."""
        cluster = self.cluster
        nodes = cluster.metadata()
        with cluster.service(0) as host, tempfile.TemporaryDirectory() as folder:
            where = f"host={host} port={PORT} sslmode=verify-full sslrootcert={cluster.tls}/ca.crt"
            superuser = f"{where} user=postgres sslcert={cluster.tls}/tls.crt sslkey={cluster.tls}/tls.key"
            keys = subprocess.run([COTEST_BINARY, "keys", "new"], capture_output=True, text=True, check=True).stdout.split()[-1]
            environment = {"PATH": "/usr/bin:/bin", "CODITECT_STATE": folder, "CODITECT_DATABASE_URL": where, "CODITECT_CELL_URL": where, "CODITECT_SEALING_KEYS": keys,
                           **{f"CODITECT_DATABASE_{role}_PASSWORD": secrets.token_hex(16)
                              for role in ("APP", "OPERATOR", "MAINTENANCE", "MIGRATOR", "IMPORT", "CLUSTER")}}

            def coditect(*words):
                done = subprocess.run([COTEST_BINARY, *words], capture_output=True, text=True, env=environment, timeout=120)
                self.assertEqual(done.returncode, 0, f"{words}: {done.stdout[-1500:]}{done.stderr[-1500:]}")
                return done.stdout

            def verified():
                """Nothing is wrong but the drill's own tables, which are no tenants'."""
                done = subprocess.run([COTEST_BINARY, "cluster", "verify", "--rows"], capture_output=True, text=True, env=environment, timeout=120)
                said = [line for line in (done.stdout + done.stderr).splitlines() if not re.match("looked at|.*: drill\\.(accounts|transfers) is not co-located", line)]
                self.assertEqual((done.returncode, said), (1, []))
            coditect("cluster", "init", "--patroni", "--administrator", superuser)
            coditect("cluster", "init", "--patroni", "--administrator", superuser)  # and again
            self.assertEqual(cluster.metadata(), nodes)
            for group in (0, 1):  # nothing is set where a failover would lose it
                self.assertEqual(cluster.query("SELECT name FROM pg_file_settings WHERE sourcefile LIKE '%auto.conf'", group), [])
            coditect("bootstrap", "--administrator", superuser, "--cell-administrator", superuser)
            coditect("migrate", "up")
            with open(f"{folder}/tenants.csv", "w", encoding="utf-8") as f:
                f.write("slug,name,owner_email\n" + "".join(f"tenant-{n},T{n},t{n}@example.com\n" for n in range(200)))
            coditect("tenant", "import", f"{folder}/tenants.csv")
            verified()
            # Everything is right after a failover of a worker as well.
            old = cluster.leader(1)
            cluster.ctl("switchover", "citus", "--group", "1", "--force")
            wait_for("the other leads", lambda: cluster.leader(1) and cluster.leader(1) is not old, 60)
            wait_for("metadata follows", self.metadata_follows, 60)
            verified()
            coditect("migrate", "verify")

    def test_9_the_ledger_can_tell(self):
        """A check that cannot fail proves nothing."""
        ledger = self.ledgers[0]
        ledger.acknowledged.add((1, -1))
        self.cluster.query("INSERT INTO drill.transfers VALUES (2, -2); UPDATE drill.accounts SET amount = amount + 1 WHERE tenant_id = 3")
        self.assertEqual(ledger.check(), (1, 1, 1))


if __name__ == "__main__":
    unittest.main(verbosity=2)
