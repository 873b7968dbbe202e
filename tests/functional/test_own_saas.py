"""An application outside the tree, built from the installed package, with slices that `coditect new slice` wrote."""
import filecmp
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from platform_under_test import ROOT, Client, Platform, clean_environment, wait_until

RELEASE = f"{ROOT}/build/release/coditect"
EXAMPLE = f"{ROOT}/examples/own-saas"
# Each type, each optional too, and names of one letter.
EVERY_TYPE = ("a:text b:text(3)? c:int d:int? e:money f:money? g:bool h:bool? i:date j:date? k:time l:time? "
              "m:enum(x,y) n:enum(z)? a_long_name_that_wraps_lines_of_the_code:text(10000)?")


def run(*command, cwd=None):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=clean_environment())
    if done.returncode:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done.stdout


class OwnSaas(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="coditect-own-saas-")
        os.chmod(cls.folder, 0o755)
        cls.prefix, cls.source, cls.build = (f"{cls.folder}/{name}" for name in ("prefix", "own-saas", "build"))
        run("cmake", "--install", f"{ROOT}/build/release", "--prefix", cls.prefix)
        shutil.copytree(EXAMPLE, cls.source)
        cls.coditect = f"{cls.prefix}/bin/coditect"
        run(cls.coditect, "new", "slice", "receipts", "--fields", EVERY_TYPE, "--dir", cls.source)
        run("cmake", "-S", cls.source, "-B", cls.build, "-G", "Ninja", "-DCMAKE_CXX_COMPILER=clang++-19", "-DCMAKE_C_COMPILER=clang-19",
            "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror -Wno-missing-field-initializers", f"-DCMAKE_PREFIX_PATH={cls.prefix}")
        run("cmake", "--build", cls.build)
        cls.binary = f"{cls.build}/own-saas"

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    def platform(self, binary=None, **kw):
        platform = Platform(binary=binary or self.binary, **kw)
        self.addCleanup(platform.remove)
        return platform.start()

    def test_its_tests_pass_with_the_generated_slice_untouched(self):
        out = run("ctest", "--test-dir", self.build, "--output-on-failure")
        self.assertIn("100% tests passed", out)
        ran = subprocess.run([f"{self.build}/own_saas_dbtest", "--gtest_list_tests"], capture_output=True, text=True).stdout
        for name in ("ReceiptsTest.", "CustomersTest.", "InvoicesTest.", "Catalog."):
            self.assertIn(name, ran)

    def test_its_customers_are_what_the_generator_writes_today(self):
        fresh = f"{self.folder}/fresh"
        os.makedirs(f"{fresh}/src")
        os.makedirs(f"{fresh}/migrations/cell")
        for name in ("CMakeLists.txt", ".clang-format", "src/tables.h", "src/application.cc"):
            with open(f"{EXAMPLE}/{name}") as f:
                lines = [line for line in f if "customers" not in line]
            with open(f"{fresh}/{name}", "w") as f:
                f.writelines(lines)
        run(self.coditect, "new", "slice", "customers", "--fields", "name:text email:text(320)? active:bool", "--dir", f"{fresh}/src")
        for name in ("model.h", "queries.h", "handlers.h", "handlers.cc", "customers_dbtest.cc"):
            self.assertTrue(filecmp.cmp(f"{fresh}/src/customers/{name}", f"{EXAMPLE}/src/customers/{name}", shallow=False), name)
        self.assertTrue(filecmp.cmp(f"{fresh}/migrations/cell/0001_customers.sql", f"{EXAMPLE}/migrations/cell/0001_customers.sql", shallow=False))

    def test_it_has_the_subcommands_of_coditect_and_its_own_name(self):
        def commands(binary):
            return re.findall(r"^  (\w+) +\S", run(binary, "--help").split("Subcommands:")[1], re.M)
        self.assertEqual(commands(self.binary), commands(self.coditect))
        self.assertRegex(run(self.binary, "--version"), r"^own-saas 1\.0\.0 \(Coditect [0-9.]+\)\n$")

    def test_customers_invoices_and_payments_stay_with_their_tenant(self):
        platform = self.platform()
        a, b = platform.sign_up("acme"), platform.sign_up("globex")
        customer = a.post(a.own("/customers"), {"name": "Ada", "active": True}).json["id"]
        invoice = {"customer_id": customer, "number": "2026-1", "amount": 12050, "due_on": "2026-12-31"}
        made = a.post(a.own("/invoices"), invoice)
        self.assertEqual((made.status, made.json["status"], made.json["paid_at"]), (201, "open", None), made)
        stolen = b.post(b.own("/invoices"), invoice)
        missing = b.post(b.own("/invoices"), {**invoice, "customer_id": "customer_01h455vb4pex5vsknk084sn02q"})
        self.assertEqual((stolen.status, stolen.json["errors"]), (400, missing.json["errors"]))
        pay = a.own(f"/invoices/{made.json['id']}/pay")
        self.assertEqual(b.post(pay.replace("acme", "globex"), {"amount": 12050}).status, 404)
        self.assertEqual(a.post(pay, {"amount": 1}).json["errors"][0]["pointer"], "/amount")
        paid = a.post(pay, {"amount": 12050}, headers={"Idempotency-Key": "pay-1"})
        self.assertEqual((paid.status, paid.json["status"]), (200, "paid"))
        self.assertEqual(a.post(pay, {"amount": 12050}, headers={"Idempotency-Key": "pay-1"}).body, paid.body)
        self.assertEqual(a.post(pay, {"amount": 12050}).code, "invoice_already_paid")
        self.assertIn("invoice.paid", [e["verb"] for e in a.get(a.own("/activity")).json["items"]])
        self.assertEqual(a.get(a.own("/projects")).status, 404)  # the platform's own product is not in it

    def test_it_withstands_coditect_attack(self):
        platform = self.platform()
        with open(platform.path("operator.key"), encoding="ascii") as f:
            key = f.read().strip()
        out = run(self.binary, "attack", "--url", f"http://127.0.0.1:{platform.port}", "--operator-key", key)
        self.assertIn(" 0 findings", out)
        self.assertNotIn("not tried", out)

    def test_a_platform_grows_into_it_and_the_platforms_program_still_runs_beside_it(self):
        first = self.platform(binary=RELEASE)
        client = first.sign_up("acme")
        self.assertEqual(client.post(client.own("/projects"), {"name": "kept"}).status, 201)
        first.stop()
        second = self.platform(state=first.state)
        client.port = second.port
        self.assertEqual(client.post(client.own("/customers"), {"name": "Ada", "active": True}).status, 201)
        self.assertEqual(second.sql("SELECT count(*) FROM coditect.migrations_own_saas WHERE finished_at IS NOT NULL"), "3")
        second.stop()
        third = self.platform(binary=RELEASE, state=first.state)
        client.port = third.port
        self.assertEqual([p["name"] for p in client.get(client.own("/projects")).json["items"]], ["kept"])

    def test_a_deleted_tenants_own_rows_are_purged(self):
        platform = self.platform()
        client = platform.sign_up("gone")
        self.assertEqual(client.post(client.own("/customers"), {"name": "Ada", "active": True}).status, 201)
        session = platform.sign_in(client.email, client.password)
        self.assertIn(session.delete("/v1/tenants/gone").status, (200, 202, 204))
        platform.sql("UPDATE tenants SET purge_after = now() - interval '1 s' WHERE slug = 'gone'", "coditect_directory")
        wait_until(lambda: platform.sql("SELECT count(*) FROM customers") == "0", 20)

    def test_a_program_that_does_not_know_a_table_leaves_the_purge_to_one_that_does(self):
        first = self.platform()
        client = first.sign_up("gone")
        self.assertEqual(client.post(client.own("/customers"), {"name": "Ada", "active": True}).status, 201)
        self.assertIn(first.sign_in(client.email, client.password).delete("/v1/tenants/gone").status, (200, 202, 204))
        first.stop()
        second = self.platform(binary=RELEASE, state=first.state)
        second.sql("UPDATE tenants SET purge_after = now() - interval '1 s' WHERE slug = 'gone'", "coditect_directory")
        wait_until(lambda: '"unknown_table":"customers"' in second.log(), 20)
        self.assertEqual(second.sql("SELECT state FROM tenants WHERE slug = 'gone'", "coditect_directory"), "deleted")
        self.assertEqual(second.sql("SELECT count(*) FROM customers"), "1")
        second.stop()
        third = self.platform(state=first.state)
        wait_until(lambda: third.sql("SELECT state FROM tenants WHERE slug = 'gone'", "coditect_directory") == "purged", 20)
        self.assertEqual(third.sql("SELECT count(*) FROM customers"), "0")


class Generator(unittest.TestCase):
    def test_wrong_words_are_named_and_nothing_is_written(self):
        folder = tempfile.mkdtemp(prefix="coditect-new-")
        self.addCleanup(shutil.rmtree, folder, True)
        shutil.copytree(EXAMPLE, f"{folder}/x")
        before = run("find", f"{folder}/x", "-type", "f")
        cases = (("invoices", "a:int", 5, "exists"), ("tasks", "a:int", 5, "platform has a table"), ("Bad", "a:int", 2, "lower-case"), ("x", "a:blob", 2, "none of text"),
                 ("x", "", 2, "needs a field"), ("x", "order:int", 2, "reserved"))
        for name, fields, code, words in cases:
            done = subprocess.run([RELEASE, "new", "slice", name, "--fields", fields, "--dir", f"{folder}/x"], capture_output=True, text=True)
            self.assertEqual((done.returncode, words in done.stderr), (code, True), (name, fields, done.stderr))
        done = subprocess.run([RELEASE, "new", "slice", "orders", "--fields", "a:int", "--dir", f"{folder}/x", "--dry-run"], capture_output=True, text=True)
        self.assertEqual((done.returncode, "write  src/orders/model.h" in done.stdout), (0, True), done)
        self.assertEqual(run("find", f"{folder}/x", "-type", "f"), before)
        done = subprocess.run([RELEASE, "new", "slice", "orders", "--fields", "a:int", "--dir", "/proc"], capture_output=True, text=True)
        self.assertEqual((done.returncode, "no project" in done.stderr), (5, True), done)


if __name__ == "__main__":
    unittest.main()
