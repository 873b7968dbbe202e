"""What the benches share: a platform of their own, load, CPU and memory by process, tables."""
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = f"{ROOT}/build/release/coditect"
LOAD = f"{ROOT}/build/release/bench/load"
RESULTS = f"{ROOT}/bench/results"
TICK = os.sysconf("SC_CLK_TCK")


def postgres_bin():
    base = "/usr/lib/postgresql"
    return f"{base}/{max(os.listdir(base), key=int)}/bin"


def note(text):
    print(text, file=sys.stderr, flush=True)


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# --- processes

def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(p) for p in f.read().split()]


def tree(pid):
    out = [pid]
    for child in children(pid):
        try:
            out += tree(child)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return out


def cpu_seconds(pids):
    """User and system time of these processes, and of children of theirs that have ended."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            total += sum(int(f) for f in fields[11:15])
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total / TICK


def memory_mib(pids):
    """Proportional set size: shared pages are counted once."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
                total += next(int(line.split()[1]) for line in f if line.startswith("Pss:"))
        except (FileNotFoundError, StopIteration):
            pass
    return total / 1024


class Cpu:
    """CPU seconds that groups of processes use between two moments."""

    def __init__(self, **groups):
        self.groups = groups
        self.start = {name: cpu_seconds(pids()) for name, pids in groups.items()}

    def used(self):
        return {name: cpu_seconds(pids()) - self.start[name] for name, pids in self.groups.items()}


# --- the platform

class Platform:
    """`coditect up` with a state directory of its own, which is removed at the end."""

    def __init__(self, *flags, state=None):
        if not os.path.exists(PROGRAM):
            raise SystemExit("build it first: cmake --preset release && cmake --build --preset release")
        # PostgreSQL's own user must be able to enter it.
        self.state = state or tempfile.mkdtemp(prefix="coditect-bench-", dir="/var/tmp")
        self.port = free_port()
        self.flags = ["--http-access-log", "false", "--auth-signup-per-address", "1000000",
                      "--auth-signup-global", "10000000", *flags]
        self.start()

    def start(self):
        subprocess.run([PROGRAM, "up", "--detach", "--no-demo", "--state", self.state, "--http-port",
                        str(self.port), *self.flags], check=True, stdout=subprocess.DEVNULL)
        with open(f"{self.state}/lock", encoding="ascii") as f:
            self.pid = int(f.read())
        self.ports = self._values("ports")
        self.secrets = self._values("secrets")

    def _values(self, name):
        with open(f"{self.state}/{name}", encoding="utf-8") as f:
            return dict(line.rstrip("\n").split(" ", 1) for line in f)

    def stop(self):
        subprocess.run([PROGRAM, "down", "--state", self.state], check=True, stdout=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            shutil.rmtree(self.state, ignore_errors=True)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    @property
    def url(self):
        return f"http://{self.address}"

    @property
    def is_citus(self):
        return os.path.exists(f"{self.state}/citus")

    @property
    def cell_server(self):
        return self._values("citus")["coordinator"] if self.is_citus else "postgres"

    def conninfo(self, database="coditect_cell"):
        port = self.ports[self.cell_server if database == "coditect_cell" else "postgres"]
        return f"host={self.state}/run port={port} user=coditect_admin dbname={database} password={self.secrets['postgres']}"

    def app_conninfo(self):
        """As the API reaches the cell: over TCP, for workers are reached so."""
        return (f"host=127.0.0.1 port={self.ports[self.cell_server]} user=coditect_app dbname=coditect_cell "
                f"password={self.secrets['app']}")

    def second_api(self, *flags):
        """Another API on this platform's servers, with other settings."""
        return SecondApi(self, *flags)

    def psql(self, sql, database="coditect_cell"):
        done = subprocess.run([f"{postgres_bin()}/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", self.conninfo(database)],
                              input=sql, text=True, capture_output=True)
        if done.returncode != 0:
            raise SystemExit(done.stderr)
        return [line.split("|") for line in done.stdout.splitlines()]

    def api_pids(self):
        return [self.pid]

    def server_pids(self, name):
        with open(f"{self.state}/{name}/postmaster.pid", encoding="ascii") as f:
            return tree(int(f.readline()))

    def postgres_pids(self):
        """Of the servers that hold the tenants."""
        return self.coordinator_pids() + self.worker_pids() if self.is_citus else self.server_pids("postgres")

    def coordinator_pids(self):
        return self.server_pids(self.cell_server)

    def worker_pids(self):
        return [pid for n in range(int(self._values("citus")["workers"])) for pid in self.server_pids(f"citus-worker-{n + 1}")]

    def cluster(self, *arguments, check=True):
        """`coditect cluster` on it."""
        done = subprocess.run([PROGRAM, "cluster", *arguments, "--state", self.state], capture_output=True, text=True)
        if check and done.returncode != 0:
            raise SystemExit(f"coditect cluster {arguments[0]}: {done.stdout}{done.stderr}")
        return done

    def redis_pids(self):
        return [p for p in children(self.pid) if "redis" in open(f"/proc/{p}/comm", encoding="ascii").read()]

    def cell_connections(self):
        return int(self.psql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'coditect_app' AND datname = 'coditect_cell'")[0][0])

    def import_tenants(self, count, prefix="bench", api_keys=True):
        """Adds tenants; their API keys in order."""
        path = f"{self.state}/{prefix}.csv"
        with open(path, "w", encoding="utf-8") as f:
            f.write("slug,name,owner_email\n")
            for i in range(count):
                f.write(f"{prefix}-{i:07d},Tenant {i},owner{i}@{prefix}.example\n")
        command = [PROGRAM, "tenant", "import", path, "--state", self.state]
        if api_keys:
            command += ["--api-keys", path + ".keys"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        if not api_keys:
            return []
        with open(path + ".keys", encoding="utf-8") as f:
            return [line.rstrip("\n").split(",") for line in f]

    def load(self, requests, seconds=5, connections=64, expect=200, warm_up=1, rate=0):
        """Requests are (method, path, authorization, body); None: none."""
        path = f"{self.state}/requests.tsv"
        write_requests(path, requests)
        return run_load(self.address, path, seconds, connections, expect, warm_up, rate)


class SecondApi:
    """`coditect serve api` beside a platform; what it does not have itself is the platform's."""

    def __init__(self, platform, *flags, health=None):
        self.platform, self.port = platform, free_port()
        self.health = health or self.port  # the port that says whether it is ready
        secrets, ports = platform.secrets, platform.ports
        environment = {**os.environ, "CODITECT_DATABASE_URL": f"host={platform.state}/run port={ports['postgres']}",
                       "CODITECT_CELL_URL": f"host={platform.state}/run port={ports[platform.cell_server]}",
                       "CODITECT_REDIS_URL": f"redis://:{secrets['redis']}@127.0.0.1:{ports['redis']}",
                       "CODITECT_SEALING_KEYS": secrets["sealing_keys"],
                       **{f"CODITECT_DATABASE_{r.upper()}_PASSWORD": secrets[r] for r in ("app", "operator", "maintenance")}}
        self.process = subprocess.Popen([PROGRAM, "serve", "api", "--http-port", str(self.port), "--http-access-log", "false", *flags],
                                        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __getattr__(self, name):
        return getattr(self.platform, name)

    def __enter__(self):
        for _ in range(300):
            try:
                get(f"http://127.0.0.1:{self.health}/health/ready")
                return self
            except OSError:
                time.sleep(0.1)
        raise SystemExit("the second API does not answer")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)

    def api_pids(self):
        return [self.process.pid]

    def load(self, requests, seconds=5, connections=64, expect=200, warm_up=1, rate=0):
        path = f"{self.platform.state}/requests.tsv"
        write_requests(path, requests)
        return run_load(f"127.0.0.1:{self.port}", path, seconds, connections, expect, warm_up, rate)


def write_requests(path, requests):
    with open(path, "w", encoding="utf-8") as f:
        for method, target, authorization, body in requests:
            f.write(f"{method}\t{target}\t{authorization or '-'}\t{body or '-'}\n")


def run_load(address, path, seconds=5, connections=64, expect=200, warm_up=1, rate=0, count=0):
    done = subprocess.run([LOAD, "--address", address, "--requests", path, "--seconds", str(seconds),
                           "--connections", str(connections), "--expect", str(expect), "--warm-up", str(warm_up),
                           "--rate", str(rate), "--count", str(count)],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"load failed: {done.stderr}{done.stdout}")
    return json.loads(done.stdout)


def pgbench(conninfo, script, connections, seconds=5, folder="/tmp"):
    """Transactions per second of a script with -M prepared."""
    path = os.path.join(folder, "pgbench.sql")
    with open(path, "w", encoding="utf-8") as f:
        f.write(script)
    os.chmod(path, 0o644)
    done = subprocess.run([f"{postgres_bin()}/pgbench", "-n", "-M", "prepared", "-c", str(connections), "-j", "2",
                           "-T", str(seconds), "-f", path, conninfo], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return next(float(line.split()[2]) for line in done.stdout.splitlines() if line.startswith("tps"))


def get(url, key=None):
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


# --- results

def median(values):
    return statistics.median(values)


def table(title, columns, rows):
    print(f"\n{title}")
    text = [[c if isinstance(c, str) else f"{c:,.0f}" if abs(c) >= 1000 else f"{c:.3g}" for c in row] for row in rows]
    widths = [max(len(r[i]) for r in [columns, *text]) for i in range(len(columns))]
    for row in [columns, *text]:
        print("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))).rstrip())
    sys.stdout.flush()


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "unknown")
    return {"cpu": model, "cores": os.cpu_count(), "kernel": os.uname().release,
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)}


def save(name, data):
    """Keeps a run's figures for bench/plot.py."""
    os.makedirs(RESULTS, exist_ok=True)
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    with open(f"{RESULTS}/{name}.json", "w", encoding="utf-8") as f:
        json.dump({"bench": name, "at": time.strftime("%Y-%m-%d"), "commit": commit, "machine": machine(), **data}, f, indent=1)
        f.write("\n")


def interrupt_as_exit():
    """Ctrl-C and kill unwind, so that what was started is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
