"""What the documentation says to type to the program exists: subcommands and their options."""
import functools
import os
import re
import subprocess
import sys
import unittest

from platform_under_test import BINARY, ROOT, clean_environment

sys.path.append(f"{ROOT}/tests/infra")
import test_docs as pages  # noqa: E402  (of tests/infra)


@functools.lru_cache(None)
def help_of(words):
    done = subprocess.run([BINARY, *words, "--help"], capture_output=True, text=True, env=clean_environment(), timeout=30)
    return done.stdout if done.returncode == 0 else None


def subcommands(text):
    part = re.search(r"\nSubcommands:\n((?:  .*\n|\n)+)", text + "\n")
    return set(re.findall(r"^  ([a-z][\w-]*)", part.group(1), re.M)) if part else set()


class Commands(unittest.TestCase):
    def test_subcommands_and_options_exist(self):
        seen = set()
        for page, command in pages.spoken():
            for typed in re.findall(r"(?:^|[\s&;(])coditect ((?:[^|&;)`]|`)+)", command):
                where = f"{os.path.relpath(page, ROOT)}: coditect {typed}"
                words = typed.split()
                chain = ()
                for word in words:
                    if word in subcommands(help_of(chain)):
                        chain += (word,)
                    else:
                        break
                rest = words[len(chain):]
                if not chain and (not rest or not rest[0].startswith("--")):
                    continue  # prose, or a file name
                if rest and subcommands(help_of(chain)) and re.fullmatch(r"[a-z][a-z-]+", rest[0]) and "..." not in typed:
                    self.fail(f"{where}: {rest[0]} is no subcommand of {' '.join(chain)}")
                for option in re.findall(r"(?<=\s)(--[a-z][a-z-]*)", " " + " ".join(rest)):
                    self.assertRegex(help_of(chain), rf"(?m){option}\b", where)
                seen.add((chain, tuple(rest)))
        self.assertGreater(len(seen), 50)


if __name__ == "__main__":
    unittest.main()
