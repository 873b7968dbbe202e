"""The leak patterns of docs/ISOLATION.md that the HTTP interface can show, by number."""
import json
import re
import time
import unittest

from platform_under_test import Client, PlatformTest, wait_until, without_trace

ABSENT = "0" * 26


class Isolation(PlatformTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ids = {}
        for client in (cls.a, cls.b):
            project = client.post(client.own("/projects"), {"name": "secret"}).json["id"]
            task = client.post(client.own("/tasks"), {"project_id": project, "title": "secret", "labels": ["secret"]}).json["id"]
            cls.ids[client.slug] = {
                "project": project, "task": task,
                "comment": client.post(client.own("/comments"), {"task_id": task, "body": "secret"}).json["id"],
                "member": client.get(client.own("/members")).json["items"][0]["id"],
                "api_key": client.get(client.own("/api-keys")).json["items"][0]["id"]}
        cls.document = cls.a.get("/openapi.json").json

    def tenant_operations(self):
        for path, methods in self.document["paths"].items():
            if path.startswith("/v1/tenants/{tenant}"):
                for method, operation in methods.items():
                    yield method.upper(), path, operation

    def body_for(self, operation):
        """A body that is right, so that only the ids are wrong."""
        return {"createProject": {"name": "x"}, "updateProject": {"name": "x"}, "updateTask": {"title": "x"}, "updateComment": {"body": "x"},
                "updateMember": {"role": "viewer"}, "updateTenant": {"name": "x"}, "addMember": {"email": "q@q.example", "role": "viewer"},
                "createApiKey": {"name": "x"}, "createTask": {"project_id": self.ids["acme"]["project"], "title": "x"},
                "createTasks": {"items": [{"project_id": self.ids["acme"]["project"], "title": "x"}]},
                "createComment": {"task_id": self.ids["acme"]["task"], "body": "x"}}.get(operation["operationId"])

    def test_pattern_15_every_operation_answers_a_foreign_id_as_an_absent_and_a_malformed_one(self):
        checked = 0
        for method, path, operation in self.tenant_operations():
            names = [n for n in re.findall(r"{(\w+)}", path) if n != "tenant"]
            if not names:
                continue
            answers = []
            for kind in ("foreign", "absent", "malformed"):
                url = path.replace("{tenant}", "acme")
                for name in names:
                    foreign = self.ids["globex"][name]
                    value = {"foreign": foreign, "absent": foreign.rsplit("_", 1)[0] + "_" + ABSENT, "malformed": "x'--"}[kind]
                    url = url.replace("{" + name + "}", value)
                answers.append(without_trace(self.a.send(method, url, self.body_for(operation))))
            self.assertEqual(answers[0][0], 404, (method, path, answers))
            self.assertEqual(answers[0], answers[1], (method, path))
            self.assertEqual(answers[0], answers[2], (method, path))
            checked += 1
        self.assertGreaterEqual(checked, 15)

    def test_pattern_15_and_18_another_tenants_path_is_a_missing_path(self):
        for method, path, operation in self.tenant_operations():
            body = self.body_for(operation)
            foreign, absent = path.replace("{tenant}", "globex"), path.replace("{tenant}", "no-such-tenant")
            for name, value in self.ids["globex"].items():
                foreign, absent = foreign.replace("{" + name + "}", value), absent.replace("{" + name + "}", value)
            first, second = self.a.send(method, foreign, body), self.a.send(method, absent, body)
            self.assertEqual(first.status, 404, (method, path, first))
            self.assertEqual(without_trace(first), without_trace(second), (method, path))
            session = self.platform.sign_in(self.a.email) if method == "GET" else None
            if session:
                self.assertEqual(without_trace(session.get(foreign)), without_trace(session.get(absent)), path)

    def test_pattern_18_headers_do_not_choose_the_tenant(self):
        for headers in ({"X-Tenant-Id": "2"}, {"X-Tenant": "globex"}, {"X-Forwarded-Host": "globex.example"}, {"Host": "globex.example"}):
            self.assertEqual([p["name"] for p in self.a.get(self.a.own("/projects"), headers=headers).json["items"]].count("secret"), 1)
            self.assertEqual(self.a.get("/v1/tenants/globex/projects", headers=headers).status, 404)

    def test_pattern_13_bodies_cannot_refer_to_another_tenants_rows(self):
        theirs, mine = self.ids["globex"], self.ids["acme"]
        cases = [("POST", "/tasks", {"project_id": theirs["project"], "title": "x"}), ("PATCH", f"/tasks/{mine['task']}", {"project_id": theirs["project"]}),
                 ("POST", "/tasks", {"project_id": mine["project"], "title": "x", "assignee_id": theirs["member"]}),
                 ("PATCH", f"/tasks/{mine['task']}", {"assignee_id": theirs["member"]}), ("POST", "/comments", {"task_id": theirs["task"], "body": "x"})]
        for method, path, body in cases:
            foreign = self.a.send(method, self.a.own(path), body)
            absent_body = {k: v.rsplit("_", 1)[0] + "_" + ABSENT if v in theirs.values() else v for k, v in body.items()}
            absent = self.a.send(method, self.a.own(path), absent_body)
            self.assertEqual(foreign.status, 400, foreign)
            self.assertEqual(without_trace(foreign), without_trace(absent), (method, path, body))

    def test_pattern_13_filters_by_another_tenants_ids_find_nothing(self):
        theirs = self.ids["globex"]
        for query in (f"/tasks?project_id={theirs['project']}", f"/tasks?assignee_id={theirs['member']}", f"/comments?task_id={theirs['task']}", f"/activity?target_id={theirs['task']}"):
            answer = self.a.get(self.a.own(query))
            self.assertEqual((answer.status, answer.json["items"]), (200, []), query)

    def test_pattern_16_page_tokens_are_bound_to_tenant_route_and_query(self):
        for client in (self.a, self.b):
            for n in range(3):
                client.post(client.own("/projects"), {"name": f"p{n}"})
                client.post(client.own("/tasks"), {"project_id": self.ids[client.slug]["project"], "title": f"t{n}"})
        token = self.b.get(self.b.own("/projects?page_size=1")).json["next_page_token"]
        own = self.a.get(self.a.own("/projects?page_size=1")).json["next_page_token"]
        self.assertEqual(self.a.get(self.a.own(f"/projects?page_size=1&page_token={own}")).status, 200)
        for url in (f"/projects?page_token={token}", f"/tasks?page_token={own}", f"/members?page_token={own}", f"/projects?page_token={own[:-1]}", "/projects?page_token=AAAA"):
            self.assertEqual(self.a.get(self.a.own(url)).code, "invalid_page_token", url)
        filtered = self.a.get(self.a.own("/tasks?status=todo&page_size=1")).json["next_page_token"]
        self.assertEqual(self.a.get(self.a.own(f"/tasks?status=done&page_token={filtered}")).code, "invalid_page_token")
        for text in (token, own):
            self.assertNotIn("project", text)

    def test_pattern_16_idempotency_keys_are_each_tenants_own(self):
        first = self.a.post(self.a.own("/projects"), {"name": "mine"}, headers={"Idempotency-Key": "shared"})
        second = self.b.post(self.b.own("/projects"), {"name": "other body"}, headers={"Idempotency-Key": "shared"})
        self.assertEqual((first.status, second.status), (201, 201))
        self.assertNotEqual(first.json["id"], second.json["id"])
        other = Client(self.platform.port, self.a.post(self.a.own("/api-keys"), {"name": "second"}).json["secret"], "acme")
        third = other.post(self.a.own("/projects"), {"name": "another principal"}, headers={"Idempotency-Key": "shared"})
        self.assertEqual(third.status, 201)

    def test_pattern_2_a_request_without_credentials_after_one_with_gets_nothing(self):
        anonymous = Client(self.platform.port)
        for _ in range(20):
            self.assertEqual(self.a.get(self.a.own("/projects")).status, 200)
            self.assertEqual(anonymous.get(self.a.own("/projects")).status, 401)
        for bad in ("", "x", self.a.key[:-1], self.a.key[:-1] + ("0" if self.a.key[-1] != "0" else "1"), self.a.key + "x", "ck_" + ABSENT + "_" + ABSENT + "_" + "a" * 49):
            self.assertEqual(Client(self.platform.port, bad, "acme").get(self.a.own(), headers={"Authorization": "Bearer " + bad}).status, 401, bad)

    def test_pattern_16_a_key_moved_to_another_tenant_is_no_key(self):
        mine, theirs = self.a.key.split("_"), self.b.key.split("_")
        import zlib
        body = "_".join(["ck", theirs[1], mine[2], mine[3][:43]])
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        n, check = zlib.crc32(body.encode()), ""
        for _ in range(6):
            n, digit = divmod(n, 62)
            check = digits[digit] + check
        self.assertEqual(Client(self.platform.port, body + check).get("/v1/tenants/globex").status, 401)
        self.assertEqual(Client(self.platform.port, body + check).get("/v1/tenants/acme").status, 401)

    def test_pattern_20_roles_and_invitations_stay_in_their_tenant(self):
        invitation = self.b.post(self.b.own("/members"), {"email": self.a.email, "role": "viewer"}).json
        session = self.platform.sign_in(self.a.email)
        self.assertEqual(session.get("/v1/tenants/globex").status, 404)
        session.post("/v1/invitations/accept", {"token": invitation["invitation_token"]})
        self.assertEqual(session.get("/v1/tenants/globex").status, 200)
        # An owner here is a viewer there.
        self.assertEqual(session.post("/v1/tenants/globex/projects", {"name": "x"}).status, 403)
        self.assertEqual(session.post("/v1/tenants/acme/projects", {"name": "x"}).status, 201)
        self.assertEqual(session.delete("/v1/tenants/globex").status, 403)
        self.b.delete(self.b.own(f"/members/{invitation['member']['id']}"))
        time.sleep(1.1)
        self.assertEqual(session.get("/v1/tenants/globex").status, 404)

    def test_pattern_21_no_answer_has_words_of_the_database(self):
        probes = [self.a.get(self.a.own("/tasks?project_id=' OR 1=1 --".replace(" ", "%20"))), self.a.get(self.a.own("/tasks/%27%22%3B--")),
                  self.a.post(self.a.own("/tasks"), {"project_id": self.ids["globex"]["project"], "title": "x"}),
                  self.a.post(self.a.own("/members"), {"email": "bad", "role": "x"}), self.a.get(self.a.own("/tasks?page_token=x")),
                  Client(self.platform.port).post("/v1/signup", {"email": self.a.email, "password": "a long enough password", "organization": {"name": "x", "slug": "acme"}})]
        for answer in probes:
            for word in ("pg_", "SQL", "relation", "constraint", "violates", "shard", "coditect_cell", "tenant_id", "ERROR", "127.0.0.1"):
                self.assertNotIn(word, answer.body, answer)

    def test_pattern_10_lists_of_one_tenant_hold_none_of_the_other(self):
        own = set(re.findall(r"[a-z]+_[0-9a-z]{26}", "".join(self.b.get(self.b.own(p)).body for p in ("", "/projects", "/tasks", "/members", "/api-keys", "/activity"))))
        mine = "".join(self.a.get(self.a.own(p + "?page_size=200")).body for p in ("/projects", "/tasks", "/members", "/api-keys", "/activity"))
        self.assertFalse([i for i in own if i in mine and not i.startswith("req")])


class Lifecycle(PlatformTest):
    def test_pattern_19_suspension_reaches_every_process_within_a_second(self):
        tenant = self.platform.sign_up("suspendee")
        session = self.platform.sign_in(tenant.email)
        operator = self.platform.operator()
        path = "/v1/operator/tenants/suspendee"
        self.assertEqual(tenant.post(tenant.own("/projects"), {"name": "before"}).status, 201)
        self.assertEqual(session.get(tenant.own("/projects")).status, 200)
        self.assertEqual(operator.post(path + "/suspend").code, "reason_missing")
        self.assertEqual(operator.post(path + "/suspend", headers={"X-Reason": "unpaid"}).json["state"], "suspended")
        # Writes at once, whatever caches say.
        self.assertEqual(tenant.post(tenant.own("/projects"), {"name": "after"}).code, "tenant_suspended")
        time.sleep(1)
        for client in (tenant, session):
            for _ in range(6):
                self.assertEqual(client.get(tenant.own("/projects")).code, "tenant_suspended")
        self.assertEqual(tenant.get(tenant.own()).json["state_reason"], "unpaid")
        self.assertEqual(session.get("/v1/me").status, 200)
        self.assertEqual(operator.post(path + "/resume", headers={"X-Reason": "paid"}).status, 200)
        wait_until(lambda: tenant.get(tenant.own("/projects")).status == 200, 1.5)
        log = operator.get("/v1/operator/log").json["items"]
        self.assertEqual([(e["action"], e["reason"]) for e in log if e["tenant"] == "suspendee"][:2], [("resume", "paid"), ("suspend", "unpaid")])

    def test_pattern_19_a_deleted_tenant_is_gone_for_all_but_its_owner_and_comes_back(self):
        tenant = self.platform.sign_up("deletee")
        project = self.project(tenant)
        self.assertEqual(tenant.delete(tenant.own()).json["state"], "deleted")
        self.assertEqual(tenant.post(tenant.own("/projects"), {"name": "x"}).code, "tenant_deleted")
        time.sleep(1)
        self.assertEqual(tenant.get(tenant.own(f"/projects/{project}")).code, "tenant_deleted")
        self.assertEqual(tenant.get(tenant.own()).json["state"], "deleted")
        taken = Client(self.platform.port).post("/v1/signup", {"email": "n@n.example", "password": "a long enough password", "organization": {"name": "x", "slug": "deletee"}})
        self.assertEqual(taken.code, "slug_taken")
        self.assertEqual(tenant.post(tenant.own("/undelete")).json["state"], "active")
        wait_until(lambda: tenant.get(tenant.own(f"/projects/{project}")).status == 200, 1.5)

    def test_a_tenant_is_purged_after_its_grace_and_its_slug_stays_taken(self):
        tenant = self.platform.sign_up("purgee")
        self.task(tenant, self.project(tenant))
        number = self.platform.sql("SELECT id FROM tenants WHERE slug = 'purgee'", "coditect_directory")
        tenant.delete(tenant.own())
        self.platform.sql("UPDATE tenants SET purge_after = now() - interval '1 second' WHERE slug = 'purgee'", "coditect_directory")
        wait_until(lambda: self.platform.sql("SELECT state FROM tenants WHERE slug = 'purgee'", "coditect_directory") == "purged", 15)
        for table in ("tasks", "projects", "members", "api_keys", "activity", "tenant_state"):
            self.assertEqual(self.platform.sql(f"SELECT count(*) FROM {table} WHERE tenant_id = {number}"), "0", table)
        time.sleep(1)
        self.assertEqual(tenant.get(tenant.own()).status, 401)
        self.assertEqual(Client(self.platform.port).post("/v1/signup", {"email": "m@n.example", "password": "a long enough password", "organization": {"name": "x", "slug": "purgee"}}).code, "slug_taken")

    def test_half_done_changes_are_finished_by_the_sweeper(self):
        tenant = self.platform.sign_up("halfway")
        self.platform.sql("UPDATE tenants SET state = 'suspended', epoch = epoch + 1 WHERE slug = 'halfway'", "coditect_directory")
        wait_until(lambda: self.platform.sql("SELECT s.state FROM tenant_state s WHERE tenant_id = " + self.platform.sql("SELECT id FROM tenants WHERE slug = 'halfway'", "coditect_directory")) == "suspended", 15)
        self.assertEqual(tenant.post(tenant.own("/projects"), {"name": "x"}).status, 403)

    def test_operators_need_their_own_credential(self):
        for client in (self.a, Client(self.platform.port), self.platform.sign_in(self.a.email)):
            self.assertEqual(client.get("/v1/operator/tenants").status, 401)
        operator = self.platform.operator()
        self.assertEqual(operator.get(self.a.own("/projects")).status, 401)
        self.assertIn("acme", [t["slug"] for t in operator.get("/v1/operator/tenants").json["items"]])
        self.assertEqual([t["slug"] for t in operator.get(f"/v1/operator/tenants?member_email={self.b.email}").json["items"]], ["globex"])


if __name__ == "__main__":
    unittest.main()
