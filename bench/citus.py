"""What a Citus cell costs: point read, list and insert of tenants, by three ways in one run.

The same program does the same transactions (BEGIN, SET LOCAL app.tenant_id, statement, COMMIT; an
insert with the fence) straight to the tenant's worker, through the coordinator, and on a plain
PostgreSQL with the same rows; first without HTTP, then the API over HTTP. All servers, all clients on
one machine: loopback hides the network, so CPU is what is compared.
Lines: citus.vs_coordinator and citus.vs_postgres (transactions a second, least of the three cases),
the same for HTTP, citus.coordinator_us (its CPU per request by our routing).
"""
import argparse
import json
import subprocess
import time
from contextlib import ExitStack

import api
from harness import ROOT, Cpu, Platform, interrupt_as_exit, machine, median, note, save, table

SQL = f"{ROOT}/build/release/bench/tenant_sql"
PROJECT = api.PROJECT % 7


class Way:
    """A platform and how its tenants are reached."""

    def __init__(self, name, platform, route, low, high, keys):
        self.name, self.platform, self.route, self.low, self.high, self.keys = name, platform, route, low, high, keys

    def groups(self):
        p = self.platform
        out = {"client": lambda: [], "api": p.api_pids}
        if p.is_citus:
            out |= {"coordinator": p.coordinator_pids, "workers": p.worker_pids}
        else:
            out |= {"postgres": p.postgres_pids}
        return out

    def sql(self, kind, args):
        command = [SQL, "--conninfo", self.platform.app_conninfo(), "--route", self.route, "--case", kind, "--tenants",
                   f"{self.low}:{self.high}", "--project", PROJECT, "--connections", str(args.connections),
                   "--clients", str(args.clients), "--seconds", str(args.seconds)]
        cpu = Cpu(**self.groups())
        before = _children_cpu()
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{self.name} {kind}: {done.stderr}{done.stdout}")
        out = json.loads(done.stdout)
        used = cpu.used() | {"client": _children_cpu() - before}
        return out | {f"{k}_us": v / out["transactions"] * 1e6 for k, v in used.items()}

    def http(self, kind, args):
        requests, expect, _ = api.cases(self.keys, self.low, self.high)[kind]
        cpu = Cpu(**self.groups())
        out = self.platform.load(requests, args.seconds, expect=expect)
        count = out["requests"] * (args.seconds + 1) / out["seconds"]
        return {"per_second": out["per_second"], "p50_us": out["p50_us"], "p99_us": out["p99_us"],
                **{f"{k}_us": v / count * 1e6 for k, v in cpu.used().items()}}


def _children_cpu():
    import resource
    r = resource.getrusage(resource.RUSAGE_CHILDREN)
    return r.ru_utime + r.ru_stime


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=4)
    options.add_argument("--tenants", type=int, default=10_000)
    options.add_argument("--workers", type=int, default=3)
    options.add_argument("--connections", type=int, default=8, help="to each server")
    options.add_argument("--clients", type=int, default=8, help="without HTTP; more than connections share flushes")
    options.add_argument("--no-http", action="store_true")
    options.add_argument("--no-save", action="store_true", help="keep bench/results as it is")
    args = options.parse_args()
    interrupt_as_exit()
    with ExitStack() as stack:
        note(f"making {args.tenants:,} tenants on a coordinator and {args.workers} workers, and on PostgreSQL")
        citus = stack.enter_context(Platform("--citus", str(args.workers)))
        plain = stack.enter_context(Platform())
        seeds = {p: api.seed(p, args.tenants) for p in (citus, plain)}
        through = stack.enter_context(citus.second_api("--cell-route", "coordinator"))
        ways = [Way("worker", citus, "worker", *_range(seeds[citus])), Way("coordinator", citus, "coordinator", *_range(seeds[citus])),
                Way("postgres", plain, "coordinator", *_range(seeds[plain]))]
        over_http = [ways[0], Way("coordinator", through, "coordinator", *_range(seeds[citus])), ways[2]]
        kinds = ["read", "list", "insert"]
        rounds = {level: {kind: {w.name: [] for w in ways} for kind in kinds} for level in ("sql", "http")}
        for number in range(args.rounds):
            for kind in kinds:
                for way in ways:
                    rounds["sql"][kind][way.name].append(way.sql(kind, args))
                if not args.no_http:
                    for way in over_http:
                        rounds["http"][kind][way.name].append(way.http(kind, args))
                note(f"round {number + 1} {kind}: " + ", ".join(
                    f"{w.name} {rounds['sql'][kind][w.name][-1]['per_second']:,.0f}" for w in ways))
        version = citus.psql("SELECT citus_version()")[0][0].split(" on ")[0]
        postgres = citus.psql("SHOW server_version")[0][0]
    figures = {}
    for level, cases in rounds.items():
        if not cases["read"]["worker"]:
            continue
        rows = []
        for kind, by_way in cases.items():
            for way, all_rounds in by_way.items():
                m = {k: median([r[k] for r in all_rounds]) for k in all_rounds[0]}
                servers = m.get("postgres_us", 0) + m.get("workers_us", 0)
                rows.append([f"{kind}, {way}", m["per_second"], m["p50_us"], m["p99_us"],
                             m["client_us"] if level == "sql" else m["api_us"], m.get("coordinator_us", 0.0), servers])
            ratio = lambda other: median([a["per_second"] / b["per_second"] for a, b in zip(by_way["worker"], by_way[other])])  # noqa: E731,B023
            figures[f"{level}.{kind}"] = {"vs_coordinator": ratio("coordinator"), "vs_postgres": ratio("postgres"),
                                          "coordinator_us": median([r["coordinator_us"] for r in by_way["worker"]])}
        table(f"{level}: {args.tenants:,} tenants, {version}, PostgreSQL {postgres}, medians of {args.rounds} rounds",
              ["case", "per second", "p50 us", "p99 us", "CPU us: client" if level == "sql" else "CPU us: API", "coordinator", "workers or PostgreSQL"], rows)
    if not args.no_save and not args.no_http:
        write_costs(rounds["http"], version)
    if not args.no_save:
        save("citus", {"version": version, "postgres": postgres, "workers": args.workers, "rounds": rounds, "figures": figures})
    print()
    for level, prefix in (("sql", "citus"), ("http", "citus.http")):
        own = {k.split(".")[1]: v for k, v in figures.items() if k.startswith(level)}
        for name in ("vs_coordinator", "vs_postgres"):
            if own:
                print(f"{prefix}.{name} ratio={min(v[name] for v in own.values()):.3f}  " + " ".join(f"{k}={v[name]:.3f}" for k, v in own.items()))
        if own:
            print(f"{prefix}.coordinator_us={max(v['coordinator_us'] for v in own.values()):.2f}")


def write_costs(http, version):
    """citus/capacity/costs.json, which `coditect plan` reads: CPU microseconds a request, least, median, most of the rounds."""
    def part(way, *keys):
        def cost(kind):
            values = sorted(sum(r[k] for k in keys) for r in http[kind][way])
            return [round(v, 2) for v in (values[0], median(values), values[-1])]
        return {"read": cost("read"), "write": cost("insert")}

    m = machine()
    costs = {"measured": f"on {time.strftime('%Y-%m-%d')}, {m['cpu']}, {m['cores']} shared cores, {version}, everything on one machine",
             "us": {"api": part("worker", "api_us"), "postgres": part("postgres", "postgres_us"), "worker": part("worker", "workers_us"),
                    "coordinator": part("worker", "coordinator_us")},
             "hidden_factor": [1.1, 1.4, 2.0], "utilization": 0.6}
    with open(f"{ROOT}/citus/capacity/costs.json", "w", encoding="utf-8") as f:
        json.dump(costs, f, indent=1)
        f.write("\n")


def _range(seeded):
    keys, low, high = seeded
    return low, high, keys


if __name__ == "__main__":
    main()
