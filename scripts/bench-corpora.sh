#!/bin/bash
# Makes the seven trees that the benchmarks use, from what package registries offer and from seeded generators.
#
# usage: scripts/bench-corpora.sh DIRECTORY [TREE...]     DIRECTORY should be on tmpfs; about 5 GB for all
#
#   sources     Rust crates and a part of Linux 6.1
#   modules     a node_modules and a Python virtual environment
#   binaries    programs and libraries out of Debian packages
#   packed      wheels, crates and Debian packages as they are: compressed already
#   big         one file of 1 GB: the trees above, one behind the other
#   noise       files of random bytes whose names tell nothing, 300 MB
#   tiny        200,000 files of 60 to 3,000 bytes
#
# A tree that is there already is kept.
set -eu -o pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:$HOME/.cargo/bin
mkdir -p "$1"
to=$(realpath "$1")
shift
[ $# -gt 0 ] || set -- sources modules binaries packed big noise tiny
sh scripts/install-needs.sh python3 xz tar

crates="tokio hyper serde_json syn regex clap rand rayon reqwest axum diesel bevy_ecs wgpu polars-core datafusion-common rustls
image nalgebra ndarray wasmtime cranelift-codegen swc_ecma_parser windows-sys libgit2-sys openssl-src sea-orm tonic actix-web"
modules="typescript webpack eslint react react-dom lodash rxjs three d3 prettier @angular/core vue svelte express aws-sdk date-fns
core-js @mui/material antd"
wheels="numpy pandas scipy matplotlib scikit-learn sqlalchemy django requests"
packages="gcc-12 cpp-12 clang-14 libllvm14 python3.11-minimal perl-base git vim-common libicu72 libc6-dev libgtk-3-0 gdb"

# Downloads Debian packages into the current directory.
debs() {
    apt-get update -qq
    # The download user can't write everywhere; as root nothing is lost by its being root.
    apt-get download -qq -o APT::Sandbox::User=root "$@"
}

make_sources() {
    mkdir project
    (
        cd project
        cargo init -q --lib --name corpus --vcs none
        for crate in $crates; do cargo add -q "$crate" 2> /dev/null || echo "sources: without $crate" >&2; done
        cargo vendor -q ../sources/crates > /dev/null
    )
    # Import libraries and generated bindings of another system, which are no sources.
    (cd sources/crates && rm -rf windows* winapi* aws-lc-sys openssl-src)
    debs linux-source-6.1
    dpkg-deb --fsys-tarfile linux-source-6.1_*.deb | tar xO --wildcards '*.tar.xz' |
        xz -dc | tar x -C sources --wildcards 'linux-source-6.1/'{fs,include,kernel,lib,mm,net,scripts,tools}'/*'
}

make_modules() {
    (
        cd modules
        npm init -y > /dev/null
        for module in $modules; do
            # One at a time: a mirror that lacks one of them costs just that one.
            npm install --silent --no-audit --no-fund --ignore-scripts "$module" > /dev/null || echo "modules: without $module" >&2
        done
    )
    python3 -m venv modules/venv
    modules/venv/bin/pip install -q --disable-pip-version-check $wheels
}

make_binaries() {
    debs $packages
    for deb in *.deb; do dpkg-deb -x "$deb" binaries; done
}

make_packed() {
    (cd packed && python3 -m pip download -q --disable-pip-version-check $wheels && debs $packages)
    mkdir packed/crates
    find "${CARGO_HOME:-$HOME/.cargo}/registry/cache" -name '*.crate' -size +20k | LC_ALL=C sort | head -600 |
        xargs cp -t packed/crates
}

make_big() {
    for tree in sources binaries modules; do
        [ ! -d "$to/$tree" ] || tar c --sort=name -C "$to" "$tree"
    done | head -c 1000000000 > big/image.raw || true
}

make_noise() {
    python3 - noise <<'PYTHON'
import random, sys

source = random.Random(1)
for i in range(60):
    with open(f"{sys.argv[1]}/part-{i:02}", "wb") as file:
        file.write(source.randbytes(5_000_000))
PYTHON
}

make_tiny() {
    python3 - tiny <<'PYTHON'
import os, random, sys

source = random.Random(2)
words = ["".join(source.choices("abcdefghijklmnopqrstuvwxyz", k=source.randint(2, 9))) for _ in range(4000)]
for i in range(200_000):
    if i % 100 == 0:
        directory = f"{sys.argv[1]}/{i // 10_000:02}/{i // 100:04}"
        os.makedirs(directory)
    length = int(60 * 50 ** source.random())
    text = f"id {i}\n"
    while len(text) < length:
        text += " ".join(source.choices(words, k=10)) + "\n"
    with open(f"{directory}/{i:06}.txt", "w") as file:
        file.write(text[:length])
PYTHON
}

for tree; do
    [ ! -d "$to/$tree" ] || continue
    echo "making $tree" >&2
    work=$(mktemp -d "$to/.making.XXXXXX")
    (
        trap 'rm -rf "$work"' EXIT
        cd "$work"
        mkdir "$tree"
        "make_$tree"
        mv "$tree" "$to/$tree"
    )
done
for tree; do
    find "$to/$tree" -type f -printf '%s\n' |
        awk -v tree="$tree" '{ n++; s += $1 } END { printf "%-10s %7d files %8.1f MB\n", tree, n, s / 1e6 }'
done
