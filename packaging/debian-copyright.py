#!/usr/bin/env python3
"""Writes debian/copyright in the machine-readable form, with every crate that is linked into the library.

usage: debian-copyright.py [--list]     in the source directory; --list prints "CRATE VERSION LICENCE" instead

Crates and licences come from cargo metadata, as far as they are in the library: no tools of the build, no tests.
A licence that this script has no text for is an error, so that a new dependency can't slip in unnoticed.
"""

import json
import re
import subprocess
import sys

# Names of SPDX -> names of Debian, where they differ.
NAMES = {"MIT": "Expat", "Unlicense": "public-domain-Unlicense", "BSD-2-Clause": "BSD-2-clause",
         "BSD-3-Clause": "BSD-3-clause", "Zlib": "zlib", "0BSD": "0BSD", "Apache-2.0 WITH LLVM-exception":
         "Apache-2.0-with-LLVM-exception"}

COMMON = " On Debian systems, the full text is in /usr/share/common-licenses/{}."

EXPAT = """ Permission is hereby granted, free of charge, to any person obtaining a copy
 of this software and associated documentation files (the "Software"), to deal
 in the Software without restriction, including without limitation the rights
 to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
 copies of the Software, and to permit persons to whom the Software is
 furnished to do so, subject to the following conditions:
 .
 The above copyright notice and this permission notice shall be included in all
 copies or substantial portions of the Software.
 .
 THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
 IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
 FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
 LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
 OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
 SOFTWARE."""

BSD = """ Redistribution and use in source and binary forms, with or without
 modification, are permitted provided that the following conditions are met:
 .
 1. Redistributions of source code must retain the above copyright notice, this
 list of conditions and the following disclaimer.
 .
 2. Redistributions in binary form must reproduce the above copyright notice,
 this list of conditions and the following disclaimer in the documentation
 and/or other materials provided with the distribution.
{}
 THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND
 ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED
 WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE
 DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE
 FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL
 DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR
 SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER
 CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY,
 OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE
 OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE."""

TEXTS = {
    "Expat": EXPAT,
    "Apache-2.0": COMMON.format("Apache-2.0"),
    "Apache-2.0-with-LLVM-exception": COMMON.format("Apache-2.0") + """
 .
 As an exception, if, as a result of your compiling your source code, portions
 of this Software are embedded into an Object form of such source code, you may
 redistribute such embedded portions in such Object form without complying with
 the conditions of Sections 4(a), 4(b) and 4(d) of the License.""",
    "CC0-1.0": COMMON.format("CC0-1.0"),
    "MPL-2.0": COMMON.format("MPL-2.0"),
    "BSD-2-clause": BSD.format(" ."),
    "BSD-3-clause": BSD.format(""" .
 3. Neither the name of the copyright holder nor the names of its contributors
 may be used to endorse or promote products derived from this software without
 specific prior written permission.
 ."""),
    "public-domain-Unlicense": """ This is free and unencumbered software released into the public domain. Anyone
 is free to copy, modify, publish, use, compile, sell, or distribute this
 software, either in source code form or as a compiled binary, for any purpose,
 commercial or non-commercial, and by any means.""",
    "zlib": """ This software is provided 'as-is', without any express or implied warranty. In
 no event will the authors be held liable for any damages arising from the use
 of this software. Permission is granted to anyone to use this software for any
 purpose, including commercial applications, and to alter it and redistribute it
 freely, subject to the following restrictions: the origin must not be
 misrepresented, altered versions must be plainly marked as such, and this
 notice may not be removed or altered from any source distribution.""",
    "0BSD": """ Permission to use, copy, modify, and/or distribute this software for any purpose
 with or without fee is hereby granted. The software is provided "as is" and the
 author disclaims all warranties with regard to this software.""",
    "Unicode-3.0": """ Permission is hereby granted, free of charge, to any person obtaining a copy of
 data files and any associated documentation (the "Data Files") or software and
 any associated documentation (the "Software") to deal in the Data Files or
 Software without restriction, provided that this notice appears with all copies
 of the Data Files or Software, or in associated Documentation. They are provided
 "as is", without warranty of any kind.""",
    "MIT-0": """ Permission is hereby granted, free of charge, to any person obtaining a copy of
 this software to deal in it without restriction. The software is provided "as
 is", without warranty of any kind.""",
    "BSL-1.0": """ Permission is granted, free of charge, to any person or organization obtaining a
 copy of the software to use, reproduce, display, distribute, execute, and
 transmit it, and to prepare derivative works, subject to the notices being
 included in all copies of source code. The software is provided "as is",
 without warranty of any kind.""",
}


def is_macro(package):
    """Whether a crate runs in the compiler alone."""
    return any("proc-macro" in target["kind"] for target in package["targets"])


def linked_crates():
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"]
    data = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    packages = {package["id"]: package for package in data["packages"]}
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    todo, seen = [data["resolve"]["root"]], set()
    while todo:
        current = todo.pop()
        if current in seen:
            continue
        seen.add(current)
        if is_macro(packages[current]):
            continue
        for dependency in nodes[current]["deps"]:
            # What builds and tests need is of another kind.
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                todo.append(dependency["pkg"])
    found = [packages[id_] for id_ in seen if id_ != data["resolve"]["root"]]
    return sorted((package for package in found if not is_macro(package)), key=lambda package: (package["name"], package["version"]))


def debian_licence(expression):
    """ "MIT OR Apache-2.0" -> ("Expat or Apache-2.0", the two names)."""
    expression = expression.replace("/", " OR ").replace("(", "").replace(")", "")
    names = [NAMES.get(name.strip(), name.strip()) for name in re.split(r" OR | AND ", expression)]
    words = re.split(r"( OR | AND )", expression)
    text = "".join({" OR ": " or ", " AND ": " and "}.get(word, NAMES.get(word.strip(), word.strip())) for word in words)
    return text, names


def main():
    crates = linked_crates()
    if sys.argv[1:] == ["--list"]:
        for crate in crates:
            print(crate["name"], crate["version"], crate["license"])
        return
    used = {"Expat", "Apache-2.0", "BSD-3-clause"}
    print("""Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: libznippy
Source: Crates in vendor/ are linked into the library and come from the registry of Rust crates.

Files: *
Copyright: libznippy developers
License: Expat or Apache-2.0
""")
    for crate in crates:
        licence, names = debian_licence(crate["license"])
        used.update(names)
        authors = [re.sub(r"\s*<.*>", "", author) for author in crate["authors"]] or [f"the developers of {crate['name']}"]
        holders = "\n           ".join(authors)
        print(f"Files: vendor/{crate['name']}/*\nCopyright: {holders}\nLicense: {licence}\n"
              f"Comment: version {crate['version']}\n")
    print("Files: vendor/zstd-sys/zstd/*\nCopyright: Meta Platforms, Inc. and affiliates\nLicense: BSD-3-clause\n"
          "Comment: of the two licences of zstd, this one is used.\n")
    missing = used - set(TEXTS)
    if missing:
        sys.exit(f"debian-copyright: no text for {', '.join(sorted(missing))}")
    for name in sorted(used):
        print(f"License: {name}\n{TEXTS[name]}\n")


if __name__ == "__main__":
    main()
