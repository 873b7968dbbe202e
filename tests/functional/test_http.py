"""Framing, limits and slow clients, byte by byte."""
import http.server
import json
import signal
import socket
import threading
import time
import unittest

from platform_under_test import Client, Platform, PlatformTest, wait_until


class Http(PlatformTest):
    arguments = ("--http-header-timeout", "700ms", "--http-body-timeout", "700ms", "--http-idle-timeout", "1500ms", "--http-max-body-bytes", "65536")

    def raw(self, data, timeout=5, pieces=None):
        """Everything the server says to these bytes until it closes or is silent."""
        with socket.create_connection(("127.0.0.1", self.platform.port), timeout=timeout) as s:
            for piece in pieces or [data]:
                s.sendall(piece)
                if pieces:
                    time.sleep(0.01)
            out = b""
            s.settimeout(1.0)
            try:
                while chunk := s.recv(65536):
                    out += chunk
            except (TimeoutError, ConnectionResetError):
                pass
            return out.decode(errors="replace")

    def status(self, data):
        answer = self.raw(data)
        return int(answer.split(" ")[1]) if answer.startswith("HTTP/1.1 ") else 0

    def test_ambiguous_framing_is_refused(self):
        head = b"POST /v1/signup HTTP/1.1\r\nHost: x\r\n"
        cases = {
            "two lengths": head + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
            "length and chunked": head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "chunked and length": head + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            "list of lengths": head + b"Content-Length: 5, 6\r\n\r\nhello",
            "negative length": head + b"Content-Length: -1\r\n\r\n",
            "plus length": head + b"Content-Length: +5\r\n\r\nhello",
            "hex length": head + b"Content-Length: 0x5\r\n\r\nhello",
            "bare LF": b"GET / HTTP/1.1\nHost: x\n\n",
            "bare LF in headers": b"GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
            "space before colon": b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
            "folded header": b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
            "no host": b"GET / HTTP/1.1\r\n\r\n",
            "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "control in header": b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
            "space in target": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
            "bad escape": b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
            "bad chunk size": head + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
            "chunk too long": head + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
            "bare LF in a chunked body": head + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n",
            "chunked in HTTP/1.0": b"POST /v1/signup HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "endless chunk extension": head + b"Transfer-Encoding: chunked\r\n\r\n2;" + b"e" * 20000,
            "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        }
        for name, data in cases.items():
            self.assertEqual(self.status(data), 400, name)
        self.assertIn(self.status(head + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), (400, 501))
        self.assertIn(self.status(head + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}"), (400, 501))
        self.assertEqual(self.status(b"GET / HTTP/3.0\r\nHost: x\r\n\r\n"), 505)

    def test_a_smuggled_second_request_is_not_answered(self):
        smuggled = b"POST /v1/signup HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
        self.assertEqual(self.raw(smuggled).count("HTTP/1.1 "), 1)

    def test_limits_have_their_own_answers(self):
        self.assertEqual(self.status(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"), 414)
        self.assertEqual(self.status(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40000 + b"\r\n\r\n"), 431)
        self.assertEqual(self.status(b"POST /v1/signup HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"), 413)
        chunk = b"4000\r\n" + b"a" * 0x4000 + b"\r\n"
        self.assertEqual(self.status(b"POST /v1/signup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 6), 413)

    def test_framing_without_content_is_bounded_too(self):
        """Chunk extensions and leading zeros carry no body, and once filled the memory."""
        for piece in (b"1;" + b"e" * 1000 + b"\r\na\r\n", b"0" * 1000 + b"1\r\na\r\n"):
            with socket.create_connection(("127.0.0.1", self.platform.port), timeout=5) as s:
                s.sendall(b"POST /v1/signup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
                sent = 0
                try:
                    while sent < 8_000_000:
                        s.sendall(piece)
                        sent += len(piece)
                except (ConnectionResetError, BrokenPipeError):
                    pass
                self.assertLess(sent, 8_000_000)

    def test_requests_may_come_in_any_pieces_and_several_at_once(self):
        one = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
        self.assertEqual(self.raw(None, pieces=[bytes([b]) for b in one]).count("200 OK"), 1)
        self.assertEqual(self.raw(one * 5).count("200 OK"), 5)
        self.assertIn("200 OK", self.raw(b"\r\n" + one))
        self.assertIn("200 OK", self.raw(b"GET http://x/health/live HTTP/1.1\r\nHost: x\r\n\r\n"))
        chunked = b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"ema\r\n3;x=y\r\nil\"\r\n1\r\n}\r\n0\r\n\r\n"
        self.assertIn("malformed_json", self.raw(chunked))
        self.assertIn("Connection: close", self.raw(b"GET /health/live HTTP/1.0\r\n\r\n"))
        self.assertIn("Connection: close", self.raw(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))

    def test_expect_100_continue(self):
        head = b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        answer = self.raw(None, pieces=[head, b"{}"])
        self.assertTrue(answer.startswith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400"), answer[:200])
        self.assertEqual(self.status(head.replace(b"100-continue", b"magic")), 417)

    def test_slow_clients_are_let_go(self):
        start = time.time()
        with socket.create_connection(("127.0.0.1", self.platform.port)) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost:")
            s.settimeout(5)
            answer = s.recv(65536).decode()
        self.assertIn(" 408 ", answer)
        self.assertLess(time.time() - start, 3)
        with socket.create_connection(("127.0.0.1", self.platform.port)) as s:
            s.sendall(b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
            s.settimeout(5)
            self.assertIn(" 408 ", s.recv(65536).decode())
        with socket.create_connection(("127.0.0.1", self.platform.port)) as s:
            s.settimeout(5)
            self.assertEqual(s.recv(10), b"")  # idle: closed without a word

    def test_many_idle_connections_do_not_keep_others_out(self):
        crowd = [socket.create_connection(("127.0.0.1", self.platform.port)) for _ in range(400)]
        self.assertEqual(Client(self.platform.port).get("/health/ready").status, 200)
        for s in crowd:
            s.close()


class Shutdown(unittest.TestCase):
    def test_a_running_request_is_finished_and_a_new_connection_refused(self):
        # A password hash that takes a second or more keeps the request running.
        platform = Platform("--auth-argon2-memory-kib", "400000", "--auth-argon2-passes", "4")
        self.addCleanup(platform.remove)
        platform.start()
        answers = []

        def go():
            answers.append(Client(platform.port).post("/v1/signup", {
                "email": "a@drain.example", "password": "a long enough password", "organization": {"name": "D", "slug": "drain"}}))
        thread = threading.Thread(target=go)
        thread.start()
        time.sleep(0.4)
        platform.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        self.assertRaises(OSError, Client(platform.port).get, "/health/live")
        thread.join(30)
        self.assertEqual(answers[0].status, 201, answers)
        self.assertEqual(answers[0].headers.get("Connection"), "close")
        self.assertEqual(platform.stop(), 0)


class Traces(unittest.TestCase):
    def test_sampled_requests_reach_an_otlp_collector(self):
        bodies = []

        class Collector(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                bodies.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass
        collector = http.server.HTTPServer(("127.0.0.1", 0), Collector)
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        self.addCleanup(collector.server_close)
        self.addCleanup(collector.shutdown)
        platform = Platform("--trace-endpoint", f"http://127.0.0.1:{collector.server_port}/v1/traces", "--trace-sample-per-mille", "1000")
        self.addCleanup(platform.remove)
        platform.start()
        client = platform.sign_up("traced")
        trace = "0af7651916cd43dd8448eb211c80319c"
        client.get(client.own("/projects"), headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})

        def spans():
            found = [s for path, body in bodies for s in json.loads(body)["resourceSpans"][0]["scopeSpans"][0]["spans"] if s["traceId"] == trace]
            self.assertEqual({path for path, _ in bodies}, {"/v1/traces"} if bodies else set())
            return {s["name"]: s for s in found}
        wait_until(lambda: "GET /v1/tenants/{tenant}/projects" in spans(), 10)
        root = spans()["GET /v1/tenants/{tenant}/projects"]
        self.assertEqual((root["parentSpanId"], root["kind"]), ("b7ad6b7169203331", 2))
        self.assertIn({"key": "coditect.tenant", "value": {"stringValue": "traced"}}, root["attributes"])
        sql = spans()["postgresql projects.list"]
        self.assertEqual((sql["parentSpanId"], sql["kind"], sql["status"]["code"]), (root["spanId"], 3, 0))
        self.assertIn({"key": "db.system.name", "value": {"stringValue": "postgresql"}}, sql["attributes"])
