"""Programs that must not compile, each for the reason its first line names, and one that must."""
import glob
import json
import os
import re
import shlex
import subprocess
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def flags():
    """The flags of the build, without what belongs to one file."""
    with open(f"{ROOT}/build/asan/compile_commands.json") as f:
        command = next(c["command"] for c in json.load(f) if c["file"].endswith("src/tenancy/db.cc"))
    words = shlex.split(command)
    start = next(i for i, w in enumerate(words) if w.endswith("clang++-19"))
    kept, skip = [], 0
    for word in words[start + 1:]:
        if skip:
            skip -= 1
        elif word in ("-o", "-c", "-MF", "-MT"):
            skip = 1
        elif word == "-Xclang":
            continue
        elif not word.startswith(("-MD", "-Winvalid-pch", "-fno-pch", "-include", "/")) and "cmake_pch" not in word:
            kept.append(word)
        elif word.startswith("/") and kept and kept[-1] == "-isystem":
            kept.append(word)
    return [words[start], *kept, "-include", f"{ROOT}/src/async/pch.h", "-fsyntax-only"]


class CompileFail(unittest.TestCase):
    pass


def add(path):
    name = os.path.basename(path)[:-3]
    with open(path) as f:
        rule = f.readline().removeprefix("// ").strip()

    def test(self):
        code, output = RESULTS[path].result()
        if rule == "compiles":
            self.assertEqual(code, 0, output)
        else:
            reason = rule.removeprefix("refused: ")
            self.assertNotEqual(code, 0, f"{name}.cc compiles")
            self.assertTrue(re.search(reason.replace("\\|", "|"), output), f"{name}.cc is refused for another reason:\n{output[:2000]}")

    setattr(CompileFail, f"test_{name}", test)


def compile_one(path):
    done = subprocess.run([*FLAGS, path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    return done.returncode, done.stdout


FLAGS = flags()
PATHS = sorted(glob.glob(f"{HERE}/*.cc"))
with ThreadPoolExecutor(os.cpu_count()) as pool:
    RESULTS = {p: pool.submit(compile_one, p) for p in PATHS}
for p in PATHS:
    add(p)

if __name__ == "__main__":
    sys.exit(unittest.main())
