"""Does it stay flat? Point reads with 1,000, 100,000 and 1,000,000 tenants of 10 rows each.

Each size is a platform of its own; all run at once and are measured in turn. Requests go to all
tenants alike, the worst case for every cache: at a million nearly every request meets a tenant and a
key that this process has not looked at within the second. (It has met each tenant once before: the
table's first columns tell what that costs.) First as fast as it goes (CPU per request,
memory), then at one fixed rate for all (latency).
Lines: tenants.cpu (CPU of the API per request, largest over smallest), tenants.all_cpu (PostgreSQL and
Redis counted in), tenants.p99 (largest over smallest, at the fixed rate), tenants.rss_mib (growth).

With --citus N the same on a coordinator and N workers, with 1,000 and 1,000,000 tenants, and a tail:
tenant number r of the largest has --biggest / r rows more (Zipf). Lines: citus.tenants.*, and
citus.tenants.big (the first page of a list of the large ones, CPU of the servers over that of small
ones), citus.tenants.skew (bytes of the fullest worker over the mean).
"""
import argparse
import time
from contextlib import ExitStack

import api
from harness import (Cpu, Platform, cpu_seconds, interrupt_as_exit, median, memory_mib, note, run_load, save, table,
                     write_requests)

ROWS = 10


def grow_large_ones(platform, low, count, args):
    """Gives tenants at equal distances rows by Zipf's law; the large ones' places in the list of tenants."""
    large = min(args.large, count // 10)
    stride = count // large
    platform.psql(f"""
        INSERT INTO projects (tenant_id, id, name, created_at, updated_at)
        SELECT s.tenant_id, gen_random_uuid(), 'Row ' || n, now(), now()
        FROM tenant_state s CROSS JOIN LATERAL generate_series(1, {args.biggest} / ((s.tenant_id - {low}) / {stride} + 1)) n
        WHERE (s.tenant_id - {low}) % {stride} = 0 AND s.tenant_id < {low + stride * large};
        VACUUM ANALYZE projects;""")
    return range(0, stride * large, stride)


def compare_large(platform, keys, places, args):
    """A page of the large tenants beside one of as many small ones: CPU us of PostgreSQL and p99 of each."""
    out = {"large": [], "small": []}
    for _ in range(args.rounds):
        for name, shift in (("large", 0), ("small", 1)):
            requests = api.cases([keys[p + shift] for p in places], 0, 0)["list"][0]
            cpu = Cpu(postgres=platform.postgres_pids)
            done = platform.load(requests, args.seconds)
            count = done["requests"] * (args.seconds + 1) / done["seconds"]
            out[name].append({"us": cpu.used()["postgres"] / count * 1e6, "p99_us": done["p99_us"], "per_second": done["per_second"]})
    return out


def worker_bytes(platform):
    return [int(r[0]) for r in platform.psql("SELECT sum(shard_size) FROM citus_shards WHERE citus_table_type = 'distributed' GROUP BY nodeport")]


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=5)
    options.add_argument("--sizes", help="of platforms; default: 1000,100000,1000000, on Citus 1000,1000000")
    options.add_argument("--citus", type=int, default=0, metavar="N", help="on a coordinator and N workers")
    options.add_argument("--large", type=int, default=1000, help="with --citus: tenants with more rows")
    options.add_argument("--biggest", type=int, default=100_000, help="with --citus: rows of the largest")
    options.add_argument("--no-save", action="store_true", help="keep bench/results as it is")
    options.add_argument("--rate", type=int, default=10000, help="requests a second for the latencies; on Citus a quarter")
    args = options.parse_args()
    interrupt_as_exit()
    flags = ["--citus", str(args.citus)] if args.citus else []
    rate = args.rate // 4 if args.citus else args.rate
    sizes = [int(s) for s in (args.sizes or ("1000,1000000" if args.citus else "1000,100000,1000000")).split(",")]
    with ExitStack() as stack:
        platforms, first, made = {}, {}, {}
        for size in sizes:
            note(f"making {size:,} tenants with {ROWS} rows each")
            platform = platforms[size] = stack.enter_context(Platform(*flags))
            start = time.monotonic()
            keys, low, high = api.seed(platform, size, ROWS)
            made[size] = {"seconds": time.monotonic() - start}
            if args.citus:
                places = grow_large_ones(platform, low, size, args)
                made[size] |= {"bytes": worker_bytes(platform), "rows": int(platform.psql("SELECT count(*) FROM projects")[0][0])}
                note(f"{made[size]['rows']:,} rows, GiB of each worker: " + ", ".join(f"{b / 2**30:.2f}" for b in made[size]["bytes"]))
            path = f"{platform.state}/requests.tsv"
            write_requests(path, api.cases(keys, low, high)["read"][0])
            note("one request for each, so that the process has met them all")
            before = cpu_seconds(platform.api_pids())
            first[size] = run_load(platform.address, path, count=size)
            first[size]["api_us"] = (cpu_seconds(platform.api_pids()) - before) / size * 1e6
        rounds = {size: [] for size in sizes}
        for number in range(args.rounds):
            for size, platform in platforms.items():
                path = f"{platform.state}/requests.tsv"
                cpu = Cpu(api=platform.api_pids, postgres=platform.postgres_pids, redis=platform.redis_pids)
                fast = run_load(platform.address, path, args.seconds)
                used = cpu.used()
                count = fast["requests"] * (args.seconds + 1) / fast["seconds"]
                paced = run_load(platform.address, path, args.seconds, rate=rate)
                rounds[size].append({"per_second": fast["per_second"], "p50_us": paced["p50_us"], "p99_us": paced["p99_us"],
                                     "mib": memory_mib(platform.api_pids()), **{f"{k}_us": v / count * 1e6 for k, v in used.items()}})
                note(f"round {number + 1}, {size:,} tenants: {fast['per_second']:,.0f}/s, p99 {paced['p99_us']:,.0f} us")
        large = compare_large(platform, keys, places, args) if args.citus else None
        medians = {n: {k: median([r[k] for r in rs]) for k in rs[0]} for n, rs in rounds.items()}
    table(f"point reads, 64 connections, medians of {args.rounds} rounds; latency at {rate:,}/s",
          ["tenants", "first/s", "first API us", "reads/s", "CPU us: API", "PostgreSQL", "Redis", "p50 us", "p99 us", "API MiB"],
          [[f"{n:,}", first[n]["per_second"], first[n]["api_us"], m["per_second"], m["api_us"], m["postgres_us"], m["redis_us"], m["p50_us"], m["p99_us"], m["mib"]] for n, m in medians.items()])
    name = "tenants_citus" if args.citus else "tenants"
    if not args.no_save:
        by_size = {"first": first, "made": made, "rounds": rounds, "medians": medians}
        save(name, {"rate": rate, "workers": args.citus, "list": large, **{k: {str(n): v for n, v in d.items()} for k, d in by_size.items()}})
    small, big = medians[sizes[0]], medians[sizes[-1]]
    all_cpu = lambda m: m["api_us"] + m["postgres_us"] + m["redis_us"]  # noqa: E731
    prefix = "citus.tenants" if args.citus else "tenants"
    print()
    print(f"{prefix}.cpu ratio={big['api_us'] / small['api_us']:.3f}")
    print(f"{prefix}.all_cpu ratio={all_cpu(big) / all_cpu(small):.3f}")
    print(f"{prefix}.p99 ratio={big['p99_us'] / small['p99_us']:.3f}")
    print(f"{prefix}.rss_mib growth={big['mib'] - small['mib']:.1f}")
    if large:
        cost = {k: median([r["us"] for r in rs]) for k, rs in large.items()}
        print(f"{prefix}.big ratio={cost['large'] / cost['small']:.3f}")
        print(f"{prefix}.skew ratio={max(made[sizes[-1]]['bytes']) * args.citus / sum(made[sizes[-1]]['bytes']):.3f}")


if __name__ == "__main__":
    main()
