"""Pastes the README's tour, line by line, as a reader would."""
import os
import re
import subprocess
import unittest

from platform_under_test import ROOT, Platform, clean_environment


class Tour(unittest.TestCase):
    def test_the_tour_works_when_pasted(self):
        platform = Platform()
        self.addCleanup(platform.remove)
        platform.start()
        with open(f"{ROOT}/README.md") as f:
            blocks = re.findall(r"```bash\n(.*?)```", f.read(), re.S)
        self.assertEqual(len(blocks), 6)
        script = "set -e\n" + "".join(f"echo '== {n}'\n{b}" for n, b in enumerate(blocks)).replace("127.0.0.1:8080", f"127.0.0.1:{platform.port}")
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=clean_environment(), timeout=120, cwd=ROOT)
        self.assertEqual(done.returncode, 0, done.stderr)
        parts = [p.split("\n", 1)[1].strip() for p in done.stdout.split("== ")[1:]]
        self.assertTrue(parts[0].startswith("ck_"), parts[0])
        self.assertIn('"due_on": "2027-01-15"', parts[1])
        self.assertTrue(parts[1].endswith("Write the announcement"), parts[1])
        self.assertEqual(parts[2].split(), ["404", "404", "project_not_found"])
        self.assertEqual(parts[3].splitlines()[:2], ["/name is required", "/nmae is not known here; known are name"])
        self.assertEqual(parts[3].splitlines()[2:], ["Grand launch", "version_mismatch", "project.updated", "task.created", "project.created", "tenant.created"])
        self.assertEqual(parts[4].split(), ["ada@north.example", "north"])
        self.assertRegex(parts[5], r"^[0-9]+ requests, 0 findings$")
        os.unlink("/tmp/tour-cookies")


if __name__ == "__main__":
    unittest.main()
