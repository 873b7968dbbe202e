"""Starts the real program and speaks HTTP to it. Every fixture has two tenants."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("COTEST_BINARY", f"{ROOT}/build/asan/coditect")

# Cheap password hashes and wide throttles: the tests are about other things.
FAST = ["--auth-argon2-memory-kib", "64", "--auth-argon2-passes", "1", "--auth-signup-per-address", "100000",
        "--auth-signup-global", "100000", "--auth-login-per-address", "100000", "--auth-login-global", "100000"]


# Flags of `coditect up` for every platform, e.g. to run all tests on Citus.
MORE = os.environ.get("COTEST_UP", "").split()


def has_citus():
    return any(os.path.exists(f"/usr/lib/postgresql/{v}/lib/citus.so") for v in range(15, 30))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def clean_environment():
    return {k: v for k, v in os.environ.items() if not k.startswith("CODITECT_")}


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body) if self.body else None

    @property
    def code(self):
        return self.json.get("code") if self.body else None

    def __repr__(self):
        return f"{self.status} {self.body[:600]!r}"


class Client:
    """One credential at one address."""

    def __init__(self, port, key=None, slug=None):
        self.port, self.key, self.slug = port, key, slug
        self.cookie = self.csrf = None

    def send(self, method, path, body=None, headers=None, timeout=30):
        sent = dict(headers or {})
        if self.key and "Authorization" not in sent:
            sent["Authorization"] = "Bearer " + self.key
        if self.cookie:
            sent["Cookie"] = self.cookie
            if self.csrf and method not in ("GET", "HEAD"):
                sent.setdefault("X-CSRF-Token", self.csrf)
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read().decode())
        finally:
            connection.close()

    def own(self, path=""):
        return f"/v1/tenants/{self.slug}{path}"

    def get(self, path, **kw):
        return self.send("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.send("POST", path, body, **kw)

    def patch(self, path, body, **kw):
        return self.send("PATCH", path, body, **kw)

    def delete(self, path, **kw):
        return self.send("DELETE", path, **kw)


class Platform:
    """`coditect up` with a state directory of its own."""

    def __init__(self, *arguments, state=None, binary=BINARY):
        self.binary = binary
        self.state = state or tempfile.mkdtemp(prefix="coditect-functional-")
        self.port = free_port()
        self.arguments = ["--state", self.state, "--http-port", str(self.port), "--no-demo", *FAST, *arguments, *MORE]
        self.process = None

    def start(self):
        self.process = subprocess.Popen([self.binary, "up", *self.arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, env=clean_environment())
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                return self
        self.process.wait()
        raise AssertionError("coditect up did not start: " + "".join(lines))

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        if self.process:
            self.process.stdout.close()
        return self.process.returncode if self.process else None

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def remove(self):
        self.stop()
        if os.path.islink(self.state):
            shutil.rmtree(os.path.realpath(self.state), ignore_errors=True)
            os.unlink(self.state)
        shutil.rmtree(self.state, ignore_errors=True)

    def path(self, name):
        return os.path.join(os.path.realpath(self.state), name)

    def values(self, name):
        with open(self.path(name)) as f:
            return dict(line.rstrip("\n").split(" ", 1) for line in f)

    def server_pid(self, server):
        if server != "redis":
            with open(self.path(f"{server}/postmaster.pid")) as f:
                return int(f.readline())
        with open(self.path("run/redis.pid")) as f:
            return int(f.readline())

    def operator(self):
        with open(self.path("operator.key")) as f:
            return Client(self.port, f.read().strip())

    def log(self):
        with open(self.path("log/coditect.log")) as f:
            return f.read()

    def sql(self, sql, database="coditect_cell"):
        """As the administrator, who is above row-level security."""
        server = "postgres"
        if database == "coditect_cell" and os.path.exists(self.path("citus")):
            server = self.values("citus")["coordinator"]
        return self.sql_at(server, sql, database=database)

    def sql_at(self, server, *statements, database="coditect_cell"):
        """The same on a server by name, each statement by itself."""
        secrets = self.values("secrets")
        done = subprocess.run(["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", *(w for s in statements for w in ("-c", s)),
                               f"host=127.0.0.1 port={self.values('ports')[server]} user=coditect_admin dbname={database}"],
                              env={**clean_environment(), "PGPASSWORD": secrets["postgres"]}, capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(done.stderr)
        return done.stdout.strip()

    def sign_up(self, slug=None, email=None, password="a long enough password"):
        slug = slug or "t" + uuid.uuid4().hex[:12]
        email = email or f"owner@{slug}.example"
        answer = Client(self.port).post("/v1/signup", {"email": email, "password": password,
                                                       "organization": {"name": slug.title(), "slug": slug}})
        assert answer.status == 201, answer
        client = Client(self.port, answer.json["api_key"]["secret"], slug)
        client.email, client.password, client.signup = email, password, answer.json
        return client

    def sign_in(self, email, password="a long enough password"):
        answer = Client(self.port).post("/v1/sessions", {"email": email, "password": password})
        assert answer.status == 201, answer
        client = Client(self.port)
        client.cookie = answer.headers["Set-Cookie"].split(";")[0]
        client.csrf = answer.json["csrf_token"]
        return client


def serve_environment(platform, database_port=None, redis_url=None):
    """The settings of a `coditect serve api` beside a platform, on its servers or on what stands before them."""
    secrets, ports = platform.values("secrets"), platform.values("ports")
    return {"CODITECT_DATABASE_URL": f"postgresql://127.0.0.1:{database_port or ports['postgres']}",
            "CODITECT_REDIS_URL": redis_url or f"redis://:{secrets['redis']}@127.0.0.1:{ports['redis']}",
            "CODITECT_SEALING_KEYS": secrets["sealing_keys"], "CODITECT_AUTH_COOKIE_SECURE": "false",
            **{f"CODITECT_DATABASE_{r.upper()}_PASSWORD": secrets[r] for r in ("app", "operator", "maintenance")}}


def wait_until(what, seconds=10, pause=0.02):
    end = time.time() + seconds
    while time.time() < end:
        try:
            if what():
                return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(pause)
    raise AssertionError(f"not within {seconds} s")


def without_trace(answer):
    """What may differ between two answers that are alike: request id, date, trace headers."""
    headers = {k.lower(): v for k, v in answer.headers.items()}
    for name in ("date", "x-request-id", "traceparent"):
        headers.pop(name, None)
    return answer.status, headers, re.sub(r"req_[0-9a-z]{26}", "req", answer.body)


class PlatformTest(unittest.TestCase):
    """One platform for the class, two tenants for each test class."""
    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.platform = Platform(*cls.arguments).start()
        cls.a = cls.platform.sign_up("acme")
        cls.b = cls.platform.sign_up("globex")

    @classmethod
    def tearDownClass(cls):
        code = cls.platform.stop()
        log = cls.platform.log()
        cls.platform.remove()
        assert code == 0, f"the program ended with {code}"
        assert "unexpectedly" not in log, [line for line in log.splitlines() if "unexpectedly" in line]

    def project(self, client, name="A project"):
        answer = client.post(client.own("/projects"), {"name": name})
        self.assertEqual(answer.status, 201, answer)
        return answer.json["id"]

    def task(self, client, project, title="A task", **more):
        answer = client.post(client.own("/tasks"), {"project_id": project, "title": title, **more})
        self.assertEqual(answer.status, 201, answer)
        return answer.json["id"]
