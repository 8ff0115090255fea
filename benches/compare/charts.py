"""Draws what measure.py wrote: charts.py RESULTS.json DIRECTORY makes DIRECTORY/pack.svg and DIRECTORY/unpack.svg."""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
# Text stays text, and the same figures give the same bytes.
matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "znippy", "font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
import matplotlib.pyplot as plt  # noqa: E402 (after the choice of what draws)
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter  # noqa: E402

COLOURS = {"znippy": "#c2410c", "tar + zstd": "#1d4ed8", "squashfs": "#15803d", "zip": "#737373", "7z": "#7e22ce", "cp": "#a3a3a3"}


def main() -> int:
    results, directory = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    for name, draw in (("pack", packing), ("unpack", unpacking)):
        figure = draw(results["trees"])
        machine = results["machine"]
        figure.supxlabel(f"{machine['threads']} threads, {machine['cpu']}, tmpfs, medians", fontsize=6, color="#737373")
        figure.savefig(directory / f"{name}.svg", metadata={"Date": None, "Creator": None})
    return 0


def packing(trees: dict):
    """Time against size, a panel a tree, a point a tool and level: the lower left corner is the best place.

    What lies far above all others, as zip does, is left out: it would press them together."""
    columns = min(4, len(trees))
    lines = -(-len(trees) // columns)
    figure, panels = plt.subplots(lines, columns, figsize=(3.4 * columns, 3.2 * lines), squeeze=False, layout="constrained")
    for panel in panels.flat[len(trees):]:
        panel.set_axis_off()
    for panel, (name, found) in zip(panels.flat, trees.items()):
        highest = 1.3 * found["tools"]["znippy default"]["size"]
        for family, colour in COLOURS.items():
            rows = [row for row in found["tools"].values() if row["family"] == family and "pack" in row and row["size"] < highest]
            points = [(row["pack"]["wall"], 100 * row["size"] / found["bytes"], row["level"]) for row in rows]
            if not points:
                continue
            points.sort()
            panel.plot([x for x, _, _ in points], [y for _, y, _ in points], "o-", color=colour, label=family, markersize=3, linewidth=0.8)
            for x, y, level in points:
                panel.annotate(level, (x, y), xytext=(3, 3), textcoords="offset points", color=colour, fontsize=6)
        panel.set(title=f"{name}, {found['bytes'] / 1e6:.0f} MB", xscale="log", xlabel="seconds to pack", ylabel="% of its bytes")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.yaxis.set_major_formatter(ScalarFormatter(useOffset=False))
    named = {label: handle for panel in panels.flat for handle, label in zip(*panel.get_legend_handles_labels())}
    figure.legend(named.values(), named.keys(), loc="outside upper center", ncols=6, frameon=False)
    return figure


def unpacking(trees: dict):
    """Seconds to restore, a group of bars a tree."""
    figure, panel = plt.subplots(figsize=(9, 3.6), layout="constrained")
    shown = ("znippy default", "tar + zstd -3", "squashfs zstd 3, 1 MiB", "cp -a")
    width = 0.8 / len(shown)
    for place, tool in enumerate(shown):
        rows = [found["tools"].get(tool, {}) for found in trees.values()]
        heights = [row.get("unpack", {}).get("wall", 0) for row in rows]
        colour = COLOURS[next((row["family"] for row in rows if row), "cp")]
        bars = panel.bar([at + place * width for at in range(len(trees))], heights, width * 0.9, color=colour, label=tool)
        panel.bar_label(bars, fmt="%.2f", fontsize=6)
    panel.set_xticks([at + 0.4 - width / 2 for at in range(len(trees))], list(trees))
    panel.set_ylabel("seconds to unpack")
    panel.legend(frameon=False, ncols=len(shown))
    return figure


if __name__ == "__main__":
    sys.exit(main())
