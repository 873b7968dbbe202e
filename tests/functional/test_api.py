import threading
import time

from platform_under_test import Client, PlatformTest, wait_until


class Api(PlatformTest):
    def test_signup_answers_with_the_slug_and_a_working_key(self):
        new = self.platform.sign_up()
        self.assertEqual(new.signup["tenant"]["slug"], new.slug)
        self.assertTrue(new.signup["api_key"]["secret"].startswith("ck_"))
        self.assertEqual(new.get(new.own()).json["state"], "active")

    def test_signup_repeated_with_its_key_is_replayed_and_with_another_body_refused(self):
        body = {"email": "ida@idem.example", "password": "a long enough password", "organization": {"name": "Idem", "slug": "idem"}}
        client = Client(self.platform.port)
        first = client.post("/v1/signup", body, headers={"Idempotency-Key": "k1"})
        again = client.post("/v1/signup", body, headers={"Idempotency-Key": "k1"})
        self.assertEqual((first.status, again.status), (201, 201))
        self.assertEqual(first.json, again.json)
        other = client.post("/v1/signup", {**body, "password": "quite another password"}, headers={"Idempotency-Key": "k1"})
        self.assertEqual((other.status, other.code), (422, "idempotency_key_reused"))
        self.assertEqual(client.post("/v1/signup", body).status, 409)

    def test_signups_of_one_slug_at_once_end_in_one_tenant(self):
        answers = []

        def go(n):
            answers.append(Client(self.platform.port).post("/v1/signup", {
                "email": f"u{n}@race.example", "password": "a long enough password", "organization": {"name": "R", "slug": "race-slug"}}))
        threads = [threading.Thread(target=go, args=(n,)) for n in range(8)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        self.assertEqual(sorted(a.status for a in answers), [201] + [409] * 7, answers)
        self.assertEqual(self.platform.sql("SELECT count(*) FROM users WHERE email LIKE '%@race.example'", "coditect_directory"), "1")

    def test_signup_names_each_broken_rule(self):
        client = Client(self.platform.port)
        for body, pointer in (({"email": "x", "password": "a long enough password", "organization": {"name": "N", "slug": "nnn"}}, "/email"),
                              ({"email": "a@b.example", "password": "short", "organization": {"name": "N", "slug": "nnn"}}, "/password"),
                              ({"email": "a@b.example", "password": "password123", "organization": {"name": "N", "slug": "nnn"}}, "/password"),
                              ({"email": "a@b.example", "password": "a long enough password", "organization": {"name": "N", "slug": "No Slug"}}, "/organization/slug"),
                              ({"email": "a@b.example", "password": "a long enough password", "organization": {"name": "", "slug": "nnn"}}, "/organization/name"),
                              ({"email": "a@b.example", "organization": {"name": "N", "slug": "nnn"}}, "/password"),
                              ({"email": "a@b.example", "password": "a long enough password", "organization": {"name": "N", "slug": "nnn"}, "admin": True}, "/admin")):
            answer = client.post("/v1/signup", body)
            self.assertEqual(answer.status, 400, answer)
            self.assertIn(pointer, [e["pointer"] for e in answer.json["errors"]])
            self.assertEqual(answer.headers["Content-Type"], "application/problem+json")

    def test_login_answers_alike_for_known_and_unknown_addresses(self):
        client = Client(self.platform.port)
        known = client.post("/v1/sessions", {"email": self.a.email, "password": "wrong password"})
        unknown = client.post("/v1/sessions", {"email": "nobody@nowhere.example", "password": "wrong password"})
        self.assertEqual((known.status, known.code), (401, "invalid_login"))
        self.assertEqual({k: v for k, v in known.json.items() if k != "request_id"}, {k: v for k, v in unknown.json.items() if k != "request_id"})

    def test_a_session_needs_its_csrf_token_to_change_things_and_ends(self):
        session = self.platform.sign_in(self.a.email)
        self.assertEqual([t["slug"] for t in session.get("/v1/me").json["tenants"]], ["acme"])
        self.assertEqual(session.get(self.a.own("/projects")).status, 200)
        self.assertEqual(session.post(self.a.own("/projects"), {"name": "by session"}).status, 201)
        csrf, session.csrf = session.csrf, None
        self.assertEqual(session.post(self.a.own("/projects"), {"name": "x"}).code, "csrf_token_missing")
        session.csrf = csrf
        self.assertEqual(session.post(self.a.own("/projects"), {"name": "x"}, headers={"Origin": "https://evil.example"}).code, "cross_site_request")
        self.assertEqual(session.post(self.a.own("/projects"), {"name": "x"}, headers={"Sec-Fetch-Site": "cross-site"}).code, "cross_site_request")
        self.assertEqual(session.delete("/v1/sessions/current").status, 204)
        time.sleep(1.1)
        self.assertEqual(session.get("/v1/me").status, 401)

    def test_a_user_makes_a_further_organization_and_works_in_both(self):
        session = self.platform.sign_in(self.a.email)
        made = session.post("/v1/tenants", {"name": "Second", "slug": "acme-second"}, headers={"Idempotency-Key": "t1"})
        self.assertEqual(made.status, 201, made)
        self.assertEqual(session.post("/v1/tenants", {"name": "Second", "slug": "acme-second"}, headers={"Idempotency-Key": "t1"}).json, made.json)
        self.assertIn("acme-second", [t["slug"] for t in session.get("/v1/me").json["tenants"]])
        self.assertEqual(session.get("/v1/tenants/acme-second").status, 200)
        # The key of one organization is worth nothing in the other.
        self.assertEqual(self.a.get("/v1/tenants/acme-second").status, 404)

    def test_resources_are_made_read_changed_deleted_and_brought_back(self):
        project = self.project(self.a, "Life")
        task = self.task(self.a, project, "First", labels=["b", "a", "a"], due_on="2026-03-01")
        read = self.a.get(self.a.own(f"/tasks/{task}"))
        self.assertEqual(read.json["labels"], ["a", "b"])
        etag = read.headers["ETag"]
        self.assertEqual(self.a.get(self.a.own(f"/tasks/{task}"), headers={"If-None-Match": etag}).status, 304)
        changed = self.a.patch(self.a.own(f"/tasks/{task}"), {"status": "doing", "due_on": None}, headers={"If-Match": etag})
        self.assertEqual((changed.status, changed.json["status"], changed.json["due_on"]), (200, "doing", None))
        self.assertEqual(changed.json["title"], "First")
        self.assertNotEqual(changed.headers["ETag"], etag)
        self.assertEqual(self.a.patch(self.a.own(f"/tasks/{task}"), {"title": "late"}, headers={"If-Match": etag}).code, "version_mismatch")
        self.assertEqual(self.a.patch(self.a.own(f"/tasks/{task}"), {"title": "late"}, headers={"If-Match": "2"}).code, "invalid_if_match")
        self.assertEqual(self.a.patch(self.a.own(f"/tasks/{task}"), {"title": "First"}, headers={"If-Match": '"77", ' + changed.headers["ETag"]}).status, 200)
        self.assertEqual(self.a.patch(self.a.own(f"/tasks/{task}"), {"title": None}).status, 400)
        self.assertEqual(self.a.delete(self.a.own(f"/tasks/{task}")).status, 204)
        self.assertEqual(self.a.get(self.a.own(f"/tasks/{task}")).status, 404)
        self.assertEqual(self.a.delete(self.a.own(f"/tasks/{task}")).status, 404)
        self.assertEqual(self.a.post(self.a.own(f"/tasks/{task}/undelete")).status, 200)
        self.assertEqual(self.a.get(self.a.own(f"/tasks/{task}")).json["status"], "doing")
        verbs = [e["verb"] for e in self.a.get(self.a.own(f"/activity?target_id={task}")).json["items"]]
        self.assertEqual(verbs, ["task.undeleted", "task.deleted", "task.updated", "task.created"])

    def test_the_trail_has_actor_before_and_after(self):
        project = self.project(self.a, "Old")
        self.a.patch(self.a.own(f"/projects/{project}"), {"name": "New"})
        entry = self.a.get(self.a.own(f"/activity?target_id={project}")).json["items"][0]
        self.assertEqual((entry["before"]["name"], entry["after"]["name"]), ("Old", "New"))
        self.assertEqual((entry["actor_type"], entry["actor_id"]), ("api_key", self.a.signup["api_key"]["id"]))

    def test_a_change_that_changes_nothing_leaves_no_trail(self):
        project = self.project(self.a, "Same")
        before = self.a.get(self.a.own(f"/projects/{project}")).headers["ETag"]
        self.assertEqual(self.a.patch(self.a.own(f"/projects/{project}"), {"name": "Same"}).headers["ETag"], before)
        self.assertEqual(len(self.a.get(self.a.own(f"/activity?target_id={project}")).json["items"]), 1)

    def test_tasks_and_comments_hide_and_return_with_their_project(self):
        project = self.project(self.a)
        task = self.task(self.a, project)
        comment = self.a.post(self.a.own("/comments"), {"task_id": task, "body": "hm"}).json["id"]
        self.assertEqual(self.a.delete(self.a.own(f"/projects/{project}")).status, 204)
        for path in (f"/projects/{project}", f"/tasks/{task}", f"/comments/{comment}"):
            self.assertEqual(self.a.get(self.a.own(path)).status, 404, path)
        self.assertEqual(self.a.get(self.a.own(f"/tasks?project_id={project}")).json["items"], [])
        self.assertEqual(self.a.patch(self.a.own(f"/tasks/{task}"), {"title": "x"}).status, 404)
        self.assertEqual(self.a.post(self.a.own("/tasks"), {"project_id": project, "title": "x"}).status, 400)
        self.assertEqual(self.a.post(self.a.own(f"/projects/{project}/undelete")).status, 200)
        for path in (f"/projects/{project}", f"/tasks/{task}", f"/comments/{comment}"):
            self.assertEqual(self.a.get(self.a.own(path)).status, 200, path)

    def test_lists_page_through_every_row_once_in_each_order(self):
        project = self.project(self.a, "Pages")
        wanted = {self.task(self.a, project, f"page {n}", position=100 - n, due_on=f"2026-01-{n % 5 + 1:02}", labels=["x"]) for n in range(23)}
        listed = [t["created_at"] for t in self.a.get(self.a.own(f"/tasks?project_id={project}")).json["items"]]
        self.assertEqual(listed, sorted(listed))
        for query in ("order_by=created_at", "order_by=-created_at", "order_by=position", "order_by=due_on", "label=x", "q=page", "status=todo", "q=page&label=x"):
            seen, token = [], ""
            while token is not None:
                answer = self.a.get(self.a.own(f"/tasks?project_id={project}&page_size=5&{query}" + (f"&page_token={token}" if token else "")))
                self.assertEqual(answer.status, 200, answer)
                self.assertLessEqual(len(answer.json["items"]), 5)
                seen += answer.json["items"]
                token = answer.json["next_page_token"]
            self.assertEqual(len(seen), 23, query)
            self.assertEqual({t["id"] for t in seen}, wanted, query)
            if "position" in query:
                self.assertEqual([t["position"] for t in seen], sorted(t["position"] for t in seen))
            if "due_on" in query:
                self.assertEqual([t["due_on"] for t in seen], sorted(t["due_on"] for t in seen))

    def test_filters_narrow_together(self):
        project = self.project(self.a, "Filter")
        hit = self.task(self.a, project, "Pay the Berlin invoice", labels=["money"], status="doing")
        self.task(self.a, project, "Pay the rent", labels=["money"])
        self.task(self.a, project, "Berlin trip")
        found = self.a.get(self.a.own("/tasks?q=berlin+invoice&label=money&status=doing")).json["items"]
        self.assertEqual([t["id"] for t in found], [hit])

    def test_a_batch_is_all_or_nothing(self):
        project = self.project(self.a, "Batch")
        made = self.a.post(self.a.own("/tasks/batch"), {"items": [{"project_id": project, "title": f"b{n}"} for n in range(3)]})
        self.assertEqual((made.status, len(made.json["items"])), (201, 3))
        bad = self.a.post(self.a.own("/tasks/batch"), {"items": [{"project_id": project, "title": "ok"}, {"project_id": "project_" + "0" * 26, "title": "x"}]})
        self.assertEqual((bad.status, bad.json["errors"][0]["pointer"]), (400, "/items/1/project_id"))
        self.assertEqual(len(self.a.get(self.a.own(f"/tasks?project_id={project}")).json["items"]), 3)

    def test_idempotency_key_runs_once_and_replays_exactly(self):
        body, headers = {"name": "Once"}, {"Idempotency-Key": "once-1"}
        first = self.a.post(self.a.own("/projects"), body, headers=headers)
        again = self.a.post(self.a.own("/projects"), body, headers=headers)
        self.assertEqual((first.status, first.body, first.headers["ETag"]), (again.status, again.body, again.headers["ETag"]))
        self.assertEqual(again.headers["Idempotent-Replayed"], "true")
        self.assertEqual(self.a.post(self.a.own("/projects"), {"name": "Other"}, headers=headers).code, "idempotency_key_reused")
        key = self.a.post(self.a.own("/api-keys"), {"name": "k"}, headers=headers)
        self.assertEqual(key.status, 201)  # another path is another scope
        self.assertEqual(self.a.post(self.a.own("/api-keys"), {"name": "k"}, headers=headers).json["secret"], key.json["secret"])
        stored = self.platform.sql("SELECT string_agg(encode(answer, 'escape'), '') FROM idempotency_records")
        self.assertNotIn(key.json["secret"], stored)
        refused = self.a.post(self.a.own("/projects/" + "project_" + "0" * 26 + "/undelete"), headers={"Idempotency-Key": "refused"})
        self.assertEqual(refused.status, 404)
        self.assertEqual(refused.body, self.a.post(self.a.own("/projects/" + "project_" + "0" * 26 + "/undelete"), headers={"Idempotency-Key": "refused"}).body)
        self.assertEqual(self.a.post(self.a.own("/projects"), {"nmae": "x"}, headers={"Idempotency-Key": "mended"}).status, 400)
        self.assertEqual(self.a.post(self.a.own("/projects"), {"name": "x"}, headers={"Idempotency-Key": "mended"}).status, 201)
        self.assertEqual(self.a.post(self.a.own("/projects"), body, headers={"Idempotency-Key": "x" * 256}).code, "invalid_idempotency_key")

    def test_idempotency_holds_outside_of_a_tenants_tables_too(self):
        client, login = Client(self.platform.port), {"email": self.a.email, "password": self.a.password}
        first = client.post("/v1/sessions", login, headers={"Idempotency-Key": "in-1"})
        again = client.post("/v1/sessions", login, headers={"Idempotency-Key": "in-1"})
        self.assertEqual((first.status, first.json, first.headers["Set-Cookie"]), (again.status, again.json, again.headers["Set-Cookie"]))
        self.assertEqual(client.post("/v1/sessions", {**login, "password": "x"}, headers={"Idempotency-Key": "in-1"}).code, "idempotency_key_reused")
        self.assertEqual(client.post("/v1/sessions", {**login, "password": "x"}, headers={"Idempotency-Key": "in-2"}).status, 401)
        self.assertEqual(client.post("/v1/sessions", login, headers={"Idempotency-Key": "in-2"}).status, 201)
        other = self.platform.sign_up("twice-joiner")
        token = self.a.post(self.a.own("/members"), {"email": other.email, "role": "viewer"}).json["invitation_token"]
        session = self.platform.sign_in(other.email)
        joined = [session.post("/v1/invitations/accept", {"token": token}, headers={"Idempotency-Key": "j"}) for _ in range(2)]
        self.assertEqual((joined[0].status, joined[0].body), (joined[1].status, joined[1].body))
        self.assertEqual(joined[1].headers["Idempotent-Replayed"], "true")
        other.delete(other.own())
        back = [other.post(other.own("/undelete"), headers={"Idempotency-Key": "b"}).status for _ in range(2)]
        self.assertEqual(back, [200, 200])

    def test_labels_titles_and_comments_are_edited(self):
        project = self.project(self.a)
        task = self.a.own(f"/tasks/{self.task(self.a, project, 'First words', labels=['red', 'blue'])}")
        self.assertEqual(self.a.patch(task, {"labels": ["green"], "title": "Second thoughts"}).status, 200)
        found = lambda query: [t["title"] for t in self.a.get(self.a.own(f"/tasks?project_id={project}&{query}")).json["items"]]  # noqa: E731
        self.assertEqual(found("label=green"), ["Second thoughts"])
        self.assertEqual(found("label=red"), [])
        self.assertEqual(found("q=thoughts"), ["Second thoughts"])
        self.assertEqual(found("q=first"), [])
        made = self.a.post(self.a.own("/comments"), {"task_id": task.rsplit("/", 1)[1], "body": "one"}).json
        self.assertEqual(self.a.patch(self.a.own(f"/comments/{made['id']}"), {"body": "two"}).json["body"], "two")

    def test_the_same_idempotency_key_at_once_makes_one_row(self):
        answers = []

        def go():
            answers.append(self.a.post(self.a.own("/projects"), {"name": "Concurrent"}, headers={"Idempotency-Key": "at-once"}))
        threads = [threading.Thread(target=go) for _ in range(12)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        self.assertLessEqual({a.status for a in answers}, {201, 409})
        self.assertEqual(len({a.json["id"] for a in answers if a.status == 201}), 1)
        self.assertEqual(self.platform.sql("SELECT count(*) FROM projects WHERE name = 'Concurrent'"), "1")

    def test_members_are_invited_alike_join_and_the_last_owner_stays(self):
        other = self.platform.sign_up("joiner")
        known = self.a.post(self.a.own("/members"), {"email": other.email, "role": "viewer"})
        unknown = self.a.post(self.a.own("/members"), {"email": "stranger@nowhere.example", "role": "viewer"})
        self.assertEqual((known.status, set(known.json), set(known.json["member"])), (unknown.status, set(unknown.json), set(unknown.json["member"])))
        self.assertEqual(self.a.post(self.a.own("/members"), {"email": other.email.upper(), "role": "viewer"}).code, "member_exists")
        thief = self.platform.sign_in(self.b.email)
        self.assertEqual(thief.post("/v1/invitations/accept", {"token": known.json["invitation_token"]}).code, "invitation_not_found")
        joiner = self.platform.sign_in(other.email)
        self.assertEqual(joiner.get(self.a.own("/projects")).status, 404)
        self.assertEqual(joiner.post("/v1/invitations/accept", {"token": known.json["invitation_token"]}).json["slug"], "acme")
        self.assertEqual(joiner.post("/v1/invitations/accept", {"token": known.json["invitation_token"]}).code, "invitation_not_found")
        self.assertEqual(joiner.get(self.a.own("/projects")).status, 200)
        self.assertEqual(joiner.post(self.a.own("/projects"), {"name": "x"}).code, "permission_denied")
        member = known.json["member"]["id"]
        self.assertEqual(self.a.patch(self.a.own(f"/members/{member}"), {"role": "member"}).json["role"], "member")
        time.sleep(1.1)
        self.assertEqual(joiner.post(self.a.own("/projects"), {"name": "as member"}).status, 201)
        self.assertEqual(joiner.post(self.a.own("/api-keys"), {"name": "x"}).code, "permission_denied")
        owner = next(m for m in self.a.get(self.a.own("/members")).json["items"] if m["role"] == "owner")["id"]
        self.assertEqual(self.a.delete(self.a.own(f"/members/{owner}")).code, "last_owner")
        self.assertEqual(self.a.patch(self.a.own(f"/members/{owner}"), {"role": "viewer"}).code, "last_owner")
        self.assertEqual(self.a.patch(self.a.own(f"/members/{member}"), {"role": "superuser"}).status, 400)
        self.assertEqual(self.a.delete(self.a.own(f"/members/{member}")).status, 204)
        time.sleep(1.1)
        self.assertEqual(joiner.get(self.a.own("/projects")).status, 404)

    def test_api_keys_are_scoped_expire_and_are_revoked(self):
        made = self.a.post(self.a.own("/api-keys"), {"name": "reader", "scopes": ["data_read"]})
        reader = Client(self.platform.port, made.json["secret"], "acme")
        self.assertEqual(reader.get(self.a.own("/projects")).status, 200)
        self.assertEqual(reader.post(self.a.own("/projects"), {"name": "x"}).code, "permission_denied")
        self.assertEqual(reader.get(self.a.own("/members")).code, "permission_denied")
        listed = self.a.get(self.a.own("/api-keys"))
        self.assertNotIn(made.json["secret"], listed.body)
        self.assertIn(made.json["api_key"]["prefix"], listed.body)
        manager = Client(self.platform.port, self.a.post(self.a.own("/api-keys"), {"name": "m", "scopes": ["api_keys_manage"]}).json["secret"], "acme")
        self.assertEqual(manager.post(self.a.own("/api-keys"), {"name": "more", "scopes": ["data_read"]}).json["errors"][0]["code"], "exceeds_own")
        self.assertEqual(self.a.post(self.a.own("/api-keys"), {"name": "x", "expires_at": "2020-01-01T00:00:00Z"}).status, 400)
        soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
        expiring = Client(self.platform.port, self.a.post(self.a.own("/api-keys"), {"name": "s", "expires_at": soon}).json["secret"], "acme")
        self.assertEqual(expiring.get(self.a.own("/projects")).status, 200)
        self.assertEqual(self.a.delete(self.a.own(f"/api-keys/{made.json['api_key']['id']}")).status, 200)
        time.sleep(3.2)
        self.assertEqual(reader.get(self.a.own("/projects")).status, 401)
        self.assertEqual(expiring.get(self.a.own("/projects")).status, 401)
        self.assertNotIn(made.json["secret"][-49:-6], self.platform.sql("SELECT string_agg(encode(secret_hash, 'escape'), ' ') FROM api_keys"))
        self.assertFalse(made.json["secret"] in self.platform.log())

    def test_one_who_may_not_ask_is_not_told_why_the_request_was_wrong(self):
        """The first request of a key checks it together with its statement: the refusal comes first all the same."""
        def fresh(scopes):
            made = self.a.post(self.a.own("/api-keys"), {"name": "k", "scopes": scopes}).json
            return Client(self.platform.port, made["secret"], "acme"), made["api_key"]["id"]

        rows = lambda: int(self.platform.sql("SELECT count(*) FROM projects WHERE name = 'never'"))  # noqa: E731
        wrong = [("GET", "/projects/no-id", None), ("GET", "/projects?page_token=forged", None), ("GET", "/projects?nonsense=1", None),
                 ("POST", "/projects", {"name": 7}), ("POST", "/projects", {"name": "never"}), ("GET", "/tasks?page_size=200", None)]
        for method, path, body in wrong:
            for headers in ({}, {"Idempotency-Key": f"k-{path}"}):
                revoked, key_id = fresh(["data_read", "data_write"])
                self.assertEqual(self.a.delete(self.a.own("/api-keys/" + key_id)).status, 200)
                self.assertEqual(revoked.send(method, self.a.own(path), body, headers=headers).code, "invalid_credentials", path)
                wrong_secret = Client(self.platform.port, self.b.key.replace(self.b.key.split("_")[1], self.a.key.split("_")[1]), "acme")
                self.assertEqual(wrong_secret.send(method, self.a.own(path), body, headers=headers).status, 401, path)
                unfit, _ = fresh(["members_read"])
                self.assertEqual(unfit.send(method, self.a.own(path), body, headers=headers).code, "permission_denied", path)
                stranger, _ = fresh(["members_read"])
                self.assertEqual(stranger.send(method, self.b.own(path), body, headers=headers).code, "tenant_not_found", path)
        self.assertEqual(rows(), 0)
        able, _ = fresh(["data_write"])
        self.assertEqual(able.post(self.a.own("/projects"), {"name": "never"}).status, 201)
        self.assertEqual(rows(), 1)

    def test_a_suspended_tenants_keys_stop_at_once_also_for_keys_never_seen(self):
        c = self.platform.sign_up()
        unseen = [Client(self.platform.port, c.post(c.own("/api-keys"), {"name": "k"}).json["secret"], c.slug) for _ in range(3)]
        operator = self.platform.operator()
        why = {"headers": {"X-Reason": "a test"}}
        self.assertEqual(operator.post(f"/v1/operator/tenants/{c.slug}/suspend", **why).status, 200)
        for method, client in (("GET", c), ("POST", c), ("GET", unseen[0]), ("POST", unseen[1])):
            self.assertEqual(client.send(method, c.own("/projects"), {"name": "x"} if method == "POST" else None).code, "tenant_suspended")
        self.assertEqual(operator.post(f"/v1/operator/tenants/{c.slug}/resume", **why).status, 200)
        for client in (c, *unseen):
            self.assertEqual(client.post(c.own("/projects"), {"name": "x"}).status, 201)

    def test_a_refused_write_is_not_written_when_the_cell_has_not_heard_yet(self):
        """The directory says suspended and tells so; a crash kept it from the cell, whose fence would let the write pass."""
        c = self.platform.sign_up()
        unseen = Client(self.platform.port, c.post(c.own("/api-keys"), {"name": "k"}).json["secret"], c.slug)
        time.sleep(1.2)
        self.platform.sql(f"UPDATE tenants SET state = 'suspended', epoch = epoch + 1 WHERE slug = '{c.slug}'; "
                          "SELECT pg_notify('coditect_tenants', epoch || '|' || id || '|' || '" + c.signup["tenant"]["id"] + "' || '|' || slug || '|' || cell || '|' || state) "
                          f"FROM tenants WHERE slug = '{c.slug}'", "coditect_directory")
        time.sleep(0.2)
        for client in (unseen, c):
            self.assertEqual(client.post(c.own("/projects"), {"name": "refused"}).code, "tenant_suspended")
        self.assertEqual(self.platform.sql("SELECT count(*) FROM projects WHERE name = 'refused'"), "0")

    def test_nobody_gives_a_role_that_holds_more_than_they_do(self):
        made = self.a.post(self.a.own("/api-keys"), {"name": "m", "scopes": ["members_manage", "members_read"]})
        manager = Client(self.platform.port, made.json["secret"], "acme")
        for role in ("owner", "admin", "member"):
            self.assertEqual(manager.post(self.a.own("/members"), {"email": f"{role}@rank.example", "role": role}).code, "role_exceeds_own")
        viewer = self.a.post(self.a.own("/members"), {"email": "v@rank.example", "role": "viewer"}).json["member"]["id"]
        self.assertEqual(manager.patch(self.a.own(f"/members/{viewer}"), {"role": "admin"}).code, "role_exceeds_own")

    def test_the_trail_shows_contents_only_to_those_who_may_read_them(self):
        project = self.project(self.a, "Hidden name")
        auditor = Client(self.platform.port, self.a.post(self.a.own("/api-keys"), {"name": "x", "scopes": ["activity_read"]}).json["secret"], "acme")
        entry = auditor.get(self.a.own(f"/activity?target_id={project}"))
        self.assertEqual([e["verb"] for e in entry.json["items"]], ["project.created"])
        self.assertNotIn("Hidden name", entry.body)

    def test_the_keys_of_a_removed_member_go_with_them(self):
        other = self.platform.sign_up("leaver")
        invitation = self.a.post(self.a.own("/members"), {"email": other.email, "role": "admin"}).json
        session = self.platform.sign_in(other.email)
        session.post("/v1/invitations/accept", {"token": invitation["invitation_token"]})
        key = Client(self.platform.port, session.post(self.a.own("/api-keys"), {"name": "left behind"}).json["secret"], "acme")
        self.assertEqual(key.get(self.a.own("/projects")).status, 200)
        self.assertEqual(self.a.delete(self.a.own(f"/members/{invitation['member']['id']}")).status, 204)
        self.assertNotIn("acme", [t["slug"] for t in session.get("/v1/me").json["tenants"]])
        time.sleep(1.1)
        self.assertEqual(key.get(self.a.own("/projects")).status, 401)

    def test_a_crowd_of_mistakes_gets_a_short_answer(self):
        flood = Client(self.platform.port).post("/v1/signup?" + "&".join(["a"] * 3000), {})
        self.assertEqual((flood.status, len(flood.body) < 5000), (400, True))
        many = self.a.post(self.a.own("/projects"), {f"m{n}": n for n in range(20000)})
        self.assertEqual((many.status, len(many.body) < 5000), (400, True))

    def test_malformed_bodies_are_refused_with_words(self):
        path = self.a.own("/projects")
        for body, code in (("{", "malformed_json"), ("[]", "validation_failed"), ('{"name":"a","name":"b"}', "duplicate_member"), ("", "body_missing"),
                           ('{"name":' + "[" * 40 + "]" * 40 + "}", "malformed_json"), ('{"name":1}', "validation_failed"), ('{"name":"\\u0000"}', "validation_failed"),
                           (b'{"name":"\xff\xfe"}', None), ('{"name":"' + "x" * 201 + '"}', "validation_failed"), ('{"name":"a"} x', "malformed_json"),
                           ('{"name":null}', "validation_failed"), ('{"name":"a","tenant_id":2}', "validation_failed")):
            answer = self.a.post(path, body)
            self.assertEqual(answer.status, 400, (body, answer))
            if code:
                self.assertEqual(answer.code, code, body)
        self.assertEqual(self.a.post(path, '{"name":"x"}', headers={"Content-Type": "text/plain"}).code, "content_type_not_json")

    def test_the_documents_describe_every_route(self):
        client = Client(self.platform.port)
        document = client.get("/openapi.json").json
        self.assertEqual(document["openapi"], "3.1.0")
        operations = [o for path in document["paths"].values() for o in path.values()]
        self.assertEqual(len({o["operationId"] for o in operations}), len(operations))
        page = client.get("/docs")
        self.assertNotIn("http://", page.body)
        self.assertNotIn("https://", page.body)
        for operation in operations:
            self.assertIn(f'id="{operation["operationId"]}"', page.body)

    def test_head_options_and_wrong_methods(self):
        head = self.a.send("HEAD", self.a.own())
        self.assertEqual((head.status, head.body), (200, ""))
        self.assertEqual(head.headers["Content-Length"], str(len(self.a.get(self.a.own()).body)))
        wrong = self.a.send("PUT", self.a.own())
        self.assertEqual((wrong.status, wrong.headers["Allow"]), (405, "DELETE, GET, HEAD, PATCH"))
        self.assertEqual(self.a.get("/v1/nothing").code, "route_not_found")

    def test_metrics_have_routes_and_statements_and_no_tenant(self):
        self.a.get(self.a.own("/projects"))
        text = Client(self.platform.port).get("/metrics").body
        for wanted in ('coditect_http_requests_total{route="/v1/tenants/{tenant}/projects",status="2xx"}', 'coditect_db_statement_seconds_count{statement="projects.list"}',
                       "coditect_db_connections_in_use", "coditect_directory_lookups_total"):
            self.assertIn(wanted, text)
        self.assertNotIn("acme", text)

    def test_traceparent_goes_through(self):
        trace = "0af7651916cd43dd8448eb211c80319c"
        answer = self.a.get(self.a.own(), headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
        self.assertIn(trace, answer.headers["traceparent"])
        self.assertNotIn("b7ad6b7169203331", answer.headers["traceparent"])
        wait_until(lambda: trace in self.platform.log(), 5)  # the line follows the answer


class Throttles(PlatformTest):
    arguments = ("--auth-login-per-address", "5", "--auth-signup-per-address", "4")

    def test_login_and_signup_are_throttled_per_address(self):
        client = Client(self.platform.port)

        def allowed_of(tries, per_minute, send):
            """How many of the tries were let through; on a slow machine the share refills meanwhile."""
            start = time.monotonic()
            throttled = [send(n).status == 429 for n in range(tries)]
            refilled = int((time.monotonic() - start) * per_minute / 60)
            self.assertLessEqual(throttled.count(False), per_minute + refilled)
            self.assertGreaterEqual(throttled.count(True), 1)
            return throttled.index(True)

        def login(_):
            return client.post("/v1/sessions", {"email": "x@y.example", "password": "wrong wrong"})

        def signup(n):
            return client.post("/v1/signup", {"email": f"u{n}@t.example", "password": "a long enough password", "organization": {"name": "T", "slug": f"thr-{n}"}})

        self.assertGreaterEqual(allowed_of(8, 5, login), 5)
        right = {"email": self.a.email, "password": self.a.password}
        limited = next(r for r in (client.post("/v1/sessions", right) for _ in range(5)) if r.status != 201)
        self.assertEqual(limited.code, "too_many_attempts")
        self.assertGreater(int(limited.headers["Retry-After"]), 0)
        self.assertGreaterEqual(allowed_of(8, 4, signup), 2)  # the fixture had two of the four
