"""The Debian package: what is in it, and an upgrade and a return under traffic with no failed request."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import uuid

from platform_under_test import FAST, ROOT, Client, Platform, clean_environment, free_port, serve_environment


def run(*command, cwd=None, env=None):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**clean_environment(), **(env or {})})
    if done.returncode:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def make_package(source, build, into, number):
    """The runtime package of a built tree."""
    os.makedirs(into)
    run("cpack", "--config", f"{build}/CPackConfig.cmake", "-B", into, "-D", f"CPACK_PACKAGE_VERSION=0.1.0+{number}", "-D", "CPACK_COMPONENTS_ALL=runtime", cwd=build)
    names = [n for n in os.listdir(into) if n.startswith("coditect_") and n.endswith(".deb")]
    assert len(names) == 1, os.listdir(into)
    return os.path.join(into, names[0])


def previous_commits_package(folder):
    """Built in a worktree of its own; None with the reason when there is no previous commit or it makes no package."""
    changed = subprocess.run(["git", "status", "--porcelain", "--", "src", "cmake", "CMakeLists.txt", "packaging"], cwd=ROOT, capture_output=True, text=True)
    wanted = "HEAD" if changed.stdout.strip() else "HEAD~1"
    if subprocess.run(["git", "rev-parse", "--verify", "-q", wanted], cwd=ROOT, capture_output=True).returncode:
        return None, "there is no previous commit here"
    tree = f"{folder}/previous"
    run("git", "worktree", "prune", cwd=ROOT)
    run("git", "worktree", "add", "--detach", tree, wanted, cwd=ROOT)
    try:
        if not os.path.exists(f"{tree}/packaging"):
            return None, "the previous commit has no package"
        run("cmake", "--preset", "release", cwd=tree)
        run("cmake", "--build", "--preset", "release", "--target", "coditect", cwd=tree)
        return make_package(tree, f"{tree}/build/release", f"{folder}/deb-previous", 1), None
    finally:
        run("git", "worktree", "remove", "--force", tree, cwd=ROOT)


def unit_value(path, key):
    with open(path) as f:
        return next(line.split("=", 1)[1].strip() for line in f if line.startswith(key + "="))


class SocketManager:
    """What systemd does with the two units: holds the socket, starts the service with it, and replaces it on restart."""

    def __init__(self, port, environment):
        self.environment = environment
        self.socket = socket.create_server(("127.0.0.1", port), backlog=4096)
        self.process = None

    def start(self, root):
        service = f"{root}/usr/lib/systemd/system/coditect-api.service"
        words = unit_value(service, "ExecStart").split()
        program = root + words[0]
        arguments = [root + w if w.startswith("/etc/") else w for w in words[1:]]
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = tempfile.mktemp(prefix="coditect-notify-")
        notify.bind(path)
        notify.settimeout(60)
        # sd_listen_fds(3): the socket as descriptor 3, and the process's own id.
        script = 'fd=$1; shift; exec 3<&"$fd"; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'
        self.process = subprocess.Popen(["bash", "-c", script, "-", str(self.socket.fileno()), program, *arguments, *FAST], pass_fds=[self.socket.fileno()],
                                        env={**clean_environment(), **self.environment, "NOTIFY_SOCKET": path}, stderr=subprocess.DEVNULL)
        assert notify.recv(100) == b"READY=1"
        notify.close()
        os.unlink(path)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def close(self):
        self.socket.close()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Traffic:
    """Readers and writers on lasting connections, each write with an idempotency key. A lasting connection that the server
    ended between two requests is opened anew, once, as RFC 9112 section 9.3.1 wants of every client; all else is a failure."""

    def __init__(self, clients):
        self.stop, self.lock = threading.Event(), threading.Lock()
        self.requests, self.failures, self.written, self.slowest = 0, [], set(), 0.0
        self.threads = [threading.Thread(target=self.run, args=(c, n)) for c in clients for n in range(4)]
        [t.start() for t in self.threads]

    def ask(self, connection, client, method, path, body=None, headers=None):
        headers = {"Authorization": "Bearer " + client.key, "Content-Type": "application/json", **(headers or {})}
        for fresh in (False, True):
            if fresh:
                connection.close()
            was_open = connection.sock is not None
            try:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                if fresh and answer.getheader("Idempotent-Replayed"):
                    return "done, and its answer was lost", answer.read()
                return answer.status, answer.read()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                if not was_open:
                    raise

    def run(self, client, who):
        connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
        n = 0
        while not self.stop.is_set():
            n += 1
            if who == 0:
                connection.close()  # one in four opens a connection for each request
            name = f"{client.slug}-{uuid.uuid4().hex}"
            start = time.time()
            try:
                if n % 2:
                    status, body = self.ask(connection, client, "POST", client.own("/projects"), json.dumps({"name": name}), {"Idempotency-Key": name})
                    good = status == 201 and json.loads(body)["name"] == name
                else:
                    status, body = self.ask(connection, client, "GET", client.own("/projects?page_size=1"))
                    good = status == 200
            except (OSError, http.client.HTTPException) as e:
                status, body, good = repr(e), b"", False
            with self.lock:
                self.requests += 1
                self.slowest = max(self.slowest, time.time() - start)
                if not good:
                    self.failures.append((status, body[:300]))
                elif n % 2:
                    self.written.add(name)
        connection.close()

    def finish(self):
        self.stop.set()
        [t.join() for t in self.threads]


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="coditect-package-")
        os.chmod(cls.folder, 0o755)
        cls.deb = make_package(ROOT, f"{ROOT}/build/release", f"{cls.folder}/deb", 2)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    def unpack(self, deb, name):
        root = f"{self.folder}/{name}"
        run("dpkg-deb", "-x", deb, root)
        return root

    def test_it_has_a_program_units_a_config_file_and_what_it_depends_on(self):
        root = self.unpack(self.deb, "look")
        self.assertRegex(run(f"{root}/usr/bin/coditect", "--version"), r"^coditect 0\.1\.0")
        control = run("dpkg-deb", "-f", self.deb)
        for word in ("Package: coditect\n", "libpq5", "libssl3", "Version: 0.1.0+2"):
            self.assertIn(word, control)
        self.assertEqual(run("dpkg-deb", "-I", self.deb, "conffiles").strip(), "/etc/coditect/coditect.toml")
        for script in ("postinst", "prerm", "postrm"):
            with open(f"{self.folder}/{script}", "w") as f:
                f.write(run("dpkg-deb", "-I", self.deb, script))
            run("sh", "-n", f"{self.folder}/{script}")
        # Installing waits for nothing: the service may wait for its schema.
        stubs = f"{self.folder}/stubs"
        os.makedirs(stubs)
        for name in ("getent", "useradd", "chown", "chmod", "systemctl"):
            with open(f"{stubs}/{name}", "w") as f:
                f.write(f"#!/bin/sh\necho {name} \"$@\" >> {stubs}/calls\n[ {name} != systemctl ] || exit 1\n")
            os.chmod(f"{stubs}/{name}", 0o755)
        with open(f"{self.folder}/postinst") as f:
            text = f.read().replace("/run/systemd/system", stubs).replace("/etc/coditect", f"{root}/etc/coditect")
        subprocess.run(["sh", "-c", text, "postinst", "configure"], check=True, env={"PATH": f"{stubs}:/usr/bin:/bin"})
        with open(f"{stubs}/calls") as f:
            self.assertIn("systemctl --no-block try-restart coditect-api.service", f.read())
        # The config file is one that the program takes.
        out = run(f"{root}/usr/bin/coditect", "settings", "--config", f"{root}/etc/coditect/coditect.toml")
        self.assertIn("coditect.toml", out)
        self.assertEqual(unit_value(f"{root}/usr/lib/systemd/system/coditect-api.service", "ExecStart"), "/usr/bin/coditect serve api --config /etc/coditect/coditect.toml")

    def test_systemd_finds_nothing_wrong_with_the_units(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze (package systemd)")
        root = self.unpack(self.deb, "units")
        units = [f"{root}/usr/lib/systemd/system/coditect-api.{kind}" for kind in ("service", "socket")]
        for unit in units:  # the program where it is now
            with open(unit) as f:
                text = f.read().replace("/usr/bin/coditect", f"{root}/usr/bin/coditect")
            with open(unit, "w") as f:
                f.write(text)
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True)
        wrong = [line for line in done.stderr.splitlines() if "coditect-api" in line]
        self.assertEqual(wrong, [])

    def test_an_upgrade_from_the_previous_commit_and_back_fails_no_request(self):
        previous, why = previous_commits_package(self.folder)
        if previous is None:
            self.skipTest(why)
        roots = [self.unpack(previous, "old"), self.unpack(self.deb, "new")]
        for root in roots:  # as an administrator sets it, once
            self.assertTrue(os.path.exists(f"{root}/etc/coditect/coditect.toml"))
        servers = Platform(binary=f"{ROOT}/build/release/coditect")
        self.addCleanup(servers.remove)
        servers.start()
        clients = [servers.sign_up("acme"), servers.sign_up("globex")]
        environment = {**serve_environment(servers), "CODITECT_SERVER_LOOPS": "2"}
        port = free_port()
        for c in clients:
            c.port = port
        manager = SocketManager(port, environment)
        self.addCleanup(manager.close)
        manager.start(roots[0])
        traffic = Traffic(clients)
        try:
            for root in (roots[1], roots[0], roots[1]):  # there, back, and there again
                time.sleep(1.5)
                self.assertEqual(manager.stop(), 0)
                manager.start(root)
            time.sleep(1.5)
        finally:
            traffic.finish()
            code = manager.stop()
        self.assertEqual(code, 0)
        self.assertEqual(traffic.failures[:3], [])
        self.assertGreater(traffic.requests, 500)
        self.assertLess(traffic.slowest, 12)
        stored = set(servers.sql("SELECT name FROM projects").splitlines())
        self.assertEqual(traffic.written - stored, set())
        self.assertEqual(servers.sql("SELECT count(*) - count(DISTINCT name) FROM projects"), "0")


if __name__ == "__main__":
    unittest.main()
