"""Builds and runs every test and adds up the results; called by scripts/test.sh.

Programs built with AddressSanitizer and UndefinedBehaviorSanitizer run the unit and database tests;
the parts with threads run again under ThreadSanitizer; the functional tests start the real program.
"""
import os
import re
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATTERN = sys.argv[1] if len(sys.argv) > 1 else ""
TSAN_TESTS = ["async_test", "obs_test", "pg_dbtest", "redis_dbtest"]

passed = failed = 0
skips = []
failures = []


def say(text):
    print(f"\033[1m{text}\033[0m", flush=True)


def build(preset, *targets):
    say(f"building {preset}")
    if not os.path.exists(f"{ROOT}/build/{preset}/build.ninja"):
        subprocess.run(["cmake", "--preset", preset], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    command = ["cmake", "--build", "--preset", preset]
    if targets:
        command += ["--target", *targets]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        print(done.stdout[-8000:])
        print("the build failed")
        print("0 passed, 1 failed, 0 skipped")
        sys.exit(1)


def count(output):
    """Adds the counts of googletest and unittest outputs; true when there were any."""
    global passed, failed
    found = False
    for number in re.findall(r"^\[  PASSED  \] (\d+) tests?", output, re.M):
        passed += int(number)
        found = True
    failed_names = re.findall(r"^\[  FAILED  \] (\S+)(?: \(\d+ ms\))$", output, re.M)
    failed += len(failed_names)
    failures.extend(failed_names)
    fuzzed = re.search(r"^(\d+) passed, (\d+) failed$", output, re.M)
    if fuzzed:
        found = True
        passed += int(fuzzed.group(1))
        failed += int(fuzzed.group(2))
        failures.extend(re.findall(r"^(\w+_fuzz) +FAILED$", output, re.M))
        failures.extend(re.findall(r"^FAILED (.+)$", output, re.M))
    ran = re.search(r"^Ran (\d+) tests? in", output, re.M)
    if ran:
        found = True
        bad = re.findall(r"^(?:FAIL|ERROR): (\S+)", output, re.M)
        skipped = re.findall(r"^\w+ \(([\w.]+)\)(?:\n(?!\w+ \()[^\n]*?)? \.\.\. skipped ['\"](.*)['\"]$", output, re.M)
        skips.extend(f"{name}: {why}" for name, why in skipped)
        passed += int(ran.group(1)) - len(bad) - len(skipped)
        failed += len(bad)
        failures.extend(bad)
    skips.extend(re.findall(r"^SKIP (.*)$", output, re.M))
    return found


def run(name, command, env=None, timeout=900):
    global failed, passed
    if PATTERN and PATTERN not in name:
        return
    start = time.time()
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **(env or {})}, start_new_session=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    try:
        output, code = process.communicate(timeout=timeout)[0], process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)  # the whole group: also what it started
        try:
            output = process.communicate(timeout=60)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output = process.communicate()[0]
        output, code = output + "\ntimed out", 1
    before = failed
    counted = count(output)
    if code != 0 and failed == before:
        failed += 1
        failures.append(name)
    elif code == 0 and not counted:
        passed += 1
    verdict = "ok" if failed == before else "FAILED"
    print(f"{verdict:7} {name} ({time.time() - start:.1f} s)", flush=True)
    if verdict == "FAILED":
        print(output[-12000:], flush=True)


def gtest_programs(preset):
    folder = f"{ROOT}/build/{preset}/src"
    return sorted(p for p in os.listdir(folder) if re.search(r"_(test|dbtest)$", p))


class Servers:
    """A private PostgreSQL and Redis for the database tests of one preset."""

    def __init__(self, preset):
        self.program = f"{ROOT}/build/{preset}/src/test_servers"
        self.file = f"/tmp/coditect-test-servers-{os.getpid()}-{preset}"

    def __enter__(self):
        self.process = subprocess.Popen([self.program, self.file], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        line = self.process.stdout.readline()
        if "ready" not in line:
            raise SystemExit("the test servers did not start: " + line + self.process.stdout.read())
        return {"COTEST_SERVERS": self.file}

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(60)


def summary(started):
    print(f"all done in {time.time() - started:.0f} s")
    for name in failures:
        print(f"FAILED {name}")
    for line in skips:
        print(f"SKIP {line}")
    print(f"{passed} passed, {failed} failed, {len(skips)} skipped")
    return 1 if failed else 0


def main():
    started = time.time()
    run("check_layers", ["scripts/check-layers"])
    run("check_format", ["scripts/format.sh", "--check"])
    if PATTERN == "ha":  # by itself: it takes seven minutes and kills servers
        build("release")
        run("ha", ["/usr/bin/python3", "-m", "unittest", "-v", "test_ha", "test_partition", "test_kubernetes_store"], {"PYTHONPATH": f"{ROOT}/tests/ha"}, timeout=1200)
        return summary(started)
    for module in sorted(os.listdir(f"{ROOT}/tests/infra")):
        if module.startswith("test_") and module.endswith(".py"):
            run(f"infra {module[5:-3]}", [sys.executable, "-m", "unittest", "-v", module[:-3]], {"PYTHONPATH": f"{ROOT}/tests/infra"})
    build("asan")
    build("release")
    with Servers("asan") as env:
        for program in gtest_programs("asan"):
            run(program, [f"build/asan/src/{program}", "--gtest_brief=1"], env)
    run("fuzz (short)", ["scripts/fuzz.sh", "--seconds", "4"])
    run("compile_fail", [sys.executable, "tests/compile_fail/run.py"])
    build("tsan", *[t for t in TSAN_TESTS if t in gtest_programs("asan")], "test_servers")
    with Servers("tsan") as env:
        for program in TSAN_TESTS:
            if os.path.exists(f"{ROOT}/build/tsan/src/{program}"):
                run(f"tsan {program}", [f"build/tsan/src/{program}", "--gtest_brief=1"], {**env, "TSAN_OPTIONS": "halt_on_error=1"})
    for module in sorted(os.listdir(f"{ROOT}/tests/functional")):
        if module.startswith("test_") and module.endswith(".py"):
            run(f"functional {module[5:-3]}", [sys.executable, "-m", "unittest", "-v", module[:-3]],
                {"PYTHONPATH": f"{ROOT}/tests/functional",
                 # The same requests three times over: what sanitizers find they have found by then.
                 **({"COTEST_BINARY": f"{ROOT}/build/release/coditect"} if module == "test_citus.py" else {})}, timeout=1500)
    build("release", "coditect", "load")
    run("bench smoke", [sys.executable, "bench/api.py", "--rounds", "1", "--seconds", "1", "--tenants", "300", "--no-save"])
    run("faults (short)", [sys.executable, "bench/faults/run.py", "--short"], timeout=2400)
    build("mutants", "coditect")
    run("mutants (a sample)", [sys.executable, "tests/mutation/run.py", "--sample", "24"])
    return summary(started)


if __name__ == "__main__":
    sys.exit(main())
