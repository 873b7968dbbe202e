"""Draws what the benches kept in bench/results and writes the figures into docs/PERFORMANCE.md.

Usage: bench/plot.py     (after scripts/bench.sh all)
"""
import json
import os

from harness import RESULTS, ROOT

OUT = f"{ROOT}/docs/performance"
COLORS = ["#2a6f97", "#e07a5f", "#81b29a", "#6d597a"]


def load(name):
    path = f"{RESULTS}/{name}.json"
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def escape(text):
    return str(text).replace("&", "&amp;").replace("<", "&lt;")


def bars(file, title, unit, groups, series, note=""):
    """groups: names; series: name -> (medians, lists of all rounds). Whiskers are the least and the most."""
    width, height, left, bottom, top = 640, 300, 70, 46, 44
    most = max(max(max(r) for r in rounds) for _, rounds in series.values())
    y = lambda v: height - bottom - v / most * (height - bottom - top)  # noqa: E731
    step = (width - left - 20) / len(groups)
    bar = step * 0.8 / len(series)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
           '<rect width="100%" height="100%" fill="white"/>', f'<text x="{left}" y="18" font-size="14" font-weight="bold">{escape(title)}</text>']
    for i in range(5):
        value = most * i / 4
        out.append(f'<line x1="{left}" x2="{width - 20}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#ddd"/>'
                   f'<text x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end" fill="#555">{value:,.3g}</text>'.replace("e+0", "e"))
    for k, (name, (medians, rounds)) in enumerate(series.items()):
        color = COLORS[k % len(COLORS)]
        out.append(f'<rect x="{left + 150 * k}" y="26" width="10" height="10" fill="{color}"/><text x="{left + 150 * k + 14}" y="35">{escape(name)}</text>')
        for g, value in enumerate(medians):
            x = left + step * g + step * 0.1 + bar * k
            low, high = min(rounds[g]), max(rounds[g])
            middle = x + bar / 2 - 2
            out.append(f'<rect x="{x:.1f}" y="{y(value):.1f}" width="{bar - 4:.1f}" height="{height - bottom - y(value):.1f}" fill="{color}"/>'
                       f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="{y(low):.1f}" y2="{y(high):.1f}" stroke="black"/>'
                       f'<text x="{middle:.1f}" y="{y(high) - 4:.1f}" text-anchor="middle" font-size="11">{value:,.0f}</text>')
    for g, name in enumerate(groups):
        out.append(f'<text x="{left + step * (g + 0.5):.1f}" y="{height - bottom + 16}" text-anchor="middle">{escape(name)}</text>')
    out.append(f'<text x="{left}" y="{height - 8}" fill="#555">{escape(unit)}{"; " + escape(note) if note else ""}</text></svg>\n')
    os.makedirs(OUT, exist_ok=True)
    with open(f"{OUT}/{file}.svg", "w", encoding="utf-8") as f:
        f.write("\n".join(out))


def column(rounds, groups, key):
    return [[r[key] for r in rounds[g]] for g in groups]


def middle(rows, key):
    return sorted(r[key] for r in rows)[len(rows) // 2]


def api_section(api):
    groups, med = list(api["medians"]), api["medians"]
    bars("api", "Requests a second beside pgbench of the same statement", "per second; whiskers: least and most of the rounds", groups,
         {"HTTP": ([med[g]["http"] for g in groups], column(api["rounds"], groups, "http")),
          "pgbench -M prepared": ([med[g]["pgbench"] for g in groups], column(api["rounds"], groups, "pgbench"))})
    lines = [f"### api ({api['at']}, {api['commit']})", "", "![api](performance/api.svg)", "",
             f"10,000 tenants, 64 HTTP connections, {api['connections']} database connections, {len(next(iter(api['rounds'].values())))} rounds; the API holds {api['memory_mib']:.0f} MiB.", "",
             "| case | HTTP/s | pgbench/s | ratio | CPU us a request: API | PostgreSQL | p50 us | p99 us |", "|---|---|---|---|---|---|---|---|"]
    lines += [f"| {g} | {m['http']:,.0f} | {m['pgbench']:,.0f} | **{m['ratio']:.3f}** | {m['api_us']:.1f} | {m['postgres_us']:.1f} | {m['p50_us']:,.0f} | {m['p99_us']:,.0f} |"
              for g, m in med.items()]
    return lines


def django_section(django):
    groups, med = list(django["medians"]), django["medians"]
    bars("django", "The same beside Django 5.2", "per second, " + django["best"], groups,
         {"Coditect": ([med[g]["ours"] for g in groups], column(django["rounds"], groups, "ours")),
          "Django": ([med[g]["theirs"] for g in groups], column(django["rounds"], groups, "theirs"))})
    lines = [f"### django ({django['at']}, {django['commit']})", "", "![django](performance/django.svg)", "",
             f"The fastest of its settings: {django['best']} (" + ", ".join(f"{n} {v:,.0f}/s" for n, v in django["trials"].items()) + ").", "",
             "| case | ours/s | Django/s | ratio | CPU us ours | Django | p99 us ours | Django | MiB ours | Django |", "|---|---|---|---|---|---|---|---|---|---|"]
    lines += [f"| {g} | {m['ours']:,.0f} | {m['theirs']:,.0f} | **{m['ratio']:.1f}** | {m['ours_cpu_us']:.1f} | {m['theirs_cpu_us']:,.0f} | {m['ours_p99_us']:,.0f} | {m['theirs_p99_us']:,.0f} | {m['ours_mib']:.0f} | {m['theirs_mib']:.0f} |"
              for g, m in med.items()]
    lines += ["", f"At equal throughput of reads Django's processes would take {django['equal_memory_mib']:,.0f} MiB (theirs times the ratio).", ""]
    return lines


def tenants_section(tenants):
    name = "citus.tenants" if tenants.get("workers") else "tenants"
    file = tenants["bench"].replace("_", "-")
    groups, med = list(tenants["medians"]), tenants["medians"]
    names = [f"{int(g):,}" for g in groups]
    bars(f"{file}-cpu", "CPU per point read as tenants grow", "us a request, uniformly over all tenants", names,
         {"API": ([med[g]["api_us"] for g in groups], column(tenants["rounds"], groups, "api_us")),
          "PostgreSQL": ([med[g]["postgres_us"] for g in groups], column(tenants["rounds"], groups, "postgres_us"))})
    bars(f"{file}-latency", f"Latency at {tenants['rate']:,} reads a second", "us", names,
         {"p50": ([med[g]["p50_us"] for g in groups], column(tenants["rounds"], groups, "p50_us")),
          "p99": ([med[g]["p99_us"] for g in groups], column(tenants["rounds"], groups, "p99_us"))})
    small, large = med[groups[0]], med[groups[-1]]
    lines = [f"### {tenants['bench'].replace('_', ' on ')} ({tenants['at']}, {tenants['commit']})", "",
             f"![cpu](performance/{file}-cpu.svg)", "", f"![latency](performance/{file}-latency.svg)", ""]
    if workers := tenants.get("workers"):
        made = tenants["made"][groups[-1]]
        lines += [f"A coordinator and {workers} workers on the same two cores. {int(groups[-1]):,} tenants with {made['rows']:,} rows, the largest ones "
                  f"by a Zipf law, took {made['seconds']:,.0f} s to import and have " + ", ".join(f"{b / 2**30:.2f}" for b in made["bytes"]) + " GiB on the workers.", ""]
    lines += ["| tenants | reads/s | CPU us: API | PostgreSQL | p50 us | p99 us | API MiB |", "|---|---|---|---|---|---|---|"]
    lines += [f"| {n} | {med[g]['per_second']:,.0f} | {med[g]['api_us']:.1f} | {med[g]['postgres_us']:.1f} | {med[g]['p50_us']:,.0f} | {med[g]['p99_us']:,.0f} | {med[g]['mib']:.0f} |"
              for n, g in zip(names, groups)]
    lines += ["", f"{name}.cpu **{large['api_us'] / small['api_us']:.2f}**, {name}.p99 **{large['p99_us'] / small['p99_us']:.2f}**, "
             f"{name}.rss_mib **{large['mib'] - small['mib']:.0f}**", ""]
    if "list" in tenants:
        big, little = (middle(tenants["list"][k], "us") for k in ("large", "small"))
        lines += [f"A list of the largest tenant takes **{big / little:.2f}** times the CPU of a small one's.", ""]
    return lines


def tls_section(tls):
    f = tls["figures"]
    lines = [f"### tls ({tls['at']}, {tls['commit']})", "",
             f"Reads through nginx with {tls['connections']} connections, to the API in plain text, over mutual TLS on connections that are kept, and with a handshake for each request.", "",
             "| way | per second | p99 us | CPU us: API | nginx |", "|---|---|---|---|---|"]
    lines += [f"| {n} | {m['per_second']:,.0f} | {m['p99_us']:,.0f} | {m['api_us']:.1f} | {m['proxy_us']:.1f} |" for n, m in tls["medians"].items()]
    return lines + ["", f"tls.kept **{f['kept']:.2f}**, tls.handshakes **{f['handshakes']:.2f}** of plain text; the API's CPU for a request **{f['kept_cpu']:.2f}** times that of plain text.", ""]


def onboard_section(onboard):
    lines = [f"### onboard ({onboard['at']}, {onboard['commit']})", "",
             "| way | ours/s | peer/s | ratio |", "|---|---|---|---|",
             f"| signup beside Argon2id alone | {middle(onboard['signup'], 'signups'):.1f} | {middle(onboard['signup'], 'bound'):.1f} | **{middle(onboard['signup'], 'ratio'):.2f}** |",
             f"| import of {onboard['tenants']:,} beside COPY | {middle(onboard['bulk'], 'import'):,.0f} | {middle(onboard['bulk'], 'copy'):,.0f} | **{middle(onboard['bulk'], 'ratio'):.2f}** |", ""]
    return lines


def citus_section(citus):
    lines = [f"### citus ({citus['at']}, {citus['commit']})", "",
             f"{citus['version']} with {citus['workers']} workers, PostgreSQL {citus['postgres'].split(' ')[0]}, all on one machine. Without HTTP: 8 clients, each "
             "transaction in a flush of its own. Over HTTP 64 connections over 10,000 tenants: nearly each request also checks its key, which on Citus costs as much as the read.", "",
             "| case | by our routing/s | through the coordinator/s | PostgreSQL/s | vs coordinator | vs PostgreSQL | CPU us: workers | coordinator | PostgreSQL |",
             "|---|---|---|---|---|---|---|---|---|"]
    for level, title in (("sql", "transaction"), ("http", "HTTP")):
        for kind, ways in citus["rounds"][level].items():
            if ways["worker"]:
                f = citus["figures"][f"{level}.{kind}"]
                lines.append(f"| {title}, {kind} | {middle(ways['worker'], 'per_second'):,.0f} | {middle(ways['coordinator'], 'per_second'):,.0f} | {middle(ways['postgres'], 'per_second'):,.0f} "
                             f"| **{f['vs_coordinator']:.2f}** | **{f['vs_postgres']:.2f}** | {middle(ways['worker'], 'workers_us'):.0f} | {f['coordinator_us']:.1f} | {middle(ways['postgres'], 'postgres_us'):.0f} |")
    return lines


def rebalance_section(moves):
    lines = [f"### rebalance ({moves['at']}, {moves['commit']})", "",
             f"{moves['rate']} requests a second while a fourth worker is added and {moves['moves']} shards move to it, and while the shard of a tenant with {moves['rows']:,} tasks moves.", "",
             "| phase | seconds | requests | failed | p50 ms | p99 ms | worst ms |", "|---|---|---|---|---|---|---|"]
    lines += [f"| {n} | {m['seconds']:.1f} | {m['requests']:,} | **{m['failed']}** | {m['p50_ms']:.1f} | {m['p99_ms']:.1f} | **{m['worst_ms']:.0f}** |" for n, m in moves["phases"].items()]
    return lines


def faults_section(faults):
    lines = [f"### faults ({faults['at']}, {faults['commit']})", "",
             "Two tenants; four writers, two readers and two who must be refused work on while the fault lasts. Failed: attempts "
             "without an answer or with a 5xx; each write is repeated with its `Idempotency-Key`. Recovery: from the fault's end to the first acknowledged write that begins after the last failed attempt, of the tenant that waits longest.", "",
             "| fault | requests | failed | lost | duplicated | hung | recovery s | |", "|---|---|---|---|---|---|---|---|"]
    lines += [f"| {name} | {r['requests']:,} | {r['failed']:,} | {r['lost']} | {r['duplicated']} | {r['hung']} | {r['recovery']:.2f} | {r['notes']} |"
              for name, r in faults["faults"].items()]
    return lines


SECTIONS = {"api": api_section, "django": django_section, "tenants": tenants_section, "tls": tls_section, "onboard": onboard_section, "citus": citus_section,
            "rebalance": rebalance_section, "tenants_citus": tenants_section, "faults": faults_section}


def figures():
    measured = {name: data for name in SECTIONS if (data := load(name))}
    if not measured:
        return ""
    m = next(iter(measured.values()))["machine"]
    lines = [f"Machine: {m['cpu']}, {m['cores']} shared cores, {m['memory_gib']} GiB, Linux {m['kernel']}; the load, the API, "
             "PostgreSQL and Redis all run on it. Quote ratios, not rates.", ""]
    for name, data in measured.items():
        lines += SECTIONS[name](data)
        if lines[-1]:
            lines.append("")
    return "\n".join(lines)


def main():
    path = f"{ROOT}/docs/PERFORMANCE.md"
    with open(path, encoding="utf-8") as f:
        text = f.read()
    begin, end = "<!-- figures: bench/plot.py -->\n", "<!-- end of figures -->"
    head, rest = text.split(begin)
    tail = rest.split(end)[1]
    with open(path, "w", encoding="utf-8") as f:
        f.write(head + begin + "\n" + figures() + "\n" + end + tail)


if __name__ == "__main__":
    main()
