"""Processes killed at any point of a sequence that spans two databases. Faults under load are in bench/faults."""
import http.client
import threading
import time
import unittest

from platform_under_test import Client, Platform


class Faults(unittest.TestCase):
    def setUp(self):
        self.platform = Platform()
        self.addCleanup(self.platform.remove)
        self.platform.start()

    def test_a_signup_killed_at_any_point_and_repeated_ends_in_one_tenant(self):
        for n in range(4):
            body = {"email": f"k{n}@killed.example", "password": "a long enough password", "organization": {"name": "K", "slug": f"killed-{n}"}}
            got = []

            def go():
                while not got:
                    try:
                        answer = Client(self.platform.port).post("/v1/signup", body, headers={"Idempotency-Key": f"killed-{n}"})
                        if answer.status == 201:
                            got.append(answer)
                    except (OSError, http.client.HTTPException):
                        pass
                    time.sleep(0.002)
            thread = threading.Thread(target=go)
            thread.start()
            time.sleep(0.002 * n)
            self.platform.kill()
            self.platform.start()
            thread.join(30)
            self.assertTrue(got)
            key = got[0].json["api_key"]["secret"]
            self.assertEqual(Client(self.platform.port, key, f"killed-{n}").get(f"/v1/tenants/killed-{n}").status, 200)
        self.assertEqual(self.platform.sql("SELECT count(*), count(DISTINCT slug) FROM tenants WHERE slug LIKE 'killed-%' AND state = 'active'", "coditect_directory"), "4|4")


if __name__ == "__main__":
    unittest.main()
