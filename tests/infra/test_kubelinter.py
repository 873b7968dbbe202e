"""What kube-linter knows of running things on Kubernetes, on what it would get."""
import subprocess
import tempfile
import unittest

from test_kubernetes import ENVIRONMENTS, ROOT, beside, deployed, find


@unittest.skipUnless(find("kube-linter"), "kube-linter is not installed")
class KubeLinter(unittest.TestCase):
    def lint(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write(text)
            f.flush()
            done = subprocess.run([find("kube-linter"), "lint", "--config", f"{ROOT}/kubernetes/kube-linter.yaml", f.name], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def test_every_environment(self):
        for environment in ENVIRONMENTS:
            # Of the chart's what serves: its jobs are made and deleted by Helm.
            charts = "---\n".join(d for d in beside(environment).split("---\n") if "kind: Job\n" not in d)
            code, said = self.lint(deployed(environment) + charts)
            self.assertEqual(code, 0, said)

    def test_it_finds_something(self):
        text = deployed("dev")
        for wrong, right, said in (("readOnlyRootFilesystem: false", "readOnlyRootFilesystem: true", "no-read-only-root-fs"),
                                   ("image: coditect:latest", f"image: {text.split('image: ')[1].split()[0]}", "latest-tag"),
                                   ("serviceAccountName: nobody", "serviceAccountName: backend", "non-existent-service-account")):
            self.assertIn(right, text)
            code, answer = self.lint(text.replace(right, wrong))
            self.assertEqual(code, 1, wrong)
            self.assertIn(said, answer)


if __name__ == "__main__":
    unittest.main()
