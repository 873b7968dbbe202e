"""`coditect up` as a user meets it: starts, stops, accidents."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from platform_under_test import BINARY, FAST, ROOT, Client, Platform, clean_environment, free_port, wait_until


def coditect(*arguments, timeout=60, **environment):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=timeout, env={**clean_environment(), **environment})


class Up(unittest.TestCase):
    def setUp(self):
        self.platform = Platform()
        self.addCleanup(self.platform.remove)

    def test_first_start_shows_two_demo_organizations_whose_keys_work_and_are_stored_hashed(self):
        self.platform.arguments.remove("--no-demo")
        out = coditect("up", "--detach", *self.platform.arguments, timeout=120)
        self.addCleanup(coditect, "down", "--state", self.platform.state)
        self.assertEqual(out.returncode, 0, out.stderr + out.stdout)
        curls = [line.strip() for line in out.stdout.splitlines() if line.strip().startswith("curl")]
        self.assertEqual(len(curls), 3)
        answers = [subprocess.run(["bash", "-c", c], capture_output=True, text=True).stdout for c in curls]
        self.assertEqual(len(json.loads(answers[0])["items"]), 3)
        self.assertEqual(len(json.loads(answers[1])["items"]), 3)
        self.assertIn("404 Not Found", answers[2])
        keys = [w for w in out.stdout.split() if w.startswith("ck_")]
        for name in ("secrets", "ports", "log/coditect.log", "log/postgres.log"):
            with open(self.platform.path(name)) as f:
                self.assertFalse([k for k in keys if k in f.read()], name)
        status = json.loads(coditect("status", "--json", "--state", self.platform.state).stdout)
        self.assertTrue(status["running"] and status["ready"])
        second = coditect("up", "--detach", *self.platform.arguments)
        self.assertEqual((second.returncode, "already_running" in second.stderr + second.stdout), (5, True))
        self.assertEqual(coditect("down", "--state", self.platform.state).stdout, "stopped\n")
        self.assertEqual(coditect("status", "--state", self.platform.state).returncode, 3)
        start = time.time()
        again = coditect("up", "--detach", *self.platform.arguments)
        self.assertLess(time.time() - start, 5)  # a sanitized build; the release is far below the promised 2 s
        self.assertNotIn("ck_", again.stdout)
        self.assertEqual(len(json.loads(subprocess.run(["bash", "-c", curls[0]], capture_output=True, text=True).stdout)["items"]), 3)

    def test_nothing_runs_as_root_and_nothing_listens_beyond_loopback(self):
        self.platform.start()
        ports = self.platform.values("ports")
        for pid in (self.platform.process.pid, self.platform.server_pid("postgres"), self.platform.server_pid("redis")):
            self.assertNotEqual(os.stat(f"/proc/{pid}").st_uid, 0)
        with open("/proc/net/tcp") as f:
            listening = [line.split()[1] for line in f.readlines()[1:] if line.split()[3] == "0A"]
        for port in ports.values():
            mine = [a for a in listening if int(a.split(":")[1], 16) == int(port)]
            self.assertTrue(mine and all(a.startswith("0100007F") for a in mine), mine)
        for name in ("secrets", "operator.key"):
            self.assertEqual(os.stat(self.platform.path(name)).st_mode & 0o777, 0o600)
        refused = subprocess.run(["psql", "-w", "-c", "SELECT 1", f"host=127.0.0.1 port={ports['postgres']} user=coditect_admin dbname=postgres"], capture_output=True, text=True,
                                 env={**clean_environment(), "PGPASSFILE": "/dev/null"})
        self.assertIn("no password supplied", refused.stderr)
        with socket.create_connection(("127.0.0.1", int(ports["redis"]))) as s:
            s.sendall(b"PING\r\n")
            self.assertIn(b"NOAUTH", s.recv(100))

    def test_after_kill_9_of_any_process_the_next_start_has_everything(self):
        self.platform.start()
        client = self.platform.sign_up("durable")
        made = []
        for victims in (["api"], ["postgres"], ["redis"], ["api", "postgres", "redis"]):
            made.append(self.made_once(client, str(victims)))
            pids = {"api": self.platform.process.pid, "postgres": self.platform.server_pid("postgres"), "redis": self.platform.server_pid("redis")}
            for victim in victims:
                os.kill(pids[victim], signal.SIGKILL)
            if "api" in victims:
                self.platform.process.wait()
                self.platform.process.stdout.close()
                self.platform.start()
            self.wait_for_end([pids[v] for v in victims])
            def there():
                answer = client.get(client.own("/projects"))
                return answer.status == 200 and [p["id"] for p in answer.json["items"]]
            # Each event loop finds its own way back.
            wait_until(lambda: there() == made, 20)

    def made_once(self, client, name):
        """Its id. A connection from before a crash may break during COMMIT: the answer is 503 commit_outcome_unknown, and the same
        request with its key tells how it ended."""
        answers = []

        def done():
            answers.append(client.post(client.own("/projects"), {"name": name}, headers={"Idempotency-Key": name.translate(str.maketrans("", "", "[]', "))}))
            return answers[-1].status != 503
        wait_until(done, 20)
        self.assertEqual(answers[-1].status, 201, [a.json for a in answers])
        return answers[-1].json["id"]

    def wait_for_end(self, pids):
        """Until none of the processes runs, not even as a zombie of its parent's."""
        def gone(pid):
            try:
                with open(f"/proc/{pid}/stat") as f:
                    return f.read().rsplit(")", 1)[1].split()[0] in "ZX"
            except OSError:
                return True
        wait_until(lambda: all(gone(p) for p in pids))
        time.sleep(0.3)

    def test_a_busy_port_is_named_and_nothing_is_left_running(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", self.platform.port))
            s.listen()
            out = coditect("up", *self.platform.arguments)
        self.assertEqual(out.returncode, 6)
        self.assertIn(str(self.platform.port), out.stderr)
        self.assertIn("--http-port", out.stderr)
        self.assertFalse(os.path.exists(self.platform.path("postgres/postmaster.pid")))

    def test_a_damaged_or_foreign_state_directory_is_refused_with_words(self):
        self.platform.start()
        self.platform.stop()
        version = self.platform.path("postgres/PG_VERSION")
        with open(version) as f:
            real = f.read()
        with open(version, "w") as f:
            f.write("9\n")
        out = coditect("up", *self.platform.arguments)
        self.assertEqual((out.returncode, "PostgreSQL 9" in out.stderr), (5, True), out.stderr)
        with open(version, "w") as f:
            f.write(real)
        with open(self.platform.path("secrets")) as f:
            kept = f.read()
        for lost, words in (("sealing_keys", "sealing keys"), ("postgres", "password")):
            with open(self.platform.path("secrets"), "w") as f:
                f.writelines(line + "\n" for line in kept.splitlines() if not line.startswith(lost + " "))
            out = coditect("up", *self.platform.arguments)
            self.assertEqual((out.returncode, words in out.stderr), (5, True), out.stderr)
        with open(self.platform.path("secrets"), "w") as f:
            f.write(kept)
        os.unlink(version)
        out = coditect("up", *self.platform.arguments)
        self.assertEqual((out.returncode, "damaged" in out.stderr), (5, True), out.stderr)

    @unittest.skipUnless(os.geteuid() == 0, "needs root to make a directory that only root can enter")
    def test_a_state_directory_beneath_one_of_roots_own_works_through_a_link(self):
        parent = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, parent, True)
        os.chmod(parent, 0o700)
        shutil.rmtree(self.platform.state)
        self.platform.state = os.path.join(parent, "deep", "state")
        self.platform.arguments[1] = self.platform.state
        self.platform.start()
        self.assertEqual(Client(self.platform.port).get("/health/ready").status, 200)
        self.assertTrue(os.path.islink(self.platform.state))
        self.assertEqual(coditect("status", "--state", self.platform.state).returncode, 0)

    def test_a_full_disk_ends_in_a_message(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to mount a small file system")
        mount = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, mount, True)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", mount]).returncode != 0:
            self.skipTest("cannot mount a tmpfs here")
        self.addCleanup(subprocess.run, ["umount", "-l", mount])
        os.chmod(mount, 0o755)
        self.platform.arguments[1] = mount + "/state"
        out = coditect("up", *self.platform.arguments, timeout=120)
        self.assertEqual((out.returncode, "No space left" in out.stderr), (6, True), out.stderr)

    def test_wrong_usage_names_the_nearest_right_one(self):
        for arguments, words in ((["up", "--http-prot", "1"], "--http-port"), (["up", "--http-port", "99999"], "0 to 65535"), (["up", "--http-idle-timeout", "5"], "ms, s, m, h or d"),
                                 (["up", "--state", ""], "must not be empty"), (["settings", "--log-level", "loud"], "debug, info"), ([], "subcommand"), (["serve", "api"], "database.url")):
            out = coditect(*arguments)
            self.assertEqual((out.returncode, words in out.stderr), (2, True), (arguments, out.stderr))
        out = coditect("settings", CODITECT_HTTP_PROT="1")
        self.assertEqual((out.returncode, "CODITECT_HTTP_PORT" in out.stderr), (2, True), out.stderr)

    def test_settings_say_where_each_value_comes_from_and_mask_secrets(self):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as f:
            f.write("[http]\nport = 1234\n[database]\napp_password = 'hunter2'\n")
            f.flush()
            out = coditect("settings", "--config", f.name, "--http-host", "127.0.0.2", CODITECT_LOG_LEVEL="warn").stdout
        self.assertRegex(out, r"http.port +1234 +\(file ")
        self.assertRegex(out, r"http.host +127.0.0.2 +\(--http-host\)")
        self.assertRegex(out, r"log.level +warn +\(CODITECT_LOG_LEVEL\)")
        self.assertRegex(out, r"database.app_password +\*\*\*")
        self.assertNotIn("hunter2", out)


class Reference(unittest.TestCase):
    def test_the_reference_of_settings_is_what_the_program_prints(self):
        with open(f"{ROOT}/docs/reference/settings.md") as f:
            self.assertEqual(f.read(), coditect("settings", "--markdown").stdout)


class Costs(unittest.TestCase):
    FILES = [f"{ROOT}/opentofu/environments/{e}/terraform.tfvars.json" for e in ("dev", "staging", "production")]

    def test_the_table_of_costs_is_what_the_program_computes(self):
        with open(f"{ROOT}/docs/SCALING.md", encoding="utf-8") as f:
            self.assertIn("--markdown -->\n" + coditect("plan", "environment", "--markdown", *self.FILES).stdout + "<!-- end -->", f.read())

    def test_the_budget_of_each_environment_is_enough_for_what_its_values_allow(self):
        for cost in json.loads(coditect("plan", "environment", "--json", *self.FILES).stdout):
            self.assertLessEqual(cost["most"], cost["budget"], cost["environment"])
            self.assertGreater(cost["most"], cost["budget"] / 2, f"{cost['environment']}: an alarm at twice the cost comes late")

    def test_what_is_wrong_is_named(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
            f.write('{"environment": "dev", "zones": ["a"], "application": {"machine_type": "n9-huge-1"}}')
            f.flush()
            done = coditect("plan", "environment", f.name)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("the prices have no n9-huge-1", done.stdout + done.stderr)
        done = coditect("plan", "environment", "/nowhere.json")
        self.assertIn("/nowhere.json cannot be read", done.stdout + done.stderr)


class OtherServers(unittest.TestCase):
    """--database, bootstrap, migrate and serve api against a server that exists."""

    def setUp(self):
        self.server = Platform()
        self.addCleanup(self.server.remove)
        self.server.start()
        secrets, ports = self.server.values("secrets"), self.server.values("ports")
        self.admin = f"postgresql://coditect_admin:{secrets['postgres']}@127.0.0.1:{ports['postgres']}/postgres"
        self.redis = f"redis://:{secrets['redis']}@127.0.0.1:{ports['redis']}"

    def test_up_uses_a_database_whose_administrator_is_no_superuser(self):
        self.server.sql("CREATE ROLE cloud_admin LOGIN CREATEROLE CREATEDB PASSWORD 'pw'", "postgres")
        url = self.admin.replace("coditect_admin:" + self.server.values("secrets")["postgres"], "cloud_admin:pw")
        second = Platform("--database", url, "--redis", self.redis, "--database-directory-name", "other_directory", "--database-cell-name", "other_cell")
        self.addCleanup(second.remove)
        second.start()
        client = second.sign_up("elsewhere")
        self.assertEqual(client.post(client.own("/projects"), {"name": "x"}).status, 201)
        self.assertFalse(os.path.exists(second.path("postgres")))
        self.assertEqual(self.server.sql("SELECT count(*) FROM projects", "other_cell"), "1")

    def test_tls_to_postgres_and_redis_is_verified(self):
        """One certificate of an authority of our own, for localhost; a wrong authority is refused."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder, True)
        os.chmod(folder, 0o755)
        for name in ("right", "wrong"):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                            "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.crt"], check=True, capture_output=True)
        data = self.server.path("postgres")
        for source, target in ((f"{folder}/right.crt", f"{data}/server.crt"), (f"{folder}/right.key", f"{data}/server.key")):
            shutil.copy(source, target)
            os.chown(target, os.stat(data).st_uid, os.stat(data).st_gid)
            os.chmod(target, 0o600)
        self.server.sql("ALTER SYSTEM SET ssl = on", "postgres")
        self.server.sql("SELECT pg_reload_conf()", "postgres")
        redis_port = free_port()
        redis = subprocess.Popen(["redis-server", "--port", "0", "--tls-port", str(redis_port), "--bind", "127.0.0.1", "--tls-cert-file", f"{folder}/right.crt",
                                  "--tls-key-file", f"{folder}/right.key", "--tls-auth-clients", "no", "--requirepass", "pw", "--save", ""], stdout=subprocess.DEVNULL)
        self.addCleanup(redis.wait)
        self.addCleanup(redis.kill)
        url = self.admin.replace("127.0.0.1", "localhost") + "?sslmode=verify-full&sslrootcert="
        names = ["--database-directory-name", "tls_directory", "--database-cell-name", "tls_cell"]
        second = Platform("--database", url + f"{folder}/right.crt", "--redis", f"rediss://:pw@localhost:{redis_port}", *names)
        self.addCleanup(second.remove)
        os.environ["SSL_CERT_FILE"] = f"{folder}/right.crt"
        self.addCleanup(os.environ.pop, "SSL_CERT_FILE", None)
        second.start()
        wait_until(lambda: Client(second.port).get("/health/ready").json["redis"], 5)
        self.assertEqual(self.server.sql("SELECT bool_and(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.datname LIKE 'tls_%'", "postgres"), "t")
        second.stop()
        os.environ["SSL_CERT_FILE"] = f"{folder}/wrong.crt"
        second.start()
        time.sleep(1)
        self.assertFalse(Client(second.port).get("/health/ready").json["redis"])
        second.stop()
        third = Platform("--database", url + f"{folder}/wrong.crt", "--redis", self.redis, *names)
        self.addCleanup(third.remove)
        out = coditect("up", *third.arguments)
        self.assertEqual((out.returncode, "certificate verify failed" in out.stderr), (6, True), out.stderr)

    def test_production_bootstraps_migrates_waits_serves_and_shares_changes_of_state(self):
        key = coditect("keys", "new").stdout.strip()
        environment = {"CODITECT_DATABASE_URL": self.admin, "CODITECT_DATABASE_DIRECTORY_NAME": "prod_directory", "CODITECT_DATABASE_CELL_NAME": "prod_cell",
                       "CODITECT_REDIS_URL": self.redis, "CODITECT_SEALING_KEYS": key, "CODITECT_AUTH_COOKIE_SECURE": "false"}
        for role in ("app", "operator", "maintenance", "migrator"):
            environment[f"CODITECT_DATABASE_{role.upper()}_PASSWORD"] = "secret-of-" + role
        ports = [free_port(), free_port()]

        def serve(port):
            process = subprocess.Popen([BINARY, "serve", "api", "--http-port", str(port), *FAST], env={**clean_environment(), **environment}, stderr=subprocess.PIPE, text=True)
            self.addCleanup(process.stderr.close)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            return process
        self.assertEqual(coditect("bootstrap", **environment).returncode, 0)
        waiting = serve(ports[0])
        self.assertIn("migrate up", waiting.stderr.readline())  # serve never migrates: it waits
        for step in ("plan", "up", "up", "verify", "status"):
            out = coditect("migrate", step, **environment)
            self.assertEqual(out.returncode, 0, out.stdout + out.stderr)
        serve(ports[1])
        for port in ports:
            wait_until(lambda: Client(port).get("/health/ready").status == 200, 20)
        operator = coditect("admin", "new-operator", **environment).stdout.strip()
        signup = Client(ports[0]).post("/v1/signup", {"email": "a@b.example", "password": "a long enough password", "organization": {"name": "P", "slug": "prod"}})
        key = signup.json["api_key"]["secret"]
        clients = [Client(port, key, "prod") for port in ports]
        for client in clients:
            self.assertEqual(client.get(client.own("/projects")).status, 200)
        # Suspended at one process, refused at the other within a second.
        out = coditect("admin", "suspend", "prod", "--reason", "test", "--url", f"http://127.0.0.1:{ports[0]}", "--key", operator)
        self.assertEqual(out.returncode, 0, out.stdout + out.stderr)
        self.assertEqual(clients[1].post(clients[1].own("/projects"), {"name": "x"}).status, 403)
        time.sleep(1)
        self.assertEqual(clients[1].get(clients[1].own("/projects")).code, "tenant_suspended")
        # A schema that needs a newer program refuses this one.
        self.server.sql("UPDATE coditect.migrations SET oldest_program = '99.0.0' WHERE version = 1", "prod_cell")
        out = coditect("serve", "api", "--http-port", str(free_port()), **environment)
        self.assertEqual((out.returncode, "program_too_old" in out.stderr), (5, True), out.stderr)


if __name__ == "__main__":
    unittest.main()
