"""What checkov knows of the CIS benchmarks, on our sources and on what Kubernetes would get."""
import os
import shutil
import subprocess
import tempfile
import unittest

from test_kubernetes import ENVIRONMENTS, ROOT, deployed


@unittest.skipUnless(shutil.which("checkov"), "checkov is not installed")
class Checkov(unittest.TestCase):
    def run_checkov(self, config, *words):
        # It asks its vendor for guidelines otherwise.
        environment = {**os.environ, "BC_SKIP_MAPPING": "TRUE", "CKV_IGNORE_HIDDEN_DIRECTORIES": "true"}
        done = subprocess.run(["checkov", "--config-file", f"{ROOT}/{config}", "--skip-download", *words], capture_output=True, text=True, env=environment)
        return done.returncode, done.stdout + done.stderr

    def test_opentofu(self):
        code, said = self.run_checkov("opentofu/checkov.yaml", "-d", f"{ROOT}/opentofu")
        self.assertEqual(code, 0, said)

    def test_kubernetes(self):
        for environment in ENVIRONMENTS:
            with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
                f.write(deployed(environment))
                f.flush()
                code, said = self.run_checkov("kubernetes/checkov.yaml", "-f", f.name)
                self.assertEqual(code, 0, said)

    def test_it_finds_something(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/main.tf", "w", encoding="utf-8") as f:
                f.write('resource "google_compute_firewall" "ssh" {\n  name = "x"\n  network = "y"\n  source_ranges = ["0.0.0.0/0"]\n'
                        '  allow {\n    protocol = "tcp"\n    ports = ["22"]\n  }\n}\n')
            code, said = self.run_checkov("opentofu/checkov.yaml", "-d", folder)
            self.assertNotEqual(code, 0)
            self.assertIn("CKV_GCP_2", said)
