"""Does `coditect attack` find what is wrong? Breaks the platform in one way at a time and attacks it.

The mutants preset builds a program whose faults are switched on at run time, so that one build serves
for all: each tenant statement without one of its filters (with row-level security off and foreign keys
dropped), each table's policy replaced by USING (true) (with all filters off), and faults in the gate,
the caches, cursors, idempotency and error answers. Before, the same with nothing broken finds nothing,
behind the statements' wall alone and behind the policies' wall alone.

Each is tried with two tenants of its own, and, when that finds nothing, with twins: tenants whose rows
have the same ids, which the keys allow and which shows what a write hits besides its row.

Usage: tests/mutation/run.py [--sample N] [--only TEXT] [--keep-going]
--sample: N of them, spread over the list, for a short run. Prints survivors with what explains them, and
`mutation.caught=N of M`; exit code 1 when less than 99 % of those without explanation are caught.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{ROOT}/tests/functional")
os.environ["COTEST_BINARY"] = f"{ROOT}/build/mutants/coditect"
import platform_under_test  # noqa: E402
from platform_under_test import Platform  # noqa: E402

PROGRAM = os.environ["COTEST_BINARY"]

# In the code: what to switch on, and what it stands for.
FAULTS = {
    "gate.path_tenant": "the path's tenant is not compared with the key's",
    "gate.says_forbidden": "403 instead of 404 for another tenant's path",
    "gate.permission": "permissions are not looked at",
    "gate.state": "suspended and deleted tenants are served",
    "gate.known_keys_by_length": "the memory of checked keys has one entry for all keys",
    "gate.secret": "a key's secret is not compared",
    "gate.operator": "any key is an operator's",
    "directory.one_identity": "the memory of tenants has one entry for all",
    "cursor.any_tenant": "page tokens are not bound to their tenant",
    "cursor.any_list": "page tokens are not bound to their list",
    "problem.database_words": "the database's words are in the answer",
    "idempotency.any_tenant\nsql:idempotency.find:0": "idempotency records are found whoever made them",
    "edit:auth.check_key: AND k.revoked_at IS NULL=>\nedit:auth.fence_key: AND k.revoked_at IS NULL=>": "revoked keys work",
    "edit:auth.check_key: AND (k.expires_at IS NULL OR k.expires_at > now())=>\n"
    "edit:auth.fence_key: AND (k.expires_at IS NULL OR k.expires_at > now())=>": "expired keys work",
}
# Survivors that no attacker over HTTP could tell from the original, and why.
EXPLAINED = {
    "sql:auth.fence_key:0": "the row of another's key would need the same id and the hash of the same secret",
    "sql:comments.insert:0": "the comment's own task is still filtered; with twins the second row breaks the key and nothing is written",
    "sql:idempotency.complete:0": "a record's id is a hash over who made the request: nobody has another's",
    "sql:idempotency.drop_expired:0": "the same; and only expired records go",
    "sql:idempotency.find:0": "the same; with the scope taken away as well it is caught (idempotency.any_tenant)",
    "idempotency_records": "the same: with the statements' filters off and the policy open, ids still differ",
    "sql:members.lock_owners:0": "locks rows and counts them: a tenant may lose its own last owner, and nothing of another's is shown or changed",
    "problem.database_words": "no request makes a healthy database fail, so there are no words of its to show",
    "sql:tenancy.fence:0": "the gate has looked at the state within the last second, and refuses first",
}

TENANT_TABLES = ["comments", "task_terms", "task_labels", "tasks", "projects", "activity", "idempotency_records", "api_keys",
                 "members", "tenant_state"]


class Breakable(Platform):
    def __init__(self, folder, name):
        super().__init__()
        self.file = f"{folder}/{name}.mutants"
        with open(self.file, "w", encoding="utf-8"):
            pass
        os.chmod(folder, 0o777)
        os.chmod(self.file, 0o666)
        with open(self.file + ".seen", "w", encoding="utf-8"):
            pass
        os.chmod(self.file + ".seen", 0o666)
        clean = platform_under_test.clean_environment
        platform_under_test.clean_environment = lambda: {**clean(), "COTEST_MUTANTS_FILE": self.file}
        try:
            self.start()
        finally:
            platform_under_test.clean_environment = clean
        with open(self.path("operator.key"), encoding="ascii") as f:
            self.operator_key = f.read().strip()
        self.twins = None

    def set(self, *lines):
        with open(self.file, "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")
        time.sleep(0.03)

    def attack(self, *flags, stop=True):
        done = subprocess.run([PROGRAM, "attack", "--url", f"http://127.0.0.1:{self.port}", "--json", "-", *(["--stop-at-first"] if stop else []), *flags],
                              capture_output=True, text=True, env=platform_under_test.clean_environment(), timeout=300)
        if done.returncode not in (0, 1):
            # A fault may be so gross that tenants cannot even be filled: that is seen as well.
            return [{"kind": "unusable", "operation": "", "attack": done.stderr.strip()[-200:]}]
        return json.loads(done.stdout)["findings"]

    def attack_twins(self, stop=True):
        """Two phases, each on new twins: what is an own id must be one from the start."""
        return self.attack(*self.make_twins(), "--phase", "queries", stop=stop) or self.attack(*self.make_twins(), "--phase", "own", stop=stop)

    def make_twins(self):
        """Two tenants with the same ids in every table, later than any other id; their texts differ."""
        if self.twins is None:
            clients = [self.sign_up("twin-a"), self.sign_up("twin-b")]
            ids = [int(self.sql(f"SELECT id FROM tenants WHERE slug = '{c.slug}'", "coditect_directory")) for c in clients]
            self.twins = list(zip(clients, ids))
        sql = []
        for client, tenant in self.twins:
            one = lambda kind, n: f"'fffffff0-0000-7000-8000-0000000{kind:02}{n:03}'"  # noqa: E731
            secret = f"of {client.slug} and nobody else"
            # The second's words are its own, beside those that both have.
            word, labels = ("sharedword", ["twinlabel"]) if client is self.twins[0][0] else ("bword", ["twinlabel", "onlyofb"])
            labels_text = ",".join(labels)
            sql += [f"DELETE FROM {t} WHERE tenant_id = {tenant}" for t in TENANT_TABLES[:6]]
            # All but the owner and their key goes, or the twins would leave the first page of their lists.
            sql += [f"DELETE FROM api_keys WHERE tenant_id = {tenant} AND name NOT IN ('first key', 'not first key')",
                    f"DELETE FROM members WHERE tenant_id = {tenant} AND email <> '{client.email}'",
                    f"UPDATE tenant_state SET state = 'active' WHERE tenant_id = {tenant}"]
            for n in (1, 2, 3):
                sql += [f"INSERT INTO members (tenant_id, id, email, role, state, created_at, updated_at) VALUES ({tenant}, {one(3, n)}, 'm{n}@{client.slug}.example', 'viewer', 'active', now(), now())",
                        f"INSERT INTO api_keys (tenant_id, id, name, secret_key, secret_hash, scopes, created_by, created_at) VALUES ({tenant}, {one(4, n)}, 'key {n} {secret}', 'k', 'h{n}', '{{data_read}}', {one(3, n)}, now())",
                        f"INSERT INTO projects (tenant_id, id, name, created_at, updated_at) VALUES ({tenant}, {one(1, n)}, 'project {n} {secret}', now(), now())"]
                sql += [f"INSERT INTO tasks (tenant_id, id, project_id, title, status, assignee_id, due_on, labels, position, created_at, updated_at) VALUES ({tenant}, {one(2, n)}, {one(1, n)}, '{word} sharedword {n} {secret}', 'todo', {one(3, n)}, '2099-01-02', '{{{labels_text}}}', {n}, now(), now())",
                        *(f"INSERT INTO task_labels VALUES ({tenant}, '{label}', {one(2, n)})" for label in labels),
                        *(f"INSERT INTO task_terms VALUES ({tenant}, '{term}', {one(2, n)})" for term in {"sharedword", word}),
                        f"INSERT INTO comments (tenant_id, id, task_id, body, author_type, created_at, updated_at) VALUES ({tenant}, {one(5, n)}, {one(2, n)}, 'comment {n} {secret}', 'member', now(), now())",
                        f"INSERT INTO activity (tenant_id, id, actor_type, verb, target_type, target_id, after, request_id, created_at) VALUES ({tenant}, {one(6, n)}, 'member', 'x', 'task', {one(2, n)}, '{{\"t\": \"trail {n} {secret}\"}}', 'r', now())"]
        self.sql("; ".join(sql))
        (a, tenant_a), (b, tenant_b) = self.twins
        # The attacker's own key too has a twin, with another secret.
        self.sql(f"INSERT INTO api_keys (tenant_id, id, name, secret_key, secret_hash, scopes, created_by, created_at) SELECT {tenant_b}, id, 'not '||name, "
                 f"secret_key, 'another', scopes, created_by, created_at FROM api_keys WHERE tenant_id = {tenant_a} AND name = 'first key' ON CONFLICT DO NOTHING")
        return ["--tenant-a", a.slug, "--key-a", a.key, "--tenant-b", b.slug, "--key-b", b.key]


def statement_mutants(seen):
    for line in seen:
        name, filters = line.split()
        for n in range(int(filters)):
            yield f"sql:{name}:{n}"


def sources():
    """Names of all statements for tenants in the source."""
    out = set()
    for where, _, names in os.walk(f"{ROOT}/src"):
        for name in names:
            if name.endswith((".h", ".cc")) and not re.search(r"test\.cc$", name):
                with open(os.path.join(where, name), encoding="utf-8") as f:
                    text = f.read()
                out |= set(re.findall(r'TenantStatement<[^;]*?\{\s*"([a-z_]+\.[a-z_]+)"', text, re.S))
                if "using List" in text:
                    out |= set(re.findall(r'List k\w+\{\s*"([a-z_]+\.[a-z_]+)"', text))
    return out


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sample", type=int, default=0)
    options.add_argument("--only", default="")
    args = options.parse_args()
    if not os.path.exists(PROGRAM):
        raise SystemExit("build it first: cmake --preset mutants && cmake --build --preset mutants --target coditect")
    folder = tempfile.mkdtemp(prefix="coditect-mutants-")
    caught, survivors, took = [], [], {}
    try:
        # Behind the statements alone: no policies, no foreign keys.
        statements = Breakable(folder, "statements")
        policies = Breakable(folder, "policies")
        try:
            foreign_keys = statements.sql("SELECT string_agg(format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname), '; ') FROM pg_constraint "
                                          "WHERE contype = 'f' AND connamespace = 'public'::regnamespace")
            statements.sql(foreign_keys + "; " + "; ".join(f"ALTER TABLE {t} DISABLE ROW LEVEL SECURITY" for t in TENANT_TABLES))
            full = ["--operator-key", statements.operator_key]
            for found in (statements.attack(*full, stop=False), statements.attack_twins(stop=False)):
                if found:
                    raise SystemExit(f"behind the statements alone the attack finds something: {json.dumps(found[:3], indent=1)}")
            # Behind the policies alone: no statement has a filter.
            policies.set("sql:*")
            found = policies.attack("--operator-key", policies.operator_key, stop=False)
            if found:
                raise SystemExit(f"behind the policies alone the attack finds something: {json.dumps(found[:3], indent=1)}")
            print("nothing broken: nothing found, behind either wall alone", flush=True)

            with open(statements.file + ".seen", encoding="utf-8") as f:
                seen = sorted(set(f.read().splitlines()))
            mutants = [("statement", m) for m in statement_mutants(seen)]
            mutants += [("policy", t) for t in TENANT_TABLES]
            mutants += [("fault", m) for m in FAULTS]
            unreached = sorted(sources() - {line.split()[0] for line in seen})
            if args.only:
                mutants = [m for m in mutants if args.only in m[1]]
            if args.sample and args.sample < len(mutants):
                mutants = [mutants[i * len(mutants) // args.sample] for i in range(args.sample)]
            for kind, name in mutants:
                start = time.time()
                if kind == "policy":
                    policies.sql(f"ALTER POLICY tenant_only ON {name} USING (true) WITH CHECK (true)")
                    found = policies.attack("--operator-key", policies.operator_key)
                    if not found:
                        found = policies.attack_twins()
                    policies.sql(f"ALTER POLICY tenant_only ON {name} USING (tenant_id = current_setting('app.tenant_id')::bigint) "
                                 "WITH CHECK (tenant_id = current_setting('app.tenant_id')::bigint)")
                else:
                    statements.set(*name.split("\n"))
                    quick = [] if kind == "fault" else [f for p in ("own", "ids", "references", "queries", "tenant", "cursors", "idempotency") for f in ("--phase", p)]
                    found = statements.attack("--operator-key", statements.operator_key, *quick)
                    if not found:
                        time.sleep(1.1)  # keys that were checked within the second would not be checked
                        found = statements.attack_twins()
                    if not found and kind == "statement":
                        found = statements.attack("--operator-key", statements.operator_key)
                    statements.set()
                took[name] = time.time() - start
                label = f"{kind} {name}".replace("\n", " + ")
                if found:
                    caught.append(name)
                    print(f"caught    {label}: {found[0]['kind']}, {found[0]['attack']} ({found[0]['operation']}) {took[name]:.1f} s", flush=True)
                else:
                    survivors.append((kind, name))
                    print(f"SURVIVED  {label} {took[name]:.1f} s", flush=True)
        finally:
            statements.remove()
            policies.remove()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    unexplained = [s for s in survivors if s[1] not in EXPLAINED]
    for kind, name in survivors:
        print(f"survivor: {kind} {name}: {EXPLAINED.get(name, 'NOT EXPLAINED')}")
    if unreached and not args.only:
        print("statements that no request of the attack reaches: " + ", ".join(unreached))
    total = len(caught) + len(unexplained)
    print(f"mutation.caught={len(caught)} of {total}, {len(survivors) - len(unexplained)} more are explained")
    return 0 if total and len(caught) >= 0.99 * total else 1


if __name__ == "__main__":
    sys.exit(main())
