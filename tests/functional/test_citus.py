"""The platform on a Citus cluster of a coordinator and two workers: the same tests, three ways.

Straight to the worker that has the tenant, through the coordinator, and through a worker that does
not have it: a map of tenants that is out of date is slower, never wrong.
"""
import os
import re
import subprocess
import unittest

import test_api
import test_attack
import test_isolation
from platform_under_test import ROOT, Platform, clean_environment, has_citus

# Statements of each route that some test has run.
seen = {"worker": set(), "coordinator": set(), "other": set()}


def on(route, base):
    """The tests of the class, on Citus, by this route."""

    class Tests(base):
        arguments = (*base.arguments, "--citus", "2", "--cell-route", route)

        @classmethod
        def setUpClass(cls):
            if not has_citus():
                raise unittest.SkipTest("the extension citus is not installed")
            super().setUpClass()

        @classmethod
        def tearDownClass(cls):
            metrics = cls.a.get("/metrics").body
            seen[route].update(re.findall(r'coditect_db_statement_seconds_count{statement="([^"]+)"', metrics))
            problems = [line for line in metrics.splitlines() if line.startswith("coditect_cell_map_failures_total ")]
            lost = re.findall(r'coditect_db_lost_total{pool="cell@[^"]+"} (\d+)', metrics)
            super().tearDownClass()
            assert problems == ["coditect_cell_map_failures_total 0"], problems
            assert lost and set(lost) == {"0"} or route == "coordinator", lost

    Tests.__name__ = Tests.__qualname__ = f"{route.title()}{base.__name__}"
    Tests.__module__ = __name__
    return Tests


for _route in seen:
    for _module in (test_api, test_isolation, test_attack):
        for _name, _class in list(vars(_module).items()):
            if isinstance(_class, type) and issubclass(_class, unittest.TestCase) and _class.__module__ == _module.__name__:
                globals()[f"{_route.title()}{_name}"] = on(_route, _class)
del _class  # or it would be run here, too


# Statements that are reached only when two requests meet in one moment: run here by hand.
RACES = {"accounts.is_member", "tenancy.state"}


def statements():
    """Every statement of tenants in the source: name -> SQL."""
    found = {}
    for folder, _, files in os.walk(f"{ROOT}/src"):
        for file in files:
            if file.endswith((".h", ".cc")) and not re.search(r"_(db)?test\.cc$", file):
                with open(os.path.join(folder, file), encoding="utf-8") as f:
                    for name, texts in re.findall(r'TenantStatement<[^;]*?>\s+k\w+{\s*"([^"]+)",((?:\s*"[^"]*")+)', f.read()):
                        found[name] = "".join(re.findall(r'"([^"]*)"', texts))
    return found


@unittest.skipUnless(has_citus(), "the extension citus is not installed")
class ZCorpus(unittest.TestCase):
    """Runs after the others, whose names come before it."""

    def test_every_statement_of_tenants_ran_by_every_route(self):
        names = set(statements())
        self.assertGreater(len(names), 40)
        for route, ran in seen.items():
            self.assertEqual(sorted(names - ran - RACES), [], route)

    def test_statements_that_only_races_reach_run_on_every_node(self):
        platform = Platform("--citus", "2")
        self.addCleanup(platform.remove)
        platform.start()
        acme = platform.sign_up("acme")
        tenant = platform.sql("SELECT id FROM tenants WHERE slug = 'acme'", "coditect_directory")
        user = platform.sql(f"SELECT user_id FROM members WHERE tenant_id = {tenant}")
        self.assertEqual(acme.get(acme.own("/projects")).status, 200)
        secrets, ports = platform.values("secrets"), platform.values("ports")
        arguments = {"accounts.is_member": f"({tenant}, '{user}')", "tenancy.state": f"({tenant})"}
        for name in sorted(RACES):
            for server, port in sorted(ports.items()):
                if not server.startswith("citus-"):
                    continue
                done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", "BEGIN", "-c", f"SET LOCAL app.tenant_id = '{tenant}'",
                                       "-c", f"PREPARE s AS {statements()[name]}", "-c", f"EXECUTE s {arguments[name]}", "-c", "COMMIT",
                                       f"host=127.0.0.1 port={port} user=coditect_app dbname=coditect_cell"],
                                      env={**clean_environment(), "PGPASSWORD": secrets["app"]}, capture_output=True, text=True)
                self.assertEqual((done.returncode, len(done.stdout.split())), (0, 1), (name, server, done.stdout, done.stderr))


if __name__ == "__main__":
    unittest.main()
