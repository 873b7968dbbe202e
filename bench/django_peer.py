"""The same read, list and insert by Django 5.2, Django REST framework and django-multitenant.

Both on one PostgreSQL and the same 10,000 tenants, in turn, 64 HTTP connections. The peer runs under
several servers and settings; the fastest of a short trial is measured. Answers of both are compared
field by field first. Lines django.read, django.list, django.insert: ours over theirs.
"""
import argparse
import base64
import hashlib
import hmac
import json
import os
import subprocess
import time
import urllib.error

import api
from harness import (ROOT, Cpu, Platform, free_port, get, interrupt_as_exit, median, memory_mib, note, run_load, save,
                     table, tree, write_requests)

VENV = os.environ.get("CODITECT_DJANGO_VENV", "/opt/django-peer")
# name -> (command with {port}, pool of connections, ASGI)
SETTINGS = {
    "gunicorn sync x 2": (["gunicorn", "-w", "2", "-b", "127.0.0.1:{port}"], False, False),
    "gunicorn sync x 4": (["gunicorn", "-w", "4", "-b", "127.0.0.1:{port}"], False, False),
    "gunicorn gthread 2 x 4": (["gunicorn", "-k", "gthread", "-w", "2", "--threads", "4", "-b", "127.0.0.1:{port}"], True, False),
    "gunicorn gthread 4 x 2": (["gunicorn", "-k", "gthread", "-w", "4", "--threads", "2", "-b", "127.0.0.1:{port}"], True, False),
    "uvicorn x 2": (["uvicorn", "--workers", "2", "--log-level", "warning", "--no-access-log", "--port", "{port}"], True, True),
}


def credential_key(platform):
    """HKDF (RFC 5869) of the first sealing key for the purpose `credential`."""
    key = base64.b64decode(platform.secrets["sealing_keys"].split(",")[0].split(":")[1])
    extracted = hmac.new(bytes(32), key, hashlib.sha256).digest()
    return hmac.new(extracted, b"credential\x01", hashlib.sha256).hexdigest()


class Peer:
    def __init__(self, platform, name):
        command, pool, asgi = SETTINGS[name]
        self.port = free_port()
        command = [f"{VENV}/bin/{command[0]}", *[a.format(port=self.port) for a in command[1:]], "peer:application"]
        environment = {**os.environ, "PEER_CREDENTIAL_KEY": credential_key(platform),
                       "PEER_DATABASE": json.dumps({"host": f"{platform.state}/run", "port": platform.ports["postgres"],
                                                    "user": "coditect_admin", "password": platform.secrets["postgres"], "pool": pool})}
        if asgi:
            environment["PEER_ASGI"] = "1"
        self.process = subprocess.Popen(command, cwd=f"{ROOT}/bench/peers/django", env=environment,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            time.sleep(0.1)
            try:
                get(f"http://127.0.0.1:{self.port}/v1/none")
            except urllib.error.HTTPError:
                return
            except OSError:
                continue
        raise SystemExit(f"{name} does not answer")

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def pids(self):
        return tree(self.process.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)


def compare(platform, peer, keys):
    """Every field of both answers is the same; what each makes of its own (page tokens, new ids and times) is left out."""
    project = api.typeid(api.PROJECT % 7)
    for slug, key in keys[:50]:
        base = f"/v1/tenants/{slug}/projects"
        ours, theirs = (get(f"http://{a}{base}/project_{project}", key) for a in (platform.address, peer.address))
        assert ours == theirs, (ours, theirs)
        ours, theirs = (get(f"http://{a}{base}?page_size=20", key) for a in (platform.address, peer.address))
        assert ours["items"] == theirs["items"] and len(ours["items"]) == 20, (ours, theirs)
        assert (ours["next_page_token"] is None) == (theirs["next_page_token"] is None)
        assert ours.keys() == theirs.keys()


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=4)
    args = options.parse_args()
    interrupt_as_exit()
    if not os.path.exists(f"{VENV}/bin/gunicorn"):
        raise SystemExit(f"SKIP django: no virtual environment at {VENV} (see bench/peers/django/README.md)")
    with Platform() as platform:
        note(f"making {api.TENANTS:,} tenants with {api.ROWS} rows each")
        keys, low, high = api.seed(platform)
        cases = api.cases(keys, low, high)
        files = {}
        for name, (requests, _, _) in cases.items():
            files[name] = f"{platform.state}/{name}.tsv"
            write_requests(files[name], requests)
        trials = {}
        for name in SETTINGS:
            with Peer(platform, name) as peer:
                compare(platform, peer, keys)
                trials[name] = run_load(peer.address, files["read"], 2)["per_second"]
                note(f"trial {name}: {trials[name]:,.0f} reads/s")
        best = max(trials, key=trials.get)
        rounds = {name: [] for name in cases}
        with Peer(platform, best) as peer:
            for number in range(args.rounds):
                for name, (_, expect, _) in cases.items():
                    one = {}
                    for who, address, pids in (("ours", platform.address, platform.api_pids), ("theirs", peer.address, peer.pids)):
                        cpu = Cpu(server=pids)
                        got = run_load(address, files[name], args.seconds, expect=expect)
                        count = got["requests"] * (args.seconds + 1) / got["seconds"]
                        one |= {who: got["per_second"], f"{who}_p99_us": got["p99_us"],
                                f"{who}_cpu_us": cpu.used()["server"] / count * 1e6, f"{who}_mib": memory_mib(pids())}
                    one["ratio"] = one["ours"] / one["theirs"]
                    rounds[name].append(one)
                    note(f"round {number + 1} {name}: {one['ours']:,.0f}/s, Django {one['theirs']:,.0f}/s")
        medians = {n: {k: median([r[k] for r in rs]) for k in rs[0]} for n, rs in rounds.items()}
        table(f"the fastest of {len(SETTINGS)} settings: {best}; medians of {args.rounds} rounds",
              ["case", "ours/s", "Django/s", "CPU us ours", "Django", "p99 us ours", "Django", "MiB ours", "Django"],
              [[n, m["ours"], m["theirs"], m["ours_cpu_us"], m["theirs_cpu_us"], m["ours_p99_us"], m["theirs_p99_us"],
                m["ours_mib"], m["theirs_mib"]] for n, m in medians.items()])
        # One process of Django serves so many; as many as equal our rate would take this much memory.
        equal = medians["read"]["theirs_mib"] * medians["read"]["ratio"]
        print(f"memory at equal throughput of reads: ours {medians['read']['ours_mib']:.0f} MiB, Django {equal:,.0f} MiB "
              f"(its processes times the ratio)\n")
        save("django", {"trials": trials, "best": best, "rounds": rounds, "medians": medians, "equal_memory_mib": equal})
        for name, m in medians.items():
            print(f"django.{name} ratio={m['ratio']:.1f}")


if __name__ == "__main__":
    main()
