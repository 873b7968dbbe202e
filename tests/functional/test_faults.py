"""Processes killed under load, with a ledger of what the client was promised."""
import http.client
import os
import signal
import threading
import time
import unittest
import uuid

from platform_under_test import Platform, wait_until


class Ledger:
    """Writers that repeat each write with its idempotency key until it has an answer."""

    def __init__(self, clients):
        self.clients, self.stop = clients, threading.Event()
        self.acknowledged, self.attempted, self.wrong, self.lock = {}, set(), [], threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(c,)) for c in clients for _ in range(3)]
        [t.start() for t in self.threads]

    def run(self, client):
        while not self.stop.is_set():
            name = f"{client.slug} {uuid.uuid4().hex}"
            with self.lock:
                self.attempted.add(name)
            while True:
                try:
                    answer = client.post(client.own("/projects"), {"name": name}, headers={"Idempotency-Key": name.replace(" ", "-")}, timeout=15)
                except (OSError, http.client.HTTPException):
                    time.sleep(0.05)
                    if self.stop.is_set():
                        return
                    continue
                if answer.status == 201:
                    with self.lock:
                        self.acknowledged[name] = answer.json["id"]
                    if answer.json["name"] != name:
                        self.wrong.append((name, answer))
                    break
                if answer.status not in (409, 500, 503, 504):
                    self.wrong.append((name, answer))
                if answer.status == 500:
                    self.wrong.append((name, answer))
                time.sleep(0.05)
                if self.stop.is_set():
                    return

    def finish(self):
        self.stop.set()
        [t.join() for t in self.threads]


class Faults(unittest.TestCase):
    def setUp(self):
        self.platform = Platform()
        self.addCleanup(self.platform.remove)
        self.platform.start()
        self.clients = [self.platform.sign_up("acme"), self.platform.sign_up("globex")]

    def check(self, ledger):
        self.assertFalse(ledger.wrong, ledger.wrong[:5])
        self.assertGreater(len(ledger.acknowledged), 20)
        rows = [line.split("|") for line in self.platform.sql("SELECT name, count(*), min(tenant_id) FROM projects GROUP BY name").splitlines()]
        stored = {name: int(count) for name, count, _ in rows}
        self.assertEqual([n for n in ledger.acknowledged if n not in stored], [], "acknowledged but lost")
        self.assertEqual([n for n, count in stored.items() if count != 1], [], "written twice")
        self.assertEqual([n for n in stored if n not in ledger.attempted], [], "never asked for")
        tenants = {}
        for name, _, tenant in rows:
            tenants.setdefault(name.split()[0], set()).add(tenant)
        self.assertTrue(all(len(t) == 1 for t in tenants.values()), tenants)

    def test_kill_9_of_the_api_under_load_loses_and_doubles_nothing(self):
        ledger = Ledger(self.clients)
        for _ in range(3):
            time.sleep(1.0)
            self.platform.kill()
            self.platform.start()
        time.sleep(1.0)
        ledger.finish()
        self.check(ledger)

    def test_postgres_killed_and_stopped_under_load_comes_back_without_restarting_the_api(self):
        ledger = Ledger(self.clients)
        pid = self.platform.process.pid
        for sign in (signal.SIGKILL, signal.SIGQUIT, signal.SIGINT):
            time.sleep(1.0)
            before = len(ledger.acknowledged)
            os.kill(self.platform.server_pid("postgres"), sign)
            wait_until(lambda: len(ledger.acknowledged) > before + 20, 20)
        ledger.finish()
        self.assertEqual(self.platform.process.pid, pid)
        self.assertIsNone(self.platform.process.poll())
        self.check(ledger)

    def test_redis_gone_and_back_costs_no_request(self):
        client = self.clients[0]
        ledger = Ledger(self.clients)
        for _ in range(2):
            time.sleep(0.5)
            os.kill(self.platform.server_pid("redis"), signal.SIGKILL)
            for _ in range(20):
                self.assertEqual(client.get(client.own("/projects?page_size=1")).status, 200)
        wait_until(lambda: client.get("/health/ready").json["redis"], 10)
        ledger.finish()
        self.check(ledger)

    def test_a_signup_killed_at_any_point_and_repeated_ends_in_one_tenant(self):
        from platform_under_test import Client
        for n in range(4):
            body = {"email": f"k{n}@killed.example", "password": "a long enough password", "organization": {"name": "K", "slug": f"killed-{n}"}}
            got = []

            def go():
                while not got:
                    try:
                        answer = Client(self.platform.port).post("/v1/signup", body, headers={"Idempotency-Key": f"killed-{n}"})
                        if answer.status == 201:
                            got.append(answer)
                    except (OSError, http.client.HTTPException):
                        pass
                    time.sleep(0.002)
            thread = threading.Thread(target=go)
            thread.start()
            time.sleep(0.002 * n)
            self.platform.kill()
            self.platform.start()
            thread.join(30)
            self.assertTrue(got)
            key = got[0].json["api_key"]["secret"]
            self.assertEqual(Client(self.platform.port, key, f"killed-{n}").get(f"/v1/tenants/killed-{n}").status, 200)
        self.assertEqual(self.platform.sql("SELECT count(*), count(DISTINCT slug) FROM tenants WHERE slug LIKE 'killed-%' AND state = 'active'", "coditect_directory"), "4|4")


if __name__ == "__main__":
    unittest.main()
