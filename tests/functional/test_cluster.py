"""`coditect cluster`: operating a Citus cell while requests go on."""
import json
import os
import signal
import subprocess
import threading
import time
import unittest

from platform_under_test import BINARY, Platform, clean_environment, has_citus, wait_until


# A shard's writers wait at the end of its move, on a busy machine for longer than a request may usually take.
PATIENT = ("--http-request-timeout", "25s", "--database-statement-timeout", "25s")


class Pressure:
    """Writes and reads of one organization, without a pause; every answer is kept."""

    def __init__(self, client, project):
        self.client, self.project, self.over = client, project, threading.Event()
        self.made, self.wrong, self.slowest = 0, [], 0.0
        self.thread = threading.Thread(target=self.work, daemon=True)

    def work(self):
        while not self.over.is_set():
            start = time.monotonic()
            a = self.client.post(self.client.own("/tasks"), {"project_id": self.project, "title": f"moved {self.made}"})
            b = self.client.get(self.client.own("/tasks?page_size=1"))
            self.slowest = max(self.slowest, (time.monotonic() - start) / 2)
            self.made += a.status == 201
            self.wrong += [x for x in (a, b) if x.status not in (200, 201)]

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join(60)


@unittest.skipUnless(has_citus(), "the extension citus is not installed")
class Cluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.platform = Platform("--citus", "2", *PATIENT).start()
        cls.acme, cls.globex = cls.platform.sign_up("acme"), cls.platform.sign_up("globex")
        cls.projects = {c.slug: c.post(c.own("/projects"), {"name": "p"}).json["id"] for c in (cls.acme, cls.globex)}

    @classmethod
    def tearDownClass(cls):
        code = cls.platform.stop()
        cls.platform.remove()
        assert code == 0, code

    def cluster(self, *arguments, expect=0):
        done = subprocess.run([BINARY, "cluster", *arguments, "--state", self.platform.state], capture_output=True, text=True,
                              env=clean_environment())
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def status(self, *more):
        return json.loads(self.cluster("status", "--json", *more))

    def number(self, client):
        return int(self.platform.sql(f"SELECT id FROM tenants WHERE slug = '{client.slug}'", "coditect_directory"))

    def shard_of(self, client):
        return int(self.platform.sql(f"SELECT get_shard_id_for_distribution_column('tenant_state', {self.number(client)})"))

    def node_of(self, shard):
        return next(s["node"] for s in self.status("--shards")["shards"] if s["shard"] == shard)

    def workers(self):
        return [n["address"] for n in self.status()["nodes"] if n["role"] == "worker"]

    def last_operation(self):
        return json.loads(self.cluster("log", "--last", "1", "--json"))[0]

    def test_status_tells_of_nodes_and_what_is_wrong(self):
        text = self.cluster("status")
        self.assertIn("coordinator", text)
        status = self.status("--shards")
        self.assertEqual([n["up"] for n in status["nodes"]], [True] * len(status["nodes"]))
        self.assertEqual(len(status["shards"]), sum(n["shards"] for n in status["nodes"]))
        with self.platform_transaction():
            wait_until(lambda: any("transaction of" in w for w in self.status()["warnings"]), 20, 0.5)

    def platform_transaction(self):
        """Somebody writes in one long transaction on every worker."""
        case = self

        class Held:
            def __enter__(self):
                secrets, ports = case.platform.values("secrets"), case.platform.values("ports")
                self.open = [subprocess.Popen(
                    ["psql", "-XAtq", f"host=127.0.0.1 port={port} user=coditect_admin dbname=coditect_cell"], stdin=subprocess.PIPE, text=True,
                    env={**clean_environment(), "PGPASSWORD": secrets["postgres"]})
                    for name, port in ports.items() if name.startswith("citus-worker")]
                for p in self.open:
                    p.stdin.write("BEGIN; SELECT pg_current_xact_id();\n")
                    p.stdin.flush()
                return self

            def __exit__(self, *_):
                for p in self.open:
                    p.stdin.close()
                    p.wait(10)
        return Held()

    def test_metrics_tell_of_each_node(self):
        def value(name, address):
            lines = [line for line in self.acme.get("/metrics").body.splitlines() if line.startswith(name) and address in line]
            return float(lines[0].rsplit(" ", 1)[1]) if lines else 0
        for address in self.workers():
            wait_until(lambda: value("coditect_cell_bytes", address) > 100000, 70, 1)  # noqa: B023
            self.assertGreater(value("coditect_cell_shards", address), 0)
            self.assertGreater(value(f'coditect_db_wait_seconds_count{{pool="cell@{address}"}}', ""), 0)

    def test_a_move_names_what_is_in_its_way(self):
        shard = self.shard_of(self.acme)
        target = next(w for w in self.workers() if w != self.node_of(shard))
        with self.platform_transaction():
            time.sleep(5.5)
            said = self.cluster("move", str(shard), target, expect=5)
            self.assertIn("has been writing in one transaction", said)
        self.assertNotEqual(self.node_of(shard), target, "nothing was moved")

    def test_a_shard_moves_under_load_without_a_failed_request_and_with_every_row(self):
        shard = self.shard_of(self.acme)
        here = self.node_of(shard)
        target = next(w for w in self.workers() if w != here)
        self.assertIn("1 moves", self.cluster("move", str(shard), target, "--dry-run"))
        self.assertEqual(self.node_of(shard), here, "a dry run moves nothing")
        with Pressure(self.acme, self.projects["acme"]) as load, Pressure(self.globex, self.projects["globex"]) as other:
            said = self.cluster("move", str(shard), target)
            time.sleep(0.5)
        self.assertIn("none is missing", said)
        self.assertEqual(load.wrong + other.wrong, [])
        self.assertGreater(load.made, 20)
        self.assertEqual(self.node_of(shard), target)
        stored = int(self.platform.sql(f"SELECT count(*) FROM tasks WHERE tenant_id = {self.number(self.acme)}"))
        self.assertGreaterEqual(stored, load.made)
        operation = self.last_operation()
        self.assertEqual((operation["operation"], operation["state"]), ("move", "done"))
        self.assertEqual([e["event"] for e in operation["events"]], ["move", "compared"])
        self.assertIn("is on", self.cluster("move", str(shard), target))

    def test_deletes_are_not_taken_for_losses_and_policies_hide_nothing_from_a_move(self):
        """The trap of FORCE with an owner who sees no rows: a move by that owner would copy none."""
        shard = self.shard_of(self.acme)
        here = self.node_of(shard)
        target = next(w for w in self.workers() if w != here)
        project = self.acme.post(self.acme.own("/projects"), {"name": "deleted again"}).json["id"]
        tenant = self.number(self.acme)
        over = threading.Event()

        def delete():
            while not over.is_set():
                self.acme.post(self.acme.own("/tasks"), {"project_id": project, "title": "x", "labels": ["a", "b", "c"]})
                self.platform.sql(f"DELETE FROM task_labels WHERE tenant_id = {tenant}")
        thread = threading.Thread(target=delete, daemon=True)
        thread.start()
        try:
            self.assertIn("none is missing", self.cluster("move", str(shard), target))
        finally:
            over.set()
            thread.join(30)
        self.platform.sql("ALTER EVENT TRIGGER coditect_guard DISABLE")
        server = next(n for n, p in self.platform.values("ports").items() if p == target.rsplit(":", 1)[1])
        name = self.platform.sql(f"SELECT shard_name('task_labels', get_shard_id_for_distribution_column('task_labels', {tenant}))")
        self.acme.post(self.acme.own("/tasks"), {"project_id": project, "title": "x", "labels": ["a", "b", "c"]})
        own = ("SET citus.enable_ddl_propagation = off", "SET citus.enable_manual_changes_to_shards = on")
        self.platform.sql_at(server, *own, "ALTER EVENT TRIGGER coditect_guard DISABLE")
        try:
            self.platform.sql_at(server, *own, f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY",
                                 f"CREATE POLICY nobody ON {name} TO coditect_owner USING (false)")
            # A superuser moves them, who sees them all the same.
            self.assertIn("none is missing", self.cluster("move", str(shard), here))
            self.assertEqual(self.platform.sql(f"SELECT count(*) FROM task_labels WHERE tenant_id = {tenant}"), "3")
        finally:
            for statement in (f"DROP POLICY IF EXISTS nobody ON {name}", f"ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY"):
                for worker in [n for n in self.platform.values("ports") if n.startswith("citus-worker")]:
                    if self.platform.sql_at(worker, "SET citus.override_table_visibility = off", f"SELECT to_regclass('{name}')"):
                        self.platform.sql_at(worker, *own, statement)
            for worker in [n for n in self.platform.values("ports") if n.startswith("citus-")]:
                self.platform.sql_at(worker, *own, "ALTER EVENT TRIGGER coditect_guard ENABLE")

    def move_without_comparison(self, shard, detail):
        """What a kill -9 between a move and its comparison leaves; `detail`: of the event that was logged before."""
        numbers = dict(row.split("|") for row in self.platform.sql("SELECT nodename || ':' || nodeport, nodeid FROM pg_dist_node").splitlines())
        self.platform.sql(f"SELECT citus_move_shard_placement({shard}, {numbers[detail['from']]}, {numbers[detail['to']]}, 'force_logical')")
        operation = self.platform.sql("INSERT INTO coditect_cluster.operations (operation, arguments, started_by, state) "
                                      "VALUES ('move', '{}', 'a test', 'running') RETURNING id")
        self.platform.sql(f"INSERT INTO coditect_cluster.events (operation, event, detail) VALUES ({operation}, 'move', '{json.dumps(detail)}')")

    def test_rows_that_a_move_lost_are_found_behind_as_many_new_ones_and_after_a_kill(self):
        shard, tenant = self.shard_of(self.acme), self.number(self.acme)
        here = self.node_of(shard)
        target = next(w for w in self.workers() if w != here)
        detail = {}
        for node in (target, here):
            self.cluster("move", str(shard), node)
            detail[node] = next(e["detail"] for e in self.last_operation()["events"] if e["event"] == "move")

        self.move_without_comparison(shard, detail[target])
        said = self.cluster("move", str(shard), here)
        self.assertIn("cleaned up after an operation that was interrupted", said)
        self.assertEqual(said.count("none is missing"), 2, said)

        self.acme.post(self.acme.own("/tasks"), {"project_id": self.projects["acme"], "title": "lost"})
        lost = self.platform.sql(f"SELECT id FROM tasks WHERE tenant_id = {tenant} AND title = 'lost'")
        self.move_without_comparison(shard, detail[target])
        server = next(n for n, p in self.platform.values("ports").items() if p == target.rsplit(":", 1)[1])
        name = self.platform.sql(f"SELECT shard_name('tasks', get_shard_id_for_distribution_column('tasks', {tenant}))")
        self.platform.sql_at(server, "SET citus.enable_manual_changes_to_shards = on", f"DELETE FROM {name} WHERE tenant_id = {tenant} AND id = '{lost}'")
        self.platform.sql_at(server, "SET citus.override_table_visibility = off", f"SELECT pg_stat_reset_single_table_counters('{name}'::regclass)")
        for _ in range(3):
            self.acme.post(self.acme.own("/tasks"), {"project_id": self.projects["acme"], "title": "new"})
        said = self.cluster("move", str(shard), here, expect=1)
        self.assertRegex(said, rf"tasks: 1 of \d+ rows are missing, and 0 were deleted since; for example \({tenant},{lost}\)")
        self.assertEqual(self.node_of(shard), target)
        self.assertIn("missed rows", self.cluster("move", str(shard), here, expect=5))
        self.assertIn("none is missing", self.cluster("move", str(shard), here, "--force"))
        self.assertIn("agrees", self.cluster("verify", "--rows"))

    def test_a_tenant_is_isolated_under_load(self):
        self.assertIn("the tenant gets", self.cluster("isolate", "globex", "--dry-run"))
        with Pressure(self.globex, self.projects["globex"]) as load:
            said = self.cluster("isolate", "globex")
        self.assertEqual(load.wrong, [])
        self.assertIn("none is missing", said)
        shard = next(s for s in self.status("--shards")["shards"] if s["shard"] == self.shard_of(self.globex))
        self.assertEqual(shard["first"], shard["last"])
        self.assertIn("for itself", self.cluster("isolate", "globex"))
        self.assertEqual(self.globex.get(self.globex.own("/tasks?page_size=1")).status, 200)
        self.assertIn("agrees", self.cluster("verify", "--rows"))

    def test_a_shard_is_cut(self):
        shard = next(s for s in self.status("--shards")["shards"] if s["first"] != s["last"] and s["shard"] != self.shard_of(self.acme))
        before = len(self.status("--shards")["shards"])
        self.cluster("split", str(shard["shard"]), "--pieces", "3")
        self.assertEqual(len(self.status("--shards")["shards"]), before + 2)

    def test_one_operation_at_a_time_and_a_killed_one_leaves_nothing(self):
        shard = self.shard_of(self.acme)
        target = next(w for w in self.workers() if w != self.node_of(shard))
        command = subprocess.Popen([BINARY, "cluster", "move", str(shard), target, "--state", self.platform.state],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean_environment())
        wait_until(lambda: self.last_operation()["state"] == "running", 10)
        self.assertIn("another operation runs: move", self.cluster("split", str(shard), expect=5))
        command.kill()
        command.wait()
        done = []

        def again():
            try:
                done.append(self.cluster("move", str(shard), target))
            except AssertionError:
                pass
            return bool(done)
        wait_until(again, 40, 0.5)
        self.assertEqual(self.node_of(shard), target)
        self.assertIn("interrupted", self.cluster("log"))
        self.assertIn("agrees", self.cluster("verify"))

    def test_ctrl_c_undoes_a_move(self):
        shard = self.shard_of(self.acme)
        target = next(w for w in self.workers() if w != self.node_of(shard))
        command = subprocess.Popen([BINARY, "cluster", "move", str(shard), target, "--state", self.platform.state],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=clean_environment())
        wait_until(lambda: any(e["event"] == "move" for e in self.last_operation()["events"]) and self.last_operation()["state"] == "running", 10)
        command.send_signal(signal.SIGINT)
        said = command.communicate(timeout=30)[0]
        if command.returncode == 0:  # it was faster
            self.assertEqual(self.node_of(shard), target)
            return
        self.assertEqual(command.returncode, 130, said)
        self.assertNotEqual(self.node_of(shard), target)
        self.assertIn("agrees", self.cluster("verify"))

    def test_what_makes_no_sense_is_said(self):
        self.assertIn("no node 'x'", self.cluster("move", str(self.shard_of(self.acme)), "x", expect=4))
        self.assertIn("no shard 1", self.cluster("move", "1", self.workers()[0], expect=4))
        self.assertIn("'nobody'", self.cluster("isolate", "nobody", expect=4))
        self.assertIn("HOST:PORT", self.cluster("failover", self.workers()[0], "x:y", expect=2))
        self.assertIn("the coordinator", self.cluster("remove-node", self.status()["nodes"][0]["address"], expect=2))
        self.assertIn("no operation runs", self.cluster("stop"))
        self.assertIn("restore point", self.cluster("restore-point", "before-the-weekend"))

    def test_verify_finds_a_table_that_was_changed_on_one_node(self):
        shard = self.platform.sql(f"SELECT shard_name('tasks', get_shard_id_for_distribution_column('tasks', {self.number(self.acme)}))")
        here = self.node_of(self.shard_of(self.acme)).rsplit(":", 1)[1]
        server = next(n for n, p in self.platform.values("ports").items() if p == here)
        change = lambda what: self.platform.sql_at(server, "SET citus.enable_ddl_propagation = off", f"ALTER TABLE {shard} {what} ROW LEVEL SECURITY")  # noqa: E731
        change("DISABLE")
        try:
            self.assertIn("rls f", self.cluster("verify", expect=1))
        finally:
            change("ENABLE")
        self.assertIn("agrees", self.cluster("verify"))

    def test_what_would_lose_rows_silently_is_refused(self):
        with self.assertRaisesRegex(AssertionError, "would lose rows in shard moves"):
            self.platform.sql("ALTER TABLE tasks FORCE ROW LEVEL SECURITY")
        ports, password = self.platform.values("ports"), self.platform.values("secrets")["postgres"]
        publisher = f"host=127.0.0.1 port={ports['postgres']} user=coditect_admin dbname=source password={password}"
        self.platform.sql_at("postgres", "CREATE DATABASE source", database="postgres")
        self.platform.sql_at("postgres", "CREATE TABLE projects (tenant_id bigint, id uuid, PRIMARY KEY (tenant_id, id))",
                             "CREATE PUBLICATION p FOR TABLE projects", database="source")
        with self.assertRaisesRegex(AssertionError, "a subscription into the distributed table public.projects would lose its rows"):
            self.platform.sql(f"CREATE SUBSCRIPTION s CONNECTION '{publisher}' PUBLICATION p WITH (copy_data = false)")
        self.assertEqual(self.platform.sql("SELECT count(*) FROM pg_subscription"), "0")

    def test_the_application_may_not_operate(self):
        secrets, ports = self.platform.values("secrets"), self.platform.values("ports")
        for role in ("app", "operator", "migrator"):
            done = subprocess.run(["psql", "-XAtqc", f"SELECT citus_move_shard_placement({self.shard_of(self.acme)}, 2, 3)",
                                   f"host=127.0.0.1 port={ports['citus-coordinator']} user=coditect_{role} dbname=coditect_cell"],
                                  env={**clean_environment(), "PGPASSWORD": secrets[role]}, capture_output=True, text=True)
            self.assertRegex(done.stderr, "must be owner|permission denied")
            done = subprocess.run(["psql", "-XAtqc", "SELECT * FROM coditect_cluster.operations",
                                   f"host=127.0.0.1 port={ports['citus-coordinator']} user=coditect_{role} dbname=coditect_cell"],
                                  env={**clean_environment(), "PGPASSWORD": secrets[role]}, capture_output=True, text=True)
            self.assertIn("permission denied", done.stderr)

    def test_z_a_node_comes_and_goes(self):
        """Last, because it ends with one worker."""
        first, last = self.workers()
        self.assertIn("would move", self.cluster("remove-node", last, "--dry-run"))
        with Pressure(self.acme, self.projects["acme"]) as load:
            command = subprocess.Popen([BINARY, "cluster", "remove-node", last, "--state", self.platform.state], stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, text=True, env=clean_environment())
            wait_until(lambda: any(e["event"] == "compared" for e in self.last_operation()["events"]), 30)
            self.assertIn("after its present step", self.cluster("stop"))
            self.assertEqual(command.wait(60), 130, command.stdout.read())
            self.assertIn("is out of the cluster", self.cluster("remove-node", last))
        self.assertEqual(load.wrong, [])
        self.assertEqual(self.workers(), [first])
        self.assertIn("the only worker", self.cluster("remove-node", first, expect=5))
        self.assertIn("is a node", self.cluster("add-node", last))
        self.assertIn("moves", self.cluster("rebalance", "--dry-run", "--by-shards"))
        self.assertIn("agrees", self.cluster("verify"))


@unittest.skipUnless(has_citus(), "the extension citus is not installed")
class Conversion(unittest.TestCase):
    def test_a_database_with_tenants_becomes_a_cluster(self):
        platform = Platform()
        self.addCleanup(platform.remove)
        platform.start()
        acme, globex = platform.sign_up("acme"), platform.sign_up("globex")
        for client in (acme, globex):
            project = client.post(client.own("/projects"), {"name": "before"}).json["id"]
            for n in range(5):
                self.assertEqual(client.post(client.own("/tasks"), {"project_id": project, "title": f"{client.slug} {n}"}).status, 201)
        keys = platform.sql("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace")
        platform.stop()
        platform.arguments += ["--citus", "2"]
        platform.start()
        self.assertEqual(platform.values("citus")["coordinator"], "postgres")
        for client in (acme, globex):
            titles = [t["title"] for t in client.get(client.own("/tasks")).json["items"]]
            self.assertEqual(sorted(titles), [f"{client.slug} {n}" for n in range(5)])
            self.assertEqual(client.post(client.own("/projects"), {"name": "after"}).status, 201)
        self.assertEqual(platform.sql("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace"), keys)
        verify = subprocess.run([BINARY, "cluster", "verify", "--rows", "--state", platform.state], capture_output=True, text=True, env=clean_environment())
        self.assertIn("every node agrees", verify.stdout, verify.stdout + verify.stderr)
        # It stays one, also when it is started without the flag, after a kill -9.
        platform.arguments = platform.arguments[:-2]
        platform.kill()
        platform.start()
        self.assertEqual(len(acme.get(acme.own("/projects")).json["items"]), 2)


@unittest.skipUnless(has_citus(), "the extension citus is not installed")
class Drill(unittest.TestCase):
    def test_the_rehearsal_goes_through_and_leaves_nothing(self):
        done = subprocess.run([BINARY, "cluster", "rehearse", "--yes"], capture_output=True, text=True, env=clean_environment(), timeout=400)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr)
        self.assertIn("every node agrees with the registry", done.stdout)
        state = done.stdout.split("private cluster in ")[1].split(";")[0]
        self.assertFalse(os.path.exists(state))


class WithoutCitus(unittest.TestCase):
    def test_it_is_said_how_to_get_it(self):
        if has_citus():
            self.skipTest("the extension citus is installed")
        platform = Platform("--citus", "2")
        self.addCleanup(platform.remove)
        with self.assertRaisesRegex(AssertionError, "needs the extension citus"):
            platform.start()

    def test_a_plain_database_is_no_cluster(self):
        platform = Platform()
        self.addCleanup(platform.remove)
        platform.start()
        done = subprocess.run([BINARY, "cluster", "status", "--state", platform.state], capture_output=True, text=True, env=clean_environment())
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("coditect cluster init", done.stderr)


class Plan(unittest.TestCase):
    def run_plan(self, *arguments, expect=0):
        done = subprocess.run([BINARY, "plan", *arguments], capture_output=True, text=True, env=clean_environment())
        self.assertEqual(done.returncode, expect, done)
        return done.stdout + done.stderr

    def test_text_json_and_picture(self):
        text = self.run_plan("--tenants", "1000", "--growth", "0.25", "--months", "36")
        self.assertIn("a team of 5", text)
        path = f"/tmp/coditect-plan-{os.getpid()}.svg"
        self.addCleanup(os.unlink, path)
        document = json.loads(self.run_plan("--json", "--svg", path))
        self.assertEqual(len(document["months"]), 36)
        with open(path, encoding="utf-8") as f:
            self.assertIn("</svg>", f.read())
        self.assertIn("--read-share is 0 to 1", self.run_plan("--read-share", "7", expect=2))
        self.assertIn("cannot be read", self.run_plan("--prices", "/nonexistent", expect=2))

    def test_a_simulation_is_the_same_for_the_same_seed(self):
        a, b, c = (self.run_plan("simulate", "--to-tenants", "30000", "--seed", seed, "--json") for seed in ("1", "1", "2"))
        self.assertEqual(a, b)
        self.assertNotEqual(a, c)


if __name__ == "__main__":
    unittest.main()
