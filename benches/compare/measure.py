"""Runs tools in turns over trees and notes time, memory and size; see scripts/bench.sh."""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools import COPY, Tool, tools


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench.sh", description="Packing and unpacking beside other tools, in turns.")
    parser.add_argument("-n", "--rounds", type=int, default=5)
    parser.add_argument("-j", "--threads", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, help="the JSON file; what other trees have in it is kept")
    parser.add_argument("--all", action="store_true", help="every preset and level, not the defaults alone")
    parser.add_argument("--tool", action="append", default=[], metavar="TEXT", help="tools whose name has these words in it, beside the defaults")
    parser.add_argument("--no-unpack", action="store_true")
    parser.add_argument("trees", nargs="+", type=Path, metavar="TREE")
    options = parser.parse_args()
    wanted = [
        tool
        for tool in tools()
        if tool.core or options.all or any(f" {text} " in f" {tool.family} {tool.name} " for text in options.tool)
    ]
    results = {"trees": {}}
    if options.output and options.output.exists():
        results = json.loads(options.output.read_text())
    results["machine"] = machine(options.threads)
    for tree in options.trees:
        tree = tree.resolve(strict=True)
        results["trees"][tree.name] = compare(tree, wanted, options)
        print_tree(tree.name, results["trees"][tree.name])
        if options.output:
            options.output.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    print_means(results["trees"])
    return 0


def machine(threads: int) -> dict:
    """What the figures depend on; nothing that tells whose machine it is."""
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release().split("-")[0], "threads": threads}


def compare(tree: Path, wanted: list[Tool], options: argparse.Namespace) -> dict:
    """Times every tool on one tree. Rounds begin with another tool each."""
    sizes = [path.lstat().st_size for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
    found = {"files": len(sizes), "bytes": sum(sizes), "rounds": options.rounds, "tools": {}}
    with tempfile.TemporaryDirectory(prefix="znippy-bench.") as work:
        work = Path(work)
        archives = {tool: work / f"{number}.{tool.suffix}" for number, tool in enumerate(wanted)}
        packing, unpacking = {}, {}
        restorers = [] if options.no_unpack else [tool for tool in [*wanted, COPY] if tool.unpack]
        for round_number in range(options.rounds):
            for tool in rotated(wanted, round_number):
                archives[tool].unlink(missing_ok=True)
                packing.setdefault(tool, []).append(run(tool.packing(tree, archives[tool], options.threads)))
            for tool in rotated(restorers, round_number):
                into = work / "into"
                into.mkdir()
                command = tool.unpacking(tree, archives.get(tool, Path()), into / tree.name, options.threads)
                unpacking.setdefault(tool, []).append(run(command))
                if round_number == 0 and tool.family == "znippy":
                    same(tree, into / tree.name)
                subprocess.run(["chmod", "-R", "u+rwX", into], check=True)
                shutil.rmtree(into)
        for tool in [*wanted, COPY]:
            row = found["tools"].setdefault(f"{tool.family} {tool.name}", {"family": tool.family, "level": tool.name})
            if tool in packing:
                row |= {"pack": medians(packing[tool]), "size": archives[tool].stat().st_size}
            if tool in unpacking:
                row["unpack"] = medians(unpacking[tool])
    return found


def rotated(things: list, by: int) -> list:
    at = by % len(things) if things else 0
    return things[at:] + things[:at]


def run(command: str) -> tuple[float, float, float]:
    """Wall seconds and CPU seconds of a command, and MiB of its biggest process."""
    start = time.perf_counter()
    process = subprocess.Popen(["bash", "-o", "pipefail", "-c", command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"exit code {process.returncode}: {command}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def same(tree: Path, restored: Path) -> None:
    """Ends the comparison where a restored tree is not the one that was packed."""
    subprocess.run(["diff", "-r", "--no-dereference", tree, restored], check=True)


def medians(runs: list) -> dict:
    wall, cpu, peak = (statistics.median(column) for column in zip(*runs))
    return {"wall": round(wall, 3), "cpu": round(cpu, 3), "peak_mib": round(peak, 1)}


def against(found: dict) -> dict:
    """What znippy's defaults need of what others need: time of packing, size, time of unpacking."""
    tools_there, ratios = found["tools"], {}
    znippy = tools_there["znippy default"]
    for name, row in tools_there.items():
        if row["family"] == "znippy":
            continue
        for what in ("pack", "unpack"):
            if what in row and what in znippy:
                ratios[f"{what}, of {name}"] = znippy[what]["wall"] / row[what]["wall"]
        if "size" in row:
            ratios[f"size, of {name}"] = znippy["size"] / row["size"]
    return ratios


def print_tree(name: str, found: dict) -> None:
    print(f"\n### {name}: {found['files']:,} files, {found['bytes'] / 1e6:,.1f} MB, medians of {found['rounds']}\n")
    print("| | pack s | CPU s | peak MiB | MB | unpack s | CPU s |\n|---|--:|--:|--:|--:|--:|--:|")
    for tool, row in found["tools"].items():
        pack, unpack = row.get("pack"), row.get("unpack")
        cells = [f"{pack['wall']:.2f}", f"{pack['cpu']:.2f}", f"{pack['peak_mib']:.0f}", f"{row['size'] / 1e6:.2f}"] if pack else [""] * 4
        cells += [f"{unpack['wall']:.2f}", f"{unpack['cpu']:.2f}"] if unpack else [""] * 2
        print(f"| {tool} | {' | '.join(cells)} |")
    sys.stdout.flush()


def print_means(trees: dict) -> None:
    """Ratios of the defaults to the others', a column a tree, and their geometric mean."""
    ratios = {name: against(found) for name, found in trees.items() if "znippy default" in found["tools"]}
    print(f"\n| znippy's default | {' | '.join(ratios)} | mean |\n|---|{'--:|' * (len(ratios) + 1)}")
    for what in dict.fromkeys(what for found in ratios.values() for what in found):
        values = [found.get(what) for found in ratios.values()]
        cells = [f"{value:.3f}" if value else "" for value in values]
        mean = statistics.geometric_mean([value for value in values if value])
        print(f"| {what} | {' | '.join(cells)} | **{mean:.3f}** |")


if __name__ == "__main__":
    sys.exit(main())
