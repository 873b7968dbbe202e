"""What the documentation says to type exists: scripts and their options, folders, subcommands. Links lead somewhere. Pipelines
call the same scripts, and hide nothing."""
import glob
import os
import pathlib
import re
import shutil
import subprocess
import unittest

from test_kubernetes import ROOT, render

PAGES = sorted(glob.glob(f"{ROOT}/*.md") + glob.glob(f"{ROOT}/docs/**/*.md", recursive=True) +
               [p for folder in ("opentofu", "kubernetes", "monitoring", "citus", "bench", "examples") for p in glob.glob(f"{ROOT}/{folder}/**/*.md", recursive=True)])
FOUNDING = ("opentofu/environments/dev", "kubernetes/base", "kubernetes/services", "scripts/deploy.sh dev", "coditect-dev", "coditect-staging", "coditect-production")


def read(path):
    return pathlib.Path(path).read_text(encoding="utf-8")


def spoken():
    """(page, command) of every line of code and every phrase in backquotes."""
    for page in PAGES:
        text = read(page)
        for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S):
            for line in block.replace("\\\n", " ").splitlines():
                yield page, line.split("  #")[0].strip()
        for phrase in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)):
            yield page, phrase


class Docs(unittest.TestCase):
    def test_the_scripts_exist_and_know_their_options(self):
        seen = 0
        for page, command in spoken():
            for script, words in re.findall(r"(?:^|\s)((?:scripts|tools|bench)/[\w-]+\.(?:sh|py))((?: [^|&;]*)?)", command):
                where = f"{os.path.relpath(page, ROOT)}: {command}"
                self.assertTrue(os.path.isfile(f"{ROOT}/{script}"), where)
                seen += 1
                text = read(f"{ROOT}/{script}")
                if script in ("scripts/up.sh", "scripts/bench.sh"):
                    continue  # hands them on
                for option in re.findall(r"(?<=\s)--[a-z][a-z-]*", words):
                    self.assertIn(option, text, where)
        self.assertGreater(seen, 40)

    def test_claims_of_the_security_page_are_shown(self):
        """Each row ends with tests that exist, or says that it is a target."""
        files = [p for folder in ("src", "tests", "scripts", "kubernetes") for p in glob.glob(f"{ROOT}/{folder}/**/*", recursive=True) if os.path.isfile(p)]
        names = {os.path.basename(p) for p in files}
        sources = "\n".join(read(p) for p in files if p.endswith((".py", ".cc", ".bats", ".yaml", ".hcl")) and not p.endswith("test_docs.py")) + read(__file__)
        rows = [line for line in read(f"{ROOT}/docs/SECURITY.md").splitlines() if line.startswith("| ") and not line.endswith(("| shown by |", "| found by |"))]
        self.assertGreater(len(rows), 50)
        for row in rows:
            last = row.rstrip("|").rsplit(" | ", 1)[1].strip()
            if last == "target":
                continue
            cited = re.findall(r"`([^`]+)`", last)
            self.assertTrue(cited, row)
            for name in cited:
                self.assertTrue(os.path.exists(f"{ROOT}/{name}") or name in names or re.search(rf"(?<!\w){re.escape(name)}", sources), f"{name}: {row}")

    def test_links_lead_somewhere(self):
        for page in PAGES:
            for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```", "", read(page), flags=re.M | re.S)):
                if "://" in target or target.startswith("mailto:"):
                    continue
                path, _, anchor = target.partition("#")
                file = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
                where = f"{os.path.relpath(page, ROOT)}: {target}"
                self.assertTrue(os.path.exists(file), where)
                if anchor and file.endswith(".md"):
                    titles = [re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in re.findall(r"^#+ (.+)$", read(file), re.M)]
                    self.assertIn(anchor, titles, where)

    def test_paths_in_backquotes_exist(self):
        for page, phrase in spoken():
            if page.endswith("EXTENDING.md") or "/examples/" in page:
                continue  # they speak of an application's own folders
            if re.fullmatch(r"(?:opentofu|kubernetes|monitoring|scripts|src|tests|docs|tools|citus|packaging|bench|examples)/[\w./-]+", phrase):
                self.assertTrue(glob.glob(f"{ROOT}/{phrase}*"), f"{os.path.relpath(page, ROOT)}: {phrase}")

    def test_founding_commands(self):
        """The first promises of this platform are kept as they were written."""
        text = read(f"{ROOT}/docs/DEPLOYMENT.md")
        for word in FOUNDING:
            self.assertIn(word, text)
        self.assertTrue(os.path.isfile(f"{ROOT}/opentofu/environments/dev/main.tf"))
        if not shutil.which("kubectl"):
            self.skipTest("kubectl is not installed")
        for path in set(re.findall(r"kubectl apply -k (\S+?)[`\s]", text)):
            self.assertIn("kind:", render(path))
        for environment in ("dev", "staging", "production"):
            self.assertIn(f"namespace: coditect-{environment}", render(f"kubernetes/overlays/{environment}"))

    def test_make_help_lists_every_target(self):
        if not shutil.which("make"):
            self.skipTest("make is not installed")
        done = subprocess.run(["make", "-C", ROOT, "help", "--no-print-directory"], capture_output=True, text=True, check=True)
        targets = re.findall(r"^([a-z-]+):", read(f"{ROOT}/Makefile"), re.M)
        for target in targets:
            self.assertRegex(done.stdout, rf"make {target}\b")
        for script in re.findall(r"scripts/[\w-]+\.sh", read(f"{ROOT}/Makefile")):
            self.assertTrue(os.path.isfile(f"{ROOT}/{script}"), script)


def pipeline_complaints(text):
    """What is wrong with a workflow, a line each."""
    out = []
    for action in re.findall(r"uses:\s*(\S+)", text):
        if not re.search(r"@[0-9a-f]{40}$", action):
            out.append(f"{action} is not pinned by its commit")
    if "continue-on-error" in text:
        out.append("a failure is hidden")
    if re.search(r"\|\s*tee\b|\|\|\s*true\b", text):
        out.append("a failure is swallowed by a pipe")
    if not re.search(r"^permissions:\n  contents: read", text, re.M):
        out.append("it has more rights than it needs")
    if re.search(r"credentials_json|secrets\.GCP", text):
        out.append("a stored key")
    for run in re.findall(r"run:\s*(.+)|^ {10,}(scripts/.+)$", text, re.M):
        line = "".join(run)
        if re.search(r"\$\{\{\s*(?:inputs|github\.event)", line):
            out.append("an input becomes part of a command")
        for script in re.findall(r"(?:scripts|tools)/[\w-]+\.sh", line):
            if not os.path.isfile(f"{ROOT}/{script}"):
                out.append(f"{script} does not exist")
    if re.search(r"working-directory:\s*(\S+)", text):
        for folder in re.findall(r"working-directory:\s*(\S+)", text):
            if not os.path.isdir(f"{ROOT}/{folder}"):
                out.append(f"{folder} does not exist")
    return out


class Pipelines(unittest.TestCase):
    def test_they_are_right(self):
        paths = glob.glob(f"{ROOT}/.github/workflows/*.yml")
        self.assertGreaterEqual(len(paths), 3)
        for path in paths:
            self.assertEqual(pipeline_complaints(read(path)), [], path)
        self.assertIn("scripts/test.sh", read(f"{ROOT}/.github/workflows/test.yml"))

    def test_planted_mistakes_are_found(self):
        text = read(f"{ROOT}/.github/workflows/deploy.yml")
        for wrong, right, said in (
                ("actions/checkout@master", "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1", "not pinned"),
                ("        continue-on-error: true\n        run: |", "        run: |", "hidden"),
                ('scripts/deploy.sh "${words[@]}" | tee plan.txt', 'scripts/deploy.sh "${words[@]}"', "swallowed"),
                ("permissions: write-all", "permissions:\n  contents: read\n  id-token: write", "more rights"),
                ("credentials_json: ${{ secrets.GCP_KEY }}", "service_account: ${{ vars.DEPLOYER }}", "stored key"),
                ("run: scripts/test-staging.sh ${{ inputs.image }}", "run: scripts/test-staging.sh", "part of a command"),
                ("run: cd terraform && scripts/tflint.sh", "run: scripts/test-staging.sh", "does not exist")):
            self.assertIn(right, text)
            self.assertIn(said, "\n".join(pipeline_complaints(text.replace(right, wrong))))
