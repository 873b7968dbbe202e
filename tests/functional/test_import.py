import json
import os
import random
import signal
import subprocess
import tempfile
import time

from platform_under_test import BINARY, Client, PlatformTest, clean_environment


class Import(PlatformTest):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="coditect-import-")

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8", newline="") as f:
            f.write(text)
        return path

    def run_import(self, path, *flags):
        return subprocess.run([BINARY, "tenant", "import", path, "--state", self.platform.state, *flags],
                              capture_output=True, text=True, env=clean_environment())

    def csv(self, prefix, count):
        return "slug,name,owner_email\n" + "".join(f"{prefix}-{i:06d},Name {i},o{i}@{prefix}.example\n" for i in range(count))

    def lines(self, path):
        with open(path, encoding="utf-8") as f:
            return f.read().splitlines()

    def test_imported_tenants_work_and_are_apart(self):
        path = self.file("two.jsonl", "".join(json.dumps({"slug": f"jl-{i}", "name": f"Quoted \"{i}\"\t\\", "owner_email": "Same@Owner.example"}) + "\n" for i in range(2)))
        done = self.run_import(path, "--api-keys", path + ".keys")
        self.assertEqual((done.returncode, done.stdout), (0, "2 organizations imported, 0 rejected\n"), done.stderr)
        self.assertEqual(os.stat(path + ".keys").st_mode & 0o777, 0o600)
        one, two = (Client(self.platform.port, key, slug) for slug, key in (line.split(",") for line in self.lines(path + ".keys")))
        made = one.post(one.own("/projects"), {"name": "mine"})
        self.assertEqual(made.status, 201)
        self.assertEqual(two.get(two.own("/projects/" + made.json["id"])).code, "project_not_found")
        self.assertEqual(two.get(one.own("/projects")).code, "tenant_not_found")
        self.assertEqual(one.get(one.own("")).json["name"], "Quoted \"0\"\t\\")
        self.assertEqual([m["email"] for m in one.get(one.own("/members")).json["items"]], ["same@owner.example"])
        self.assertEqual([e["verb"] for e in one.get(one.own("/activity")).json["items"]], ["project.created", "tenant.created"])

    def test_refused_lines_are_named_with_their_rule_and_the_others_go_on(self):
        path = self.file("bad.csv", "owner_email,slug,name,owner_password_hash\r\n"
                         'a@b.example,good-one,"Comma, ""quote""\nand line",\r\n'
                         "not an address,good-two,Name,\r\n"
                         "a@b.example,Bad Slug,Name,\r\n"
                         "a@b.example,good-one,Again,\r\n"
                         "a@b.example,acme,Taken,\r\n"
                         "a@b.example,good-three,Name,md5:1234\r\n"
                         "a@b.example,too,many,fields,here\r\n"
                         "\r\n"
                         'a@b.example,good-four,"never closed\r\n')
        dry = self.run_import(path, "--dry-run")
        self.assertEqual((dry.returncode, dry.stdout.split(":")[0]), (5, "3 organizations are right, 5 rejected"), dry.stderr)
        done = self.run_import(path)
        self.assertEqual((done.returncode, done.stdout.split(":")[0]), (5, "1 organizations imported, 7 rejected"), done.stderr)
        rejects = [json.loads(line) for line in self.lines(path + ".rejects.jsonl")]
        self.assertEqual([(r["line"], r["errors"][0]["pointer"], r["errors"][0]["code"]) for r in rejects],
                         [(4, "/owner_email", "invalid_email"), (5, "/slug", "invalid_slug"), (6, "/slug", "taken"), (7, "/slug", "taken"),
                          (8, "/owner_password_hash", "invalid"), (9, "", "malformed_csv"), (11, "", "malformed_csv")])

    def test_what_cannot_be_read_is_said(self):
        for text, words in (("", "is empty"), ("slug,name\n", "'owner_email'"), ("slug,name,owner_email,colour\n", "'colour'")):
            done = self.run_import(self.file("x.csv", text))
            self.assertEqual(done.returncode, 2, done)
            self.assertIn(words, done.stderr)
        self.assertIn("No such file", self.run_import("/nowhere.csv").stderr)
        self.assertIn("regular file", self.run_import("/dev/null", "--format", "csv").stderr)

    def test_killed_at_any_moment_it_goes_on_and_nothing_is_lost_or_twice(self):
        count = 3000
        path = self.file("many.csv", self.csv("kill", count))
        keys = path + ".keys"
        kills, code = 0, None
        for _ in range(60):
            process = subprocess.Popen([BINARY, "tenant", "import", path, "--state", self.platform.state, "--api-keys", keys, "--step", "100"],
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=clean_environment())
            try:
                code = process.wait(random.uniform(0.02, 0.3) if kills < 6 else 120)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL if kills % 3 else signal.SIGINT)
                process.wait()
                kills += 1
                code = None
            said = process.stdout.read()
            process.stdout.close()
            if code == 0:
                break
        self.assertEqual(code, 0, said)
        self.assertGreater(kills, 0)
        self.assertIn(f"{count} organizations imported, 0 rejected", said)
        total = lambda sql, db="coditect_cell": int(self.platform.sql(sql, db))  # noqa: E731
        self.assertEqual(total("SELECT count(*) FROM tenants WHERE slug LIKE 'kill-%' AND state = 'active' AND cell_epoch = epoch", "coditect_directory"), count)
        self.assertEqual(total("SELECT count(*) FROM user_tenants ut JOIN tenants t ON t.id = ut.tenant_id WHERE slug LIKE 'kill-%'", "coditect_directory"), count)
        self.assertEqual(total("SELECT count(*) FROM members WHERE email LIKE '%@kill.example'"), count)
        self.assertEqual(total("SELECT count(*) FROM api_keys k JOIN members m ON m.tenant_id = k.tenant_id WHERE email LIKE '%@kill.example'"), count)
        self.assertEqual(total("SELECT count(*) FROM activity a JOIN members m ON m.tenant_id = a.tenant_id WHERE email LIKE '%@kill.example' AND verb = 'tenant.created'"), count)
        lines = self.lines(keys)
        again = self.run_import(path, "--api-keys", keys)
        self.assertEqual((again.returncode, again.stdout), (0, f"had been imported before; {count} organizations imported, 0 rejected\n"), again.stderr)
        self.assertEqual(self.lines(keys), lines)
        self.assertEqual([line.split(",")[0] for line in lines], [f"kill-{i:06d}" for i in range(count)])
        for line in random.sample(lines, 20):
            slug, key = line.split(",")
            self.assertEqual(Client(self.platform.port, key).get(f"/v1/tenants/{slug}").json["slug"], slug)

    def test_a_file_of_keys_is_never_cut(self):
        first, second = self.file("first.csv", self.csv("first", 3)), self.file("second.csv", self.csv("second", 3))
        keys = first + ".keys"
        self.assertEqual(self.run_import(first, "--api-keys", keys).returncode, 0)
        before = self.lines(keys)
        refused = self.run_import(second, "--api-keys", keys)
        self.assertEqual(refused.returncode, 5, refused)
        self.assertIn("name another file", refused.stderr)
        self.assertEqual(self.lines(keys), before)
        self.assertEqual(self.run_import(second).stdout, "3 organizations imported, 0 rejected\n")

    def test_two_imports_of_one_file_do_not_meet(self):
        count = 20000
        path = self.file("once.csv", self.csv("once", count))
        first = subprocess.Popen([BINARY, "tenant", "import", path, "--state", self.platform.state, "--step", "50"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean_environment())
        begun = "SELECT count(*) FROM imports WHERE source LIKE '%once.csv'"
        try:
            while first.poll() is None and self.platform.sql(begun, "coditect_directory") == "0":
                time.sleep(0.01)
            first.send_signal(signal.SIGSTOP)
            self.assertIn("another process is importing", self.run_import(path).stderr)
        finally:
            first.send_signal(signal.SIGINT)
            first.send_signal(signal.SIGCONT)
            self.assertEqual(first.wait(60), 130)
        self.assertIn(f"went on; {count} organizations imported", self.run_import(path).stdout)
