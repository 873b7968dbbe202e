"""Rules, alerts, routes, runbooks and dashboards, without a server."""
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MONITORING = f"{ROOT}/monitoring"


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


def alerts():
    """name -> the text of its rule; the files are written in one way, which yamllint and promtool see to."""
    found = {}
    for path in sorted(glob.glob(f"{MONITORING}/prometheus/rules/*.yml")):
        with open(path, encoding="utf-8") as f:
            for part in re.split(r"\n      - (?=alert|record)", f.read())[1:]:
                if part.startswith("alert: "):
                    found[part.split("\n", 1)[0][7:]] = part
    return found


class Rules(unittest.TestCase):
    def test_rules_are_valid_and_their_tests_pass(self):
        rules, tests = sorted(glob.glob(f"{MONITORING}/prometheus/rules/*.yml")), sorted(glob.glob(f"{MONITORING}/prometheus/tests/*.yml"))
        code, said = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *rules)
        self.assertEqual(code, 0, said)
        code, said = run("promtool", "test", "rules", *tests)
        self.assertEqual(code, 0, said)

    def test_a_wrong_rule_is_caught(self):
        with tempfile.TemporaryDirectory() as folder:
            for folder_name in ("rules", "tests"):
                os.mkdir(f"{folder}/{folder_name}")
                for path in glob.glob(f"{MONITORING}/prometheus/{folder_name}/*.yml"):
                    with open(path, encoding="utf-8") as source, open(f"{folder}/{folder_name}/{os.path.basename(path)}", "w", encoding="utf-8") as to:
                        to.write(source.read().replace("coditect_db_away) > 0", "coditect_db_away) > 5"))
            code, said = run("promtool", "test", "rules", f"{folder}/tests/database.yml")
            self.assertEqual((code, "CoditectDatabaseDoesNotAnswer" in said), (1, True), said)

    def test_each_alert_has_a_test_that_fires_and_one_that_does_not(self):
        text = ""
        for path in glob.glob(f"{MONITORING}/prometheus/tests/*.yml"):
            with open(path, encoding="utf-8") as f:
                text += f.read()
        expected = re.findall(r"alertname: (\w+)\n\s+exp_alerts:( \[\])?((?:\n\s+- exp_labels.*)?)", text)
        for name in alerts():
            fires = [e for e in expected if e[0] == name and not e[1]]
            self.assertTrue(fires, f"no test sees {name} fire")
            # An alert that is expected for one of several series is silent for the others.
            silent = [e for e in expected if e[0] == name and e[1]]
            others = re.search(rf"alertname: {name}\n\s+exp_alerts:\n\s+- exp_labels: {{[^}}]*(pool|step|instance)", text)
            self.assertTrue(silent or others, f"no test sees {name} silent")

    def test_each_alert_tells_who_is_called_and_what_to_do(self):
        for name, rule in alerts().items():
            with self.subTest(name):
                self.assertRegex(rule, r"severity: (page|ticket)\n")
                self.assertRegex(rule, r"summary: \"")
                self.assertRegex(rule, r"description: \"")
                page = re.search(r"runbook_url: (\S+)", rule).group(1)
                with open(f"{ROOT}/{page}", encoding="utf-8") as f:
                    headings = re.findall(r"^## (.*)$", f.read(), re.M)
                self.assertEqual(headings, ["Meaning", "Impact", "Diagnosis", "Mitigation"], page)

    def test_no_runbook_is_of_an_alert_that_is_gone(self):
        named = set(re.findall(r"runbook_url: docs/runbooks/(\S+)", "\n".join(alerts().values())))
        self.assertEqual(set(os.listdir(f"{ROOT}/docs/runbooks")) - named - {"README.md"}, set())


class Routes(unittest.TestCase):
    def config(self):
        with open(f"{MONITORING}/alertmanager/alertmanager.yml", encoding="utf-8") as f:
            text = re.sub(r"\$\{[A-Z_]+\}", "http://127.0.0.1:9/hook", f.read())
        file = tempfile.NamedTemporaryFile("w", suffix=".yml")
        self.addCleanup(file.close)
        file.write(text)
        file.flush()
        return file.name

    def test_the_configuration_is_valid(self):
        code, said = run("amtool", "check-config", self.config())
        self.assertEqual(code, 0, said)

    def test_pages_page_and_tickets_do_not(self):
        config = self.config()
        for name, rule in alerts().items():
            severity = re.search(r"severity: (\w+)", rule).group(1)
            for labels, receiver in (([f"severity={severity}", f"alertname={name}"], {"page": "pages", "ticket": "tickets"}[severity]),):
                code, said = run("amtool", "config", "routes", "test", f"--config.file={config}", f"--verify.receivers={receiver}", *labels)
                self.assertEqual(code, 0, f"{name}: {said}")

    def test_only_alerts_that_exist_are_inhibited(self):
        with open(f"{MONITORING}/alertmanager/alertmanager.yml", encoding="utf-8") as f:
            patterns = re.findall(r'alertname=~?"([^"]+)"', f.read())
        for pattern in "|".join(patterns).split("|"):
            self.assertTrue(any(re.fullmatch(pattern, name) for name in alerts()), pattern)


class Dashboards(unittest.TestCase):
    def dashboards(self):
        for path in sorted(glob.glob(f"{MONITORING}/grafana/dashboards/*.json")):
            with open(path, encoding="utf-8") as f:
                yield json.load(f)

    def test_they_are_what_the_script_writes(self):
        code, said = run(sys.executable, f"{MONITORING}/grafana/generate.py", "--check")
        self.assertEqual(code, 0, said)

    def test_they_fit_into_grafana(self):
        uids = []
        for d in self.dashboards():
            uids.append(d["uid"])
            ids = [p["id"] for p in d["panels"]]
            self.assertEqual(len(ids), len(set(ids)))
            taken = set()
            for p in d["panels"]:
                at = p["gridPos"]
                cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
                self.assertFalse(cells & taken, f"{d['uid']}: {p['title']} lies on another panel")
                self.assertLessEqual(at["x"] + at["w"], 24)
                taken |= cells
                if p["type"] != "row":
                    self.assertEqual(p["datasource"]["uid"], "${datasource}")
                    self.assertTrue(p["fieldConfig"]["defaults"]["unit"], p["title"])
                    self.assertTrue(p["targets"] and all(t["expr"] for t in p["targets"]), p["title"])
        self.assertEqual(len(uids), len(set(uids)))

    def test_their_expressions_can_be_read(self):
        """By promtool, as rules of a file."""
        expressions = [t["expr"].replace("$__rate_interval", "5m") for d in self.dashboards() for p in d["panels"] for t in p.get("targets", [])]
        self.assertGreater(len(expressions), 30)
        groups = {"groups": [{"name": "panels", "rules": [{"record": f"panel:{n}", "expr": e} for n, e in enumerate(expressions)]}]}
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            json.dump(groups, file)  # JSON is YAML
            file.flush()
            code, said = run("promtool", "check", "rules", file.name)
        self.assertEqual(code, 0, said)


if __name__ == "__main__":
    unittest.main()
