"""How fast tenants come in: one by one through signup, and in bulk from a file.

Signup: POST /v1/signup, each with a password, beside the machine's bound: Argon2id with the same cost
on every core and nothing else. Bulk: `coditect tenant import` of a CSV beside COPY of the rows that it
made into the same tables, indexes and constraints, by a superuser on the same server; in turn, each
round with new tenants. Lines: onboard.signup (signups over the bound), onboard.bulk (import over COPY).
"""
import argparse
import os
import subprocess
import time

from harness import PROGRAM, Platform, interrupt_as_exit, median, note, postgres_bin, save, table

# What an import of a tenant without an API key leaves, by database and in an order that constraints allow.
TABLES = [("coditect_directory", "users"), ("coditect_directory", "tenants"), ("coditect_directory", "user_tenants"),
          ("coditect_cell", "tenant_state"), ("coditect_cell", "members"), ("coditect_cell", "activity")]


def argon2_bound(seconds):
    """Hashes a second with the default cost on all cores, by the program's own library."""
    done = subprocess.run([f"{os.path.dirname(PROGRAM)}/bench/argon2_bound", str(seconds)], check=True, capture_output=True, text=True)
    return float(done.stdout)


def signups(platform, seconds, number):
    body = ('{"email":"u{n}@r%d.example","password":"correct horse battery staple","organization":{"name":"N","slug":"s%d-{n}"}}'
            % (number, number))
    got = platform.load([("POST", "/v1/signup", None, body)], seconds, connections=16, expect=201)
    return got["per_second"]


def timed(command, **options):
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise SystemExit(f"{command[0]}: {done.stdout}{done.stderr}")
    return time.monotonic() - start


def import_round(platform, number, count):
    """Seconds of an import; then of COPY of the same rows after the imported ones were deleted."""
    path = f"{platform.state}/in-{number}.csv"
    with open(path, "w", encoding="utf-8") as f:
        f.write("slug,name,owner_email\n")
        f.writelines(f"bulk{number}-{i:07d},Tenant {i},owner{i}@bulk{number}.example\n" for i in range(count))
    took = timed([PROGRAM, "tenant", "import", path, "--state", platform.state])
    files = {}
    for database, name in TABLES:
        files[name] = f"{platform.state}/{name}.copy"
        timed([f"{postgres_bin()}/psql", "-Xq", platform.conninfo(database), "-c", f"\\copy {name} TO '{files[name]}'"])
    for database, name in reversed(TABLES):
        platform.psql(f"TRUNCATE {name} CASCADE; CHECKPOINT;", database)
    copied = 0.0
    for database, name in TABLES:
        copied += timed([f"{postgres_bin()}/psql", "-Xq", platform.conninfo(database), "-c", f"\\copy {name} FROM '{files[name]}'"])
    for database, name in reversed(TABLES):
        platform.psql(f"TRUNCATE {name} CASCADE; CHECKPOINT;", database)
    return took, copied


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=5)
    options.add_argument("--tenants", type=int, default=1_000_000, help="of one import")
    options.add_argument("--bulk-rounds", type=int, default=3)
    args = options.parse_args()
    interrupt_as_exit()
    single, bulk = [], []
    with Platform() as platform:
        for number in range(args.rounds):
            bound = argon2_bound(args.seconds)
            rate = signups(platform, args.seconds, number)
            single.append({"signups": rate, "bound": bound, "ratio": rate / bound})
            note(f"round {number + 1}: {rate:.1f} signups/s, bound {bound:.1f}/s")
    with Platform() as platform:
        for number in range(args.bulk_rounds):
            took, copied = import_round(platform, number, args.tenants)
            bulk.append({"import": args.tenants / took, "copy": args.tenants / copied, "ratio": copied / took, "seconds": took})
            note(f"import {number + 1}: {args.tenants / took:,.0f}/s, COPY {args.tenants / copied:,.0f}/s")
    one = {k: median([r[k] for r in single]) for k in single[0]}
    many = {k: median([r[k] for r in bulk]) for k in bulk[0]}
    table("tenants a second, medians", ["way", "ours/s", "peer/s", "peer"],
          [["signup", one["signups"], one["bound"], "Argon2id alone"], [f"import of {args.tenants:,}", many["import"], many["copy"], "COPY"]])
    save("onboard", {"signup": single, "bulk": bulk, "tenants": args.tenants})
    print(f"\nonboard.signup ratio={one['ratio']:.3f}\nonboard.bulk ratio={many['ratio']:.3f}")


if __name__ == "__main__":
    main()
