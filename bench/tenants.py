"""Does it stay flat? Point reads with 1,000, 100,000 and 1,000,000 tenants of 10 rows each.

Each size is a platform of its own; all run at once and are measured in turn. Requests go to all
tenants alike, the worst case for every cache: at a million nearly every request meets a tenant and a
key that this process has not looked at within the second. (It has met each tenant once before: the
table's first columns tell what that costs.) First as fast as it goes (CPU per request,
memory), then at one fixed rate for all (latency).
Lines: tenants.cpu (CPU of the API per request, largest over smallest), tenants.all_cpu (PostgreSQL and
Redis counted in), tenants.p99 (largest over smallest, at the fixed rate), tenants.rss_mib (growth).
"""
import argparse
from contextlib import ExitStack

import api
from harness import (Cpu, Platform, cpu_seconds, interrupt_as_exit, median, memory_mib, note, run_load, save, table,
                     write_requests)

ROWS = 10


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=5)
    options.add_argument("--sizes", default="1000,100000,1000000")
    options.add_argument("--rate", type=int, default=10000, help="requests a second for the latencies")
    args = options.parse_args()
    interrupt_as_exit()
    sizes = [int(s) for s in args.sizes.split(",")]
    with ExitStack() as stack:
        platforms, first = {}, {}
        for size in sizes:
            note(f"making {size:,} tenants with {ROWS} rows each")
            platform = platforms[size] = stack.enter_context(Platform())
            keys, low, high = api.seed(platform, size, ROWS)
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
                paced = run_load(platform.address, path, args.seconds, rate=args.rate)
                rounds[size].append({"per_second": fast["per_second"], "p50_us": paced["p50_us"], "p99_us": paced["p99_us"],
                                     "mib": memory_mib(platform.api_pids()), **{f"{k}_us": v / count * 1e6 for k, v in used.items()}})
                note(f"round {number + 1}, {size:,} tenants: {fast['per_second']:,.0f}/s, p99 {paced['p99_us']:,.0f} us")
        medians = {n: {k: median([r[k] for r in rs]) for k in rs[0]} for n, rs in rounds.items()}
    table(f"point reads, 64 connections, medians of {args.rounds} rounds; latency at {args.rate:,}/s",
          ["tenants", "first/s", "first API us", "reads/s", "CPU us: API", "PostgreSQL", "Redis", "p50 us", "p99 us", "API MiB"],
          [[f"{n:,}", first[n]["per_second"], first[n]["api_us"], m["per_second"], m["api_us"], m["postgres_us"], m["redis_us"], m["p50_us"], m["p99_us"], m["mib"]] for n, m in medians.items()])
    save("tenants", {"rate": args.rate, "first": {str(n): f for n, f in first.items()}, "rounds": {str(n): r for n, r in rounds.items()}, "medians": {str(n): m for n, m in medians.items()}})
    small, large = medians[sizes[0]], medians[sizes[-1]]
    all_cpu = lambda m: m["api_us"] + m["postgres_us"] + m["redis_us"]  # noqa: E731
    print()
    print(f"tenants.cpu ratio={large['api_us'] / small['api_us']:.3f}")
    print(f"tenants.all_cpu ratio={all_cpu(large) / all_cpu(small):.3f}")
    print(f"tenants.p99 ratio={large['p99_us'] / small['p99_us']:.3f}")
    print(f"tenants.rss_mib growth={large['mib'] - small['mib']:.1f}")


if __name__ == "__main__":
    main()
