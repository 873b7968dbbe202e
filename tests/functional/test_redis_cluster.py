"""The platform on a Redis Cluster: one of its own, and one by TLS."""
import glob
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from platform_under_test import BINARY, Client, Platform, clean_environment, free_port, wait_until


def metric(port, name):
    values = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? ([0-9.e+]+)$", Client(port).get("/metrics").body, re.M)
    return sum(float(v) for v in values)


class Traffic:
    """Threads that read, write and sign up until they are stopped; every answer must be a success."""

    def __init__(self, platform, clients):
        self.platform, self.clients = platform, clients
        self.stop, self.answers, self.signups, self.bad, self.slowest = threading.Event(), 0, 0, [], 0
        self.threads = [threading.Thread(target=self.run, args=(c, n)) for c in clients for n in range(2)]
        [t.start() for t in self.threads]

    def run(self, client, who):
        n = 0
        while not self.stop.is_set():
            n += 1
            start = time.time()
            try:
                answers = [client.get(client.own("/projects?page_size=1")), client.post(client.own("/projects"), {"name": "x"})]
                if n % 5 == 0:
                    self.platform.sign_up()  # its limits are counted in Redis
                    self.signups += 1
            except Exception as e:  # whatever it is, no request may meet it
                self.bad.append(repr(e))
                continue
            self.slowest = max(self.slowest, time.time() - start)
            self.answers += len(answers)
            self.bad += [a for a in answers if a.status not in (200, 201)]

    def finish(self):
        self.stop.set()
        [t.join() for t in self.threads]


class OwnCluster(unittest.TestCase):
    def setUp(self):
        self.platform = Platform("--redis-cluster", "--server-loops", "2")
        self.addCleanup(self.platform.remove)
        self.platform.start()

    def pids(self):
        out = {}
        for path in glob.glob(self.platform.path("run/redis-*.pid")):
            with open(path) as f:
                out[os.path.basename(path)[:-4]] = int(f.read())
        return out

    def connected(self):
        return metric(self.platform.port, "coditect_redis_connections") == 6  # two loops, three masters

    def master(self):
        """A master's name, by its role."""
        secrets = self.platform.values("secrets")
        for name in sorted(self.pids()):
            out = subprocess.run(["redis-cli", "-s", self.platform.path(f"run/{name}.sock"), "role"], capture_output=True, text=True,
                                 env={**clean_environment(), "REDISCLI_AUTH": secrets["redis"]}).stdout
            if out.startswith("master"):
                return name
        raise AssertionError("no master")

    def test_requests_go_on_while_a_master_is_frozen_killed_and_back_and_the_cluster_outlives_the_program(self):
        wait_until(self.connected, 20)
        self.assertEqual(len(self.pids()), 6)
        clients = [self.platform.sign_up("acme"), self.platform.sign_up("globex")]
        traffic = Traffic(self.platform, clients)
        victim = self.pids()[self.master()]
        os.kill(victim, signal.SIGSTOP)
        before = traffic.signups
        time.sleep(6)  # its replica takes over
        wait_until(self.connected, 20)
        os.kill(victim, signal.SIGCONT)
        time.sleep(1)
        os.kill(self.pids()[self.master()], signal.SIGKILL)  # `up` starts it again
        time.sleep(1)
        wait_until(self.connected, 20)
        traffic.finish()
        self.assertEqual(traffic.bad, [])
        self.assertGreater(traffic.answers, 100)
        self.assertGreater(traffic.signups - before, 10)
        self.assertLess(traffic.slowest, 5)
        ports = set(self.platform.values("ports").items())
        with open(self.platform.path("redis-cluster/formed")) as f:
            formed = f.read()
        self.platform.kill()
        self.platform.start()
        wait_until(self.connected, 20)
        with open(self.platform.path("redis-cluster/formed")) as f:
            self.assertEqual(f.read(), formed)
        self.assertEqual(set(self.platform.values("ports").items()), ports)

    def test_flags_that_contradict_each_other_are_refused(self):
        other = Platform("--redis-cluster", "--redis", "redis://127.0.0.1")
        self.addCleanup(other.remove)
        out = subprocess.run([BINARY, "up", *other.arguments], capture_output=True, text=True, env=clean_environment(), timeout=60)
        self.assertEqual((out.returncode, "--redis-cluster" in out.stderr), (2, True), out.stderr)


class TlsCluster(unittest.TestCase):
    def test_a_cluster_by_tls_with_a_password_is_verified_by_its_authority(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder, True)
        os.chmod(folder, 0o755)
        for name in ("right", "wrong"):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1",
                            "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.crt"], check=True, capture_output=True)
        ports = [free_port() for _ in range(3)]
        for port in ports:
            os.mkdir(f"{folder}/{port}")
            server = subprocess.Popen(["redis-server", "--port", "0", "--tls-port", str(port), "--cluster-port", str(free_port()), "--bind", "127.0.0.1", "--dir", f"{folder}/{port}",
                                       "--tls-cert-file", f"{folder}/right.crt", "--tls-key-file", f"{folder}/right.key", "--tls-ca-cert-file", f"{folder}/right.crt",
                                       "--tls-auth-clients", "no", "--tls-cluster", "yes", "--tls-replication", "yes", "--cluster-enabled", "yes", "--requirepass", "p@w", "--save", ""],
                                      stdout=subprocess.DEVNULL)
            self.addCleanup(server.wait)
            self.addCleanup(server.kill)
        create = ["redis-cli", "--tls", "--cacert", f"{folder}/right.crt", "--cluster", "create", *(f"127.0.0.1:{p}" for p in ports), "--cluster-yes"]
        wait_until(lambda: subprocess.run(create, capture_output=True, env={**clean_environment(), "REDISCLI_AUTH": "p@w"}).returncode == 0, 30)
        url = f"rediss+cluster://:p%40w@127.0.0.1:{ports[1]}"
        right = Platform("--redis", url, "--redis-ca-file", f"{folder}/right.crt", "--server-loops", "1")
        self.addCleanup(right.remove)
        right.start()
        wait_until(lambda: metric(right.port, "coditect_redis_connections") == 3, 20)
        before = metric(right.port, "coditect_limit_local_total")
        for _ in range(20):
            right.sign_up()
        self.assertEqual(metric(right.port, "coditect_limit_local_total"), before, "limits were not counted in Redis")
        right.stop()
        wrong = Platform("--redis", url, "--redis-ca-file", f"{folder}/wrong.crt", state=right.state)
        self.addCleanup(wrong.stop)
        wrong.start()
        time.sleep(1)
        self.assertFalse(Client(wrong.port).get("/health/ready").json["redis"])
        self.assertEqual(wrong.sign_up().get("/v1/me").status in (200, 401, 403), True)
        self.assertIn("certificate verify failed", wrong.log())


if __name__ == "__main__":
    unittest.main()
