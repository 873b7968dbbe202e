"""One function for each fault. Each gets a Stage, makes its fault while the ledger's clients work, and says when it was over."""
import asyncio
import contextlib
import http.client
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid

from faults.between import NonsenseRedis, Proxy
from platform_under_test import BINARY, FAST, Client, Platform, clean_environment, free_port, has_citus, serve_environment, wait_until


class Missing(Exception):
    """Something that the scenario needs is not here."""


# What the clients must notice of a fault: else it was none.
NOTHING_FAILS, SOME_FAIL, SOME_WAIT, ANYTHING = "nothing fails", "some fail", "some wait", "anything"


class Api:
    """A `coditect serve api` beside the platform's servers."""

    def __init__(self, platform, *arguments, environment=None, port=None, **serving):
        self.port = port or free_port()
        self.command = [BINARY, "serve", "api", "--http-port", str(self.port), "--server-loops", "2", *FAST, *arguments]
        self.environment = {**clean_environment(), **serve_environment(platform, **serving), **(environment or {})}
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, env=self.environment, stderr=subprocess.DEVNULL)
        wait_until(lambda: Client(self.port).get("/health/live", timeout=2).status == 200, 30)
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                return self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode if self.process else None

    def resident_mib(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024


class Stage:
    """A platform with two tenants, and what a scenario adds to it."""

    def __init__(self, short, *arguments, state=None):
        self.short, self.notes, self.others_port, self.ledger = short, [], None, None
        self.only_felt_by = None  # the slug of the tenant that the fault is for
        self.cleanup = contextlib.ExitStack()
        self.platform = Platform(*arguments, state=state)
        self.cleanup.callback(self.platform.remove)
        try:
            self.platform.start()
            self.clients = [self.platform.sign_up("acme"), self.platform.sign_up("globex")]
        except BaseException:
            self.cleanup.close()
            raise

    def behind(self, port):
        """The clients, and new ones, go on at another port."""
        self.platform.port = port
        for c in self.clients:
            c.port = port

    def api(self, *arguments, **more):
        api = Api(self.platform, *arguments, **more)
        self.cleanup.callback(api.stop)
        return api.start()

    def proxy(self, target):
        proxy = Proxy(target)
        self.cleanup.callback(proxy.close)
        return proxy

    def pause(self, short, long):
        time.sleep(short if self.short else long)

    def server_kill(self, name, sign):
        pid = self.platform.server_pid(name)
        os.kill(pid, sign)
        return pid


# --- processes

def api_killed(stage):
    """kill -9 of `coditect up` with all it runs, started again at once."""
    yield
    stage.platform.kill()
    over = time.monotonic()
    stage.platform.start()
    return over


def postgres_killed(stage):
    """kill -9 of PostgreSQL's first process."""
    yield
    stage.server_kill("postgres", signal.SIGKILL)
    return time.monotonic()


def postgres_immediate_stop(stage):
    """SIGQUIT: every backend ends without a word."""
    yield
    stage.server_kill("postgres", signal.SIGQUIT)
    return time.monotonic()


def postgres_frozen(stage):
    """All of PostgreSQL is stopped in its tracks, and goes on."""
    yield
    pid = stage.platform.server_pid("postgres")
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        pids = [pid, *map(int, f.read().split())]
    for p in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(p, signal.SIGSTOP)
    stage.pause(3, 12)
    for p in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(p, signal.SIGCONT)
    return time.monotonic()


# --- the database's resources

def disk_full(stage):
    """Nothing more can be written where the data is."""
    yield
    filler = os.path.join(stage.mount, "filler")
    with open(filler, "wb", buffering=0) as f:
        with contextlib.suppress(OSError):
            while True:
                f.write(b"\0" * 1048576)
        with contextlib.suppress(OSError):
            while True:
                f.write(b"\0" * 4096)
    stage.pause(5, 15)
    os.unlink(filler)
    return time.monotonic()


def prepare_disk_full(short):
    if os.geteuid() != 0:
        raise Missing("root, to mount a small file system")
    mount = tempfile.mkdtemp(prefix="coditect-faults-")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", mount], capture_output=True).returncode:
        raise Missing("a tmpfs that can be mounted")
    os.chmod(mount, 0o755)
    try:
        stage = Stage(short, state=mount + "/state")
    except BaseException:
        subprocess.run(["umount", "-l", mount])
        raise
    stage.mount = mount
    stage.cleanup.callback(shutil.rmtree, mount, True)
    stage.cleanup.callback(subprocess.run, ["umount", "-l", mount])
    stage.cleanup.callback(stage.platform.stop)
    return stage


def connection_limit(stage):
    """PostgreSQL has no connection left for the application."""
    yield
    stage.platform.sql("ALTER ROLE coditect_app CONNECTION LIMIT 0")
    stage.platform.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'coditect_app'")
    stage.pause(3, 10)
    stage.platform.sql("ALTER ROLE coditect_app CONNECTION LIMIT -1")
    return time.monotonic()


def lock_held(stage):
    """Somebody holds a table for a minute (short form: 5 s)."""
    yield
    seconds = 5 if stage.short else 60
    stage.platform.sql(f"BEGIN; LOCK TABLE projects IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({seconds}); COMMIT")
    return time.monotonic()


# --- the network

def cut_in_commit(stage):
    """The network to PostgreSQL is cut in the middle of COMMITs: nobody knows what became of them."""
    proxy = stage.proxy(int(stage.platform.values("ports")["postgres"]))
    stage.behind(stage.api(database_port=proxy.port).port)
    yield
    proxy.mode = "cut_commit"
    stage.pause(4, 20)
    proxy.mode = "pass"
    if proxy.commits_cut < 5:
        raise AssertionError(f"only {proxy.commits_cut} COMMITs were cut")
    stage.notes.append(f"{proxy.commits_cut} cut after the commit, {proxy.cuts - proxy.commits_cut} elsewhere")
    return time.monotonic()


def metric(port, name):
    values = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? ([0-9.e+]+)$", Client(port).get("/metrics").body, re.M)
    return sum(float(v) for v in values)


def database_unreachable(stage):
    """No connection to PostgreSQL, old or new."""
    proxy = stage.proxy(int(stage.platform.values("ports")["postgres"]))
    stage.behind(stage.api(database_port=proxy.port).port)
    yield
    proxy.mode = "refuse"
    stage.pause(3, 15)
    proxy.mode = "pass"
    return time.monotonic()


# --- Redis
#
# A tenant that a process knows costs it no look into Redis: newcomers sign up at one process and ask at another all along.
# A process distrusts Redis for half a minute after its LISTEN connection began, so that long is waited first.

def with_newcomers(stage, **serving):
    """An API that asks Redis about newcomers; the directory's look-ups in Redis so far."""
    api = stage.api(**serving)
    stage.behind(api.port)
    stage.others_port = int(stage.platform.values("ports")["http"])
    time.sleep(31)
    return api


def check_newcomers(stage, api, before):
    """Redis was missed: limits were counted without it, and newcomers were served all along."""
    local = metric(api.port, "coditect_limit_local_total") - before
    stage.notes.append(f"{stage.ledger.newcomers} newcomers, {local:.0f} limits counted alone")
    if local < 5 or stage.ledger.newcomers < 5:
        raise AssertionError(f"only {local:.0f} limits were counted without Redis for {stage.ledger.newcomers} newcomers")


def redis_killed(stage):
    """kill -9, three times."""
    api = with_newcomers(stage)
    yield
    before = metric(api.port, "coditect_limit_local_total")
    for _ in range(3):
        stage.server_kill("redis", signal.SIGKILL)
        time.sleep(1)
    over = time.monotonic()
    failures = metric(api.port, "coditect_redis_failures_total") + metric(api.port, "coditect_limit_local_total") - before
    stage.notes.append(f"{stage.ledger.newcomers} newcomers, {failures:.0f} times without Redis")
    if failures < 1 or stage.ledger.newcomers < 5:
        raise AssertionError("Redis was not missed")
    return over


def redis_frozen(stage):
    """It takes everything and answers nothing."""
    api = with_newcomers(stage)
    yield
    before = metric(api.port, "coditect_limit_local_total")
    pid = stage.server_kill("redis", signal.SIGSTOP)
    stage.pause(3, 10)
    os.kill(pid, signal.SIGCONT)
    over = time.monotonic()
    check_newcomers(stage, api, before)
    return over


def redis_slow(stage):
    """Each answer takes longer than redis.timeout."""
    secrets, ports = stage.platform.values("secrets"), stage.platform.values("ports")
    proxy = stage.proxy(int(ports["redis"]))
    api = with_newcomers(stage, redis_url=f"redis://:{secrets['redis']}@127.0.0.1:{proxy.port}")
    yield
    before = metric(api.port, "coditect_limit_local_total")
    proxy.seconds, proxy.mode = 0.4, "delay"
    stage.pause(3, 10)
    proxy.mode = "pass"
    over = time.monotonic()
    check_newcomers(stage, api, before)
    return over


def redis_wrong(stage):
    """It answers nonsense, and other tenants' records."""
    record = stage.platform.sql("SELECT epoch || '|' || id || '|' || '{}' || '|' || slug || '|' || cell || '|' || state FROM tenants WHERE slug = 'globex'",
                                "coditect_directory").replace("{}", stage.clients[1].signup["tenant"]["id"])
    redis = NonsenseRedis(record)
    stage.cleanup.callback(redis.close)
    # The newcomers sign up where Redis is as it should be, and ask where it is not.
    api = stage.api(redis_url=f"redis://127.0.0.1:{redis.port}")
    good = stage.platform.port
    for c in stage.clients:
        c.port = api.port
    stage.others_port = api.port
    time.sleep(31)
    yield
    stage.pause(4, 15)
    over = time.monotonic()
    assert stage.platform.port == good
    stage.notes.append(f"{redis.answered} wrong answers, {stage.ledger.newcomers} newcomers")
    if redis.answered < 10 or stage.ledger.newcomers < 10:
        raise AssertionError(f"Redis answered {redis.answered} times for {stage.ledger.newcomers} newcomers")
    return over


# --- the clock

def clock_jumps(stage):
    """The API's wall clock jumps an hour ahead, two back, and home."""
    if not shutil.which("clang-19"):
        raise Missing("clang-19, to build the clock that jumps")
    folder = tempfile.mkdtemp(prefix="coditect-clock-")
    os.chmod(folder, 0o755)
    stage.cleanup.callback(shutil.rmtree, folder, True)
    library, offset_file = f"{folder}/clock_jump.so", f"{folder}/offset"
    subprocess.run(["clang-19", "-O1", "-shared", "-fPIC", "-o", library, os.path.join(os.path.dirname(__file__), "clock_jump.c")], check=True)

    def jump(seconds):
        with open(offset_file, "r+b" if os.path.exists(offset_file) else "wb") as f:
            f.write(seconds.to_bytes(8, "little", signed=True))
    jump(0)
    stage.behind(stage.api(environment={"LD_PRELOAD": library, "CLOCK_JUMP_FILE": offset_file}).port)
    yield
    for offset in (3600, -7200, 0):
        jump(offset)
        time.sleep(1.5)
        skew = http_date(stage.clients[0].port) - time.time()
        if abs(skew - offset) > 5:
            raise AssertionError(f"the clock did not jump: {skew:.0f} s instead of {offset}")
    return time.monotonic()


def http_date(port):
    from email.utils import parsedate_to_datetime
    return parsedate_to_datetime(Client(port).get("/health/live").headers["Date"]).timestamp()


# --- clients

def idle_and_busy_connections(stage):
    """10,000 idle connections and 2,000 that keep asking (short form: 2,000 and 400)."""
    idle, busy = (2000, 400) if stage.short else (10000, 2000)
    needed = idle + busy + 500
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < needed:
        raise Missing(f"{needed} file descriptors (ulimit -n gives {hard})")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    yield
    served, shed, failed = asyncio.run(crowd(stage.clients[0], idle, busy, 4 if stage.short else 15))
    stage.notes.append(f"of the crowd {served} served, {shed} told 503, {failed} failed")
    if failed or served < busy or served < shed:
        raise AssertionError(f"of the crowd's requests {served} were served, {shed} told 503, {failed} failed")
    return time.monotonic()


async def crowd(client, idle, busy, seconds):
    served = shed = failed = 0
    request = (f"GET {client.own('/projects?page_size=1')} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.key}\r\n\r\n").encode()
    gate = asyncio.Semaphore(200)

    async def connect():
        async with gate:
            return await asyncio.open_connection("127.0.0.1", client.port)

    idlers = await asyncio.gather(*(connect() for _ in range(idle)))
    until = time.monotonic() + seconds

    async def ask():
        nonlocal served, shed, failed
        reader, writer = await connect()
        try:
            while True:
                writer.write(request)
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                served += head.startswith(b"HTTP/1.1 200")
                shed += head.startswith(b"HTTP/1.1 503")  # an answer, too: the queue for the database is bounded
                failed += head[9:12] not in (b"200", b"503")
                if time.monotonic() > until:
                    return
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            failed += 1
        finally:
            writer.close()

    await asyncio.gather(*(ask() for _ in range(busy)))
    # The idle ones are still there, and still served.
    for reader, writer in idlers[:: max(1, idle // 20)]:
        try:
            writer.write(request)
            failed += not (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 200")
        except (OSError, asyncio.TimeoutError):
            failed += 1
    for _, writer in idlers:
        writer.close()
    return served, shed, failed


def slowloris(stage):
    """Connections that send a byte of a header a second, and others a byte of a body."""
    count = 200 if stage.short else 1000
    timeout = 3 if stage.short else 10
    stage.behind(stage.api("--http-header-timeout", f"{timeout}s", "--http-body-timeout", f"{timeout}s").port)
    yield
    port = stage.clients[0].port
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    for i, s in enumerate(slow):
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: " if i % 2 else b"POST /v1/signup HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
    ended, start = 0, time.monotonic()
    while slow and time.monotonic() < start + timeout + 5:
        time.sleep(1)
        for s in list(slow):
            try:
                s.sendall(b"a")
                s.setblocking(False)
                data = s.recv(1000)
                s.setblocking(True)
                if not data or b" 408 " in data:
                    raise ConnectionError
            except BlockingIOError:
                s.setblocking(True)
            except OSError:
                ended += 1
                s.close()
                slow.remove(s)
    for s in slow:
        s.close()
    stage.notes.append(f"{ended} of {count} ended in {time.monotonic() - start:.0f} s")
    if ended != count:
        raise AssertionError(f"only {ended} of {count} slow connections were ended within {timeout + 5} s")
    return time.monotonic()


def huge_body(stage):
    """A body of 1 GB, announced, and one in chunks that never end."""
    api = stage.api()
    stage.behind(api.port)
    yield
    before = api.resident_mib()
    client = stage.clients[0]
    head = f"POST {client.own('/projects')} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.key}\r\nContent-Type: application/json\r\n"
    for framing, piece in ((f"Content-Length: {1 << 30}\r\n\r\n", b"x" * 65536), ("Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n")):
        with socket.create_connection(("127.0.0.1", api.port), timeout=10) as s:
            s.sendall((head + framing).encode())
            sent = 0
            with contextlib.suppress(ConnectionError):  # a server that only stops reading is a TimeoutError
                while sent < 1 << 30:
                    s.sendall(piece)
                    sent += len(piece)
            answer = b""
            with contextlib.suppress(ConnectionError):  # the answer may be lost: bytes were still on their way
                answer = s.recv(1000)
            if sent > 64 << 20 or (answer and b" 413 " not in answer):
                raise AssertionError(f"{sent} bytes were taken, answer {answer[:60]}")
    grown = api.resident_mib() - before
    stage.notes.append(f"+{max(grown, 0):.0f} MiB")
    if grown > 64:
        raise AssertionError(f"memory grew by {grown:.0f} MiB")
    return time.monotonic()


# --- a proxy in front

NGINX = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log warn;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream api {{ {servers} keepalive 16; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://api;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      # An Idempotency-Key makes every request safe to repeat.
      proxy_next_upstream error timeout non_idempotent;
      proxy_connect_timeout 2s;
    }}
  }}
}}
"""


def nginx(stage, ports):
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    if not os.path.exists(program):
        raise Missing("nginx")
    folder = tempfile.mkdtemp(prefix="coditect-nginx-")
    os.chmod(folder, 0o777)
    stage.cleanup.callback(shutil.rmtree, folder, True)
    port = free_port()
    servers = " ".join(f"server 127.0.0.1:{p} max_fails=0;" for p in ports)
    with open(f"{folder}/conf", "w") as f:
        f.write(NGINX.format(folder=folder, servers=servers, port=port))
    process = subprocess.Popen([program, "-c", f"{folder}/conf", "-p", folder], stderr=subprocess.DEVNULL)
    stage.cleanup.callback(process.wait)
    stage.cleanup.callback(process.terminate)
    wait_until(lambda: socket.create_connection(("127.0.0.1", port), 1).close() is None, 10)
    return port


def rolling_restarts(stage):
    """50 restarts of the API, one of two at a time, behind nginx (short form: 6): no request may fail."""
    apis = [stage.api(), stage.api()]
    stage.behind(nginx(stage, [a.port for a in apis]))
    yield
    for n in range(6 if stage.short else 50):
        api = apis[n % 2]
        if api.stop() != 0:
            raise AssertionError("the API did not end in good order")
        api.start()
        wait_until(lambda: Client(api.port).get("/health/ready").status == 200, 20)
        time.sleep(0.1)
    return time.monotonic()


def smuggling(stage):
    """Requests that two parsers could read in two ways, through nginx and beside others' on the same connections."""
    api = stage.api()
    port = nginx(stage, [api.port])
    stage.behind(port)
    yield
    victim = stage.clients[0]
    corpus = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "tests/fuzz/corpus/http_server_fuzz")
    attacks = []
    for name in sorted(os.listdir(corpus)):
        with open(os.path.join(corpus, name), "rb") as f:
            attacks.append(f.read())
    inner = b"GET /v1/tenants/globex HTTP/1.1\r\nHost: x\r\nX-Smuggled: 1\r\n\r\n"
    head = b"POST /v1/signup HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    for framing in (b"Content-Length: 0\r\nContent-Length: %d", b"Content-Length: %d\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nContent-Length: %d",
                    b"Transfer-Encoding : chunked\r\nContent-Length: %d", b"Transfer-Encoding: xchunked\r\nContent-Length: %d", b"Transfer-Encoding: chunked, identity\r\nContent-Length: %d",
                    b"Transfer-Encoding:\tchunked\r\nContent-Length: %d", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: %d",
                    b"X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: %d", b"Content-Length: +%d", b"Content-Length: 0x%x", b"Content-Length: %d, 0"):
        body = b"0\r\n\r\n" + inner
        attacks.append(head + framing % len(body) + b"\r\n\r\n" + body)
    for target in (port, api.port):
        for attack in attacks:
            with contextlib.suppress(OSError):
                with socket.create_connection(("127.0.0.1", target), timeout=2) as s:
                    s.sendall(attack)
                    s.settimeout(0.05)
                    s.recv(65536)
            # Whoever comes next gets the answer to their own request: it carries the trace they sent.
            for _ in range(2):
                trace = uuid.uuid4().hex
                answer = victim.get(victim.own("/projects?page_size=1"), headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
                if answer.status != 200 or trace not in answer.headers.get("traceparent", ""):
                    raise AssertionError(f"after {attack[:200]!r} another got {answer}")
    stage.notes.append(f"{2 * len(attacks)} attacks")
    return time.monotonic()


# --- Citus: a coordinator and three workers

def citus(short):
    """Two tenants whose rows are on different workers; `stage.clients[0]` is on the one that scenarios hurt."""
    if not has_citus():
        raise Missing("the extension citus")
    stage = Stage(short, "--citus", "3", *(["--database-connect-timeout", "1s", "--http-request-timeout", "4s"]))
    platform = stage.platform

    def home(client):
        number = platform.sql(f"SELECT id FROM tenants WHERE slug = '{client.slug}'", "coditect_directory")
        return platform.sql("SELECT n.nodename || ':' || n.nodeport FROM pg_dist_placement p JOIN pg_dist_node n USING (groupid) "
                            f"WHERE p.shardid = get_shard_id_for_distribution_column('tenant_state', {number})")

    first = home(stage.clients[0])
    while home(stage.clients[1]) == first:
        stage.clients[1] = platform.sign_up()
    ports = platform.values("ports")
    stage.worker = next(n for n, p in ports.items() if n.startswith("citus-worker") and first == f"127.0.0.1:{p}")
    stage.worker_address = first
    stage.only_felt_by = stage.clients[0].slug
    return stage


def process_tree(platform, server):
    pid = platform.server_pid(server)
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [pid, *map(int, f.read().split())]


def signal_all(pids, sign):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)


def citus_worker_killed(stage):
    """kill -9 of a worker's first process: it is started again. The other workers' tenants notice nothing."""
    yield
    stage.server_kill(stage.worker, signal.SIGKILL)
    return time.monotonic()


def citus_worker_frozen(stage):
    """All of a worker is stopped in its tracks, and goes on: statement_timeout does not help there."""
    yield
    pids = process_tree(stage.platform, stage.worker)
    signal_all(pids, signal.SIGSTOP)
    stage.pause(7, 20)
    signal_all(pids, signal.SIGCONT)
    return time.monotonic()


def citus_coordinator_killed(stage):
    """kill -9 of the coordinator: tenants' requests do not need it."""
    yield
    stage.server_kill("citus-coordinator", signal.SIGKILL)
    stage.pause(2, 4)
    return time.monotonic()


def citus_coordinator_frozen(stage):
    """The coordinator does not answer for a while."""
    yield
    pids = process_tree(stage.platform, "citus-coordinator")
    signal_all(pids, signal.SIGSTOP)
    stage.pause(5, 15)
    signal_all(pids, signal.SIGCONT)
    return time.monotonic()


def cluster(stage, *arguments, check=True):
    done = subprocess.run([BINARY, "cluster", *arguments, "--state", stage.platform.state], capture_output=True, text=True,
                          env=clean_environment())
    if check and done.returncode != 0:
        raise AssertionError(f"cluster {arguments[0]}: {done.stdout}{done.stderr}")
    return done


def citus_moves(stage):
    """A tenant's shard goes round the workers, with its rows under way."""
    yield
    addresses = [f"127.0.0.1:{p}" for n, p in sorted(stage.platform.values("ports").items()) if n.startswith("citus-worker")]
    shard = home_shard(stage)
    for turn in range(2 if stage.short else 6):
        here = addresses.index(stage.worker_address)
        stage.worker_address = addresses[(here + 1) % len(addresses)]
        cluster(stage, "move", shard, stage.worker_address)
    return time.monotonic()


def home_shard(stage):
    number = stage.platform.sql(f"SELECT id FROM tenants WHERE slug = '{stage.clients[0].slug}'", "coditect_directory")
    return stage.platform.sql(f"SELECT get_shard_id_for_distribution_column('tenant_state', {number})")


def citus_move_interrupted(stage):
    """kill -9 of `coditect cluster move` at moments all through a move; the next one finds everything in order."""
    yield
    platform, shard = stage.platform, home_shard(stage)
    target = next(f"127.0.0.1:{p}" for n, p in sorted(platform.values("ports").items())
                  if n.startswith("citus-worker") and f"127.0.0.1:{p}" != stage.worker_address)
    killed = 0
    for step in range(4 if stage.short else 12):
        command = subprocess.Popen([BINARY, "cluster", "move", shard, target, "--state", platform.state], env=clean_environment(),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.15 + 0.1 * step)
        killed += command.poll() is None
        command.kill()
        command.wait()
    wait_until(lambda: cluster(stage, "move", shard, target, check=False).returncode == 0, 60, 1)
    stage.notes.append(f"{killed} moves killed")
    if killed < 2:
        raise AssertionError("no move was interrupted")
    wait_until(lambda: cluster(stage, "verify", check=False).returncode == 0, 30, 1)
    return time.monotonic()


def citus_prepared_left(stage):
    """Transactions are left prepared on a worker, with locks on a tenant's rows: Citus's daemon ends them."""
    yield
    platform = stage.platform
    number = platform.sql(f"SELECT id FROM tenants WHERE slug = '{stage.clients[0].slug}'", "coditect_directory")
    group = platform.sql(f"SELECT groupid FROM pg_dist_node WHERE nodeport = {stage.worker_address.rsplit(':', 1)[1]}")
    shard = platform.sql(f"SELECT shard_name('tenant_state', {home_shard(stage)})")
    # Named as the coordinator names its own, with no commit record: it must be rolled back.
    for turn in range(3):  # the daemon may have looked a moment before or after
        platform.sql_at(stage.worker, "SET citus.enable_manual_changes_to_shards = on", "BEGIN",
                        f"DO $$ BEGIN PERFORM 1 FROM {shard} WHERE tenant_id = {number} FOR UPDATE; END $$",
                        f"PREPARE TRANSACTION 'citus_0_{999990 + turn}_{group}_0'")
        wait_until(lambda: platform.sql_at(stage.worker, "SELECT count(*) FROM pg_prepared_xacts") == "0", 40, 0.2)
    return time.monotonic()


def citus_worker_replaced(stage):
    """A worker is lost for good; its standby is promoted and takes its place by `coditect cluster failover`."""
    platform, port = stage.platform, free_port()
    data, user = platform.path("standby"), ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    bin_dir = sorted(d for d in os.listdir("/usr/lib/postgresql"))[-1]
    bin_dir = f"/usr/lib/postgresql/{bin_dir}/bin"
    secrets, ports = platform.values("secrets"), platform.values("ports")
    environment = {**clean_environment(), "PGPASSWORD": secrets["postgres"]}
    subprocess.run([*user, f"{bin_dir}/pg_basebackup", "-D", data, "-R", "-X", "stream", "-c", "fast", "-h", "127.0.0.1", "-p", ports[stage.worker],
                    "-U", "coditect_admin"], check=True, capture_output=True, env=environment)
    server = [*user, f"{bin_dir}/postgres", "-D", data, "-p", str(port), "-k", platform.path("run"), "-c", "listen_addresses=127.0.0.1",
              "-c", "shared_preload_libraries=citus", "-c", "wal_level=logical", "-c", "max_connections=400", "-c", "max_worker_processes=32",
              "-c", "max_replication_slots=32", "-c", "max_wal_senders=32", "-c", "citus.node_conninfo=sslmode=prefer",
              "-c", "max_prepared_transactions=800"]
    standby = subprocess.Popen(server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stage.cleanup.callback(lambda: (standby.send_signal(signal.SIGINT), standby.wait(20)))
    # Synchronous from here on: what is acknowledged is there too.
    wait_until(lambda: platform.sql_at(stage.worker, "SELECT count(*) FROM pg_stat_replication") == "1", 30)
    platform.sql_at(stage.worker, "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
    wait_until(lambda: platform.sql_at(stage.worker, "SELECT sync_state FROM pg_stat_replication") == "sync", 30)
    yield
    pids = process_tree(platform, stage.worker)
    signal_all(pids, signal.SIGSTOP)  # kill would only make `up` start it again
    subprocess.run(["psql", "-XAtqc", "SELECT pg_promote()", f"host=127.0.0.1 port={port} user=coditect_admin dbname=postgres"],
                   check=True, capture_output=True, env=environment)
    wait_until(lambda: cluster(stage, "failover", stage.worker_address, f"127.0.0.1:{port}", check=False).returncode == 0, 30, 0.3)
    over = time.monotonic()
    stage.cleanup.callback(signal_all, pids, signal.SIGCONT)
    return over


def plain(short):
    return Stage(short)


# name -> (scenario, how its stage is made, what its clients must notice)
ALL = {
    "api killed": (api_killed, plain, SOME_FAIL),
    "postgres killed": (postgres_killed, plain, SOME_FAIL),
    "postgres immediate stop": (postgres_immediate_stop, plain, SOME_FAIL),
    "postgres frozen": (postgres_frozen, plain, SOME_WAIT),
    "disk full": (disk_full, prepare_disk_full, SOME_FAIL),
    "connection limit": (connection_limit, plain, SOME_FAIL),
    "lock held": (lock_held, plain, SOME_WAIT),
    "cut in COMMIT": (cut_in_commit, plain, SOME_FAIL),
    "database unreachable": (database_unreachable, plain, SOME_FAIL),
    "redis killed": (redis_killed, plain, NOTHING_FAILS),
    "redis frozen": (redis_frozen, plain, NOTHING_FAILS),
    "redis slow": (redis_slow, plain, NOTHING_FAILS),
    "redis wrong": (redis_wrong, plain, NOTHING_FAILS),
    "clock jumps": (clock_jumps, plain, NOTHING_FAILS),
    "idle and busy": (idle_and_busy_connections, plain, ANYTHING),
    "slowloris": (slowloris, plain, NOTHING_FAILS),
    "huge body": (huge_body, plain, NOTHING_FAILS),
    "smuggling": (smuggling, plain, NOTHING_FAILS),
    "rolling restarts": (rolling_restarts, plain, NOTHING_FAILS),
    "citus worker killed": (citus_worker_killed, citus, SOME_FAIL),
    "citus worker frozen": (citus_worker_frozen, citus, SOME_FAIL),
    "citus worker replaced": (citus_worker_replaced, citus, SOME_FAIL),
    "citus coordinator killed": (citus_coordinator_killed, citus, NOTHING_FAILS),
    "citus coordinator frozen": (citus_coordinator_frozen, citus, NOTHING_FAILS),
    "citus moves": (citus_moves, citus, NOTHING_FAILS),
    "citus move interrupted": (citus_move_interrupted, citus, NOTHING_FAILS),
    "citus left prepared": (citus_prepared_left, citus, SOME_WAIT),
}
