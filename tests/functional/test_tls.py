"""The API behind mutual TLS: whose connections it takes, how certificates are renewed, and a proxy in front, which is what Kong is made of."""
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
import warnings

from platform_under_test import BINARY, ROOT, Client, Platform, clean_environment, free_port, serve_environment, wait_until

# What ingress/ configures Kong to do, in the words of the server that Kong is built on.
NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log info;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
  scgi_temp_path {folder}/s;
  upstream api {{ server 127.0.0.1:{api}; keepalive 16; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass https://api; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host backend; proxy_next_upstream off;
      proxy_ssl_certificate {folder}/gateway.crt; proxy_ssl_certificate_key {folder}/gateway.key; proxy_ssl_trusted_certificate {folder}/authority.crt;
      proxy_ssl_verify on; proxy_ssl_name backend; proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.2 TLSv1.3;
    }}
  }}
}}
"""


class Authority:
    """Certificates by the command openssl."""

    def __init__(self, folder, name="authority"):
        self.folder, self.name = folder, name
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
                 "-out", f"{name}.crt")

    def run(self, *words):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=self.folder)

    def sign(self, file, name, usage="clientAuth", days="2"):
        self.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=someone", "-keyout", f"{file}.key", "-out", f"{file}.csr")
        with open(f"{self.folder}/{file}.ext", "w") as f:
            f.write(f"subjectAltName = DNS:{name}\nextendedKeyUsage = {usage}\nkeyUsage = digitalSignature\n")
        self.run("x509", "-req", "-in", f"{file}.csr", "-CA", f"{self.name}.crt", "-CAkey", f"{self.name}.key", "-CAcreateserial", "-days", days, "-extfile",
                 f"{file}.ext", "-out", f"{file}.crt")

    def sign_over(self, file):
        """A certificate that ended yesterday; only `openssl ca` takes dates."""
        self.sign(file, "gateway")
        for name, text in (("index.txt", ""), ("serial", "77")):
            with open(f"{self.folder}/{name}", "w") as f:
                f.write(text)
        with open(f"{self.folder}/ca.cnf", "w") as f:
            f.write("[ca]\ndefault_ca = d\n[d]\ndatabase = index.txt\nserial = serial\nnew_certs_dir = .\ndefault_md = sha256\npolicy = p\n[p]\ncommonName = supplied\n")
        self.run("ca", "-batch", "-config", "ca.cnf", "-in", f"{file}.csr", "-cert", f"{self.name}.crt", "-keyfile", f"{self.name}.key", "-startdate",
                 "20200101000000Z", "-enddate", "20200102000000Z", "-extfile", f"{file}.ext", "-notext", "-out", f"{file}.crt")


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="coditect-tls-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        os.chmod(cls.folder, 0o777)
        cls.platform = Platform().start()
        cls.addClassCleanup(cls.platform.remove)
        cls.tenant = cls.platform.sign_up("acme")
        cls.authority = Authority(cls.folder)
        cls.authority.sign("backend", "backend", "serverAuth")
        cls.authority.sign("gateway", "gateway")
        cls.mount("backend")

    @classmethod
    def mount(cls, name, key=None):
        """As Kubernetes puts a secret into a volume: a new folder, and one link that is renamed."""
        version = tempfile.mkdtemp(prefix="..", dir=cls.folder)
        shutil.copy(f"{cls.folder}/{name}.crt", f"{version}/tls.crt")
        shutil.copy(f"{cls.folder}/{key or name}.key", f"{version}/tls.key")
        os.symlink(version, f"{cls.folder}/new")
        os.rename(f"{cls.folder}/new", f"{cls.folder}/served")

    def setUp(self):
        self.port, self.management = free_port(), free_port()
        self.log = tempfile.NamedTemporaryFile("w+")
        self.addCleanup(self.log.close)
        self.process = None

    def flags(self, **others):
        return {"http-port": self.port, "http-management-port": self.management, "http-tls-certificate-file": f"{self.folder}/served/tls.crt",
                "http-tls-key-file": f"{self.folder}/served/tls.key", "http-tls-client-ca-file": f"{self.folder}/authority.crt",
                "http-tls-client-names": "gateway, other-gateway", "http-header-timeout": "700ms", "http-idle-timeout": "3s", **others}

    def command(self, flags):
        return [BINARY, "serve", "api", *(w for name, value in flags.items() if value != "" for w in (f"--{name}", str(value)))]

    def serve(self, **others):
        self.process = subprocess.Popen(self.command(self.flags(**others)), env={**clean_environment(), **serve_environment(self.platform)}, stdout=self.log,
                                        stderr=subprocess.STDOUT)
        self.addCleanup(self.end)
        wait_until(lambda: Client(self.management).get("/health/ready").status == 200, 30)

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(20), 0)

    def text_of_log(self):
        with open(self.log.name) as f:
            return f.read()

    def context(self, file="gateway", **versions):
        out = ssl.create_default_context(cafile=f"{self.folder}/authority.crt")
        if file:
            out.load_cert_chain(f"{self.folder}/{file}.crt", f"{self.folder}/{file}.key")
        for name, value in versions.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that the version is old
                setattr(out, name, value)
        return out

    def connect(self, context=None):
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=context or self.context())
        connection.sock = connection._context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), 10), server_hostname="backend")
        self.addCleanup(connection.close)
        return connection

    def ask(self, connection, method="GET", path="/v1/tenants/acme/projects", body=None):
        connection.request(method, path, body and json.dumps(body), {"Authorization": "Bearer " + self.tenant.key, "Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def metric(self, name):
        text = Client(self.management).get("/metrics").body
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name) and line[len(name)] in " {")

    def refused(self, context):
        """In TLS 1.3 a client hears of it when it reads, after its handshake."""
        before = self.metric("coditect_http_tls_handshake_failures_total")
        with self.assertRaises((ssl.SSLError, ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected)):
            self.ask(self.connect(context))
        self.assertEqual(self.metric("coditect_http_tls_handshake_failures_total"), before + 1)

    def test_only_who_has_the_right_certificate_is_heard(self):
        self.serve()
        connection = self.connect()
        self.assertEqual((connection.sock.version(), self.ask(connection)[0]), ("TLSv1.3", 200))
        self.assertEqual(self.ask(self.connect(self.context(maximum_version=ssl.TLSVersion.TLSv1_2)))[0], 200)
        self.refused(self.context(file=None))
        self.refused(self.context(file=None, maximum_version=ssl.TLSVersion.TLSv1_2))
        stranger = Authority(self.folder, "stranger")
        stranger.sign("strangers", "gateway")
        self.refused(self.context("strangers"))
        for file, name, usage in (("neighbour", "billing", "clientAuth"), ("wildcard", "*", "clientAuth"), ("server", "gateway", "serverAuth")):
            self.authority.sign(file, name, usage)
            self.refused(self.context(file))
        self.authority.sign_over("over")
        self.refused(self.context("over"))
        old = self.context(minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with self.assertRaises(ssl.SSLError):
            self.connect(old)
        h2 = self.context()
        h2.set_alpn_protocols(["h2"])
        with self.assertRaises(ssl.SSLError):
            self.connect(h2)
        h2.set_alpn_protocols(["h2", "http/1.1"])
        self.assertEqual(self.connect(h2).sock.selected_alpn_protocol(), "http/1.1")
        self.authority.sign("second", "other-gateway")
        self.assertEqual(self.ask(self.connect(self.context("second")))[0], 200)
        # Why each was refused is in the log, though not of every stranger: a second has one line.
        self.assertIn("TLS handshake failed", self.text_of_log())

    def test_a_session_is_not_taken_up_again(self):
        self.serve()
        context = self.context(maximum_version=ssl.TLSVersion.TLSv1_2)
        first = self.connect(context)
        self.assertEqual(self.ask(first)[0], 200)
        with socket.create_connection(("127.0.0.1", self.port), 10) as raw:
            with context.wrap_socket(raw, server_hostname="backend", session=first.sock.session) as again:
                self.assertFalse(again.session_reused)
        connection = self.connect()
        self.ask(connection)
        self.assertFalse(connection.sock.session and connection.sock.session.has_ticket)

    def test_plain_requests_are_not_answered(self):
        self.serve()
        with socket.create_connection(("127.0.0.1", self.port), 5) as s:
            s.sendall(b"GET /v1/tenants/acme HTTP/1.1\r\nHost: x\r\n\r\n")
            said = b""
            with contextlib.suppress(ConnectionResetError):
                while chunk := s.recv(4096):
                    said += chunk
        self.assertNotIn(b"HTTP/1.1", said)

    def test_a_client_that_says_nothing_is_hung_up_on(self):
        self.serve()
        for said in (b"", b"\x16\x03\x01\x02\x00"):
            with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                s.sendall(said)
                begun = time.monotonic()
                self.assertEqual(s.recv(4096), b"")
                self.assertLess(time.monotonic() - begun, 3)
        self.assertIn("it took too long", self.text_of_log())
        idle = self.connect()
        self.assertEqual(self.ask(idle)[0], 200)
        begun = time.monotonic()
        self.assertEqual(idle.sock.recv(1), b"")  # a proper end, not one that was cut
        self.assertLess(time.monotonic() - begun, 6)

    def test_long_bodies_and_many_requests_at_once(self):
        self.serve(**{"http-max-body-bytes": 400000, "http-header-timeout": "10s"})
        connection = self.connect()
        status, body = self.ask(connection, "POST", "/v1/tenants/acme/projects", {"name": "x" * 300000})
        self.assertEqual((status, json.loads(body)["code"]), (400, "validation_failed"))
        self.assertEqual(self.ask(connection, "GET", "/docs")[0], 200)
        status, body = self.ask(connection, "POST", "/v1/tenants/acme/projects", {"name": "y" * 500000})
        self.assertEqual((status, json.loads(body)["code"]), (413, "body_too_large"))
        # Pipelined, in one record and cut into many.
        one = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
        for size in (1 << 20, 7):
            connection = self.connect()
            sent = one * 20
            for at in range(0, len(sent), size):
                connection.sock.sendall(sent[at:at + size])
            reader, answers = connection.sock.makefile("rb"), 0
            for _ in range(20):
                head = b"".join(iter(reader.readline, b"\r\n"))
                self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
                answers += len(reader.read(int(head.lower().split(b"content-length: ")[1].split()[0]))) > 1000
            self.assertEqual(answers, 20)

    def test_the_management_port_is_for_management_only(self):
        self.serve()
        management = Client(self.management, self.tenant.key)
        self.assertEqual([management.get(p).status for p in ("/health/live", "/health/ready", "/metrics")], [200] * 3)
        for path in ("/v1/tenants/acme", "/openapi.json", "/docs", "/", "/v1/signup"):
            self.assertEqual(management.get(path).status, 404, path)
        self.assertEqual(management.post("/metrics").status, 404)
        connection = self.connect()
        for path in ("/metrics", "/health/live", "/health/ready"):
            self.assertEqual(self.ask(connection, path=path)[0], 404, path)
        with open(f"{ROOT}/monitoring/prometheus/rules/tls.yml", encoding="utf-8") as f:
            for name in set(re.findall(r"coditect_http_\w+", f.read())):
                self.assertIn(f"\n{name}", management.get("/metrics").body)
        self.assertGreater(self.metric("coditect_http_tls_certificate_expiry_timestamp_seconds"), time.time() + 86400)

    def test_a_renewed_certificate_is_taken_without_a_restart(self):
        self.serve()
        before = self.connect()
        serial = lambda: self.connect().sock.getpeercert()["serialNumber"]  # noqa: E731
        first, expiry = serial(), self.metric("coditect_http_tls_certificate_expiry_timestamp_seconds")
        self.authority.sign("renewed", "backend", "serverAuth", "9")
        self.mount("renewed", key="backend")  # what is half renewed is not used
        wait_until(lambda: "cannot use the changed certificate" in self.text_of_log(), 15)
        self.assertEqual(serial(), first)
        self.mount("renewed")
        wait_until(lambda: serial() != first, 15)
        self.assertGreater(self.metric("coditect_http_tls_certificate_expiry_timestamp_seconds"), expiry + 5 * 86400)
        self.assertEqual(self.ask(self.connect())[0], 200)
        with contextlib.suppress(http.client.RemoteDisconnected):  # it may have been idle for too long
            self.assertEqual(self.ask(before)[0], 200)
        self.assertEqual(self.text_of_log().count("cannot use the changed certificate"), 1)
        os.rename(f"{self.folder}/served", f"{self.folder}/away")
        wait_until(lambda: self.text_of_log().count("cannot use the changed certificate") == 2, 15)
        self.assertEqual(self.ask(self.connect())[0], 200)
        os.rename(f"{self.folder}/away", f"{self.folder}/served")

    def test_half_of_the_settings_is_an_error(self):
        cases = {"http.tls_certificate_file and http.tls_key_file": {"http-tls-certificate-file": ""},
                 "both http.tls_certificate_file and": {"http-tls-key-file": ""},
                 "http.tls_client_names needs http.tls_client_ca_file": {"http-tls-client-ca-file": ""},
                 "http.tls_client_ca_file '/nowhere' cannot be read": {"http-tls-client-ca-file": "/nowhere"},
                 "authority.key' holds no certificate": {"http-tls-client-ca-file": f"{self.folder}/authority.key"},
                 "served/tls.key' holds no certificate": {"http-tls-certificate-file": f"{self.folder}/served/tls.key"},
                 "holds no key without a passphrase, or not the certificate's": {"http-tls-key-file": f"{self.folder}/authority.key"},
                 "has an empty name": {"http-tls-client-names": "gateway,,other"},
                 "http.management_port must be another port": {"http-management-port": self.port}}
        self.authority.run("ec", "-aes256", "-passout", "pass:secret", "-in", "backend.key", "-out", "locked.key")
        cases["locked.key' holds no key without a passphrase"] = {"http-tls-key-file": f"{self.folder}/locked.key"}
        for said, flags in cases.items():
            done = subprocess.run(self.command(self.flags(**flags)), env={**clean_environment(), **serve_environment(self.platform)}, capture_output=True,
                                  text=True, timeout=20, stdin=subprocess.DEVNULL)
            self.assertNotEqual(done.returncode, 0, flags)
            self.assertIn(said, done.stdout + done.stderr)
        state = tempfile.mkdtemp(dir=self.folder)
        done = subprocess.run([BINARY, "up", "--state", state, "--http-tls-key-file", "x"], env=clean_environment(), capture_output=True, text=True, timeout=20)
        self.assertIn("for 'coditect serve api'", done.stdout + done.stderr)

    def nginx(self):
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        port = free_port()
        with open(f"{self.folder}/conf", "w") as f:
            f.write(NGINX.format(folder=self.folder, api=self.port, port=port))
        for name in ("gateway.key", "gateway.crt", "authority.crt"):
            os.chmod(f"{self.folder}/{name}", 0o644)
        process = subprocess.Popen([program, "-c", f"{self.folder}/conf", "-p", self.folder], stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        wait_until(lambda: socket.create_connection(("127.0.0.1", port), 1).close() is None)
        return port

    def test_a_proxy_goes_on_while_certificates_are_renewed(self):
        self.serve(**{"http-idle-timeout": "1m"})
        client = Client(self.nginx(), self.tenant.key, "acme")
        self.assertEqual(client.get("/v1/tenants/acme").status, 200)
        self.assertEqual(client.get("/metrics").status, 404)
        statuses, stopped = [], threading.Event()

        def go():
            n = 0
            while not stopped.is_set():
                n += 1
                statuses.append(client.post("/v1/tenants/acme/projects", {"name": f"P {n}"}).status if n % 3 == 0 else client.get("/v1/tenants/acme").status)
        threads = [threading.Thread(target=go) for _ in range(4)]
        for thread in threads:
            thread.start()
        self.authority.sign("again", "backend", "serverAuth")
        self.mount("again")
        wait_until(lambda: "took the renewed certificate" in self.text_of_log(), 15)
        time.sleep(1)
        stopped.set()
        for thread in threads:
            thread.join(20)
        self.assertEqual(set(statuses), {200, 201})
        self.assertGreater(len(statuses), 100)
        # All of them over few connections: a handshake for each would be felt.
        self.assertEqual(self.metric("coditect_http_tls_handshake_failures_total"), 0)

    def test_a_drain_ends_what_runs(self):
        self.serve()
        waiting = [self.connect() for _ in range(3)]
        for connection in waiting:
            self.assertEqual(self.ask(connection)[0], 200)
        running = self.connect()
        body = json.dumps({"name": "Written while it ends"})
        running.putrequest("POST", "/v1/tenants/acme/projects")
        for name, value in (("Authorization", "Bearer " + self.tenant.key), ("Content-Type", "application/json"), ("Content-Length", str(len(body)))):
            running.putheader(name, value)
        running.endheaders()
        time.sleep(0.2)
        self.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        running.send(body.encode())
        answer = running.getresponse()
        self.assertEqual((answer.status, answer.headers["Connection"]), (201, "close"))
        answer.read()
        for connection in waiting:
            self.assertEqual(connection.sock.recv(1), b"")
        self.assertEqual(self.process.wait(20), 0)


if __name__ == "__main__":
    unittest.main()
