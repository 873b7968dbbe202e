"""Programs that must not compile, each for the reason its first line names, and one that must; and a slice of every type
as `coditect new slice` writes it into this tree."""
import atexit
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
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


def generated_slice():
    """The C++ files of a new slice, in a copy of the headers that it changes; they come first on the include path."""
    top = tempfile.mkdtemp(prefix="coditect-slice-")
    for path in ("src/schema/tables.h", "src/apps/coditect/platform.cc", "src/CMakeLists.txt", ".clang-format"):
        os.makedirs(os.path.dirname(f"{top}/{path}"), exist_ok=True)
        shutil.copy(f"{ROOT}/{path}", f"{top}/{path}")
    os.makedirs(f"{top}/citus/migrations/cell")
    fields = ("a:text b:text(3)? c:int d:int? e:money f:money? g:bool h:bool? i:date j:date? k:time l:time? m:enum(x,y) n:enum(z)? "
              "a_long_name_that_wraps_lines_of_the_code:text(10000)?")
    subprocess.run([f"{ROOT}/build/asan/coditect", "new", "slice", "widgets", "--fields", fields, "--dir", top], check=True, stdout=subprocess.DEVNULL)
    return top


class GeneratedSlice(unittest.TestCase):
    def test_it_compiles_untouched_in_the_houses_format(self):
        files = [f"{TREE}/src/domain/widgets/{name}.cc" for name in ("handlers", "widgets_dbtest")] + [f"{TREE}/src/apps/coditect/platform.cc"]
        for path in files:
            code, output = RESULTS[path].result()
            self.assertEqual(code, 0, f"{path}:\n{output[:2000]}")
        done = subprocess.run(["clang-format-19", "--dry-run", "--Werror", *files, *glob.glob(f"{TREE}/src/domain/widgets/*.h")], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr[:2000])


def compile_one(path, *more):
    done = subprocess.run([FLAGS[0], *more, *FLAGS[1:], path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    return done.returncode, done.stdout


FLAGS = flags()
PATHS = sorted(glob.glob(f"{HERE}/*.cc"))
with ThreadPoolExecutor(os.cpu_count()) as pool:
    TREE = generated_slice()
    RESULTS = {p: pool.submit(compile_one, p) for p in PATHS}
    for p in ("domain/widgets/handlers", "domain/widgets/widgets_dbtest", "apps/coditect/platform"):
        RESULTS[f"{TREE}/src/{p}.cc"] = pool.submit(compile_one, f"{TREE}/src/{p}.cc", f"-I{TREE}/src")
atexit.register(shutil.rmtree, TREE, True)
for p in PATHS:
    add(p)

if __name__ == "__main__":
    sys.exit(unittest.main())
