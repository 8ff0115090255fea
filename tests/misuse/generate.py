#!/usr/bin/env python3
"""Writes a C program that calls every function of the header in every wrong way that it can be told of.

usage: generate.py HEADER > matrix.c

Each cell of the matrix is one call in a process of its own, with one thing wrong: a null pointer, a number at the end of
its range, a struct that says it is shorter or longer, a handle of another type or one that was freed, a handle from
before a fork, a call from inside a callback of the same handle. No cell may crash, hang or end in a caught panic; a
status and an error object go together; guards behind structs stay as they are.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../abi"))
from prototypes import functions, structs  # noqa: E402

# A right value for an argument: of a function, or of any function by the argument's name.
GOOD = {
    ("znippy_compress_dir", "archive_path"): 'fresh("packed")',
    ("znippy_salvage", "archive_path"): 'fresh("salvaged")',
    ("znippy_writer_create", "archive_path"): 'fresh("written")',
    ("znippy_writer_append", "archive_path"): "appendable",
    ("znippy_writer_add_file", "src_path"): "file",
    ("znippy_writer_add_file", "path"): '"new"',
    ("znippy_writer_add_file", "path_len"): "3",
    ("znippy_writer_set_xattr", "name_len"): "5",
    ("znippy_writer_set_xattr", "value"): '"abc"',
    ("znippy_writer_set_xattr", "value_len"): "3",
    ("znippy_option_key", "name"): '"level"',
    ("znippy_options_set_bytes", "key"): "ZNIPPY_OPT_REPO",
    ("znippy_reader_open_memory", "data"): "memory",
    ("znippy_reader_open_memory", "len"): "memory_len",
    ("znippy_buffer_free", "buffer"): "&no_buffer",
    "src_dir": "tree", "archive_path": "archive", "damaged": "archive", "dir": "tree", "src_path": "tree",
    "dest_dir": 'fresh("dest")', "dest_path": 'fresh("one")', "path": '"hello"', "path_len": "5", "prefix": '"sub"',
    "prefix_len": "3", "name": '"level"', "data": '"abc"', "len": "3", "key": "ZNIPPY_OPT_LEVEL", "value": "3",
    "status": "0", "max_level": "2", "column": "0", "position": "0", "index": "0", "offset": "0", "first": "0",
    "capacity": "10", "fd": "open(archive, O_RDONLY)", "buffer": "room", "options": "options", "reader": "reader",
    "other": "reader", "base": "reader", "archive": "reader", "listing": "listing", "diff": "diff", "cancel": "cancel", "error": "error",
    "writer": "writer", "row": "row", "user_data": "NULL", "release": "NULL", "digest_out": "digest",
    "repo": '"abc"', "repo_len": "3", "number": "0",
}
# What must have been done for a call to be right.
FIRST = {"znippy_writer_set_xattr": "add_an_entry();"}
HANDLES = ["znippy_options", "znippy_reader", "znippy_listing", "znippy_diff", "znippy_cancel", "znippy_error",
           "znippy_writer"]
NAMES = {"znippy_options": "options", "znippy_reader": "reader", "znippy_listing": "listing", "znippy_diff": "diff",
         "znippy_cancel": "cancel", "znippy_error": "error", "znippy_writer": "writer"}
FUNCTION_TYPES = {"znippy_progress_fn": "on_progress", "znippy_log_fn": "on_log", "znippy_filter_fn": "on_filter"}
FILLED = {"znippy_source": "good_source()", "znippy_sink": "good_sink()", "znippy_stream": "good_stream()",
          "znippy_provider": "good_provider()", "znippy_entry_info": "good_entry()"}
INTEGERS = {
    "int32_t": ["INT32_MIN", "-1", "INT32_MAX"], "uint32_t": ["0", "UINT32_MAX", "77"],
    "int64_t": ["INT64_MIN", "-1", "INT64_MAX"], "uint64_t": ["UINT64_MAX", "UINT64_MAX - 7", "(uint64_t)INT64_MAX"],
    "size_t": ["SIZE_MAX", "SIZE_MAX / 2 + 1", "0"], "intptr_t": ["-1", "INTPTR_MAX", "INTPTR_MIN"],
    "znippy_status": ["INT32_MIN", "INT32_MAX", "-999"], "double": ["(double)NAN", "-(double)INFINITY"],
}

PROLOGUE = r"""
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "znippy/arrow_abi.h"
#include "znippy.h"

enum { GOOD, WRONG = 1, HUNG = 14 };
enum { ANY, OK, OK_OR_INVALID, REFUSED, BUSY, BUSY_OR_OK, FORKED };
enum { GUARD = 64 };

static char work[4096], tree[4200], archive[4200], appendable[4200], file[4200];
static unsigned char *memory;
static size_t memory_len;
static char room[4096];
static znippy_buffer no_buffer;
static uint8_t digest[32];
static znippy_options *options;
static znippy_reader *reader;
static znippy_listing *listing;
static znippy_diff *diff;
static znippy_cancel *cancel;
static znippy_error *error;
static znippy_writer *writer;
static znippy_row *row;
static int verdict;
static const char *why = "";
static int (*inside)(void); /* what a callback runs, once */

static const char *fresh(const char *name) {
    static char text[4][4300];
    static int next;
    char *path = text[next++ % 4];
    snprintf(path, sizeof text[0], "%s/%d-%s-%d", work, (int)getpid(), name, next);
    return path;
}

static void judge(int wanted, znippy_status status, znippy_error **err, znippy_error *object) {
    const char *name = znippy_status_name(status);
    bool right = wanted == ANY || (wanted == OK && status >= 0) || (wanted == REFUSED && status < 0)
                 || (wanted == OK_OR_INVALID && (status >= 0 || status == ZNIPPY_E_INVALID_ARGUMENT))
                 || (wanted == BUSY && status == ZNIPPY_E_BUSY)
                 || (wanted == BUSY_OR_OK && (status >= 0 || status == ZNIPPY_E_BUSY))
                 || (wanted == FORKED && status == ZNIPPY_E_FORKED);
    if (!name || status == ZNIPPY_E_PANIC) {
        verdict = WRONG;
        why = "unknown status or panic";
    } else if (err && (status < 0) != (object != NULL)) {
        verdict = WRONG;
        why = "status and error don't go together";
    } else if (!right) {
        verdict = WRONG;
        why = name;
    }
}

static void run_inside(void) {
    int (*cell)(void) = inside;
    inside = NULL;
    if (cell) {
        cell();
    }
}

static int64_t read_memory(void *user_data, uint64_t offset, void *buffer, size_t len) {
    (void)user_data;
    run_inside();
    memcpy(buffer, memory + offset, len);
    return (int64_t)len;
}

static int64_t take(void *user_data, const void *data, size_t len) {
    (void)user_data, (void)data;
    run_inside();
    return (int64_t)len;
}

static int64_t give_nothing(void *user_data, void *buffer, size_t len) {
    (void)user_data, (void)buffer, (void)len;
    run_inside();
    return 0;
}

static int32_t look(void *user_data, const char *path, size_t path_len, const uint8_t *data, size_t data_len, znippy_row *its_row) {
    (void)user_data, (void)path, (void)path_len, (void)data, (void)data_len;
    row = its_row;
    run_inside();
    return 0;
}

static int32_t on_progress(void *user_data, const znippy_progress *progress) {
    (void)user_data, (void)progress;
    run_inside();
    return 0;
}

static void on_log(void *user_data, int32_t level, const char *message, size_t len) {
    (void)user_data, (void)level, (void)message, (void)len;
    run_inside();
}

static int32_t on_filter(void *user_data, const znippy_entry_info *entry) {
    (void)user_data, (void)entry;
    run_inside();
    return 1;
}

static int32_t want(void *user_data, const char *path, size_t path_len, uint64_t size) {
    (void)user_data, (void)path, (void)path_len, (void)size;
    run_inside();
    return 1;
}

static int32_t at_end(void *user_data) {
    (void)user_data;
    run_inside();
    return 0;
}

static void on_release(void *user_data) {
    (void)user_data;
    run_inside();
}

static znippy_source good_source(void) {
    znippy_source source = {.struct_size = sizeof source, .size = memory_len, .read_at = read_memory};
    return source;
}

static znippy_sink good_sink(void) {
    znippy_sink sink = {.struct_size = sizeof sink, .write = take};
    return sink;
}

static znippy_stream good_stream(void) {
    znippy_stream stream = {.struct_size = sizeof stream, .read = give_nothing};
    return stream;
}

static znippy_provider good_provider(void) {
    static const znippy_column column = {.struct_size = sizeof column, .column_type = ZNIPPY_COLUMN_INT64, .name = "a"};
    znippy_provider provider = {.struct_size = sizeof provider, .name = "p", .pkg_type = 1, .columns = &column,
                                .column_count = 1, .extract = look};
    return provider;
}

static znippy_entry_info good_entry(void) {
    znippy_entry_info entry = {.struct_size = sizeof entry, .path = "added", .path_len = 5};
    return entry;
}

static void must(bool good, const char *what) {
    if (!good) {
        fprintf(stderr, "can't make %s\n", what);
        _exit(3);
    }
}

/* The handles that cells are called with. */
static void make_handles(void) {
    znippy_sink sink = good_sink();
    options = znippy_options_new();
    cancel = znippy_cancel_new();
    must(znippy_options_set_i64(options, ZNIPPY_OPT_THREADS, 1, NULL) == ZNIPPY_OK, "options");
    must(znippy_reader_open(archive, NULL, &reader, NULL) == ZNIPPY_OK, "reader");
    must(znippy_reader_list(reader, 0, 100, &listing, NULL) == ZNIPPY_OK, "listing");
    must(znippy_reader_diff_dir(reader, work, NULL, &diff, NULL) == ZNIPPY_OK, "diff");
    must(znippy_reader_open("/nowhere/at/all", NULL, NULL, &error) != ZNIPPY_OK && error, "error");
    must(znippy_writer_create_sink(&sink, options, &writer, NULL) == ZNIPPY_OK, "writer");
}

static void add_an_entry(void) {
    znippy_entry_info info = good_entry();
    znippy_writer_add_buffer(writer, &info, NULL, 0, NULL);
}

static void write_file(const char *path, const char *text) {
    FILE *out = fopen(path, "w");
    must(out != NULL && fputs(text, out) >= 0 && fclose(out) == 0, path);
}

static void make_tree(void) {
    snprintf(tree, sizeof tree, "%s/tree", work);
    snprintf(archive, sizeof archive, "%s/archive", work);
    snprintf(appendable, sizeof appendable, "%s/appendable", work);
    snprintf(file, sizeof file, "%s/tree/hello", work);
    must(mkdir(tree, 0777) == 0, "tree");
    write_file(file, "hello");
    /* Noise, so that opening does not read the whole archive with its tail. */
    char path[4300];
    snprintf(path, sizeof path, "%s/noise", tree);
    FILE *noise = fopen(path, "wb");
    must(noise != NULL, "noise");
    for (uint64_t i = 0, x = 1; i < 25000; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        fwrite(&x, sizeof x, 1, noise);
    }
    fclose(noise);
    must(znippy_compress_dir(tree, archive, NULL, NULL, NULL) == ZNIPPY_OK, "archive");
    must(znippy_compress_dir(tree, appendable, NULL, NULL, NULL) == ZNIPPY_OK, "archive");
    FILE *in = fopen(archive, "rb");
    memory = malloc(1 << 20);
    must(in && memory, "memory");
    memory_len = fread(memory, 1, 1 << 20, in);
    fclose(in);
}

static void was_called(const char *who) {
    if (inside) {
        verdict = WRONG;
        why = who;
    }
}

/* Runs a cell while a source, a sink or a provider is inside its callback. */
static void from_source(int (*cell)(void)) {
    znippy_source source = good_source();
    znippy_reader_free(reader);
    reader = NULL;
    must(znippy_reader_open_source(&source, NULL, &reader, NULL) == ZNIPPY_OK, "reader of a source");
    inside = cell;
    znippy_reader_verify(reader, NULL, NULL, NULL);
    was_called("the source");
}

static void from_sink(int (*cell)(void)) {
    inside = cell;
    znippy_writer_finish(writer, NULL, NULL);
    was_called("the sink");
}

static void from_provider(int (*cell)(void)) {
    znippy_provider provider = good_provider();
    znippy_options_add_provider(options, &provider, NULL);
    inside = cell;
    znippy_compress_dir(tree, fresh("row"), options, NULL, NULL);
    was_called("the provider");
}

/* The same for every other callback of the header. What the callback's job works on are the handles of the cells. */
static void from_wants(int (*cell)(void)) {
    znippy_provider provider = good_provider();
    provider.wants = want;
    znippy_options_add_provider(options, &provider, NULL);
    inside = cell;
    znippy_compress_dir(tree, fresh("wanted"), options, NULL, NULL);
    was_called("the provider's question");
}

static void from_reader_progress(int (*cell)(void)) {
    znippy_options_set_progress(options, on_progress, NULL, NULL);
    inside = cell;
    znippy_reader_verify(reader, options, NULL, NULL);
    was_called("progress of the reader");
}

static void from_writer_progress(int (*cell)(void)) {
    znippy_sink sink = good_sink();
    znippy_writer_free(writer);
    znippy_options_set_progress(options, on_progress, NULL, NULL);
    must(znippy_writer_create_sink(&sink, options, &writer, NULL) == ZNIPPY_OK, "writer");
    inside = cell;
    znippy_writer_add_tree(writer, tree, "", 0, NULL);
    znippy_writer_finish(writer, NULL, NULL);
    was_called("progress of the writer");
}

static void from_reader_filter(int (*cell)(void)) {
    znippy_options_set_filter(options, on_filter, NULL, NULL);
    inside = cell;
    znippy_reader_extract_all(reader, fresh("filtered"), options, NULL, NULL);
    was_called("the reader's filter");
}

static void from_writer_filter(int (*cell)(void)) {
    znippy_sink sink = good_sink();
    znippy_writer_free(writer);
    znippy_options_set_filter(options, on_filter, NULL, NULL);
    must(znippy_writer_create_sink(&sink, options, &writer, NULL) == ZNIPPY_OK, "writer");
    inside = cell;
    znippy_writer_add_tree(writer, tree, "", 0, NULL);
    was_called("the writer's filter");
}

/* Version 3 has no links, which is said in a message at the end. */
static void from_writer_log(int (*cell)(void)) {
    znippy_sink sink = good_sink();
    znippy_entry_info link = {.struct_size = sizeof link, .path = "link", .path_len = 4, .kind = ZNIPPY_KIND_SYMLINK,
                              .link_target = "hello", .link_target_len = 5};
    znippy_writer_free(writer);
    znippy_options_set_i64(options, ZNIPPY_OPT_PROFILE, 1, NULL);
    znippy_options_set_log(options, ZNIPPY_LOG_INFO, on_log, NULL, NULL);
    must(znippy_writer_create_sink(&sink, options, &writer, NULL) == ZNIPPY_OK, "writer");
    znippy_options_set_i64(options, ZNIPPY_OPT_PROFILE, 0, NULL);
    must(znippy_writer_add_buffer(writer, &link, NULL, 0, NULL) == ZNIPPY_OK, "link");
    inside = cell;
    znippy_writer_finish(writer, NULL, NULL);
    was_called("the log");
}

static void from_stream(int (*cell)(void)) {
    znippy_stream stream = good_stream();
    znippy_entry_info info = {.struct_size = sizeof info, .path = "streamed", .path_len = 8};
    inside = cell;
    znippy_writer_add_stream(writer, &info, &stream, NULL);
    was_called("the stream");
}

static void from_sink_end(int (*cell)(void)) {
    znippy_sink sink = good_sink();
    sink.finish = at_end;
    znippy_writer_free(writer);
    must(znippy_writer_create_sink(&sink, options, &writer, NULL) == ZNIPPY_OK, "writer");
    inside = cell;
    znippy_writer_finish(writer, NULL, NULL);
    was_called("the sink's end");
}

/* What is released is another object's, which is gone for everybody by then. */
static void from_release(int (*cell)(void)) {
    znippy_options *others = znippy_options_new();
    znippy_options_set_progress(others, on_progress, NULL, on_release);
    inside = cell;
    znippy_options_free(others);
    was_called("the release");
}
"""

EPILOGUE = r"""
static int counts[8], failures, missed;

static void run(int number, bool made_before) {
    const struct cell *cell = &CELLS[number];
    fflush(NULL);
    if (made_before) {
        make_handles();
        must(znippy_writer_add_tree(writer, tree, "before", 6, NULL) == ZNIPPY_OK, "threads");
    }
    pid_t child = fork();
    must(child >= 0, "a process");
    if (child == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        alarm(60);
        if (!made_before) {
            make_handles();
        }
        if (FROM[cell->how]) {
            FROM[cell->how](cell->run);
        } else {
            cell->run();
        }
        if (verdict != GOOD) {
            fprintf(stderr, "%s: %s\n", cell->name, why);
        }
        _exit(verdict);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (made_before) {
        znippy_writer_free(writer);
    }
    counts[cell->kind]++;
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "%s: %s (signal %d)\n", cell->name, WTERMSIG(status) == SIGALRM ? "hangs" : "crashes", WTERMSIG(status));
    }
    /* Of a freed handle nothing is promised but that it is found as far as its first bytes tell. */
    if (strcmp(KINDS[cell->kind], "freed") == 0) {
        missed += status != 0;
    } else {
        failures += status != 0;
    }
}

int main(void) {
    snprintf(work, sizeof work, "%s/znippy-misuse-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    must(mkdtemp(work) != NULL, "a directory");
    make_tree();
    for (int i = 0; i < CELL_COUNT; i++) {
        run(i, CELLS[i].how == BEFORE_FORK);
    }
    char command[5000];
    snprintf(command, sizeof command, "rm -rf '%s'", work);
    must(system(command) == 0, "tidy");
    printf("misuse: %d functions, %d cells:", FUNCTION_COUNT, CELL_COUNT);
    for (int i = 0; i < KIND_COUNT; i++) {
        printf(" %s %d", KINDS[i], counts[i]);
    }
    printf("; failures %d, freed handles that were not found %d\n", failures, missed);
    return failures > 0;
}
"""

KINDS = ["right", "null", "number", "size", "type", "freed", "fork", "reentry"]
HOWS = ["PLAINLY", "BEFORE_FORK", "FROM_SOURCE", "FROM_SINK", "FROM_PROVIDER", "FROM_WANTS", "FROM_READER_PROGRESS",
        "FROM_WRITER_PROGRESS", "FROM_READER_FILTER", "FROM_WRITER_FILTER", "FROM_WRITER_LOG", "FROM_STREAM", "FROM_SINK_END",
        "FROM_RELEASE"]
# From each callback, each function is called with the handles that the callback's job works on, and with others.
INSIDE = [how for how in HOWS if how.startswith("FROM_")]
# Where the same handle must say that it is busy, and not just may.
BUSY_INSIDE = {"znippy_reader": ["FROM_SOURCE"],
               "znippy_writer": ["FROM_SINK", "FROM_SINK_END", "FROM_STREAM", "FROM_WRITER_PROGRESS", "FROM_WRITER_FILTER",
                                 "FROM_WRITER_LOG"]}
# One more reference to a reader is always to be had.
NEVER_BUSY = ["znippy_reader_retain"]


def base(type_):
    return type_.replace("const ", "").replace("*", "").strip()


def good(function, type_, name):
    return GOOD.get((function.name, name), GOOD.get(name))


class Cells:
    """Collects cells as C functions and a table of them."""

    def __init__(self, sized):
        self.sized = sized
        self.text, self.table = [], []

    def add(self, function, kind, what, changes=None, wanted="ANY", how="PLAINLY", before="", sizes=None):
        number = len(self.table)
        changes, sizes = changes or {}, sizes or {}
        lines, arguments, err, checks = [], [], "NULL", []
        for at, (type_, name) in enumerate(function.arguments):
            value, plain = good(function, type_, name), base(type_)
            if type_ == "znippy_error **":
                lines += ["znippy_error *object = NULL;"]
                value, err = "&object", "&object"
            elif plain in self.sized and value is None:
                # Room behind the struct, which nobody may touch.
                lines += [f"struct {{ {plain} it; unsigned char guard[GUARD]; }} s{at};", f"memset(&s{at}, 0xEE, sizeof s{at});"]
                lines += [f"s{at}.it = {FILLED[plain]};"] if plain in FILLED else [f"memset(&s{at}.it, 0, sizeof s{at}.it);"]
                lines += [f"s{at}.it.struct_size = {sizes.get(at, f'sizeof s{at}.it')};"]
                checks += [f"for (int g = 0; g < GUARD; g++) if (s{at}.guard[g] != 0xEE) {{ verdict = WRONG; why = \"guard\"; }}"]
                value = f"&s{at}.it"
            elif value is None and type_ in FUNCTION_TYPES:
                value = FUNCTION_TYPES[type_]
            elif value is None and "*" not in type_:
                value = "0"
            elif value is None:
                # Something to write to.
                target = type_.replace("const ", "", 1) if type_.endswith("**") is False else type_
                target = target[:-1].strip()
                lines += [f"{target} o{at};", f"memset((void *)&o{at}, 0, sizeof o{at});"]
                value = f"&o{at}"
            if name == "err" and at in changes:
                err = "NULL"
                lines.remove("znippy_error *object = NULL;")
            value = changes.get(at, value)
            arguments.append(f"({type_}){value}" if type_ in INTEGERS or "*" in type_ else value)
        call = f"{function.name}({', '.join(arguments)})"
        lines += [step for step in (FIRST.get(function.name), before) if step]
        if function.returns == "znippy_status":
            lines += [f"znippy_status status = {call};"]
            object_ = "object" if err != "NULL" else "NULL"
            fallible = any(type_ == "znippy_error **" for type_, _ in function.arguments)
            lines += [f"judge({wanted if fallible or wanted != 'OK' else 'ANY'}, status, {err}, {object_});"]
        else:
            lines += [f"(void){call};" if function.returns != "void" else f"{call};"]
        lines += checks + ["return 0;"]
        self.text.append(f"static int cell_{number}(void) {{\n    " + "\n    ".join(lines) + "\n}\n")
        self.table.append(f'    {{"{function.name}: {what}", cell_{number}, {KINDS.index(kind)}, {how}}},')

    def of(self, function):
        row = any(base(type_) == "znippy_row" for type_, _ in function.arguments)
        how = "FROM_PROVIDER" if row else "PLAINLY"
        # An entry of the tree has no attribute that could be asked for.
        self.add(function, "right", "as it should be", wanted="ANY" if function.name == "znippy_reader_xattr" else "OK", how=how)
        for at, (type_, name) in enumerate(function.arguments):
            plain, pointer = base(type_), "*" in type_ or type_.endswith("_fn")
            if pointer:
                wanted = "ANY" if name == "err" else "OK_OR_INVALID"
                self.add(function, "null", f"{name} is NULL", {at: "NULL"}, wanted, how)
            for value in INTEGERS.get(type_, []):
                # A length of 0 and the like are right; lengths that no buffer has are not.
                self.add(function, "number", f"{name} is {value}", {at: value}, "ANY", how)
            if plain in self.sized and "**" not in type_:
                for size, wanted in [("0", "REFUSED"), ("3", "REFUSED"), (f"sizeof({plain}) - 1", "REFUSED"),
                                     (f"sizeof({plain}) + GUARD", "ANY"), ("UINT32_MAX", "ANY")]:
                    # What is given may not be read behind its end: only what the caller has room for is told.
                    if size == "UINT32_MAX" and type_.startswith("const"):
                        continue
                    self.add(function, "size", f"{name}->struct_size is {size}", {}, wanted, how, sizes={at: size})
            if plain in HANDLES and "**" not in type_:
                for other in HANDLES:
                    if other != plain:
                        wanted = "REFUSED" if function.returns == "znippy_status" and any(
                            kind == "znippy_error **" for kind, _ in function.arguments) else "ANY"
                        self.add(function, "type", f"{name} is a {other}", {at: f"(void *){NAMES[other]}"}, wanted, how)
                freed = f"{plain}_free({NAMES[plain]});"
                self.add(function, "freed", f"{name} was freed", {}, "ANY", how, before=freed)
        if function.name.endswith("_free"):
            return
        handles = {base(type_) for type_, _ in function.arguments if "**" not in type_}
        if handles & set(HANDLES):
            wanted = "FORKED" if "znippy_writer" in handles else "ANY" if function.name == "znippy_reader_xattr" else "OK"
            self.add(function, "fork", "in the child of a fork", {}, wanted, "BEFORE_FORK")
        for inside in INSIDE:
            if row and inside != "FROM_PROVIDER":
                continue
            fallible = any(type_ == "znippy_error **" for type_, _ in function.arguments)
            wanted = "BUSY_OR_OK" if fallible and function.name not in ["znippy_reader_xattr", "znippy_options_add_provider"] else "ANY"
            busy = [how for handle in handles for how in BUSY_INSIDE.get(handle, [])]
            if inside in busy and function.name not in NEVER_BUSY:
                wanted = "BUSY"
            self.add(function, "reentry", inside.lower().replace("_", " "), {}, wanted, inside)


def main():
    header = sys.argv[1]
    found = functions(header)
    sized = {name for name, fields in structs(header).items() if "struct_size" in fields}
    cells = Cells(sized)
    for function in found:
        cells.of(function)
    print(PROLOGUE)
    print("enum { " + ", ".join(HOWS) + " };")
    print("struct cell { const char *name; int (*run)(void); int kind, how; };\n")
    print("\n".join(cells.text))
    print("static const struct cell CELLS[] = {\n" + "\n".join(cells.table) + "\n};")
    print(f"enum {{ CELL_COUNT = {len(cells.table)}, FUNCTION_COUNT = {len(found)}, KIND_COUNT = {len(KINDS)} }};")
    print("static const char *const KINDS[] = {" + ", ".join(f'"{kind}"' for kind in KINDS) + "};")
    print("static void (*const FROM[])(int (*)(void)) = {"
          + ", ".join(f"[{how}] = {how.lower()}" for how in INSIDE) + "};")
    print(EPILOGUE)


if __name__ == "__main__":
    main()
