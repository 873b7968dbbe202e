"""Read, list and insert over HTTP beside the same single statement by pgbench -M prepared.

HTTP: 64 connections, 10,000 tenants, each request with an API key of its tenant, under row-level
security, JSON in and out. pgbench: as many connections as the API has to the cell, the same Unix
socket, a superuser (no row-level security), the statement alone. In turn, so that both see the same
weather. Lines api.read, api.list, api.insert: requests per second over transactions per second.
"""
import argparse

from harness import Cpu, Platform, interrupt_as_exit, median, memory_mib, note, pgbench, save, table

TENANTS, ROWS = 10_000, 25
PROJECT = "018f0000-0000-7000-8000-%012x"
COLUMNS = "p.id, p.name, p.created_at, p.updated_at, p.deleted_at, p.version"


def typeid(uuid):
    """A UUID as a TypeID's suffix."""
    value, out = int(uuid.replace("-", ""), 16), ""
    for _ in range(26):
        out = "0123456789abcdefghjkmnpqrstvwxyz"[value & 31] + out
        value >>= 5
    return out


def seed(platform, tenants=TENANTS, rows=ROWS):
    """Tenants with projects, whose ids are the same in each tenant; keys and ids of the tenants."""
    keys = platform.import_tenants(tenants)
    platform.psql(f"""
        INSERT INTO projects (tenant_id, id, name, created_at, updated_at)
        SELECT s.tenant_id, ('018f0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'Project ' || n, now(), now()
        FROM tenant_state s CROSS JOIN generate_series(1, {rows}) n ORDER BY 1, 2;
        VACUUM ANALYZE;""")
    low, high, count = platform.psql("SELECT min(tenant_id), max(tenant_id), count(*) FROM tenant_state")[0]
    assert int(high) - int(low) + 1 == int(count) == tenants, "tenant ids have gaps"
    return keys, int(low), int(high)


def cases(keys, low, high):
    """name -> (requests, expected status, pgbench script)"""
    pick = f"\\set t random({low}, {high})\n"
    project = PROJECT % 7
    return {
        "read": ([("GET", f"/v1/tenants/{slug}/projects/project_{typeid(project)}", f"Bearer {key}", None) for slug, key in keys], 200,
                 pick + f"SELECT {COLUMNS} FROM projects p WHERE p.tenant_id = :t AND p.id = '{project}' AND p.deleted_at IS NULL;\n"),
        "list": ([("GET", f"/v1/tenants/{slug}/projects?page_size=20", f"Bearer {key}", None) for slug, key in keys], 200,
                 pick + f"SELECT {COLUMNS} FROM projects p WHERE p.tenant_id = :t AND p.deleted_at IS NULL "
                 "AND p.id > '00000000-0000-0000-0000-000000000000' ORDER BY p.id LIMIT 21;\n"),
        "insert": ([("POST", f"/v1/tenants/{slug}/projects", f"Bearer {key}", '{"name":"Bench {n}"}') for slug, key in keys], 201,
                   pick + "INSERT INTO projects (tenant_id, id, name, created_at, updated_at) "
                   "VALUES (:t, gen_random_uuid(), 'Bench', now(), now());\n"),
    }


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=4)
    options.add_argument("--tenants", type=int, default=TENANTS)
    options.add_argument("--no-save", action="store_true", help="keep bench/results as it is")
    options.add_argument("--only", default="read,list,insert")
    options.add_argument("--cell-pool", type=int, default=0, help="database.cell_pool; 0: the default")
    args = options.parse_args()
    interrupt_as_exit()
    with Platform(*(["--database-cell-pool", str(args.cell_pool)] if args.cell_pool else [])) as platform:
        note(f"making {args.tenants:,} tenants with {ROWS} rows each")
        keys, low, high = seed(platform, args.tenants)
        all_cases = {n: c for n, c in cases(keys, low, high).items() if n in args.only.split(",")}
        rounds = {name: [] for name in all_cases}
        for number in range(args.rounds):
            for name, (requests, expect, script) in all_cases.items():
                cpu = Cpu(api=platform.api_pids, postgres=platform.postgres_pids, redis=platform.redis_pids)
                http = platform.load(requests, args.seconds, expect=expect)
                used = cpu.used()
                count = http["requests"] * (args.seconds + 1) / http["seconds"]  # the warm-up costs CPU too
                tps = pgbench(platform.conninfo(), script, platform.cell_connections(), args.seconds, platform.state)
                rounds[name].append({"http": http["per_second"], "pgbench": tps, "ratio": http["per_second"] / tps,
                                     "p50_us": http["p50_us"], "p99_us": http["p99_us"],
                                     **{f"{k}_us": v / count * 1e6 for k, v in used.items()}})
                note(f"round {number + 1} {name}: {http['per_second']:,.0f}/s, pgbench {tps:,.0f}/s")
        memory = memory_mib(platform.api_pids())
        connections = platform.cell_connections()
        medians = {n: {k: median([r[k] for r in rs]) for k in rs[0]} for n, rs in rounds.items()}
        table(f"{args.tenants:,} tenants, 64 HTTP connections, {connections} database connections, medians of {args.rounds} rounds",
              ["case", "HTTP/s", "pgbench/s", "p50 us", "p99 us", "CPU us: API", "PostgreSQL", "Redis"],
              [[n, m["http"], m["pgbench"], m["p50_us"], m["p99_us"], m["api_us"], m["postgres_us"], m["redis_us"]] for n, m in medians.items()])
        print(f"memory of the API: {memory:.1f} MiB\n")
        if not args.no_save:
            save("api", {"rounds": rounds, "medians": medians, "memory_mib": memory, "connections": connections})
        for name, m in medians.items():
            print(f"api.{name} ratio={m['ratio']:.3f}")


if __name__ == "__main__":
    main()
