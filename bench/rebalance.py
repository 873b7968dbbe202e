"""What requests feel while shards move: a live rebalance, and the move of a tenant with a million rows.

200 requests a second (reads and writes of many tenants, every fourth of the big one) become due on
the clock, whatever the service does; latency counts from then on. First a worker is added and shards
are moved until all are alike, then the big tenant's shard is moved by itself. A request fails when its
answer is not the one expected or does not come. Lines: rebalance.failed, rebalance.p99_ms,
rebalance.worst_ms; the same with move., for the time in which the big tenant's shard is on its way.
"""
import argparse
import http.client
import json
import queue
import threading
import time

import api
from harness import Platform, interrupt_as_exit, note, save, table

PROJECT = api.PROJECT % 7


class Load:
    """Requests at a fixed rate by a pool of threads, each with a connection of its own."""

    def __init__(self, platform, keys, big, rate, threads=48):
        self.platform, self.keys, self.big, self.rate = platform, keys, big, rate
        self.due, self.done, self.over = queue.Queue(), [], threading.Event()
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(threads)]
        self.clock = threading.Thread(target=self.tick, daemon=True)
        for t in [*self.threads, self.clock]:
            t.start()

    def tick(self):
        start, n = time.monotonic(), 0
        while not self.over.is_set():
            at = start + n / self.rate
            time.sleep(max(0.0, at - time.monotonic()))
            slug, key = self.big if n % 4 == 0 else self.keys[n * 7919 % len(self.keys)]
            self.due.put((at, n, slug, key))
            n += 1

    def work(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.platform.port, timeout=30)
        while not self.over.is_set():
            try:
                at, n, slug, key = self.due.get(timeout=0.2)
            except queue.Empty:
                continue
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            write = n % 8 < 4
            try:
                if write:
                    connection.request("POST", f"/v1/tenants/{slug}/projects", json.dumps({"name": f"moved {n}"}), headers)
                else:
                    connection.request("GET", f"/v1/tenants/{slug}/projects/project_{api.typeid(PROJECT)}", None, headers)
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except OSError:
                connection.close()
                connection = http.client.HTTPConnection("127.0.0.1", self.platform.port, timeout=30)
                status = 0
            end = time.monotonic()
            self.done.append((at, end, status == (201 if write else 200), status, write, slug == self.big[0]))

    def between(self, start, end):
        return [d for d in self.done if d[0] >= start and d[0] <= end]

    def stop(self):
        self.over.set()
        for t in [*self.threads, self.clock]:
            t.join(40)


def figures(requests):
    late = sorted((d[1] - d[0]) * 1000 for d in requests)
    return {"requests": len(requests), "failed": sum(not d[2] for d in requests), "p50_ms": late[len(late) // 2],
            "p99_ms": late[int(len(late) * 0.99)], "worst_ms": late[-1],
            "worst_write_ms": max((d[1] - d[0]) * 1000 for d in requests if d[4])}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tenants", type=int, default=2000)
    options.add_argument("--rows", type=int, default=1_000_000, help="of the big tenant")
    options.add_argument("--rate", type=int, default=200, help="requests a second")
    options.add_argument("--workers", type=int, default=3, help="to begin with")
    options.add_argument("--block-writes", action="store_true", help="for comparison: writers wait during the copy")
    options.add_argument("--no-save", action="store_true", help="keep bench/results as it is")
    args = options.parse_args()
    interrupt_as_exit()
    # The last worker is started with the others and taken out, so that it can be added while requests go on.
    with Platform("--citus", str(args.workers + 1)) as platform:
        last = f"127.0.0.1:{platform.ports[f'citus-worker-{args.workers + 1}']}"
        note(platform.cluster("remove-node", last).stdout.splitlines()[-1])
        note(f"making {args.tenants:,} tenants, one with {args.rows:,} tasks")
        keys, low, _ = api.seed(platform, args.tenants, 25)
        platform.psql(f"""
            INSERT INTO tasks (tenant_id, id, project_id, title, status, labels, position, created_at, updated_at)
            SELECT {low}, gen_random_uuid(), ('018f0000-0000-7000-8000-' || lpad(to_hex(n % 25 + 1), 12, '0'))::uuid, 'Task ' || n, 'todo', '{{}}', n, now(), now()
            FROM generate_series(1, {args.rows}) n;
            VACUUM ANALYZE;""")
        big, others = keys[0], keys[1:]
        load = Load(platform, others, big, args.rate)
        try:
            time.sleep(5)
            rows = {"quiet": (time.monotonic() - 4, time.monotonic())}
            more = ["--block-writes"] if args.block_writes else []
            platform.cluster("add-node", last, "--administrator", platform.conninfo())
            start = time.monotonic()
            said = platform.cluster("rebalance", *more).stdout
            rows["rebalance"] = (start, time.monotonic())
            note(said.splitlines()[-1])
            status = json.loads(platform.cluster("status", "--json", "--shards").stdout)
            moves = sum(" moved from " in line for line in said.splitlines())
            home = int(platform.psql(f"SELECT get_shard_id_for_distribution_column('tenant_state', {low})")[0][0])
            node = next(s["node"] for s in status["shards"] if s["shard"] == home)
            target = next(n["address"] for n in status["nodes"] if n["role"] == "worker" and n["address"] != node)
            time.sleep(2)
            start = time.monotonic()
            note(platform.cluster("move", str(home), target, *more).stdout.splitlines()[-1])
            rows["move"] = (start, time.monotonic())
            time.sleep(3)
        finally:
            load.stop()
        measured = {name: figures(load.between(*span)) | {"seconds": span[1] - span[0]} for name, span in rows.items()}
        version = platform.psql("SELECT citus_version()")[0][0].split(" on ")[0]
        problems = platform.cluster("verify", check=False).stdout.splitlines()
    table(f"{args.rate} requests/s, {version}; the rebalance made {moves} moves",
          ["phase", "seconds", "requests", "failed", "p50 ms", "p99 ms", "worst ms", "worst write ms"],
          [[n, m["seconds"], m["requests"], m["failed"], m["p50_ms"], m["p99_ms"], m["worst_ms"], m["worst_write_ms"]] for n, m in measured.items()])
    shards = {n["address"]: (n["shards"], n["bytes"]) for n in status["nodes"] if n["role"] == "worker"}
    print("shards and bytes after the rebalance: " + ", ".join(f"{a} {s} {b >> 20} MiB" for a, (s, b) in shards.items()))
    print(problems[-1])
    if not args.no_save:
        save("rebalance", {"version": version, "rate": args.rate, "rows": args.rows, "moves": moves, "phases": measured,
                           "skew": status["skew"], "shards": [[s, b] for s, b in shards.values()], "log": said.splitlines()})
    print()
    for name in ("rebalance", "move"):
        print(f"{name}.failed={measured[name]['failed']}")
        print(f"{name}.p99_ms={measured[name]['p99_ms']:.1f}")
        print(f"{name}.worst_ms={measured[name]['worst_ms']:.0f}")


if __name__ == "__main__":
    main()
