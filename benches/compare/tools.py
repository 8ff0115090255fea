"""The tools that are compared: how each packs a tree and restores it."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Tool:
    """One tool at one level. Commands are for a shell; {tree}, {parent}, {name}, {archive}, {out} and {threads} are filled in."""

    family: str
    name: str
    suffix: str
    pack: str
    unpack: str | None
    #: What a quick comparison is made with.
    core: bool = False

    def packing(self, tree: Path, archive: Path, threads: int) -> str:
        return fill(self.pack, tree, archive, Path(), threads)

    def unpacking(self, tree: Path, archive: Path, out: Path, threads: int) -> str:
        return fill(self.unpack, tree, archive, out, threads)


def fill(command: str, tree: Path, archive: Path, out: Path, threads: int) -> str:
    """Puts paths into a command. The archive and the directory that is restored into don't exist yet, what is above them does."""
    places = {"tree": tree, "parent": tree.parent, "name": tree.name, "archive": archive, "out": out, "into": out.parent}
    return command.format(threads=threads, **{key: shlex.quote(str(value)) for key, value in places.items()})


def znippy(preset: str, core: bool = False) -> Tool:
    program = shlex.quote(os.environ["ZNIPPY"])
    pack = program + f" pack -q -j {{threads}} --preset {preset} {{tree}} {{archive}}"
    return Tool("znippy", preset, "znippy", pack, program + " unpack -q -j {threads} {archive} {out}", core)


def tar_zstd(level: str, core: bool = False) -> Tool:
    pack = f"tar c -C {{parent}} {{name}} | zstd {level} -T{{threads}} -q -o {{archive}}"
    long = "--long=27 " if "--long" in level else ""
    return Tool("tar + zstd", level, "tar.zst", pack, f"zstd -dc {long}{{archive}} | tar x -C {{into}}", core)


def tools() -> list[Tool]:
    """All of them."""
    squash = "mksquashfs {tree} {archive} -comp zstd -Xcompression-level %d -b 1M -processors {threads} -quiet -no-progress -noappend"
    unsquash = "unsquashfs -quiet -no-progress -processors {threads} -d {out} {archive}"
    seven = "7z a -bso0 -bsp0 -mx%d -mmt{threads} {archive} {tree}"
    return [
        znippy("default", core=True),
        *(znippy(preset) for preset in ("fast", "small", "max", "random")),
        tar_zstd("-3", core=True),
        *(tar_zstd(level) for level in ("-1", "-6", "-9 --long=27", "-12", "-19 --long=27")),
        Tool("squashfs", "zstd 3, 1 MiB", "squashfs", squash % 3, unsquash, core=True),
        Tool("squashfs", "zstd 9, 1 MiB", "squashfs", squash % 9, None),
        Tool("zip", "-1", "zip", "cd {parent} && zip -qry1 {archive} {name}", "unzip -q {archive} -d {into}"),
        Tool("7z", "-mx1", "7z", seven % 1, None),
        Tool("7z", "-mx9", "7z", seven % 9, None),
    ]


#: Restoring without an archive: what a copy costs.
COPY = Tool("cp", "-a", "", "", "cp -a {tree} {out}", core=True)
