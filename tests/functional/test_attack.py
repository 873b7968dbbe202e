import json
import os
import subprocess
import tempfile

from platform_under_test import BINARY, PlatformTest, clean_environment, free_port


class Attack(PlatformTest):
    def attack(self, *flags, url=None):
        return subprocess.run([BINARY, "attack", "--url", url or f"http://127.0.0.1:{self.platform.port}", *flags],
                              capture_output=True, text=True, env=clean_environment())

    def test_the_platform_withstands_it(self):
        with open(self.platform.path("operator.key"), encoding="ascii") as f:
            key = f.read().strip()
        path = os.path.join(tempfile.mkdtemp(prefix="coditect-attack-"), "report.json")
        done = self.attack("--operator-key", key, "--json", path)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn(" 0 findings", done.stdout)
        with open(path, encoding="utf-8") as f:
            report = json.load(f)
        self.assertEqual(report["findings"], [])
        self.assertEqual(report["not_tried"], [])
        self.assertGreater(report["requests"], 2000)
        self.assertEqual(len(report["phases"]), 12)
        self.assertTrue(all(p["requests"] > 20 for p in report["phases"]), report["phases"])
        self.assertNotIn(key, done.stdout)

    def test_the_script_that_tries_an_environment(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/test-staging.sh")
        environment = {**clean_environment(), "PATH": f"{os.path.dirname(BINARY)}:{os.environ['PATH']}"}
        words = [script, "--url", f"http://127.0.0.1:{self.platform.port}", "--operator-key-file", self.platform.path("operator.key")]
        direct = subprocess.run([*words, "--direct"], capture_output=True, text=True, env=environment)
        self.assertEqual((direct.returncode, direct.stdout.splitlines()[-1]), (0, "9 checked, 0 failed"), direct.stdout + direct.stderr)
        # What only the gateway does is missed where there is none.
        edge = subprocess.run(words, capture_output=True, text=True, env=environment)
        self.assertEqual((edge.returncode, edge.stdout.splitlines()[-1]), (1, "12 checked, 3 failed"), edge.stdout + edge.stderr)
        self.assertIn("FAILED  metrics are not reachable", edge.stdout)

    def test_with_given_tenants_and_chosen_phases(self):
        done = self.attack("--tenant-a", "acme", "--key-a", self.a.key, "--tenant-b", "globex", "--key-b", self.b.key,
                           "--phase", "ids", "--phase", "cursors", "--json", "-")
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual([p["phase"] for p in json.loads(done.stdout)["phases"]], ["ids", "cursors"])

    def test_wrong_use_is_said(self):
        for flags, words in ((["--tenant-a", "acme"], "--tenant-a requires"), (["--phase", "nonsense"], "--phase"),
                             (["--tenant-parameter", "org"], "{org}")):
            done = self.attack(*flags)
            self.assertEqual(done.returncode, 2, done)
            self.assertIn(words, done.stderr)
        self.assertIn("Connection refused", self.attack(url=f"http://127.0.0.1:{free_port()}").stderr)
        self.assertIn("http:// or https://", self.attack(url="127.0.0.1").stderr)
