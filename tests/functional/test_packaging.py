"""What is packaged for machines of one's own: the compose file, whose commands are run here without containers, and the list of
what a package is made of."""
import json
import os
import re
import subprocess
import tempfile
import unittest

from platform_under_test import BINARY, ROOT, Client, Platform, clean_environment, free_port, wait_until

COMPOSE = f"{ROOT}/packaging/compose"


def services():
    """name -> its text."""
    with open(f"{COMPOSE}/compose.yaml", encoding="utf-8") as f:
        text = f.read().split("\nservices:\n")[1].split("\nnetworks:\n")[0]
    return {m.group(1): m.group(2) for m in re.finditer(r"^  (\w+):\n((?:    .*\n|\n)+)", text + "\n", re.M)}


def environment(folder, name):
    with open(f"{folder}/{name}.env", encoding="utf-8") as f:
        return dict(line.rstrip("\n").split("=", 1) for line in f)


class Compose(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        subprocess.run([f"{COMPOSE}/environment.sh", self.folder.name], check=True)

    def test_secrets_are_made_once_and_given_to_who_needs_them(self):
        for name in ("api", "bootstrap", "migrate", "postgres"):
            self.assertEqual(os.stat(f"{self.folder.name}/{name}.env").st_mode & 0o777, 0o600)
        again = subprocess.run([f"{COMPOSE}/environment.sh", self.folder.name], capture_output=True, text=True)
        self.assertEqual(again.returncode, 4, again.stderr)
        of = {name: environment(self.folder.name, name) for name in ("api", "bootstrap", "migrate", "postgres")}
        self.assertEqual(of["postgres"]["POSTGRES_PASSWORD"], of["bootstrap"]["PGPASSWORD"])
        self.assertNotIn("PGPASSWORD", of["api"])
        self.assertNotIn("CODITECT_DATABASE_MIGRATOR_PASSWORD", of["api"])
        for name in ("api", "migrate"):
            for key, value in of[name].items():
                self.assertEqual(of["bootstrap"].get(key, value), value, key)

    def test_the_file_is_pinned_and_closed(self):
        found = services()
        self.assertEqual(set(found), {"postgres", "redis", "bootstrap", "migrate", "api"})
        for name in ("postgres", "redis"):
            self.assertRegex(found[name], r"image: \w+:\d+\.\d+(\.\d+)?-\w+\n")
            self.assertNotIn("ports:", found[name])
        self.assertIn('ports: ["127.0.0.1:8080:8080"]', found["api"])
        with open(f"{COMPOSE}/compose.yaml", encoding="utf-8") as f:
            self.assertIn("inside:\n    internal: true", f.read())

    def test_its_steps_lead_to_a_service_that_answers(self):
        """On servers that are there already: the same commands with the same environment, but for addresses."""
        servers = Platform()
        self.addCleanup(servers.remove)
        servers.start()
        self.addCleanup(servers.stop)
        secrets, ports = servers.values("secrets"), servers.values("ports")
        found, port = services(), free_port()

        def command(name):
            words = [w.strip().strip('"') for w in re.search(r"command: \[(.*)\]", found[name]).group(1).split(",")]
            words = [w.replace("postgres@postgres:5432", f"coditect_admin@127.0.0.1:{ports['postgres']}").replace("8080", str(port)).replace("0.0.0.0", "127.0.0.1")
                     for w in words]
            given = environment(self.folder.name, re.search(r"env_file: \[(\w+)\.env\]", found[name]).group(1))
            given["CODITECT_DATABASE_URL"] = f"postgresql://127.0.0.1:{ports['postgres']}"
            given.update({"CODITECT_DATABASE_DIRECTORY_NAME": "compose_directory", "CODITECT_DATABASE_CELL_NAME": "compose_cell"})
            if "PGPASSWORD" in given:
                given["PGPASSWORD"] = secrets["postgres"]
            if "CODITECT_REDIS_URL" in given:
                given["CODITECT_REDIS_URL"] = f"redis://:{secrets['redis']}@127.0.0.1:{ports['redis']}"
            return [BINARY, *words], {**clean_environment(), **given}
        for name in ("bootstrap", "migrate"):
            words, given = command(name)
            done = subprocess.run(words, env=given, capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 0, f"{words}: {done.stdout}{done.stderr}")
        words, given = command("api")
        api = subprocess.Popen(words, env=given, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: Client(port).get("/health/ready").status == 200, 30)
        finally:
            api.terminate()
            self.assertEqual(api.wait(30), 0)


class Sbom(unittest.TestCase):
    def test_it_names_the_package_of_every_library_that_the_program_loads(self):
        package = next((f"{folder}/{n}" for folder in (os.path.dirname(BINARY),) for n in sorted(os.listdir(folder)) if re.fullmatch(r"coditect_.*\.deb", n)), None)
        if package is None:
            subprocess.run(["cpack", "-D", "CPACK_COMPONENTS_ALL=runtime"], cwd=os.path.dirname(BINARY), check=True, capture_output=True)
            package = next(f"{os.path.dirname(BINARY)}/{n}" for n in os.listdir(os.path.dirname(BINARY)) if re.fullmatch(r"coditect_.*\.deb", n))
        said = json.loads(subprocess.run([f"{ROOT}/scripts/sbom.sh", package], capture_output=True, text=True, check=True).stdout)
        self.assertEqual((said["spdxVersion"], said["packages"][0]["name"]), ("SPDX-2.3", "coditect"))
        named = {p["name"]: p["versionInfo"] for p in said["packages"]}
        for path in re.findall(r"=> (/\S+)", subprocess.run(["ldd", BINARY], capture_output=True, text=True, check=True).stdout):
            of = subprocess.run(["dpkg", "-S", os.path.basename(path)], capture_output=True, text=True).stdout
            owners = {line.split(":")[0] for line in of.splitlines() if line.rsplit("/", 1)[-1] == os.path.basename(path)}
            self.assertTrue(owners & set(named), f"{path} is of {owners}")
        self.assertIn("libc6", named)
        self.assertEqual(len({p["SPDXID"] for p in said["packages"]}), len(said["packages"]))
        self.assertEqual(subprocess.run([f"{ROOT}/scripts/sbom.sh"], capture_output=True).returncode, 2)


if __name__ == "__main__":
    unittest.main()
