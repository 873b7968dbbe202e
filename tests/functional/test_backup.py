"""`coditect backup` and `coditect restore`: the rehearsal of a lost machine."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

from platform_under_test import BINARY, Client, Platform, clean_environment, wait_until


def run(*words, expect=0):
    done = subprocess.run([BINARY, *words], capture_output=True, text=True, env=clean_environment())
    assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


class Backup(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.platform = Platform().start()
        cls.acme = cls.platform.sign_up("acme")
        cls.project = cls.acme.post(cls.acme.own("/projects"), {"name": "p"}).json["id"]
        cls.to = tempfile.mkdtemp(prefix="coditect-backups-")

    @classmethod
    def tearDownClass(cls):
        cls.platform.remove()
        shutil.rmtree(cls.to, ignore_errors=True)

    def backup(self, *more):
        return run("backup", "--state", self.platform.state, "--to", self.to, *more).splitlines()[0]

    def write(self, over, made):
        while not over.is_set():
            answer = self.acme.post(self.acme.own("/tasks"), {"project_id": self.project, "title": "t"})
            if answer.status == 201:
                made.append(answer.json["id"])

    def restored(self, folder):
        platform = Platform(state=tempfile.mkdtemp(prefix="coditect-functional-"))
        self.addCleanup(platform.remove)
        said = run("restore", folder, "--state", platform.state)
        self.assertIn("restored what was there", said)
        return platform.start()

    def test_a_machine_is_lost_and_made_anew(self):
        """What was acknowledged before the backup began is there, and nothing else than what was written."""
        over, made = threading.Event(), []
        writer = threading.Thread(target=self.write, args=(over, made), daemon=True)
        writer.start()
        wait_until(lambda: len(made) > 20, 20)
        before = list(made)
        folder = self.backup()
        wait_until(lambda: len(made) > len(before) + 20, 20)
        over.set()
        writer.join(30)
        with open(f"{folder}/manifest.json", encoding="utf-8") as f:
            manifest = json.load(f)
        self.assertEqual((manifest["program"], os.stat(folder).st_mode & 0o777), ("coditect", 0o700))
        second = self.restored(folder)
        client = Client(second.port, self.acme.key, "acme")  # its key is still good: the sealing keys came along
        found, token = [], ""
        while True:
            page = client.get(client.own("/tasks?page_size=200" + (f"&page_token={token}" if token else ""))).json
            found += [t["id"] for t in page["items"]]
            token = page.get("next_page_token")
            if not token:
                break
        self.assertEqual(set(before) - set(found), set())
        self.assertEqual(set(found) - set(made), set())
        self.assertLess(len(found), len(made))
        self.assertEqual(client.post(client.own("/tasks"), {"project_id": self.project, "title": "after"}).status, 201)
        self.assertEqual(second.operator().get("/v1/operator/tenants").status, 200)
        # Both run beside each other, on ports of their own.
        self.assertEqual(self.acme.get(self.acme.own("/projects")).status, 200)

    def test_a_byte_that_changed_is_found(self):
        folder = self.backup()
        damaged = folder + "-damaged"
        shutil.copytree(folder, damaged)
        path = f"{damaged}/postgres/global/1262"
        with open(path, "r+b") as f:
            f.seek(100)
            byte = f.read(1)
            f.seek(100)
            f.write(bytes([byte[0] ^ 1]))
        empty = tempfile.mkdtemp(prefix="coditect-functional-")
        self.addCleanup(shutil.rmtree, empty, True)
        said = run("restore", damaged, "--state", empty, expect=5)
        self.assertIn("global/1262", said)
        self.assertEqual(os.listdir(empty), [])
        shutil.rmtree(damaged)

    def test_secrets_that_changed_or_are_gone_are_found(self):
        folder = self.backup()
        for change in (lambda path: os.truncate(path, 10), os.remove):
            damaged = folder + "-damaged"
            shutil.copytree(folder, damaged)
            change(f"{damaged}/secrets")
            said = run("restore", damaged, "--state", damaged + "-state", expect=4 if change is os.remove else 5)
            self.assertIn("secrets", said)
            self.assertFalse(os.path.exists(damaged + "-state"))
            shutil.rmtree(damaged)

    def test_backups_of_another_installation_are_left_alone(self):
        other = self.backup() + "-other"
        shutil.copytree(self.backup(), other)
        with open(f"{other}/manifest.json", encoding="utf-8") as f:
            manifest = json.load(f)
        with open(f"{other}/manifest.json", "w", encoding="utf-8") as f:
            json.dump({**manifest, "installation": "another"}, f)
        last = self.backup("--keep", "1")
        self.assertTrue(os.path.exists(other))
        self.assertTrue(os.path.exists(last))
        shutil.rmtree(other)

    def test_old_ones_go_and_half_ones_too(self):
        os.makedirs(f"{self.to}/coditect-20200101T000000Z.partial/postgres")
        for _ in range(3):
            self.backup("--keep", "2")
        self.assertEqual(len([d for d in os.listdir(self.to) if d.startswith("coditect-")]), 2)
        self.assertEqual([d for d in os.listdir(self.to) if d.endswith(".partial")], [])

    def test_a_killed_backup_leaves_nothing_that_looks_whole(self):
        to = tempfile.mkdtemp(prefix="coditect-backups-")
        self.addCleanup(shutil.rmtree, to, True)
        process = subprocess.Popen([BINARY, "backup", "--state", self.platform.state, "--to", to], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env=clean_environment())
        wait_until(lambda: any(os.path.isdir(f"{to}/{d}/postgres") for d in os.listdir(to)), 20)
        self.assertIn("another backup", run("backup", "--state", self.platform.state, "--to", to, expect=5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.assertEqual([d for d in os.listdir(to) if d.startswith("coditect-") and not d.endswith(".partial")], [])

    def test_a_restore_that_was_killed_is_not_started_and_can_be_repeated(self):
        folder = self.backup()
        platform = Platform(state=tempfile.mkdtemp(prefix="coditect-functional-"))
        self.addCleanup(platform.remove)
        process = subprocess.Popen([BINARY, "restore", folder, "--state", platform.state], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env=clean_environment())
        wait_until(lambda: os.path.exists(platform.path("restoring")) or process.poll() is not None, 20, 0.001)
        process.kill()
        process.wait()
        if os.path.exists(platform.path("restoring")):  # else it was faster
            with self.assertRaisesRegex(AssertionError, "has not ended"):
                platform.start()
            run("restore", folder, "--state", platform.state)
        platform.start()
        self.assertEqual(Client(platform.port, self.acme.key, "acme").get("/v1/tenants/acme/projects").status, 200)

    def test_what_cannot_be_is_said(self):
        self.assertIn("not empty", run("restore", self.backup(), "--state", tempfile.gettempdir(), expect=5))
        self.assertIn("already_running", run("restore", self.backup(), "--state", self.platform.state, expect=5))
        self.assertIn("manifest.json is missing", run("restore", self.to, "--state", self.to + "-none", expect=4))
        self.assertIn("not_running", run("backup", "--state", self.to + "-none", "--to", self.to, expect=5))
        self.assertIn("--to is required", run("backup", "--state", self.platform.state, expect=2))


if __name__ == "__main__":
    unittest.main()
