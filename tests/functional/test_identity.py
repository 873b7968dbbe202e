"""Ory Hydra with the very configuration that Kubernetes gets, on the database that `coditect bootstrap` makes for it."""
import base64
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

from platform_under_test import BINARY, ROOT, clean_environment, free_port, wait_until
from postgres_servers import Servers
from test_tls import Authority

sys.path.append(f"{ROOT}/tests/infra")
from test_kubernetes import find, render  # noqa: E402  (of tests/infra)

HOST = "api.dev.coditect.example"
MISSING = [name for name, there in (("Hydra (tools/build.sh hydra)", find("hydra")), ("kubectl", shutil.which("kubectl")),
                                    ("kubecheck (tools/build.sh kubecheck)", find("kubecheck"))) if not there]


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


@unittest.skipIf(MISSING, " and ".join(MISSING) + " missing")
class Identity(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.servers = Servers(1, preload="")
        cls.addClassCleanup(cls.servers.remove)
        cls.database_port = cls.servers.ports[0]
        cls.folder = tempfile.mkdtemp(prefix="coditect-identity-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        os.chmod(cls.folder, 0o755)
        cls.authority = Authority(cls.folder)
        cls.authority.sign("tls", HOST, "serverAuth")
        # As Cloud SQL's administrator is: no superuser.
        cls.servers.sql(cls.database_port, "CREATE ROLE coditect_admin LOGIN CREATEROLE CREATEDB PASSWORD 'administrators'")
        for _ in range(2):
            cls.bootstrap("generated")
        cls.secret = cls.secret_of("one secret of more than sixteen")
        cls.hydra("migrate", "sql", "-e", "--yes")
        cls.processes = []
        cls.addClassCleanup(cls.stop_all)
        cls.one = cls.serve()

    @classmethod
    def bootstrap(cls, password):
        url = f"postgresql://coditect_admin:administrators@127.0.0.1:{cls.database_port}/postgres?sslmode=verify-ca&sslrootcert={cls.servers.authority}"
        done = subprocess.run([BINARY, "bootstrap", "--database-url", url, "--database-identity-password", password], env=clean_environment(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    @classmethod
    def secret_of(cls, secrets):
        """What External Secrets makes, of the addresses and secrets that OpenTofu wrote."""
        with open(f"{cls.folder}/objects.yaml", "w", encoding="utf-8") as f:
            f.write(render("kubernetes/overlays/dev"))
        server = f"postgresql://127.0.0.1:{cls.database_port}?sslmode=verify-ca&sslrootcert={cls.servers.authority}"
        done = subprocess.run([find("kubecheck"), "-secret", "hydra", f"{cls.folder}/objects.yaml", f"server={server}", "password=generated", f"secrets={secrets}"],
                              capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    @classmethod
    def configuration(cls, public, admin):
        """The values of the chart, with this machine's ports and files."""
        with open(f"{ROOT}/kubernetes/charts/hydra.yaml", encoding="utf-8") as f:
            text = re.search(r"^  config:\n((?:    .*\n)+)", f.read(), re.M).group(1)
        text = "".join(line[4:] for line in text.splitlines(True))
        for wrong, right in (("port: 4444", f"port: {public}\n    host: 127.0.0.1"), ("port: 4445", f"port: {admin}\n    host: 127.0.0.1"), ("/etc/hydra/tls/", f"{cls.folder}/"),
                             ("jaeger.monitoring.svc:4318", "127.0.0.1:9")):
            assert wrong in text, wrong
            text = text.replace(wrong, right)
        path = f"{cls.folder}/hydra-{public}.yaml"
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    @classmethod
    def environment(cls):
        return {**clean_environment(), "DSN": cls.secret["dsn"], "SECRETS_SYSTEM": cls.secret["secretsSystem"], "SECRETS_COOKIE": cls.secret["secretsCookie"],
                "URLS_SELF_ISSUER": f"https://{HOST}", "HOME": cls.folder}

    @classmethod
    def hydra(cls, *words):
        # The chart gives its jobs this and nothing else.
        env = {**clean_environment(), "DSN": cls.secret["dsn"], "HOME": cls.folder}
        done = subprocess.run([find("hydra"), *words, "--config", cls.configuration(4444, 4445)], env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
        return done.stdout

    @classmethod
    def serve(cls):
        public, admin = free_port(), free_port()
        with open(f"{cls.folder}/log-{public}", "w", encoding="utf-8") as log:
            process = subprocess.Popen([find("hydra"), "serve", "all", "--config", cls.configuration(public, admin)], env=cls.environment(), stdout=log, stderr=log)
        process.public, process.admin = public, admin
        cls.processes.append(process)
        wait_until(lambda: cls.send(f"http://127.0.0.1:{admin}/health/ready").status == 200, 30)
        return process

    @classmethod
    def stop_all(cls):
        for process in cls.processes:
            process.send_signal(signal.SIGTERM)
        for process in cls.processes:
            process.wait(30)

    @classmethod
    def send(cls, url, method="GET", body=None, headers=None):
        context = ssl.create_default_context(cafile=f"{cls.folder}/authority.crt")
        context.check_hostname = False  # it is reached by its address; the name is looked at below
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), NoRedirect)
        request = urllib.request.Request(url, method=method, data=body and body.encode(), headers=headers or {})
        try:
            with opener.open(request, timeout=20) as answer:
                return Answer(answer.status, answer.headers, answer.read().decode())
        except urllib.error.HTTPError as e:
            return Answer(e.code, e.headers, e.read().decode())

    def public(self, path, form=None, who=None, process=None):
        headers = {"Authorization": "Basic " + base64.b64encode(":".join(map(urllib.parse.quote, who)).encode()).decode()} if who else {}
        return self.send(f"https://127.0.0.1:{(process or self.one).public}{path}", "POST" if form else "GET", form and urllib.parse.urlencode(form), headers)

    def admin(self, path, method="GET", body=None, process=None):
        return self.send(f"http://127.0.0.1:{(process or self.one).admin}{path}", method, body and json.dumps(body), {"Content-Type": "application/json"})

    def client(self, name, **more):
        answer = self.admin("/admin/clients", "POST", {"client_id": name, "client_secret": "a robot's long secret", "grant_types": ["client_credentials"], "scope": "data:read",
                                                       "audience": [f"https://{HOST}"], "token_endpoint_auth_method": "client_secret_basic", **more})
        self.assertEqual(answer.status, 201, answer.body)
        return name, "a robot's long secret"

    def token(self, who, process=None, **more):
        return self.public("/oauth2/token", {"grant_type": "client_credentials", "scope": "data:read", "audience": f"https://{HOST}", **more}, who, process)

    @staticmethod
    def part(token, n):
        text = token.split(".")[n]
        return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))

    def test_the_role_has_its_database_and_nothing_else(self):
        sql = lambda q, d="postgres": self.servers.sql(self.database_port, q, d)  # noqa: E731
        self.assertEqual(sql("SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles WHERE rolname = 'coditect_identity'"), "f|f|f|f")
        self.assertEqual(sql("SELECT count(*) FROM pg_auth_members WHERE member = 'coditect_identity'::regrole"), "0")
        self.assertEqual(sql("SELECT string_agg(datname, ',') FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' "
                             "AND has_database_privilege('coditect_identity', oid, 'CONNECT')"), "coditect_identity")
        self.assertEqual(sql("SELECT string_agg(rolname, ',') FROM pg_roles WHERE rolname LIKE 'coditect%' AND rolname NOT IN ('coditect_identity', 'coditect_admin') "
                             "AND has_database_privilege(rolname, 'coditect_identity', 'CONNECT')"), "")

    def test_what_strangers_are_told(self):
        found = self.public("/.well-known/openid-configuration").json
        self.assertEqual(found["issuer"], f"https://{HOST}")
        # What is routed is what it says.
        with open(f"{ROOT}/kubernetes/ingress/identity.yaml", encoding="utf-8") as f:
            routed = re.findall(r"value: (\S+)", f.read())
        self.assertIn("/.well-known/openid-configuration", routed)
        for name in ("jwks_uri", "token_endpoint", "revocation_endpoint"):
            self.assertIn(found[name].removeprefix(f"https://{HOST}"), routed)
        self.assertFalse([p for p in routed if self.public(p).status == 404 and self.public(p, {"a": "b"}).status == 404])
        for path in ("/admin/clients", "/admin/keys/hydra.jwt.access-token", "/admin/metrics/prometheus", "/admin/oauth2/introspect"):
            self.assertEqual(self.public(path).status, 404, path)
        self.assertEqual(self.public("/oauth2/register", {"a": "b"}).status, 404)
        self.assertNotIn("registration_endpoint", found)

    def test_a_program_gets_a_token_that_can_be_looked_at_alone(self):
        who = self.client("robot")
        answer = self.token(who)
        self.assertEqual((answer.status, answer.json["token_type"], answer.json["expires_in"] in (898, 899, 900)), (200, "bearer", True), answer.body)
        token = answer.json["access_token"]
        head, claims = self.part(token, 0), self.part(token, 1)
        self.assertEqual(head["alg"], "RS256")
        self.assertEqual((claims["iss"], claims["aud"], claims["client_id"], claims["scp"], claims["scope"]), (f"https://{HOST}", [f"https://{HOST}"], "robot", ["data:read"], "data:read"))
        self.assertLessEqual(claims["exp"] - claims["iat"], 900)
        key = next(k for k in self.public("/.well-known/jwks.json").json["keys"] if k["kid"] == head["kid"])
        self.assertTrue(self.verified(token, key))
        self.assertFalse(self.verified(token[:-8] + ("AAAAAAAA" if not token.endswith("AAAAAAAA") else "BBBBBBBB"), key))
        for wrong, status in (({"scope": "data:write"}, 400), ({"audience": "https://elsewhere.example"}, 400), ({"grant_type": "password"}, 400)):
            self.assertEqual(self.token(who, **wrong).status, status, wrong)
        self.assertEqual(self.token(("robot", "a wrong secret")).status, 401)
        self.assertEqual(self.token(("nobody", "a robot's long secret")).status, 401)
        without = self.public("/oauth2/token", {"grant_type": "client_credentials"}, who).json
        self.assertEqual(without["scope"], "")  # nothing is given that was not asked for

    def verified(self, token, key):
        """RFC 7515 by openssl, which is no part of Hydra."""
        number = lambda text: int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")  # noqa: E731
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/key.cnf", "w", encoding="utf-8") as f:
                f.write(f"asn1=SEQUENCE:pub\n[pub]\na=SEQUENCE:alg\nk=BITWRAP,SEQUENCE:rsa\n[alg]\no=OID:rsaEncryption\np=NULL\n[rsa]\nn=INTEGER:{number(key['n'])}\ne=INTEGER:{number(key['e'])}\n")
            signed, _, signature = token.rpartition(".")
            for name, data in (("signed", signed.encode()), ("signature", base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)))):
                with open(f"{folder}/{name}", "wb") as f:
                    f.write(data)
            subprocess.run(["openssl", "asn1parse", "-genconf", "key.cnf", "-noout", "-out", "key.der"], cwd=folder, check=True, capture_output=True)
            subprocess.run(["openssl", "rsa", "-pubin", "-inform", "DER", "-in", "key.der", "-out", "key.pem"], cwd=folder, check=True, capture_output=True)
            done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "signed"], cwd=folder, capture_output=True, text=True)
            return done.returncode == 0

    def test_a_token_is_taken_back(self):
        who = self.client("taken-back")
        token = self.token(who).json["access_token"]
        introspected = lambda: self.send(f"http://127.0.0.1:{self.one.admin}/admin/oauth2/introspect", "POST", "token=" + token).json["active"]  # noqa: E731
        self.assertTrue(introspected())
        self.assertEqual(self.public("/oauth2/revoke", {"token": token}, who).status, 200)
        self.assertFalse(introspected())

    def follow(self, asked, subject="user 7"):
        """As a browser would, with somebody who signs in and agrees; where the program's page is asked to go at the end."""
        cookies, where = {}, f"https://{HOST}/oauth2/auth?" + urllib.parse.urlencode(asked)
        for _ in range(8):
            if where.startswith("https://app.example/"):
                return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(where).query))
            query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(where).query))
            if "/oauth2/fallbacks/" in where:
                kind = "login" if "login_challenge" in query else "consent"
                answer = {"login": {"subject": subject}, "consent": {"grant_scope": ["data:read", "offline_access"], "session": {"access_token": {"tenant_id": 7, "password": "x"}}}}[kind]
                where = self.admin(f"/admin/oauth2/auth/requests/{kind}/accept?{kind}_challenge=" + urllib.parse.quote(query[kind + "_challenge"]), "PUT", answer).json["redirect_to"]
                continue
            answer = self.send(where.replace(f"https://{HOST}", f"https://127.0.0.1:{self.one.public}"), headers={"Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())})
            for cookie in answer.headers.get_all("Set-Cookie") or []:
                self.assertIn("; Secure", cookie)
                self.assertIn("; HttpOnly", cookie)
                name, value = cookie.split(";")[0].split("=", 1)
                cookies[name] = value
            self.assertIn(answer.status, (302, 303), answer.body)
            where = answer.headers["Location"]
        raise AssertionError(where)

    def test_codes_need_pkce(self):
        """What the service that signs people in will go by: nothing of it is routed yet."""
        self.client("browser", grant_types=["authorization_code", "refresh_token"], response_types=["code"], redirect_uris=["https://app.example/back"],
                    token_endpoint_auth_method="none", scope="data:read offline_access")
        asked = {"client_id": "browser", "response_type": "code", "redirect_uri": "https://app.example/back", "state": "12345678", "scope": "data:read offline_access"}
        self.assertEqual(self.follow(asked).get("error"), "invalid_request")
        verifier = "v" * 43
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        self.assertEqual(self.follow({**asked, "code_challenge": verifier, "code_challenge_method": "plain"}).get("error"), "invalid_request")

        def exchange(code, **more):
            return self.public("/oauth2/token", {"grant_type": "authorization_code", "code": code, "client_id": "browser", "redirect_uri": "https://app.example/back", **more})
        asked.update(code_challenge=challenge, code_challenge_method="S256")
        self.assertEqual(exchange(self.follow(asked)["code"]).status, 400)
        self.assertEqual(exchange(self.follow(asked)["code"], code_verifier="w" * 43).status, 400)
        code = self.follow(asked)["code"]
        answer = exchange(code, code_verifier=verifier)
        self.assertEqual(answer.status, 200, answer.body)
        claims = self.part(answer.json["access_token"], 1)
        # The tenant is a claim by itself; what is not in the list stays in a corner.
        self.assertEqual((claims["sub"], claims["tenant_id"], claims["ext"]["tenant_id"] if "tenant_id" in claims.get("ext", {}) else None, "password" in claims), ("user 7", 7, None, False))
        # A refresh token is good once: a second time, and all that came of it is void.
        refresh = lambda token: self.public("/oauth2/token", {"grant_type": "refresh_token", "refresh_token": token, "client_id": "browser"})  # noqa: E731
        second = refresh(answer.json["refresh_token"])
        self.assertEqual(second.status, 200, second.body)
        self.assertEqual(refresh(answer.json["refresh_token"]).status, 400)
        self.assertEqual(refresh(second.json["refresh_token"]).status, 400)

    def test_two_of_them_and_a_new_secret(self):
        who = self.client("shared")
        kid = lambda process: self.part(self.token(who, process).json["access_token"], 0)["kid"]  # noqa: E731
        first = kid(self.one)
        cls = type(self)
        cls.secret = self.secret_of("another one in front of the first,one secret of more than sixteen")
        other = self.serve()
        self.assertEqual(kid(other), first)  # what the old secret encrypted is read
        self.assertEqual(kid(self.one), first)

    def test_a_renewed_certificate_is_taken_without_a_restart(self):
        def serial():
            context = ssl.create_default_context(cafile=f"{self.folder}/authority.crt")
            with socket.create_connection(("127.0.0.1", self.one.public), 10) as raw, context.wrap_socket(raw, server_hostname=HOST) as s:
                return s.getpeercert()["serialNumber"]
        before = serial()
        self.authority.sign("tls", HOST, "serverAuth")
        wait_until(lambda: serial() != before, 60, 0.5)

    def test_the_metrics_that_rules_name(self):
        with open(f"{ROOT}/monitoring/prometheus/rules/identity.yml", encoding="utf-8") as f:
            rules = f.read()
        with open(f"{ROOT}/monitoring/grafana/dashboards/coditect-kubernetes.json", encoding="utf-8") as f:
            rules += f.read()
        self.token(self.client("counted"))
        text = self.admin("/admin/metrics/prometheus").body
        names = set(re.findall(r"\b(http_\w+)\{job=\\?\"hydra\\?\"", rules))
        self.assertGreaterEqual(len(names), 2)
        for name in names:
            self.assertRegex(text, rf"(?m)^{name}\{{")
        self.assertRegex(text, r'(?m)^http_requests_total\{.*code="200",endpoint="/oauth2/token"')
        self.assertRegex(text, r'(?m)^http_response_time_seconds_bucket\{.*endpoint="/oauth2/token".*le="1"')

    def test_the_janitor_throws_away_what_has_ended(self):
        who = self.client("many")
        for _ in range(20):
            self.assertEqual(self.token(who).status, 200)
        count = lambda: int(self.servers.sql(self.database_port, "SELECT count(*) FROM hydra_oauth2_access WHERE client_id = 'many'", "coditect_identity"))  # noqa: E731
        self.assertEqual(count(), 20)
        with open(f"{ROOT}/kubernetes/charts/hydra.yaml", encoding="utf-8") as f:
            self.assertRegex(f.read(), r"janitor:\n  enabled: true\n  cleanupGrants: true\n  cleanupRequests: true\n  cleanupTokens: true")
        self.hydra("janitor", "--grants", "--requests", "--tokens")
        self.assertEqual(count(), 20)
        self.servers.sql(self.database_port, "UPDATE hydra_oauth2_access SET requested_at = now() - interval '2 days', expires_at = now() - interval '1 day' WHERE client_id = 'many'",
                         "coditect_identity")
        self.hydra("janitor", "--grants", "--requests", "--tokens")
        self.assertEqual(count(), 0)

    def test_nothing_secret_is_in_its_log(self):
        who = self.client("quiet")
        token = self.token(who).json["access_token"]
        time.sleep(0.2)
        with open(f"{self.folder}/log-{self.one.public}", encoding="utf-8") as f:
            log = f.read()
        self.assertIn("/oauth2/token", log)
        for secret in (token, "robot's long", "generated@", "sixteen"):
            self.assertNotIn(secret, log)


if __name__ == "__main__":
    unittest.main()
