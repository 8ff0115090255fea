#!/usr/bin/env python3
"""Writes the C module that forces a panic in every function of the header, in every handle and in workers.

usage: generate.py HEADER > module.c

The module has one function, run_module(directory), which is called by host.c. Functions come from the header, so that
new ones are covered without a change here; handles that functions are called with come from MAKERS.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../abi"))
from prototypes import functions  # noqa: E402

# Functions in which nothing can panic: they return constants, or store to an atomic.
NO_BOUNDARY = {
    "znippy_version_number",
    "znippy_version_string",
    "znippy_features",
    "znippy_cancel_trigger",
}

# Arguments of functions that do nothing at all for NULL.
ARGUMENTS = {
    "znippy_option_key": '"level"',
    "znippy_buffer_free": "make_buffer()",
}

# Handles whose state a panic may leave half-changed: how one is made, and the function that frees it.
MAKERS = {
    "znippy_reader": ("make_reader()", "znippy_reader_free"),
    "znippy_writer": ("make_writer()", "znippy_writer_free"),
}

PROLOGUE = r"""
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "znippy/arrow_abi.h"
#include "znippy.h"

enum { NOWHERE, BOUNDARY, HANDLE, WORKER };
/* Of the library built with the feature test-hooks: the next time that this place is reached, it panics. Says whether
 * a panic that was asked for before has not happened. */
int znippy_test_panic(int place);

static int checks, failures;
static const char *directory;
static char archive[4096], tree[4096], scratch[4096];

static void check(int good, const char *name, const char *what) {
    checks++;
    if (!good) {
        fprintf(stderr, "%s: %s\n", name, what);
        failures++;
    }
}

static const char *path(const char *name) {
    static char text[8][4096];
    static int next;
    next = (next + 1) % 8;
    snprintf(text[next], sizeof text[next], "%s/%s", directory, name);
    return text[next];
}

/* The status and the error object of a call that was to panic. */
static void panicked(const char *name, znippy_status status, znippy_error *error, int has_error) {
    check(status == ZNIPPY_E_PANIC, name, "the status is not ZNIPPY_E_PANIC");
    if (has_error) {
        check(znippy_error_status(error) == ZNIPPY_E_PANIC, name, "the error is of another status");
        check(error && strstr(znippy_error_message(error), "forced by a test") != NULL, name, "the message says nothing of it");
    }
    znippy_error_free(error);
}

static znippy_reader *make_reader(void) {
    znippy_reader *reader = NULL;
    check(znippy_reader_open(archive, NULL, &reader, NULL) == ZNIPPY_OK, "znippy_reader_open", "can't open the archive");
    return reader;
}

static znippy_buffer *make_buffer(void) {
    static znippy_buffer buffer;
    znippy_reader *reader;
    uint64_t index = 0;
    znippy_test_panic(NOWHERE);
    reader = make_reader();
    check(znippy_reader_find(reader, "file", 4, &index, NULL) == ZNIPPY_OK, "znippy_reader_find", "finds nothing");
    check(znippy_reader_read(reader, index, NULL, &buffer, NULL) == ZNIPPY_OK, "znippy_reader_read", "fails");
    znippy_reader_free(reader);
    znippy_test_panic(BOUNDARY);
    return &buffer;
}

static znippy_options *two_threads(void) {
    znippy_options *options = znippy_options_new();
    znippy_options_set_i64(options, ZNIPPY_OPT_THREADS, 2, NULL);
    return options;
}
"""

WRITER = r"""
static znippy_writer *make_writer(void) {
    znippy_writer *writer = NULL;
    unlink(path("writer.znippy"));
    check(znippy_writer_create(path("writer.znippy"), NULL, &writer, NULL) == ZNIPPY_OK, "znippy_writer_create", "fails");
    return writer;
}

static int64_t read_nothing(void *user_data, void *buffer, size_t len) {
    (void)user_data, (void)buffer, (void)len;
    return 0;
}

static const znippy_stream STREAM = {.struct_size = sizeof STREAM, .read = read_nothing};
"""

WORKERS = r"""
/* One job after the other, each with a panic in one of its workers. */
static void workers(void) {
    znippy_error *error = NULL;
    znippy_status status;
    znippy_reader *reader;
    znippy_options *options = two_threads();
    znippy_test_panic(WORKER);
    status = znippy_compress_dir(tree, path("b.znippy"), options, NULL, &error);
    panicked("a worker of znippy_compress_dir", status, error, 1);
    check(access(path("b.znippy"), F_OK) != 0, "znippy_compress_dir", "left an archive behind");
    check(znippy_compress_dir(tree, path("b.znippy"), options, NULL, NULL) == ZNIPPY_OK, "znippy_compress_dir", "fails afterwards");
    znippy_test_panic(WORKER);
    status = znippy_extract_archive(archive, path("out"), options, NULL, &error);
    panicked("a worker of znippy_extract_archive", status, error, 1);
    check(znippy_extract_archive(archive, path("out2"), options, NULL, NULL) == ZNIPPY_OK, "znippy_extract_archive", "fails afterwards");
    for (int job = 0; job < 3; job++) {
        static const char *const NAMES[] = {"a worker of verify", "a worker of verify_quick", "a worker of extract_all"};
        reader = make_reader();
        for (int again = 0; again < 2; again++) {
            znippy_test_panic(again ? NOWHERE : WORKER);
            status = job == 0   ? znippy_reader_verify(reader, options, NULL, &error)
                     : job == 1 ? znippy_reader_verify_quick(reader, options, NULL, &error)
                                : znippy_reader_extract_all(reader, path("out3"), options, NULL, &error);
            if (again) {
                check(status == ZNIPPY_E_INVALID_STATE, NAMES[job], "the handle is not poisoned");
                znippy_error_free(error);
            } else {
                panicked(NAMES[job], status, error, 1);
            }
        }
        znippy_reader_free(reader);
    }
    znippy_options_free(options);
}
"""

EPILOGUE = r"""
int run_module(const char *place) {
    FILE *file;
    char command[8300];
    directory = place;
    snprintf(tree, sizeof tree, "%s", path("tree"));
    snprintf(archive, sizeof archive, "%s", path("tree.znippy"));
    snprintf(command, sizeof command, "%s/file", tree);
    if (!(file = fopen(command, "w"))) {
        return 1;
    }
    for (int i = 0; i < 3000000; i++) {
        putc(i * 7 + i / 1000 * 13 % 251, file);
    }
    fclose(file);
    znippy_test_panic(NOWHERE);
    check(znippy_compress_dir(tree, archive, NULL, NULL, NULL) == ZNIPPY_OK, "znippy_compress_dir", "can't pack");
    entry_points();
    handles();
    workers();
    printf("%d checks of %d functions, %d with handles: %d failed\n", checks, FUNCTIONS, ENTERED, failures);
    return failures != 0;
}
"""


def is_pointer(type_):
    return type_.endswith("*")


def entry_points(found):
    print("static void entry_points(void) {\n    znippy_error *error = NULL;\n    znippy_status status;")
    for function in found:
        has_error = any(type_ == "znippy_error **" for type_, _ in function.arguments)
        arguments = ", ".join(
            "&error" if type_ == "znippy_error **" else f"({type_})0" for type_, _ in function.arguments
        )
        call = f"{function.name}({ARGUMENTS.get(function.name, arguments)})"
        print(f"    error = NULL;\n    znippy_test_panic(BOUNDARY);")
        if function.returns == "znippy_status" and function.name != "znippy_error_status":
            print(f'    status = {call};\n    panicked("{function.name}", status, error, {int(has_error)});')
        elif function.returns == "void":
            print(f"    {call};")
        else:
            print(f"    (void){call};")
        reached = int(function.name in NO_BOUNDARY)
        print(f'    check(znippy_test_panic(NOWHERE) == {reached}, "{function.name}", "has no boundary, or one it needn\'t have");')
    print("}")


def handles(found):
    entered = 0
    print("static void handles(void) {\n    znippy_error *error = NULL;\n    znippy_status status;")
    for function in found:
        if function.returns != "znippy_status" or not function.arguments:
            continue
        handle = function.arguments[0][0].replace("const", "").replace("*", "").strip()
        if handle not in MAKERS:
            continue
        make, free = MAKERS[handle]
        has_error = any(type_ == "znippy_error **" for type_, _ in function.arguments)

        def value(position, type_):
            if position == 0:
                return "handle"
            if type_ == "znippy_error **":
                return "&error"
            if type_ in ("const char *", "const void *"):
                return '"name"'
            if type_ == "const znippy_options *":
                return "NULL"
            if type_ == "const znippy_stream *":
                return "&STREAM"
            return f"(void *)scratch" if is_pointer(type_) else f"({type_})0"

        arguments = ", ".join(value(position, type_) for position, (type_, _) in enumerate(function.arguments))
        entered += 1
        print(
            f"""    {{
        {handle} *handle = {make};
        memset(scratch, 0, sizeof scratch);
        scratch[1] = 16; /* a generous struct_size where there is one */
        znippy_test_panic(HANDLE);
        error = NULL;
        status = {function.name}({arguments});
        panicked("{function.name} in its handle", status, error, {int(has_error)});
        check(znippy_test_panic(NOWHERE) == 0, "{function.name}", "never entered its handle");
        error = NULL;
        check({function.name}({arguments}) == ZNIPPY_E_INVALID_STATE, "{function.name}", "the handle is not poisoned");
        znippy_error_free(error);
        {free}(handle);
    }}"""
        )
    print("}")
    return entered


def main():
    found = functions(sys.argv[1])
    names = {function.name for function in found}
    print(PROLOGUE)
    if "znippy_writer_create" in names:
        print(WRITER)
    entry_points(found)
    entered = handles(found)
    print(f"enum {{ FUNCTIONS = {len(found)}, ENTERED = {entered} }};")
    print(WORKERS)
    print(EPILOGUE)


if __name__ == "__main__":
    main()
