"""The platform on a Citus cluster of a coordinator and two workers: the same tests, three ways.

Straight to the worker that has the tenant, through the coordinator, and through a worker that does
not have it: a map of tenants that is out of date is slower, never wrong.
"""
import os
import re
import unittest

import test_api
import test_attack
import test_isolation
from platform_under_test import ROOT, has_citus

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
    for _module in (test_api, test_isolation):
        for _name, _class in list(vars(_module).items()):
            if isinstance(_class, type) and issubclass(_class, unittest.TestCase) and _class.__module__ == _module.__name__:
                globals()[f"{_route.title()}{_name}"] = on(_route, _class)
WorkerAttack = on("worker", test_attack.Attack)


class ZCorpus(unittest.TestCase):
    """Runs after the others, whose names come before it."""

    @unittest.skipUnless(has_citus(), "the extension citus is not installed")
    def test_every_statement_of_tenants_ran_by_every_route(self):
        names = set()
        for folder, _, files in os.walk(f"{ROOT}/src"):
            for file in files:
                if file.endswith((".h", ".cc")) and not re.search(r"_(db)?test\.cc$", file):
                    with open(os.path.join(folder, file), encoding="utf-8") as f:
                        names.update(re.findall(r'TenantStatement<[^;]*?>\s+k\w+{\s*"([^"]+)"', f.read()))
        self.assertGreater(len(names), 40)
        for route, ran in seen.items():
            self.assertEqual(sorted(names - ran), [], route)


if __name__ == "__main__":
    unittest.main()
