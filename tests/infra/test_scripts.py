"""The scripts that work on a cloud, against programs that only record how they were called (scripts/*.bats), and what shellcheck
and yamllint say of everything."""
import os
import re
import shutil
import subprocess
import unittest

from test_kubernetes import ROOT

BATS = f"{ROOT}/tests/infra/scripts"


def tracked(*patterns):
    done = subprocess.run(["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns], capture_output=True, text=True, check=True)
    return [f"{ROOT}/{path}" for path in done.stdout.splitlines() if not os.path.islink(f"{ROOT}/{path}") and os.path.isfile(f"{ROOT}/{path}")]


@unittest.skipUnless(shutil.which("bats"), "bats is not installed")
@unittest.skipUnless(shutil.which("kubectl"), "kubectl is not installed")
class Scripts(unittest.TestCase):
    def bats(self, name):
        done = subprocess.run(["bats", "--tap", f"{BATS}/{name}.bats"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertGreater(len(re.findall(r"^ok ", done.stdout, re.M)), 5)

    def test_deploy(self):
        self.bats("deploy")

    def test_backup_restore_and_scale(self):
        self.bats("others")


class Lint(unittest.TestCase):
    @unittest.skipUnless(shutil.which("shellcheck"), "shellcheck is not installed")
    def test_shell(self):
        scripts = [path for path in tracked("scripts/*.sh", "tools/*.sh", ".ci/run", "packaging/postinst", "packaging/prerm", "packaging/postrm") if "/lib/" not in path]
        self.assertGreater(len(scripts), 8)
        done = subprocess.run(["shellcheck", "--severity=warning", *scripts], capture_output=True, text=True, cwd=ROOT)
        self.assertEqual(done.returncode, 0, done.stdout)

    @unittest.skipUnless(shutil.which("yamllint"), "yamllint is not installed")
    def test_yaml(self):
        rules = "{extends: default, rules: {document-start: disable, line-length: {max: 160}, braces: {max-spaces-inside: 1}, truthy: {check-keys: false}, " \
                "comments: {min-spaces-from-content: 1}, indentation: {indent-sequences: whatever}}}"
        files = tracked("*.yaml", "*.yml")
        self.assertGreater(len(files), 20)
        done = subprocess.run(["yamllint", "--strict", "-d", rules, *files], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_no_secret_and_no_moving_tag(self):
        secret = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/]|AKIA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}|\"private_key_id\"|ghp_[0-9A-Za-z]{36}")
        moving = re.compile(r"image:\s*\S+:latest|FROM\s+\S+:latest|uses:\s*\S+@(?:main|master)\b|curl[^\n|]*\|\s*(?:sudo\s+)?(?:ba)?sh\b")
        for path in tracked("*.yaml", "*.yml", "*.tf", "*.json", "*.sh", "*.env", "Dockerfile", "*.md", "*.toml", "*.py"):
            with open(path, encoding="utf-8") as f:
                text = f.read()
            self.assertIsNone(secret.search(text), path)
            if not path.endswith((".py", ".md")):
                self.assertIsNone(moving.search(text), path)
