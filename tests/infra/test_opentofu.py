"""Every module and environment is planned by OpenTofu with the real providers, which answer without a cloud, and what would
be made is held against this project's rules. What has gone wrong elsewhere is planted, and must be found."""
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from test_kubernetes import ENVIRONMENTS, ROOT, find

HERE = f"{ROOT}/opentofu"
TOFU = find("tofu")
PURE = ("network-plan", "citus-size")  # no provider
ALLOWED_DIFFERENCES = {"environment", "project", "host", "dns_zone", "emails", "budget", "protected", "release_channel", "maintenance", "application",
                       "cloudsql", "citus", "redis", "backup", "log_days", "nat_addresses", "protection_level"}


def tofu(folder, *words):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
    environment["CHECKPOINT_DISABLE"] = "1"
    return subprocess.run([TOFU, f"-chdir={folder}", *words], capture_output=True, text=True, env=environment)


@functools.cache
def prepared():
    """A copy with its providers, in which nothing of the project's own is written; or why there is none."""
    folder = tempfile.mkdtemp(prefix="coditect-opentofu-")
    copy = f"{folder}/opentofu"
    shutil.copytree(HERE, copy, symlinks=True, ignore=shutil.ignore_patterns(".terraform"))
    for place in ("bootstrap", *(f"environments/{e}" for e in ENVIRONMENTS)):
        done = tofu(f"{copy}/{place}", "init", "-backend=false", "-no-color", "-input=false")
        if done.returncode:
            words = done.stdout + done.stderr
            return copy, "OpenTofu cannot get the google provider here" if "registry" in words else words
    return copy, None


def needs_tofu(test):
    return unittest.skipUnless(TOFU, "OpenTofu (tofu) is not installed")(test)


def needs_providers(test):
    @functools.wraps(test)
    def run(self):
        if not TOFU:
            raise unittest.SkipTest("OpenTofu (tofu) is not installed")
        _, missing = prepared()
        if missing and missing.startswith("OpenTofu cannot"):
            raise unittest.SkipTest(missing)
        self.assertIsNone(missing)
        test(self)
    return run


def tested(folder):
    """What `tofu test` says, and the plan of its run "plan"."""
    done = tofu(folder, "test", "-json", "-verbose")
    plan, said = None, []
    for line in done.stdout.splitlines():
        event = json.loads(line)
        if event["type"] == "test_plan" and event["@testrun"] == "plan":
            plan = event["test_plan"]
        if event["type"] in ("diagnostic", "test_run", "test_summary"):
            said.append(f"{event.get('@testrun', '')} {event['@message']} {event.get('diagnostic', {}).get('detail', '')}")
    return done.returncode, "\n".join(said) + done.stderr, plan


def made(plan):
    """(address, type, arguments) of what the plan makes."""
    return [(r["address"], r["type"], r["change"]["after"]) for r in plan["resource_changes"] if r["mode"] == "managed"]


# Where each kind of thing names its key.
KEYS = {
    "google_container_cluster": lambda a: a["database_encryption"][0]["key_name"],
    "google_container_node_pool": lambda a: a["node_config"][0]["boot_disk_kms_key"],
    "google_sql_database_instance": lambda a: a["encryption_key_name"],
    "google_redis_cluster": lambda a: a["kms_key"],
    "google_storage_bucket": lambda a: a["encryption"][0]["default_kms_key_name"],
    "google_secret_manager_secret": lambda a: a["replication"][0]["user_managed"][0]["replicas"][0]["customer_managed_encryption"][0]["kms_key_name"],
    "google_gke_backup_backup_plan": lambda a: a["backup_config"][0]["encryption_key"][0]["gcp_kms_encryption_key"],
    "google_logging_project_bucket_config": lambda a: a["cmek_settings"][0]["kms_key_name"],
    "google_artifact_registry_repository": lambda a: a["kms_key_name"],
}
PROTECTED = {
    "google_container_cluster": lambda a: a["deletion_protection"],
    "google_sql_database_instance": lambda a: a["deletion_protection"] and a["settings"][0]["deletion_protection_enabled"],
    "google_redis_cluster": lambda a: a["deletion_protection_enabled"],
}


def complaints(plan, environment):
    """What is wrong with what would be made, a line each."""
    out = []
    kinds = {}
    for address, kind, a in made(plan):
        kinds.setdefault(kind, []).append(a)

        def wrong(said, address=address):
            out.append(f"{address}: {said}")

        text = json.dumps(a)
        if kind in KEYS:
            try:
                key = KEYS[kind](a)
            except (IndexError, KeyError, TypeError):
                key = None
            if not key:
                wrong("is not encrypted by a key of ours")
        if environment != "dev" and kind in PROTECTED and not PROTECTED[kind](a):
            wrong("can be destroyed")
        if kind.endswith(("iam_member", "iam_binding")):
            if re.search(r"roles/(owner|editor|viewer)$", a["role"]) and "planner" not in address:
                wrong(f"basic role {a['role']}")
            if "allUsers" in text or "allAuthenticatedUsers" in text:
                wrong("everybody")
        if kind == "google_service_account_key":
            wrong("a key that can leak")
        if kind == "google_compute_firewall" and a["direction"] == "INGRESS" and a["allow"] and "0.0.0.0/0" in (a["source_ranges"] or []):
            wrong("is open to the internet")
        if kind == "google_compute_firewall" and any(rule["protocol"] == "all" for rule in a["allow"] or []):
            wrong("allows every protocol")
        if kind == "google_compute_subnetwork" and not (a["private_ip_google_access"] and a["log_config"]):
            wrong("needs Google's private access and flow logs")
        if kind == "google_storage_bucket" and not (a["uniform_bucket_level_access"] and a["public_access_prevention"] == "enforced"):
            wrong("could be made public")
        if kind == "google_container_cluster":
            private = a["private_cluster_config"][0]
            if not (private["enable_private_nodes"] and private["enable_private_endpoint"]):
                wrong("is not private")
            dns = ((a["control_plane_endpoints_config"] or [{}])[0].get("dns_endpoint_config") or [{}])[0].get("allow_external_traffic")
            networks = [block["cidr_block"] for n in a["master_authorized_networks_config"] or [] for block in n["cidr_blocks"] or []]
            if not dns and not [n for n in networks if not n.startswith("10.")]:
                wrong("its API cannot be reached by the pipeline")
            if "0.0.0.0/0" in networks:
                wrong("its API is open to the internet")
            for word, good in (("datapath_provider", "ADVANCED_DATAPATH"), ("enable_shielded_nodes", True), ("enable_legacy_abac", False)):
                if a[word] != good:
                    wrong(f"{word} is {a[word]}")
            if not a["workload_identity_config"] or not a["release_channel"] or not a["maintenance_policy"]:
                wrong("lacks Workload Identity, a release channel or a maintenance window")
            if not a["binary_authorization"] or a["binary_authorization"][0]["evaluation_mode"] == "DISABLED":
                wrong("runs any image")
        if kind == "google_container_node_pool":
            node = a["node_config"][0]
            if not node["service_account"] or node["service_account"] == "default":
                wrong("runs as the project's default account")
            if node["workload_metadata_config"][0]["mode"] != "GKE_METADATA" or not node["shielded_instance_config"][0]["enable_secure_boot"]:
                wrong("metadata or secure boot")
            if a["name"].startswith("citus") and not node["taint"]:
                wrong("other pods may run beside a database")
        if kind == "google_sql_database_instance":
            settings = a["settings"][0]
            address_of = settings["ip_configuration"][0]
            if address_of["ipv4_enabled"] or address_of["ssl_mode"] not in ("ENCRYPTED_ONLY", "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"):
                wrong("has a public address or takes plain text")
            if not settings["backup_configuration"][0]["point_in_time_recovery_enabled"]:
                wrong("cannot be restored to a moment")
            for flag in settings["database_flags"] or []:
                if flag["name"] == "shared_preload_libraries" or re.search(r"\d+\s*[kMG]B$", flag["value"]):
                    wrong(f"Cloud SQL refuses the flag {flag['name']}={flag['value']}")
        if kind in ("google_sql_user", "google_secret_manager_secret_version") and (a.get("password") or "password" in address and a.get("secret_data")):
            wrong("a password is in the plan")
    for variable in plan["variables"]:
        if "password" in variable and variable != "password_versions":
            out.append(f"var.{variable}: a password is a variable")
    for kind in (*KEYS, "google_binary_authorization_policy", "google_billing_budget", "google_compute_security_policy", "google_redis_cluster",
                 "google_certificate_manager_certificate", "google_compute_router_nat"):
        if kind not in kinds:
            out.append(f"there is no {kind}")
    return out


def sources(root):
    """What is wrong with the files themselves, a line each."""
    out = []
    for folder, folders, files in os.walk(root):
        folders[:] = [f for f in folders if f != ".terraform"]
        for name in files:
            path = os.path.join(folder, name)
            if not name.endswith(".tf") or os.path.islink(path):
                continue
            where = os.path.relpath(path, root)
            with open(path, encoding="utf-8") as f:
                text = f.read()
            code = re.sub(r"^\s*#.*$", "", text, flags=re.M)
            if re.search(r"\btimestamp\(\)|\bplantimestamp\(\)|\buuid\(\)", code):
                out.append(f"{where}: a plan that is different each time")
            if re.search(r"null_resource|local-exec|remote-exec", code):
                out.append(f"{where}: runs programs")
            if re.search(r"prevent_destroy\s*=\s*true", code) and not where.startswith("modules/bootstrap"):
                out.append(f"{where}: prevent_destroy is for all environments alike: use deletion protection")
            if re.search(r"create_before_destroy\s*=\s*true", code):
                out.append(f"{where}: create_before_destroy of a fixed name")
            if re.search(r'(?<!required_)version\s*=\s*">', code):
                out.append(f"{where}: a provider without an upper version")
            if re.search(r"billing_account\s*=\s*\"[0-9A-F]{6}-", text) or re.search(r"\bBEGIN [A-Z ]*PRIVATE KEY", text):
                out.append(f"{where}: an account or key is written down")
            if re.search(r'variable "[^"]*password"(?:(?!\n}).)*default', code, re.S):
                out.append(f"{where}: a password with a default")
            for source in re.findall(r'source\s*=\s*"(\.[^"]+)"', code):
                # The root is read through links, from beside itself.
                if not os.path.isdir(os.path.join(folder, source)):
                    out.append(f"{where}: {source} does not exist")
            if re.search(r'^resource "', code, re.M) and where.startswith("modules/") and not os.path.isfile(os.path.join(folder, "versions.tf")):
                out.append(f"{where}: no versions.tf")
            for block in re.findall(r'^(?:variable|output) "\w+" \{\n((?:.|\n)*?)^\}', text, re.M):
                if "description" not in block:
                    out.append(f"{where}: a variable or output without description")
    for environment in ENVIRONMENTS:
        folder = f"{root}/environments/{environment}"
        with open(f"{folder}/versions.tf", encoding="utf-8") as f:
            if not re.search(r'^\s*backend "gcs"', f.read(), re.M):
                out.append(f"{environment}: no remote state")
        if not os.path.isfile(f"{folder}/.terraform.lock.hcl"):
            out.append(f"{environment}: no lock file")
        for name in sorted(os.listdir(f"{root}/environments/root")):
            if not os.path.islink(f"{folder}/{name}") or os.readlink(f"{folder}/{name}") != f"../root/{name}":
                out.append(f"{environment}: {name} is a copy, not the root's")
    return out


def copied():
    """A copy with providers in place, to plant mistakes in."""
    original, _ = prepared()
    folder = tempfile.mkdtemp(prefix="coditect-planted-")
    shutil.copytree(original, f"{folder}/opentofu", symlinks=True)
    return f"{folder}/opentofu"


class Files(unittest.TestCase):
    maxDiff = None

    def test_the_sources_are_right(self):
        self.assertEqual(sources(HERE), [])

    def test_git_has_every_file(self):
        """A pattern of .gitignore once swallowed a whole module of somebody's: nothing that is used may be ignored."""
        ignored = subprocess.run(["git", "-C", ROOT, "status", "--ignored", "--porcelain", "--", "opentofu", "kubernetes", "monitoring"],
                                 capture_output=True, text=True)
        if ignored.returncode:
            self.skipTest("not a git repository")
        self.assertEqual([line for line in ignored.stdout.splitlines() if line.startswith("!!") and ".terraform/" not in line], [])

    def test_environments_differ_in_values_only(self):
        values = {}
        for environment in ENVIRONMENTS:
            with open(f"{HERE}/environments/{environment}/terraform.tfvars.json", encoding="utf-8") as f:
                values[environment] = json.load(f)
            self.assertEqual(values[environment]["environment"], environment)
            self.assertEqual(values[environment]["project"], f"coditect-{environment}")
            others = set(ENVIRONMENTS) - {environment}
            self.assertFalse([o for o in others if o in json.dumps(values[environment])], "a value of another environment")
        with open(f"{HERE}/environments/root/variables.tf", encoding="utf-8") as f:
            declared = set(re.findall(r'^variable "(\w+)"', f.read(), re.M))
        for environment in ENVIRONMENTS:
            # OpenTofu only warns of a name that it does not know.
            self.assertEqual(set(values[environment]) - declared, set())
        for key in declared - ALLOWED_DIFFERENCES:
            self.assertEqual(len({json.dumps(v.get(key)) for v in values.values()}), 1, f"{key} should be the same in all environments")

    @needs_tofu
    def test_they_are_formatted(self):
        done = tofu(HERE, "fmt", "-check", "-recursive", "-list=true")
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    @needs_tofu
    def test_arithmetic_without_providers(self):
        for module in PURE:
            folder = tempfile.mkdtemp(prefix="coditect-pure-")
            shutil.copytree(f"{HERE}/modules/{module}", f"{folder}/{module}")
            code, said, _ = tested(f"{folder}/{module}")
            self.assertEqual(code, 0, said)


class Planned(unittest.TestCase):
    @needs_providers
    def test_each_environment_can_be_planned(self):
        copy, _ = prepared()
        for environment in ENVIRONMENTS:
            with self.subTest(environment):
                folder = f"{copy}/environments/{environment}"
                valid = tofu(folder, "validate", "-no-color")
                self.assertEqual(valid.returncode, 0, valid.stdout + valid.stderr)
                code, said, plan = tested(folder)
                self.assertEqual(code, 0, said)
                self.assertEqual(complaints(plan, environment), [])
                self.kubernetes(plan, environment)
                self.sizes(plan, environment)

    def connections(self, objects, plan, environment):
        """Every pod there may be, half as many of a release beside them (the most that deploy.sh makes), and Hydra (two, one of a
        roll-out, its janitor and migrations) find room on every server."""
        setting = lambda name: int(re.search(rf"name: CODITECT_{name}\n +value: \"(\d+)\"", objects).group(1))  # noqa: E731
        most = int(re.search(r"/spec/maxReplicas, value: (\d+)", objects).group(1))
        pods, loops = most + (most + 1) // 2 + 1, setting("SERVER_LOOPS")
        # Of each loop the operator's two and maintenance's one (src/apps/coditect/serving.cc), and one of the process that listens or measures.
        directory = pods * (loops * (setting("DATABASE_DIRECTORY_POOL") + 3) + 1)
        cell = pods * (loops * (setting("DATABASE_CELL_POOL") + 3) + 1)
        hydra = 5 * int(re.search(r"max_conns=(\d+)", objects).group(1))
        flags = next(a for _, kind, a in made(plan) if kind == "google_sql_database_instance")["settings"][0]["database_flags"]
        server = int(next(f["value"] for f in flags if f["name"] == "max_connections")) - 10  # for superusers and jobs
        with open(f"{HERE}/environments/{environment}/terraform.tfvars.json", encoding="utf-8") as f:
            on_citus = json.load(f)["citus"]["workers"] > 0
        self.assertLessEqual(directory + hydra + (0 if on_citus else cell), server, f"{environment}: cloudsql.connections is too small for {pods} pods")
        if on_citus:
            with open(f"{ROOT}/kubernetes/services/citus/patroni.yml", encoding="utf-8") as f:
                self.assertLessEqual(cell, int(re.search(r"max_connections: (\d+)", f.read()).group(1)) - 10, f"{environment}: max_connections of Citus is too small for {pods} pods")

    def kubernetes(self, plan, environment):
        """The overlay has what the plan says: scripts/deploy.sh writes the one from the other."""
        with open(f"{ROOT}/kubernetes/overlays/{environment}/environment.env", encoding="utf-8") as f:
            overlay = dict(line.rstrip("\n").split("=", 1) for line in f if line.strip() and not line.startswith("#"))
        self.assertEqual(plan["planned_values"]["outputs"]["kubernetes_environment"]["value"], overlay)
        objects = self.render(environment)
        self.connections(objects, plan, environment)
        wanted = set(re.findall(r"key: (coditect-[a-z-]+)", objects))
        secrets = {a["secret_id"] for _, kind, a in made(plan) if kind == "google_secret_manager_secret"}
        self.assertLessEqual(wanted, secrets, "an ExternalSecret refers to what is not there")
        readable = {a["secret_id"] for _, kind, a in made(plan) if kind == "google_secret_manager_secret_iam_member"}
        self.assertLessEqual(wanted, readable)

    def render(self, environment):
        folders = (f"{ROOT}/kubernetes/{folder}" for folder in (f"overlays/{environment}", "jobs/bootstrap", "jobs/cluster-init", "jobs/migrate", "services/backend", "services/backend/pods", "services/citus", "services/identity"))
        return "".join(path.read_text() for folder in folders for path in pathlib.Path(folder).glob("*.yaml"))

    def sizes(self, plan, environment):
        with open(f"{HERE}/environments/{environment}/terraform.tfvars.json", encoding="utf-8") as f:
            values = json.load(f)
        pools = {a["name"]: a["autoscaling"][0] for _, kind, a in made(plan) if kind == "google_container_node_pool"}
        pods = 3 + values["citus"]["workers"] * values["citus"].get("worker_replicas", 2) if values["citus"]["workers"] else 0
        self.assertEqual(sum(p["min_node_count"] for name, p in pools.items() if name.startswith("citus")) * 3 >= pods, True)
        self.assertEqual(any(name.startswith("citus") for name in pools), values["citus"]["workers"] > 0)

    @needs_providers
    def test_bootstrap_can_be_planned(self):
        copy, _ = prepared()
        valid = tofu(f"{copy}/bootstrap", "validate", "-no-color")
        self.assertEqual(valid.returncode, 0, valid.stdout + valid.stderr)
        code, said, plan = tested(f"{copy}/bootstrap")
        self.assertEqual(code, 0, said)
        self.assertFalse([line for line in complaints(plan, "dev") if "there is no" not in line and "encrypted" not in line])
        root = copied()
        path = f"{root}/bootstrap/tests/bootstrap.tftest.hcl"
        with open(path, encoding="utf-8") as f:
            text = f.read()
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace("example/coditect", "example/*"))
        code, said, _ = tested(f"{root}/bootstrap")
        self.assertNotEqual(code, 0)
        self.assertIn("without wildcards", said)


# What has gone wrong elsewhere: name, file, what is written wrong, instead of what, and what must be said.
# "static" is found without a provider, "schema" by `tofu validate`, "plan" by the rules above.
PLANTED = [
    ("static", "a module that was ignored by git", "modules/secrets", None, None, "does not exist"),
    ("static", "no remote state", "environments/root/versions.tf", '  backend "local" {}\n  #', '  backend "gcs"', "no remote state"),
    ("static", "no lock file", "environments/dev/.terraform.lock.hcl", None, None, "no lock file"),
    ("static", "a copy for an environment", "environments/production/main.tf", "copy", None, "is a copy"),
    ("static", "a plan that is never empty", "modules/redis/main.tf", 'name          = "${var.name}-${timestamp()}"', "name          = var.name", "different each time"),
    ("static", "prevent_destroy for all", "modules/redis/main.tf", "resource \"google_redis_cluster\" \"this\" {\n  lifecycle {\n    prevent_destroy = true\n  }",
     'resource "google_redis_cluster" "this" {', "prevent_destroy"),
    ("static", "a fixed name created twice", "modules/gke/main.tf", "ignore_changes = [initial_node_count]\n    create_before_destroy = true",
     "ignore_changes = [initial_node_count]", "create_before_destroy"),
    ("static", "an open provider range", "modules/gke/versions.tf", '">= 5, < 7"', '"~> 7.45"', "without an upper version"),
    ("static", "a password with a default", "modules/cloudsql/variables.tf", 'variable "admin_password" {\n  description = "x"\n  default = ""\n}\n\nvariable "project" {',
     'variable "project" {', "password with a default"),
    ("static", "a billing account", "environments/root/main.tf", 'billing_account = "0A1B2C-3D4E5F-6A7B8C"', "billing_account = var.billing_account", "written down"),
    ("test", "a range off its boundary", "modules/network-plan/main.tf", '"10.14.0.0/12"', '"10.16.0.0/12"', "is not on a /12 boundary"),
    ("schema", "an argument that is gone", "modules/cloudsql/main.tf", "require_ssl         = true", 'ssl_mode           = "ENCRYPTED_ONLY"', "require_ssl"),
    ("plan", "Citus on Cloud SQL", "modules/cloudsql/main.tf", 'shared_preload_libraries            = "citus"\n        max_connections', "max_connections", "refuses the flag shared_preload"),
    ("plan", "memory with a unit", "modules/cloudsql/main.tf", 'shared_buffers                      = "8192MB"\n        max_connections', "max_connections", "shared_buffers=8192MB"),
    ("plan", "an API that nobody reaches", "modules/gke/main.tf", "allow_external_traffic = false", "allow_external_traffic = true", "cannot be reached by the pipeline"),
    ("plan", "an API that everybody reaches", "modules/gke/main.tf",
     'master_authorized_networks_config {\n    cidr_blocks {\n      cidr_block = "0.0.0.0/0"\n    }\n  }\n  master_auth {', "  master_auth {", "open to the internet"),
    ("plan", "the default account", "modules/gke/main.tf", 'service_account   = ""', "service_account   = google_service_account.nodes.email", "default account"),
    ("plan", "an account that may do anything", "modules/gke/main.tf", '"roles/editor"', '"roles/container.defaultNodeServiceAccount"', "basic role"),
    ("plan", "a downloaded key", "modules/gke/main.tf",
     'resource "google_service_account_key" "nodes" {\n  service_account_id = google_service_account.nodes.name\n}\n\nresource "google_project_iam_member" "nodes"',
     'resource "google_project_iam_member" "nodes"', "a key that can leak"),
    ("plan", "a password in the state", "modules/cloudsql/main.tf", 'password = "hunter2"',
     "password_wo         = ephemeral.google_secret_manager_secret_version.admin.secret_data\n  password_wo_version = tonumber(var.admin_version)",
     "a password is in the plan"),
    ("plan", "SSH for everybody", "modules/networking/main.tf", 'source_ranges      = ["0.0.0.0/0"]', 'source_ranges      = ["35.191.0.0/16", "130.211.0.0/22"]', "open to the internet"),
    ("plan", "everything from inside", "modules/networking/main.tf", 'protocol = "all"', 'protocol = "tcp"\n    ports    = ["8100", "8443"]', "every protocol"),
    ("plan", "a database on the internet", "modules/cloudsql/main.tf", "ipv4_enabled       = true", "ipv4_enabled       = false", "public address"),
    ("plan", "databases that share a node", "modules/citus/main.tf", "taint        = false", "taint        = true", "beside a database"),
    ("plan", "a key of Google's", "modules/redis/main.tf", "kms_key                     = null", "kms_key                     = var.key", "by a key of ours"),
    ("plan", "production can be destroyed", "modules/redis/main.tf", "deletion_protection_enabled = false", "deletion_protection_enabled = var.deletion_protection", "can be destroyed"),
]


class Planted(unittest.TestCase):
    def plant(self, root, file, wrong, right):
        path = f"{root}/{file}"
        if wrong is None:
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
            return
        with open(path, encoding="utf-8") as f:
            text = f.read()
        if right is None:
            os.remove(path)
            right = wrong = ""
        self.assertIn(right, text, "what to break is gone")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace(right, wrong))

    def test_in_the_sources(self):
        for kind, name, file, wrong, right, said in PLANTED:
            if kind == "static":
                with self.subTest(name):
                    folder = tempfile.mkdtemp(prefix="coditect-planted-")
                    shutil.copytree(HERE, f"{folder}/opentofu", symlinks=True, ignore=shutil.ignore_patterns(".terraform"))
                    self.plant(f"{folder}/opentofu", file, wrong, right)
                    self.assertIn(said, "\n".join(sources(f"{folder}/opentofu")))
                    shutil.rmtree(folder)

    @needs_tofu
    def test_in_arithmetic(self):
        for kind, name, file, wrong, right, said in PLANTED:
            if kind == "test":
                with self.subTest(name):
                    folder = tempfile.mkdtemp(prefix="coditect-planted-")
                    shutil.copytree(HERE, f"{folder}/opentofu", symlinks=True, ignore=shutil.ignore_patterns(".terraform"))
                    self.plant(f"{folder}/opentofu", file, wrong, right)
                    code, words, _ = tested(f"{folder}/opentofu/{os.path.dirname(file)}")
                    self.assertNotEqual(code, 0)
                    self.assertIn(said, words)

    @needs_providers
    def test_in_the_plan(self):
        for kind, name, file, wrong, right, said in PLANTED:
            if kind in ("schema", "plan"):
                with self.subTest(name):
                    root = copied()
                    self.plant(root, file, wrong, right)
                    folder = f"{root}/environments/staging"
                    if kind == "schema":
                        valid = tofu(folder, "validate", "-no-color")
                        self.assertNotEqual(valid.returncode, 0)
                        self.assertIn(said, valid.stdout + valid.stderr)
                    else:
                        _, words, plan = tested(folder)
                        self.assertIsNotNone(plan, words)
                        self.assertIn(said, "\n".join(complaints(plan, "staging")))
                    shutil.rmtree(os.path.dirname(root))


if __name__ == "__main__":
    unittest.main()
