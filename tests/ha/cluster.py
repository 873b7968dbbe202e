"""A Citus cluster kept by Patroni with etcd as its store, on loopback: every node has an address of its own, as a pod has.
It runs the configuration that Kubernetes gets, with shorter times."""
import contextlib
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.request

import psycopg2

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FILES = f"{ROOT}/kubernetes/services/citus"
PG, SHARE = "/usr/lib/postgresql/15", "/usr/share/postgresql/15"
CITUS = os.path.exists(f"{SHARE}/extension/citus.control") and os.environ.get("HA_CITUS") != "stub"
PORT, REST, BACKUP = 25432, 28008, 28432
# Patroni waits for these times to pass; the proportions are the configuration's.
SHORTER = {"ttl: 45": "ttl: 20", "loop_wait: 10": "loop_wait: 5", "retry_timeout: 15": "retry_timeout: 7"}


def patroni_version():
    said = subprocess.run(["patroni", "--version"], capture_output=True, text=True).stdout
    return tuple(int(n) for n in re.findall(r"\d+", said)[:3])


def wait_for(what, check, seconds=90):
    """Until `check` gives something; it may raise while it waits."""
    end, last = time.time() + seconds, None
    while time.time() < end:
        try:
            found = check()
            if found:
                return found
        except (OSError, psycopg2.Error, ValueError) as e:
            last = e
        time.sleep(0.3)
    raise AssertionError(f"waited {seconds} s in vain: {what} ({last})")


class Node:
    """A pod: Patroni as it is started there, and beside it the server that backups are read from."""

    def __init__(self, cluster, group, index, name="citus", address=None, extra=None):
        self.cluster, self.group, self.index = cluster, group, index
        self.name = f"{name}-{group}-{index}"
        self.address = address or f"{cluster.network}.{group + 1}.{index + 1}"
        self.extra = extra or {}
        self.data = f"{cluster.folder}/{self.name}"
        self.log = f"{cluster.folder}/{self.name}.log"
        self.sockets = f"{cluster.folder}/run-{self.name}"
        self.run = f"{cluster.folder}/config-{self.name}"
        self.process = self.backups = None

    def environment(self):
        return {
            **self.cluster.environment(self.group),
            "PGBACKREST_PG1_PATH": self.data, "PGBACKREST_PG1_PORT": str(PORT), "PGBACKREST_PG1_SOCKET_PATH": self.sockets,
            "PATRONI_NAME": self.name,
            "PATRONI_CITUS_GROUP": str(self.group),
            "PATRONI_POSTGRESQL_DATA_DIR": self.data,
            "PATRONI_POSTGRESQL_BIN_DIR": self.cluster.bin,
            "PATRONI_POSTGRESQL_PGPASS": f"{self.cluster.folder}/pgpass-{self.name}",
            "PATRONI_POSTGRESQL_LISTEN": f"{self.address}:{PORT}",
            "PATRONI_POSTGRESQL_CONNECT_ADDRESS": f"{self.address}:{PORT}",
            "PATRONI_RESTAPI_LISTEN": f"{self.address}:{REST}",
            "PATRONI_RESTAPI_CONNECT_ADDRESS": f"{self.address}:{REST}",
            "PATRONI_SUPERUSER_PASSWORD": self.cluster.password,
            "PATRONI_REPLICATION_PASSWORD": self.cluster.password,
            "PATRONI_REWIND_PASSWORD": self.cluster.password,
            **self.cluster.store(self),
            "CITUS_ETC": self.cluster.etc, "CITUS_RUN": self.run, "CITUS_MEMORY_MIB": "256", "CITUS_CERTIFICATE_INTERVAL": "1",
            "PGBACKREST_TLS_SERVER_ADDRESS": self.address, "PGBACKREST_TLS_SERVER_PORT": str(BACKUP), "PGBACKREST_TLS_SERVER_AUTH": f"postgres=group-{self.group}",
            "PGBACKREST_TLS_SERVER_CA_FILE": f"{self.cluster.tls}/ca.crt", "PGBACKREST_TLS_SERVER_CERT_FILE": f"{self.cluster.tls}/tls.crt",
            "PGBACKREST_TLS_SERVER_KEY_FILE": f"{self.cluster.tls}/tls.key",
            **self.extra,
        }

    def start(self):
        for place in (self.sockets, self.run):
            os.makedirs(place, exist_ok=True)
        with open(f"{self.run}/40-drill.yml", "w", encoding="utf-8") as f:
            f.write(f"postgresql:\n  parameters:\n    unix_socket_directories: {self.sockets}\n")
        for place in (self.sockets, self.run):
            self.cluster.own(place)
        namespace = self.name if self.cluster.namespaces else None
        self.process = self.cluster.spawn(["bash", f"{self.cluster.etc}/citus/start.sh"], self.log, self.environment(), namespace)
        self.backups = self.cluster.spawn(["bash", f"{self.cluster.etc}/citus/start.sh", "with", "pgbackrest", "server"], f"{self.log}-pgbackrest", self.environment(), namespace)

    def end_backups(self):
        if self.backups and self.backups.poll() is None:
            self.backups.terminate()
            self.backups.wait(20)

    def postmaster(self):
        with open(f"{self.data}/postmaster.pid", encoding="ascii") as f:
            return int(f.readline())

    def kill(self):
        """As a node that loses power: nobody says goodbye."""
        with contextlib.suppress(OSError, ValueError):
            os.kill(self.postmaster(), signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        self.end_backups()

    def stop(self):
        self.end_backups()
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()

    def ask(self, path):
        context = ssl.create_default_context(cafile=f"{self.cluster.tls}/ca.crt")
        with urllib.request.urlopen(f"https://{self.address}:{REST}/{path}", context=context, timeout=3) as answer:
            return answer.read().decode()

    def rest(self, path="patroni"):
        return json.loads(self.ask(path))

    def metrics(self):
        return self.ask("metrics")

    def role(self):
        try:
            state = self.rest()
            return state["role"] if state["state"] == "running" else state["state"]
        except (OSError, ValueError):
            return None


class Cluster:
    def __init__(self, groups=2, replicas=2, store=None, namespaces=False):
        """`store` gives a node's environment for the store of the leader's key; without it an etcd of our own is started. With
        `namespaces` each node is in a network namespace of its own, on a bridge that it can be cut off from."""
        self.network = "10.77" if namespaces else "127.0"
        self.host = f"{self.network}.0.1"
        self.namespaces = namespaces
        self.store = store or (lambda node: {"PATRONI_ETCD3_HOSTS": f"{self.host}:{self.etcd_port}"})
        self.folder = tempfile.mkdtemp(prefix="coditect-ha-")
        self.etc = f"{self.folder}/etc"
        self.tls = f"{self.etc}/tls"
        self.repository = f"{self.folder}/repository"
        self.password = secrets.token_urlsafe(18)
        self.user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        self.bin = f"{PG}/bin"
        self.etcd_port = 23790
        self.processes = []
        self.nodes = [Node(self, g, i) for g in range(groups) for i in range(replicas)]
        if namespaces:
            self.make_namespaces()
        os.makedirs(self.repository)
        self.certificates()
        if not CITUS:
            self.stand_in()
        self.configure()
        self.own(self.folder)
        if not store:
            self.start_etcd()

    # --- What it stands on ---

    def configure(self):
        """What Kubernetes gets as ConfigMaps; times and paths are other ones."""
        os.makedirs(f"{self.etc}/citus")
        for name in ("start.sh", "backup.sh"):
            shutil.copy(f"{FILES}/{name}", f"{self.etc}/citus/{name}")
        with open(f"{FILES}/patroni.yml", encoding="utf-8") as f:
            text = f.read().replace("/etc/coditect/tls", self.tls)
        for long, short in SHORTER.items():
            assert long in text, long
            text = text.replace(long, short)
        if patroni_version() < (4,):
            text = text.replace("synchronous_mode: quorum", "synchronous_mode: true")
        with open(f"{self.etc}/citus/patroni.yml", "w", encoding="utf-8") as f:
            f.write(text)

    def own(self, path):
        if os.getuid() == 0:
            subprocess.run(["chown", "-R", f"{self.user}:{self.user}", path], check=True)

    def stand_in(self):
        """PostgreSQL in a tree of its own, which finds an extension "citus" there: some tables and functions, and a library that
        does nothing of the kind but can be preloaded. Installed files are linked, not changed."""
        tree = f"{self.folder}/tree"
        self.bin = f"{tree}{PG}/bin"
        shutil.copytree(f"{PG}/bin", self.bin)  # it looks for the others from where it is itself
        for source, target in ((f"{PG}/lib", f"{tree}{PG}/lib"), (SHARE, f"{tree}{SHARE}"), (f"{SHARE}/extension", f"{tree}{SHARE}/extension")):
            os.makedirs(target)
            for name in os.listdir(source):
                if name != "extension" and not name.startswith("citus"):
                    os.symlink(f"{source}/{name}", f"{target}/{name}")
        os.symlink(f"{PG}/lib/auto_explain.so", f"{tree}{PG}/lib/citus.so")
        with open(f"{tree}{SHARE}/extension/citus.control", "w", encoding="ascii") as f:
            f.write("default_version = '1'\nrelocatable = false\nschema = pg_catalog\n")
        shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), "stub.sql"), f"{tree}{SHARE}/extension/citus--1.sql")

    def certificates(self):
        """An authority and one certificate for all nodes, whose common name is the user that they log in as to each other."""
        os.makedirs(self.tls)
        addresses = [f"{self.network}.{g + 1}.{i + 1}" for g in range(4) for i in range(12)] + ["127.0.0.1", "127.0.8.1", "127.0.9.1", "127.0.9.2"]
        # pgBackRest looks for names only.
        names = ",".join(f"{kind}:{address}" for address in addresses for kind in ("IP", "DNS"))

        def openssl(*words, text=None):
            subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=self.tls, input=text, text=True)
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=drill authority",
                "-keyout", "ca.key", "-out", "ca.crt")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=postgres", "-keyout", "tls.key", "-out", "tls.csr")
        with open(f"{self.tls}/names", "w", encoding="ascii") as f:
            f.write(f"subjectAltName={names}\n")
        for key in ("ca.key", "tls.key"):
            os.chmod(f"{self.tls}/{key}", 0o600)
        self.renew_certificate()

    def renew_certificate(self):
        subprocess.run(["openssl", "x509", "-req", "-in", "tls.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names",
                        "-out", "new.crt"], check=True, capture_output=True, cwd=self.tls)
        self.own(f"{self.tls}/new.crt")
        os.replace(f"{self.tls}/new.crt", f"{self.tls}/tls.crt")

    def environment(self, group):
        return {
            "PATH": f"{self.bin}:/usr/bin:/bin:/usr/sbin", "LC_ALL": "C.UTF-8", "HOME": self.folder,
            "PGBACKREST_STANZA": f"group-{group}", "PGBACKREST_REPO1_PATH": self.repository, "PGBACKREST_LOG_PATH": self.folder,
            "PGBACKREST_LOCK_PATH": f"{self.folder}/lock-{group}", "PGBACKREST_SPOOL_PATH": self.folder, "PGBACKREST_CONFIG": "/dev/null",
            "PGBACKREST_START_FAST": "y", "PGBACKREST_REPO1_RETENTION_FULL": "2", "PGBACKREST_LOG_LEVEL_CONSOLE": "warn", "PGBACKREST_LOG_LEVEL_FILE": "off",
        }

    # --- Network namespaces ---

    BRIDGE = "coditect-ha"

    @staticmethod
    def ip(*words, check=True):
        subprocess.run(["ip", *words], check=check, capture_output=True)

    def make_namespaces(self):
        self.remove_namespaces()
        self.ip("link", "add", self.BRIDGE, "type", "bridge")
        self.ip("address", "add", f"{self.host}/16", "dev", self.BRIDGE)
        self.ip("link", "set", self.BRIDGE, "up")
        for node in self.nodes:
            outside = f"cdt{node.group}{node.index}"
            self.ip("netns", "add", node.name)
            self.ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", node.name)
            self.ip("link", "set", outside, "master", self.BRIDGE, "up")
            self.ip("-n", node.name, "address", "add", f"{node.address}/16", "dev", "eth0")
            for device in ("lo", "eth0"):
                self.ip("-n", node.name, "link", "set", device, "up")

    def remove_namespaces(self):
        for node in self.nodes:
            self.ip("netns", "delete", node.name, check=False)
        self.ip("link", "delete", self.BRIDGE, check=False)

    def cut(self, node, off=True):
        """Nobody hears it, and it hears nobody: not the store, not the other nodes, not its clients."""
        self.ip("link", "set", f"cdt{node.group}{node.index}", "down" if off else "up")

    def command(self, words, namespace=None):
        words = ["setpriv", "--reuid", self.user, "--regid", self.user, "--init-groups", *words] if os.getuid() == 0 else words
        return ["ip", "netns", "exec", namespace, *words] if namespace else words

    def spawn(self, words, log, environment, namespace=None):
        with open(log, "ab") as out:
            process = subprocess.Popen(self.command(words, namespace), stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment, cwd=self.folder)
        self.processes.append(process)
        return process

    def run(self, words, environment=None, check=True):
        done = subprocess.run(self.command(words), capture_output=True, text=True, env=environment or self.environment(0), cwd=self.folder, timeout=180)
        if check and done.returncode:
            raise AssertionError(f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def start_etcd(self):
        client, peer, host = self.etcd_port, self.etcd_port + 1, self.host
        self.etcd = self.spawn(["etcd", "--name", "one", "--data-dir", f"{self.folder}/etcd", "--listen-client-urls", f"http://{host}:{client}",
                                "--advertise-client-urls", f"http://{host}:{client}", "--listen-peer-urls", f"http://{host}:{peer}",
                                "--initial-advertise-peer-urls", f"http://{host}:{peer}", "--initial-cluster", f"one=http://{host}:{peer}"],
                               f"{self.folder}/etcd.log", {"PATH": "/usr/bin:/bin", "ETCD_UNSUPPORTED_ARCH": ""})
        wait_for("etcd", lambda: urllib.request.urlopen(f"http://{host}:{client}/health", timeout=2).status == 200, 30)

    # --- Looking ---

    def group(self, group):
        return [n for n in self.nodes if n.group == group]

    def leader(self, group):
        return next((n for n in self.group(group) if n.role() in ("master", "primary")), None)

    def standby(self, group):
        return next((n for n in self.group(group) if n.role() == "replica"), None)

    def synchronous(self, group):
        """A standby without which no commit is acknowledged."""
        leader = self.leader(group)
        return leader and any(r["sync_state"] in ("sync", "quorum") for r in leader.rest().get("replication", []))

    def whole(self):
        return all(self.leader(g) and self.standby(g) and self.synchronous(g) for g in {n.group for n in self.nodes})

    def dsn(self, group=0, database="coditect_cell"):
        hosts = ",".join(n.address for n in self.group(group))
        return (f"host={hosts} port={PORT} dbname={database} user=postgres sslmode=verify-full sslrootcert={self.tls}/ca.crt sslcert={self.tls}/tls.crt "
                f"sslkey={self.tls}/tls.key connect_timeout=3 target_session_attrs=read-write application_name=drill "
                "keepalives_idle=2 keepalives_interval=1 keepalives_count=3 tcp_user_timeout=5000")

    def connect(self, group=0, database="coditect_cell"):
        connection = psycopg2.connect(self.dsn(group, database))
        connection.autocommit = True
        return connection

    def query(self, sql, group=0, database="coditect_cell"):
        with contextlib.closing(self.connect(group, database)) as c, c.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def metadata(self):
        """Address of each group's leader, as Citus knows it."""
        return dict(self.query("SELECT groupid, nodename FROM pg_dist_node WHERE noderole = 'primary' ORDER BY 1"))

    def ctl(self, *words):
        return self.run(["patronictl", "-c", f"{self.nodes[0].run}/10-patroni.yml", *words], self.nodes[0].environment())

    # --- What is in front ---

    @contextlib.contextmanager
    def service(self, group):
        """As a Kubernetes Service whose endpoint Patroni keeps: a port that leads to the group's leader."""
        listener = socket.create_server(("127.0.8.1", PORT))
        done = threading.Event()

        def copy(a, b):
            with contextlib.suppress(OSError):
                while data := a.recv(65536):
                    b.sendall(data)
            for s in (a, b):
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)

        def both(client, server):
            with client, server:
                back = threading.Thread(target=copy, args=(server, client), daemon=True)
                back.start()
                copy(client, server)
                back.join()

        def serve():
            while not done.is_set():
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                leader = self.leader(group)
                try:
                    server = socket.create_connection((leader.address, PORT), timeout=3)
                    server.settimeout(None)
                except (OSError, AttributeError):
                    client.close()
                    continue
                threading.Thread(target=both, args=(client, server), daemon=True).start()
        threading.Thread(target=serve, daemon=True).start()
        try:
            yield "127.0.8.1"
        finally:
            done.set()
            listener.shutdown(socket.SHUT_RDWR)  # or accept() would keep the address
            listener.close()

    @contextlib.contextmanager
    def pgbouncer(self, host):
        """With the configuration that Kubernetes gets; a connection string."""
        users, config = f"{self.folder}/users", f"{self.folder}/pgbouncer.ini"
        with open(f"{ROOT}/kubernetes/services/citus/pgbouncer.ini", encoding="utf-8") as f:
            text = f.read()
        for old, new in (("host=citus-0 port=5432", f"host={host} port={PORT}"), ("/etc/coditect/tls", self.tls), ("/etc/coditect/pgbouncer/users", users),
                         ("listen_addr = 0.0.0.0", "listen_addr = 127.0.8.1")):
            assert old in text, old
            text = text.replace(old, new)
        with open(users, "w", encoding="utf-8") as f:
            f.write(f'"postgres" "{self.password}"\n')
        with open(config, "w", encoding="utf-8") as f:
            f.write(text)
        self.own(self.folder)
        process = self.spawn(["bash", f"{self.etc}/citus/start.sh", "with", "pgbouncer", config], f"{self.folder}/pgbouncer.log",
                             {**self.environment(0), "CITUS_ETC": self.etc, "CITUS_CERTIFICATE_INTERVAL": "1"})
        dsn = f"host=127.0.8.1 port=6432 dbname=coditect_cell user=postgres password={self.password} sslmode=require connect_timeout=3"

        def answers():
            psycopg2.connect(dsn).close()
            return True
        wait_for("pgbouncer", answers, 20)
        try:
            yield dsn
        finally:
            process.terminate()
            process.wait(20)

    # --- Backups ---

    def backup_script(self, *words, check=True, patience=60):
        """As the CronJobs run it: beside the cluster, by certificate, without knowing who leads."""
        hosts = f"{self.folder}/hosts"
        with open(hosts, "w", encoding="utf-8") as f:
            f.writelines(f"{n.group} {n.address} {n.data} {n.sockets}\n" for n in self.nodes)
        self.own(hosts)
        environment = {**self.environment(0), "CITUS_HOSTS": hosts, "CITUS_TLS": self.tls, "CITUS_PORT": str(PORT), "CITUS_BACKUP_PORT": str(BACKUP),
                       "CITUS_ARCHIVE_PATIENCE": str(patience), "PGBACKREST_LOCK_PATH": f"{self.folder}/lock-job"}
        del environment["PGBACKREST_STANZA"]
        return self.run(["bash", f"{self.etc}/citus/backup.sh", *words], environment, check)

    def back_up(self, kind="full"):
        """Name of the restore point that was made."""
        return re.search(r"restore point (\S+):", self.backup_script(kind)).group(1)

    @contextlib.contextmanager
    def restored(self, name):
        """A cluster that Patroni makes of the repository as it was at the point, beside the one that runs; a query function."""
        extra = {"PATRONI_NAMESPACE": "/restored", "CITUS_RESTORE_POINT": name}
        nodes = [Node(self, group, 0, "restored", f"127.0.9.{group + 1}", extra) for group in sorted({n.group for n in self.nodes})]

        def query(sql, group=0):
            where = (f"host={nodes[group].address} port={PORT} dbname=coditect_cell user=postgres sslmode=verify-full sslrootcert={self.tls}/ca.crt "
                     f"sslcert={self.tls}/tls.crt sslkey={self.tls}/tls.key connect_timeout=3")
            with contextlib.closing(psycopg2.connect(where)) as c, c.cursor() as cursor:
                c.autocommit = True
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        try:
            for node in nodes:
                node.start()
            for node in nodes:
                wait_for(f"{node.name} leads", lambda node=node: node.role() in ("master", "primary"), 120)
            # Its coordinator's list of nodes was the old cluster's.
            wait_for("metadata", lambda: dict(query("SELECT groupid, nodename FROM pg_dist_node WHERE noderole = 'primary'")) == {
                n.group: n.address for n in nodes}, 60)
            if CITUS:
                query("SELECT recover_prepared_transactions()")
            yield query
        finally:
            for node in nodes:
                node.stop()

    # --- The end ---

    def close(self):
        for node in self.nodes:
            node.stop()
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        if self.namespaces:
            self.remove_namespaces()
        shutil.rmtree(self.folder, ignore_errors=True)


class Ledger:
    """Money that is moved between accounts, and a list of every transfer that was acknowledged. On Citus the accounts are on all
    nodes; on the stand-in they are on the group's own."""
    ACCOUNTS, EACH = 40, 1000

    def __init__(self, cluster, group=0):
        self.cluster, self.group = cluster, group
        self.acknowledged, self.unknown, self.refused = set(), set(), 0
        self.longest = 0.0
        self.stopping = threading.Event()
        self.threads = []

    def create(self):
        statements = ["CREATE SCHEMA drill", "CREATE TABLE drill.accounts (tenant_id bigint PRIMARY KEY, amount bigint NOT NULL)",
                      "CREATE TABLE drill.transfers (tenant_id bigint, id bigint, PRIMARY KEY (tenant_id, id))"]
        if CITUS:
            statements += ["SET citus.shard_count = 8; SELECT create_distributed_table('drill.accounts', 'tenant_id')",
                           "SET citus.shard_count = 8; SELECT create_distributed_table('drill.transfers', 'tenant_id', colocate_with => 'drill.accounts')"]
        for sql in (*statements, f"INSERT INTO drill.accounts SELECT n, {self.EACH} FROM generate_series(1, {self.ACCOUNTS}) n"):
            self.cluster.query(sql, self.group)

    def start(self, dsn=None, threads=2):
        self.stopping.clear()
        self.dsn = dsn
        self.threads = [threading.Thread(target=self.work, args=(t,)) for t in range(threads)]
        for thread in self.threads:
            thread.start()

    def work(self, thread):
        connection, number, last = None, 0, time.time()
        base = (int(time.time() * 1000) << 12) + thread
        while not self.stopping.is_set():
            number += 1
            identity = base + number * 8
            source, target = 1 + (number * 7 + thread) % self.ACCOUNTS, 1 + (number * 13 + thread + 5) % self.ACCOUNTS
            sent = False
            try:
                if connection is None:
                    connection = psycopg2.connect(self.dsn or self.cluster.dsn(self.group))
                    with connection.cursor() as cursor:
                        cursor.execute("SET statement_timeout = '15s'")
                    connection.commit()
                with connection.cursor() as cursor:
                    cursor.execute("UPDATE drill.accounts SET amount = amount - 1 WHERE tenant_id = %s", (source,))
                    cursor.execute("UPDATE drill.accounts SET amount = amount + 1 WHERE tenant_id = %s", (target,))
                    cursor.execute("INSERT INTO drill.transfers VALUES (%s, %s)", (source, identity))
                sent = True
                connection.commit()
                # A warning instead of an acknowledgement: the commit is local only.
                if any("locally" in notice for notice in connection.notices):
                    raise psycopg2.OperationalError("not replicated")
                self.acknowledged.add((source, identity))
            except psycopg2.Error:
                if sent:
                    self.unknown.add((source, identity))
                self.refused += 1
                with contextlib.suppress(psycopg2.Error, AttributeError):
                    connection.close()
                connection = None
                time.sleep(0.1)
                continue
            self.longest = max(self.longest, time.time() - last)  # between two acknowledgements of one client
            last = time.time()
            time.sleep(0.02)
        if connection:
            connection.close()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)

    def check(self, query=None):
        """(acknowledged transfers that are gone, transfers there that nobody sent, the sum's difference)"""
        query = query or self.cluster.query
        there = set(query("SELECT tenant_id, id FROM drill.transfers", self.group))
        total = query("SELECT sum(amount) FROM drill.accounts", self.group)[0][0]
        return len(self.acknowledged - there), len(there - self.acknowledged - self.unknown), int(total) - self.ACCOUNTS * self.EACH
