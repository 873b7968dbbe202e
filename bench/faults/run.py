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

from harness import save  # noqa: E402
from faults.ledger import Ledger  # noqa: E402
from faults.scenarios import ALL, Missing  # noqa: E402

RECOVERY = 10  # seconds


def play(name, short):
    scenario, make_stage, may_fail = ALL[name]
    stage = make_stage(short)
    ledger = None
    problem = None
    recovery = None
    try:
        steps = scenario(stage, None)
        next(steps)  # prepared
        ledger = Ledger(stage.clients)
        time.sleep(1.0 if short else 2.0)
        try:
            next(steps)
        except StopIteration as end:
            over = end.value
        recovered = ledger.wait_for_good(over, 60)
        recovery = recovered - over if recovered else None
        time.sleep(1.0 if short else 2.0)
        ledger.finish()
        out = ledger.check(stage.platform.sql)
    except AssertionError as wrong:
        problem = str(wrong)
        if ledger:
            ledger.finish()
        out = ledger.check(stage.platform.sql) if ledger else {}
    finally:
        stage.cleanup.close()
    if out.get("wrong"):
        problem = problem or f"wrong: {ledger.wrong[:2]}"
    if not may_fail and out.get("failed"):
        problem = problem or f"{out['failed']} requests failed, and none should"
    if problem is None and (recovery is None or recovery > RECOVERY):
        problem = "no recovery within a minute" if recovery is None else f"recovery took {recovery:.1f} s"
    acknowledged = len(ledger.acknowledged) if ledger else 0
    if acknowledged < 20:
        problem = problem or f"only {acknowledged} writes were acknowledged: no load"
    return {**out, "acknowledged": acknowledged, "recovery": recovery, "problem": problem, "notes": "; ".join(stage.notes)}


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench.sh faults", description=__doc__.split("\n\n")[0])
    parser.add_argument("--short", action="store_true", help="shorter faults, for scripts/test.sh")
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help="faults whose name has it")
    options = parser.parse_args()
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
        recovery = "-" if row["recovery"] is None else f"{max(row['recovery'], 0):.2f} s"
        print(f"{name:26}{row.get('requests', 0):>9}{row.get('failed', 0):>8}{row.get('lost', 0):>6}{row.get('duplicated', 0):>9}{row.get('hung', 0):>6}{recovery:>10}  {row['notes']}", flush=True)
        if row["problem"]:
            print(f"    PROBLEM {row['problem']}", flush=True)
    for name, what in skipped:
        print(f"SKIP faults, {name}: {what}")
    bad = [name for name, row in rows.items() if row["problem"] or row.get("lost") or row.get("duplicated") or row.get("hung")]
    if not options.short and not options.only:
        save("faults", {"faults": rows})
    slowest = max((row["recovery"] for row in rows.values() if row["recovery"] is not None), default=0)
    print(f"faults.recovery_seconds={max(slowest, 0):.2f}")
    for figure in ("lost", "duplicated", "hung"):
        print(f"faults.{figure}={sum(row.get(figure, 0) for row in rows.values())}")
    print(f"{len(rows) - len(bad)} passed, {len(bad)} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
