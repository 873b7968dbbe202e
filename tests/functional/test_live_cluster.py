"""A service becomes a cluster while it is used, on servers that speak nothing but TLS."""
import subprocess
import time
import unittest
import uuid

from platform_under_test import BINARY, Platform, clean_environment, has_citus, wait_until
from postgres_servers import Servers
from test_cluster import PATIENT, Pressure


class Everything(Pressure):
    """One organization at all kinds of work: what joins tables while some of them are distributed."""

    def work(self):
        own, client = self.client.own, self.client
        while not self.over.is_set():
            name = uuid.uuid4().hex
            start = time.monotonic()
            answers = [client.post(own("/projects"), {"name": name})]
            project = answers[0].json.get("id")
            answers.append(client.post(own("/tasks"), {"project_id": project, "title": f"find {name}", "labels": ["a", name[:8]]}))
            task = answers[-1].json.get("id")
            answers += [client.post(own("/comments"), {"task_id": task, "body": "so it is"}), client.get(own(f"/comments?task_id={task}")),
                        client.patch(own(f"/tasks/{task}"), {"status": "doing", "labels": ["b"]}, headers={"If-Match": answers[-1].headers.get("ETag", "")}), client.get(own(f"/tasks?q={name}")),
                        client.get(own("/tasks?label=b&page_size=2")), client.get(own("/members")), client.get(own("/activity?page_size=2")),
                        client.get(own("/projects?page_size=2")), client.post(own("/api-keys"), {"name": name, "scopes": ["data_read"]})]
            answers += [client.delete(own(f"/api-keys/{answers[-1].json['api_key']['id']}")), client.delete(own(f"/tasks/{task}"))]
            self.slowest = max(self.slowest, (time.monotonic() - start) / len(answers))
            self.made += answers[1].status == 201
            self.wrong += [(n, x) for n, x in enumerate(answers) if x.status not in (200, 201, 204)]


@unittest.skipUnless(has_citus(), "the extension citus is not installed")
class LiveConversion(unittest.TestCase):
    def test_a_database_becomes_a_cluster_while_requests_go_on(self):
        servers = Servers(3)
        self.addCleanup(servers.remove)
        first, *workers = servers.ports
        platform = Platform("--database", servers.url(first), *PATIENT)
        self.addCleanup(platform.remove)
        platform.start()
        acme, globex = platform.sign_up("acme"), platform.sign_up("globex")
        projects = {c.slug: c.post(c.own("/projects"), {"name": "p"}).json["id"] for c in (acme, globex)}
        tenant, project = servers.sql(first, "SELECT tenant_id, id FROM projects LIMIT 1", "coditect_cell").split("|")
        servers.sql(first, "INSERT INTO tasks (tenant_id, id, project_id, title, status, labels, position, created_at, updated_at) "
                    f"SELECT {tenant}, gen_random_uuid(), '{project}', 'bulk ' || n, 'todo', '{{}}', n, now(), now() FROM generate_series(1, 50000) n", "coditect_cell")
        self.assertIn("no encryption", self.refusal_without_tls(first))

        secrets = platform.values("secrets")
        environment = {**clean_environment(), "CODITECT_DATABASE_URL": servers.url(first),
                       **{f"CODITECT_DATABASE_{role.upper()}_PASSWORD": secrets[role] for role in ("app", "operator", "maintenance", "migrator", "import", "cluster")}}

        def cluster(*words):
            done = subprocess.run([BINARY, "cluster", *words], capture_output=True, text=True, env=environment)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            return done.stdout

        nodes = [w for p in workers for w in ("--worker", f"127.0.0.1:{p}")]
        self.assertRegex(cluster("init", "--dry-run", *nodes), r"would distribute 10 tables, \d+ MB, for which requests would wait")
        with Pressure(acme, projects["acme"]) as load, Everything(globex, projects["globex"]) as other:
            wait_until(lambda: load.made > 5 and other.made > 5, 10)
            said = cluster("init", "--node-conninfo", f"sslmode=verify-full sslrootcert={servers.authority}", *nodes)
            made = load.made
            wait_until(lambda: f'pool="cell@127.0.0.1:{workers[0]}"' in acme.get("/metrics").body, 20)
            wait_until(lambda: load.made > made + 20, 20)
        self.assertIn("all are distributed, 5 foreign keys hold", said)
        self.assertEqual(load.wrong + other.wrong, [])
        for client, pressure in ((acme, load), (globex, other)):
            number = servers.sql(first, f"SELECT id FROM tenants WHERE slug = '{client.slug}'", "coditect_directory")
            stored = int(servers.sql(first, f"SELECT count(*) FROM tasks WHERE tenant_id = {number} AND title ~ '^(moved|find) '", "coditect_cell"))
            self.assertEqual(stored, pressure.made)
        self.assertIn("every node agrees", cluster("verify", "--rows"))
        for port in servers.ports:
            self.assertEqual(servers.sql(port, "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.client_addr IS NOT NULL AND NOT s.ssl"), "0")

    def refusal_without_tls(self, port):
        return subprocess.run(["psql", "-Xc", "SELECT 1", f"host=127.0.0.1 port={port} user=admin dbname=postgres password=x sslmode=disable"], capture_output=True,
                              text=True, env=clean_environment()).stderr


if __name__ == "__main__":
    unittest.main()
