"""PostgreSQL servers of a test's own, with TLS and nothing but TLS, as a user who is not root."""
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

from platform_under_test import clean_environment, free_port

PASSWORD = "administrators"


def bin_dir():
    return max(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda d: int(d.split("/")[-2]))


class Servers:
    """`count` servers; every connection over TCP is encrypted or refused."""

    def __init__(self, count, preload="citus"):
        self.folder, self.preload = tempfile.mkdtemp(prefix="coditect-servers-"), preload
        self.user = "postgres" if os.geteuid() == 0 else None
        self.authority = f"{self.folder}/authority.crt"
        self.make_certificates()
        self.ports, self.processes = [free_port() for _ in range(count)], []
        for n, port in enumerate(self.ports):
            self.start(f"{self.folder}/{n}", port)
        for port in self.ports:
            self.wait_for(port)

    def make_certificates(self):
        run = lambda *words: subprocess.run(words, check=True, capture_output=True, cwd=self.folder)  # noqa: E731
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=authority", "-keyout", "authority.key", "-out", "authority.crt")
        run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=node", "-keyout", "server.key", "-out", "server.csr")
        with open(f"{self.folder}/names", "w") as f:
            f.write("subjectAltName = IP:127.0.0.1\n")
        run("openssl", "x509", "-req", "-in", "server.csr", "-CA", "authority.crt", "-CAkey", "authority.key", "-CAcreateserial", "-days", "2",
            "-extfile", "names", "-out", "server.crt")
        os.chmod(self.folder, 0o755)
        if self.user:
            account = pwd.getpwnam(self.user)
            for path in (self.folder, f"{self.folder}/server.key"):
                os.chown(path, account.pw_uid, account.pw_gid)

    def as_user(self, *words):
        return ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups", *words] if self.user else list(words)

    def start(self, data, port):
        with open(f"{self.folder}/password", "w") as f:
            f.write(PASSWORD)
        subprocess.run(self.as_user(f"{bin_dir()}/initdb", "-D", data, "-U", "admin", f"--pwfile={self.folder}/password", "--auth=scram-sha-256", "--no-sync",
                                    "--encoding=UTF8", "--locale=C.UTF-8"), check=True, capture_output=True, cwd="/")
        with open(f"{data}/pg_hba.conf", "w") as f:
            f.write("hostssl all all 127.0.0.1/32 scram-sha-256\nhostssl replication all 127.0.0.1/32 scram-sha-256\n")
        settings = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}", "ssl=on", f"ssl_cert_file={self.folder}/server.crt",
                    f"ssl_key_file={self.folder}/server.key", f"shared_preload_libraries={self.preload}", "wal_level=logical", "max_connections=200",
                    "max_prepared_transactions=200", "max_replication_slots=32", "max_wal_senders=32", "max_worker_processes=32", "fsync=off"]
        with open(f"{data}.log", "w") as log:
            self.processes.append(subprocess.Popen(self.as_user(f"{bin_dir()}/postgres", "-D", data, *(w for s in settings for w in ("-c", s))), stdout=log,
                                                   stderr=log, cwd="/", env={**clean_environment(), "HOME": self.folder}))

    def url(self, port, database="postgres"):
        return f"host=127.0.0.1 port={port} user=admin dbname={database} sslmode=verify-full sslrootcert={self.authority} password={PASSWORD}"

    def sql(self, port, sql, database="postgres"):
        done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql, self.url(port, database)], env=clean_environment(), capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(done.stderr)
        return done.stdout.strip()

    def wait_for(self, port):
        for _ in range(300):
            try:
                return self.sql(port, "SELECT 1")
            except AssertionError as e:
                last = e
            time.sleep(0.1)
        raise last

    def remove(self):
        for process in self.processes:
            process.send_signal(signal.SIGINT)
        for process in self.processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)
