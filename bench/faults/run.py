"""Makes one fault after another under load and checks a client's ledger: each acknowledged write is there exactly once, each
refused one never, nothing hangs past its deadline, and the service comes back by itself.

Usage: scripts/bench.sh faults [--short] [--only WORD]...
"""
import argparse
import os
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.environ.setdefault("COTEST_BINARY", f"{ROOT}/build/release/coditect")
sys.path[:0] = [f"{ROOT}/bench", f"{ROOT}/tests/functional"]

from harness import interrupt_as_exit, save  # noqa: E402
from faults.ledger import Ledger  # noqa: E402
from faults.scenarios import ALL, NOTHING_FAILS, SOME_FAIL, SOME_WAIT, Missing  # noqa: E402

RECOVERY = 10  # seconds


def play(name, short):
    scenario, make_stage, expects = ALL[name]
    stage = ledger = problem = over = None
    out = {"requests": 0, "failed": 0, "lost": 0, "duplicated": 0, "wrong": 0, "hung": 0}
    try:
        stage = make_stage(short)
        steps = scenario(stage)
        next(steps)  # prepared
        ledger = stage.ledger = Ledger(stage.clients)
        if stage.others_port:
            ledger.sign_up_others(stage.platform.sign_up, stage.others_port)
        time.sleep(1.0 if short else 2.0)
        try:
            next(steps)
        except StopIteration as end:
            over = end.value
        ledger.wait_for_writes(over, 60)
        time.sleep(2.0)
    except Missing:
        raise
    except Exception as wrong:  # one scenario's trouble is its own
        problem = f"{type(wrong).__name__}: {wrong}"
    try:
        if ledger:
            ledger.finish()
            out = ledger.check(stage.platform.sql)
    except Exception as wrong:
        problem = problem or f"cannot be checked: {wrong}"
    finally:
        if stage:
            stage.cleanup.close()
    recovery = ledger.recovery(over) if ledger and over else None
    acknowledged = len(ledger.acknowledged) if ledger else 0
    if problem is None:
        if out["wrong"]:
            problem = f"wrong: {ledger.wrong[:2]}"
        elif stage.only_felt_by and (others := [a for a in ledger.attempts if a[0] != stage.only_felt_by and not a[3]]):
            problem = f"{len(others)} requests of tenants on other servers failed"
        elif expects == NOTHING_FAILS and out["failed"]:
            problem = f"{out['failed']} requests failed, and none should"
        elif expects == SOME_FAIL and not out["failed"]:
            problem = "nothing failed: the fault was not felt"
        elif expects == SOME_WAIT and ledger.slowest() < 2:
            problem = f"nobody waited: the slowest took {ledger.slowest():.1f} s"
        elif recovery is None or recovery > RECOVERY:
            problem = "no recovery within a minute" if recovery is None else f"recovery took {recovery:.1f} s"
        elif acknowledged < 20:
            problem = f"only {acknowledged} writes were acknowledged: no load"
    return {**out, "acknowledged": acknowledged, "recovery": recovery, "problem": problem, "notes": "; ".join(stage.notes if stage else [])}


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench.sh faults", description=__doc__.split("\n\n")[0])
    parser.add_argument("--short", action="store_true", help="shorter faults, for scripts/test.sh")
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help="faults whose name has it")
    options = parser.parse_args()
    interrupt_as_exit()
    names = [n for n in ALL if not options.only or any(word in n for word in options.only)]
    if not names:
        parser.error(f"no fault has such a name; there are: {', '.join(ALL)}")
    print(f"{'fault':26}{'requests':>9}{'failed':>8}{'lost':>6}{'doubled':>9}{'hung':>6}{'recovery':>10}  ", flush=True)
    rows, skipped = {}, []
    for name in names:
        try:
            row = play(name, options.short)
        except Missing as missing:
            skipped.append((name, str(missing)))
            continue
        rows[name] = row
        recovery = "-" if row["recovery"] is None else f"{row['recovery']:.2f} s"
        print(f"{name:26}{row['requests']:>9}{row['failed']:>8}{row['lost']:>6}{row['duplicated']:>9}{row['hung']:>6}{recovery:>10}  {row['notes']}", flush=True)
        if row["problem"]:
            print(f"    PROBLEM {row['problem']}", flush=True)
    for name, what in skipped:
        print(f"SKIP faults, {name}: {what}")
    bad = [name for name, row in rows.items() if row["problem"] or row["lost"] or row["duplicated"] or row["hung"]]
    for name in bad:
        print(f"FAILED {name}")
    if not options.short and not options.only and not bad and not skipped:
        save("faults", {"faults": rows})
    slowest = max((row["recovery"] for row in rows.values() if row["recovery"] is not None), default=0)
    print(f"faults.recovery_seconds={slowest:.2f}")
    for figure in ("lost", "duplicated", "hung"):
        print(f"faults.{figure}={sum(row[figure] for row in rows.values())}")
    print(f"{len(rows) - len(bad)} passed, {len(bad)} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
