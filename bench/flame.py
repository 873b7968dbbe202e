"""A flame graph of the API under point reads: docs/performance/flame.svg. Needs perf.

Usage: bench/flame.py [read|list|insert]
"""
import colorsys
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter

import api
from harness import ROOT, Platform, interrupt_as_exit, note


def colour(hue):
    """As #rrggbb, which every viewer of SVG knows."""
    return "#" + "".join(f"{round(255 * c):02x}" for c in colorsys.hls_to_rgb(hue / 360, 0.7, 0.8))


def short(symbol):
    """Without offsets and template arguments."""
    symbol, depth, out = re.sub(r"\+0x[0-9a-f]+.*", "", symbol), 0, ""
    for c in symbol:
        depth += (c == "<") - (c == ">" and depth > 0)
        if depth == 0 and c != ">":
            out += c
    return re.sub(r"\(.*\)", "", out.replace("coditect::", "").replace("boost::asio::", "asio::").replace("detail::", "")) or "?"


def record(case, seconds=5):
    """Stacks of the program's threads, outermost first, with their counts."""
    with Platform() as platform, tempfile.TemporaryDirectory() as folder:
        keys, low, high = api.seed(platform)
        requests, expect, _ = api.cases(keys, low, high)[case]
        load = threading.Thread(target=lambda: platform.load(requests, seconds + 2, expect=expect))
        load.start()
        time.sleep(2)
        subprocess.run(["perf", "record", "-F", "499", "-g", "-p", str(platform.pid), "-o", f"{folder}/perf.data", "--", "sleep", str(seconds)],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        load.join()
        text = subprocess.run(["perf", "script", "-i", f"{folder}/perf.data", "-F", "ip,sym"], check=True, capture_output=True, text=True).stdout
    stacks = Counter()
    for block in text.split("\n\n"):
        frames = [short(line.strip().split(" ", 1)[1]) for line in block.splitlines() if " " in line.strip()]
        frames = [f for f in frames if f not in ("[unknown]", "?")]
        if frames:
            stacks[tuple(reversed(frames))] += 1
    return stacks


def draw(stacks, title):
    total, width, line = sum(stacks.values()), 1200, 16
    root = {"count": total, "children": {}}
    for stack, count in stacks.items():
        node = root
        for name in stack:
            node = node["children"].setdefault(name, {"count": 0, "children": {}})
            node["count"] += count
    boxes, deepest = [], 0

    def place(node, x, depth):
        nonlocal deepest
        deepest = max(deepest, depth)
        for name, child in sorted(node["children"].items()):
            w = child["count"] / total * width
            if w >= 1.5:
                boxes.append((x, depth, w, name, child["count"]))
                place(child, x, depth + 1)
            x += w

    place(root, 0, 0)
    height = (deepest + 2) * line + 30
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="monospace" font-size="11">',
           '<rect width="100%" height="100%" fill="white"/>', f'<text x="6" y="18" font-size="14">{title}</text>']
    for x, depth, w, name, count in boxes:
        y = height - (depth + 1) * line - 4
        hue = 20 + hash_of(name) % 35
        label = name.replace("&", "&amp;").replace("<", "&lt;")
        shown = label[:int(w / 6.8)] if w > 30 else ""
        out.append(f'<g><title>{label}: {100 * count / total:.1f} %</title><rect x="{x:.1f}" y="{y}" width="{w:.1f}" height="{line - 1}" fill="{colour(hue)}"/>'
                   f'<text x="{x + 2:.1f}" y="{y + 12}">{shown}</text></g>')
    return "\n".join([*out, "</svg>\n"])


def hash_of(text):
    return sum(ord(c) * (i + 1) for i, c in enumerate(text))


def main():
    interrupt_as_exit()
    case = sys.argv[1] if len(sys.argv) > 1 else "read"
    stacks = record(case)
    note(f"{sum(stacks.values())} samples")
    with open(f"{ROOT}/docs/performance/flame.svg", "w", encoding="utf-8") as f:
        f.write(draw(stacks, f"CPU of the API, {case} with 10,000 tenants"))


if __name__ == "__main__":
    main()
