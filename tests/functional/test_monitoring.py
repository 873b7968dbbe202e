"""`coditect up --monitoring`: the rules and dashboards on a real Prometheus, traces in a real Jaeger."""
import glob
import json
import os
import re
import signal
import threading
import time
import unittest
import urllib.parse
import urllib.request
import uuid

from platform_under_test import ROOT, Client, Platform, has_citus, wait_until

# What only a cell on Citus has.
OF_CITUS = re.compile(r"coditect:cell_bytes:by_node|coditect_cell_(bytes|shards)")


# What only an API with TLS has: tests/functional/test_tls.py asks it.
OF_TLS = {"coditect_http_tls_certificate_expiry_timestamp_seconds"}


def rules_text():
    text = ""
    for path in glob.glob(f"{ROOT}/monitoring/prometheus/rules/*.yml"):
        with open(path, encoding="utf-8") as f:
            text += re.sub(r"#.*", "", f.read())
    return text


def panels():
    """(dashboard, panel, expression)."""
    for path in sorted(glob.glob(f"{ROOT}/monitoring/grafana/dashboards/*.json")):
        with open(path, encoding="utf-8") as f:
            dashboard = json.load(f)
        if dashboard["uid"] == "coditect-kubernetes":
            continue  # of a cluster: tests/infra/test_admission.py and tests/ha ask for its metrics
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                yield dashboard["uid"], panel["title"], target["expr"].replace("$__rate_interval", "30s")


class Monitoring(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.citus = has_citus()
        cls.platform = Platform("--monitoring", *(("--citus", "2") if cls.citus else ())).start()
        cls.acme = cls.platform.sign_up("acme")
        cls.over = threading.Event()
        cls.load = threading.Thread(target=cls.work, daemon=True)
        cls.load.start()

    @classmethod
    def tearDownClass(cls):
        cls.over.set()
        cls.load.join(60)
        code = cls.platform.stop()
        cls.platform.remove()
        assert code == 0, code

    @classmethod
    def work(cls):
        """Everything a bit, wrong requests too."""
        acme, stranger = cls.acme, Client(cls.platform.port)
        while not cls.over.is_set():
            project = acme.post(acme.own("/projects"), {"name": "p"})
            if project.status == 201:
                acme.post(acme.own("/tasks"), {"project_id": project.json["id"], "title": "t"})
            acme.get(acme.own("/tasks?page_size=5"))
            acme.get(acme.own("/nothing"))
            stranger.post("/v1/sessions", {"email": acme.email, "password": acme.password})
            stranger.post("/v1/signup", {"email": f"{uuid.uuid4().hex}@x.example", "password": "a long enough password",
                                         "organization": {"name": "N", "slug": "n" + uuid.uuid4().hex[:12]}})
            time.sleep(0.05)

    def prometheus(self, path, **query):
        url = f"http://127.0.0.1:{self.platform.values('ports')['prometheus']}/api/v1/{path}?" + urllib.parse.urlencode(query)
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def series(self, expression):
        return self.prometheus("query", query=expression)["result"]

    def wait_for_all(self, expressions, seconds=120):
        """Those that never return anything."""
        until = time.monotonic() + seconds
        while (missing := [e for e in expressions if not self.series(e)]) and time.monotonic() < until:
            time.sleep(2)
        return missing

    def test_every_metric_of_a_rule_or_dashboard_exists(self):
        names = set(re.findall(r"\b(?:up|coditect_\w+)\b", rules_text() + " ".join(e for _, _, e in panels())))
        self.assertLess(OF_TLS, names)
        names -= OF_TLS
        self.assertGreater(len(names), 25)
        self.assertTrue({"coditect_http_requests_total", "coditect_users", "up"} <= names)
        if not self.has_jaeger():
            names -= {"coditect_spans_dropped_total"}
        if not self.citus:
            names = {n for n in names if not OF_CITUS.search(n)}
        self.assertEqual(self.wait_for_all(sorted(names)), [])

    def test_every_panel_shows_something(self):
        expressions = {e: f"{uid}: {title}" for uid, title, e in panels() if self.citus or not OF_CITUS.search(e)}
        self.assertEqual([(expressions[e], e) for e in self.wait_for_all(list(expressions))], [])

    def test_the_figures_are_right(self):
        rate = lambda: float(self.series("sum(coditect:http_requests:rate5m)")[0]["value"][1])  # noqa: E731
        wait_until(lambda: self.series("sum(coditect:http_requests:rate5m)") and rate() > 1, 60, 1)
        wait_until(lambda: int(self.series('max(coditect_tenants{state="active"})')[0]["value"][1]) > 1, 90, 2)
        self.assertGreater(int(self.series("max(coditect_users)")[0]["value"][1]), 1)

    def has_jaeger(self):
        return "jaeger" in self.platform.values("ports")

    def test_a_request_can_be_followed_from_http_to_sql_and_redis(self):
        if not self.has_jaeger():
            self.skipTest("Jaeger is not installed (tools/build.sh jaeger)")
        trace = uuid.uuid4().hex
        answer = Client(self.platform.port).post("/v1/sessions", {"email": self.acme.email, "password": self.acme.password},
                                                 headers={"traceparent": f"00-{trace}-00000000000000aa-01"})
        self.assertEqual(answer.status, 201)
        ui = self.platform.values("ports")["jaeger"]

        def spans():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{ui}/api/traces/{trace}", timeout=5) as found:
                    return json.load(found)["data"][0]["spans"]
            except (OSError, IndexError, KeyError, TypeError):
                return []
        wait_until(lambda: len(spans()) >= 4, 30, 0.5)
        found = {s["operationName"]: s for s in spans()}
        root = found["POST /v1/sessions"]
        self.assertEqual({r["spanID"] for r in root["references"]}, {"00000000000000aa"})
        self.assertTrue(any(name.startswith("postgresql accounts.") for name in found), list(found))
        self.assertIn("redis EVAL", found)
        for name, span in found.items():
            if name != "POST /v1/sessions":
                self.assertEqual({r["spanID"] for r in span["references"]}, {root["spanID"]}, name)
                self.assertLessEqual(root["startTime"], span["startTime"] + 1)
                self.assertLessEqual(span["startTime"] + span["duration"], root["startTime"] + root["duration"] + 1000)

    def test_z_a_frozen_database_fires_the_right_alert(self):
        """Last, because it disturbs the others."""
        firing = lambda: {(a["labels"]["alertname"], a["labels"].get("pool")) for a in self.prometheus("alerts")["alerts"] if a["state"] == "firing"}  # noqa: E731
        self.assertEqual(firing(), set())
        pid = self.platform.server_pid("postgres")
        os.kill(pid, signal.SIGSTOP)
        children = [int(p) for p in os.popen(f"pgrep -P {pid}").read().split()]
        for child in children:
            os.kill(child, signal.SIGSTOP)
        try:
            wait_until(lambda: ("CoditectDatabaseDoesNotAnswer", "directory") in firing(), 120, 1)
            self.assertEqual({name for name, pool in firing() if name == "CoditectApiDown"}, set(), "the API itself is up")
        finally:
            for child in [*children, pid]:
                try:
                    os.kill(child, signal.SIGCONT)
                except ProcessLookupError:
                    pass
        wait_until(lambda: "CoditectDatabaseDoesNotAnswer" not in {name for name, _ in firing()}, 90, 1)


if __name__ == "__main__":
    unittest.main()
