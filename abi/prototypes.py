#!/usr/bin/env python3
"""The functions and structs of include/znippy.h, for the scripts that check and generate things from it.

usage: prototypes.py names|structs|stubs HEADER

names    the functions, one a line, sorted
structs  the public structs and their fields: "STRUCT FIELD"
stubs    C source with a body for every function: a library that has nothing but the interface
"""

import re
import sys


class Function:
    """One prototype: what it returns, its name, and (type, name) of each argument."""

    def __init__(self, text):
        head, arguments = text.split("(", 1)
        words = re.fullmatch(r"(.*?[\s*])(\w+)", head.strip(), re.S)
        self.returns = " ".join(words[1].split())
        self.name = words[2]
        self.parameters = " ".join(arguments.rsplit(")", 1)[0].split())
        self.arguments = [] if self.parameters == "void" else [argument(part) for part in self.parameters.split(",")]


def argument(text):
    """(type, name); an array counts as a pointer."""
    array = re.fullmatch(r"(.*?)(\w+)\[\d*\]", text.strip())
    if array:
        return array[1].strip() + " *", array[2]
    parts = re.fullmatch(r"(.*?[\s*])(\w+)", text.strip())
    return parts[1].strip(), parts[2]


def without_comments(path):
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", open(path, encoding="utf-8").read(), flags=re.S)


def functions(path):
    text = without_comments(path)
    # The definitions of the macro itself are lines of the preprocessor.
    text = "\n".join(line for line in text.split("\n") if not line.startswith("#"))
    return [Function(found) for found in re.findall(r"ZNIPPY_API\s+([^;{}]*?\([^;]*?\))\s*;", text, re.S)]


def structs(path):
    """Struct name -> field names, for the structs whose fields are public."""
    found = {}
    for body, name in re.findall(r"typedef struct \w*\s*\{(.*?)\}\s*(\w+);", without_comments(path), re.S):
        fields = []
        for line in body.split(";"):
            line = " ".join(line.split())
            if not line:
                continue
            pointer = re.search(r"\(\*(\w+)\)", line)
            fields.append(pointer[1] if pointer else re.search(r"(\w+)(\[\d+\])?$", line)[1])
        found[name] = fields
    return found


def stubs(path):
    print('#include <stdlib.h>\n#include "znippy/arrow_abi.h"\n#include "znippy.h"')
    for function in functions(path):
        print(f"{function.returns} {function.name}({function.parameters}) {{ abort(); }}")


def main():
    what, path = sys.argv[1:]
    if what == "names":
        print("\n".join(sorted(function.name for function in functions(path))))
    elif what == "structs":
        for name, fields in sorted(structs(path).items()):
            for field in fields:
                print(name, field)
    elif what == "stubs":
        stubs(path)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
