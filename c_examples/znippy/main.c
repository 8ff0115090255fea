/* znippy: packs a directory into one archive and reads it back. */
#include "cli.h"

#include <string.h>

/* Which flags each command takes. */
#define JOB_FLAGS \
    (FLAG_THREADS | FLAG_SET | FLAG_QUIET | FLAG_STATS | FLAG_JSON | FLAG_HELP)
#define FILTER_FLAGS \
    (FLAG_INCLUDE | FLAG_EXCLUDE | FLAG_PREFIX | FLAG_STRIP)
#define UPDATE_FLAGS \
    (FLAG_FORCE | FLAG_OVERWRITE | FLAG_UNCHANGED | FLAG_CHECKSUM | FLAG_PRUNE)
#define UNPACK_FLAGS \
    (JOB_FLAGS | FILTER_FLAGS | UPDATE_FLAGS | FLAG_KEEP_GOING | FLAG_ATOMIC | FLAG_LIMITS | FLAG_INDEX_LIMIT | \
     FLAG_DRY_RUN | FLAG_VERBOSE | FLAG_TO_STDOUT | FLAG_RESTORE_XATTRS)
#define TREE_FLAGS \
    (FLAG_INCLUDE | FLAG_EXCLUDE | FLAG_CHOICE | FLAG_WHEN | FLAG_MODES | FLAG_REPRODUCIBLE)
#define PACK_FLAGS \
    (JOB_FLAGS | TREE_FLAGS | FLAG_LEVEL | FLAG_PRESET | FLAG_NO_SKIP | FLAG_FORCE | FLAG_BASE | FLAG_XATTRS | \
     FLAG_RECOVERY | FLAG_PROFILE)
#define APPEND_FLAGS \
    (JOB_FLAGS | TREE_FLAGS | FLAG_LEVEL | FLAG_PRESET | FLAG_NO_SKIP | FLAG_BELOW | FLAG_RECOVERY | \
     FLAG_XATTRS)
#define MERGE_FLAGS \
    (JOB_FLAGS | FLAG_FORCE | FLAG_REPLACE | FLAG_RECOVERY)
#define SALVAGE_FLAGS \
    (FLAG_THREADS | FLAG_SET | FLAG_QUIET | FLAG_JSON | FLAG_HELP | FLAG_FORCE | FLAG_VERBOSE)
#define CONVERT_FLAGS \
    (JOB_FLAGS | FLAG_LEVEL | FLAG_PRESET | FLAG_NO_SKIP | FLAG_FORCE | FLAG_PROFILE | FLAG_XATTRS | FLAG_RECOVERY | \
     FLAG_LIMITS)
#define DIFF_FLAGS \
    (FLAG_THREADS | FLAG_SET | FLAG_QUIET | FLAG_JSON | FLAG_HELP | FLAG_INCLUDE | FLAG_EXCLUDE | \
     FLAG_PREFIX | FLAG_UNCHANGED | FLAG_MTIME)

const struct command COMMANDS[] = {
    {"pack", "DIR ARCHIVE", 2, PACK_FLAGS, "Pack a directory into an archive; as -, the archive goes to standard output.", run_pack},
    {"append", "ARCHIVE DIR", 2, APPEND_FLAGS, "Add a directory to an archive.", run_append},
    {"compact", "ARCHIVE", 1, JOB_FLAGS, "Make an archive smaller by what none of its entries uses any more.", run_compact},
    {"merge", "NEW ARCHIVE...", 2, MERGE_FLAGS, "Make one archive of others, whose blobs are copied as they are.", run_merge},
    {"unpack", "ARCHIVE DIR", 2, UNPACK_FLAGS, "Restore the tree of an archive; with --to-stdout ARCHIVE [NAME|GLOB]...", run_unpack},
    {"list", "ARCHIVE [NAME|GLOB]...", 1, FLAG_LONG | FLAG_JSON | FLAG_NULL | FLAG_HELP,
     "Print the names in an archive.", run_list},
    {"cat", "ARCHIVE PATH", 2, FLAG_OFFSET | FLAG_LENGTH | FLAG_HELP,
     "Write one file of an archive, or a part of it, to standard output.", run_cat},
    {"diff", "ARCHIVE ARCHIVE|DIR", 2, DIFF_FLAGS,
     "Print what is different in another archive or in a directory: A added, D deleted, M changed.", run_diff},
    {"convert", "ARCHIVE NEW", 2, CONVERT_FLAGS,
     "Make an archive of a tar or zip archive, of one of format version 3, or one of version 3; print the tree digest. "
     "ARCHIVE - reads a tar from standard input, NEW - writes one to standard output.", run_convert},
    {"verify", "ARCHIVE", 1, JOB_FLAGS | FLAG_QUICK, "Check every byte of an archive.", run_verify},
    {"salvage", "DAMAGED ARCHIVE", 2, SALVAGE_FLAGS,
     "Write what is whole of a damaged archive into a new one, and tell what is lost.", run_salvage},
    {"info", "ARCHIVE", 1, FLAG_JSON | FLAG_HELP, "Print digests, counts, sizes and options of an archive.", run_info},
    {NULL, NULL, 0, 0, NULL, NULL}};

const struct flag FLAGS[] = {
    {FLAG_LEVEL, 'l', "level", "LEVEL", "level", NULL},
    {FLAG_PRESET, 0, "preset", "NAME", "preset", NULL},
    {FLAG_THREADS, 'j', "threads", "N", "threads", NULL},
    {FLAG_NO_SKIP, 0, "no-skip", NULL, "no-skip", NULL},
    {FLAG_BELOW, 0, "prefix", "PATH", NULL, "Add the directory as PATH and what is in it below."},
    {FLAG_BASE, 0, "base", "OLD", NULL, "Take what has not changed from this archive, by path, size, time and mode."},
    {FLAG_REPLACE, 0, "replace", NULL, "duplicate-paths", "Where archives have the same path, take the entry of the later one."},
    {FLAG_FORCE, 'f', "force", NULL, NULL, "Replace what exists under the same name."},
    {FLAG_INCLUDE, 0, "include", "GLOB", "include", NULL},
    {FLAG_EXCLUDE, 0, "exclude", "GLOB", "exclude", NULL},
    {FLAG_CHOICE, 0, "ignore-file", "NAME", "ignore-file", NULL},
    {FLAG_CHOICE, 0, "max-file-size", "N", "max-file-size", NULL},
    {FLAG_CHOICE, 0, "one-file-system", NULL, "one-file-system", NULL},
    {FLAG_WHEN, 0, "mtime", "WHEN", NULL,
     "Record no later modification time than this: seconds since 1970, or a time like 2026-01-01T00:00:00Z. Without it "
     "SOURCE_DATE_EPOCH of the environment counts, where it is set."},
    {FLAG_MODES, 0, "modes", "keep|normalise", "modes", NULL},
    {FLAG_PROFILE, 0, "profile", "v4|v3", "profile", NULL},
    {FLAG_XATTRS, 0, "xattrs", NULL, "xattrs", NULL},
    {FLAG_REPRODUCIBLE, 0, "reproducible", NULL, NULL,
     "Record nothing that differs between users who have the same files: all times become that of --mtime or "
     "SOURCE_DATE_EPOCH, or else 0; modes are normalised, hard links are files, owners and extended attributes are left out."},
    {FLAG_RECOVERY, 0, "recovery", NULL, "recovery", NULL},
    {FLAG_PREFIX, 0, "prefix", "PATH", "prefix", NULL},
    {FLAG_STRIP, 0, "strip-components", "N", "strip-components", NULL},
    {FLAG_OVERWRITE, 0, "overwrite", "refuse|replace|keep|older", "overwrite", NULL},
    {FLAG_UNCHANGED, 0, "skip-unchanged", NULL, NULL, "Don't touch files whose size, time and mode are the archive's."},
    {FLAG_CHECKSUM, 0, "checksum", NULL, NULL, "Don't touch files whose bytes are the archive's, by BLAKE3."},
    {FLAG_PRUNE, 0, "prune", NULL, "prune", NULL},
    {FLAG_KEEP_GOING, 0, "keep-going", NULL, "keep-going", NULL},
    {FLAG_ATOMIC, 0, "atomic", NULL, "atomic", NULL},
    {FLAG_LIMITS, 0, "untrusted", NULL, "untrusted", NULL},
    {FLAG_LIMITS, 0, "max-bytes", "N", "max-bytes", NULL},
    {FLAG_LIMITS, 0, "max-entries", "N", "max-entries", NULL},
    {FLAG_LIMITS, 0, "max-ratio", "N", "max-ratio", NULL},
    {FLAG_LIMITS, 0, "max-depth", "N", "max-depth", NULL},
    {FLAG_INDEX_LIMIT, 0, "max-index", "N", "max-index", NULL},
    {FLAG_RESTORE_XATTRS, 0, "xattrs", "user|all", "restore-xattrs", NULL},
    {FLAG_DRY_RUN, 0, "dry-run", NULL, "dry-run", NULL},
    {FLAG_VERBOSE, 'v', "verbose", NULL, NULL, "Print each action of --dry-run, or each entry that is salvaged, one a line."},
    {FLAG_TO_STDOUT, 0, "to-stdout", NULL, NULL,
     "Write the bytes of all files, or of those that are named, to standard output in the order of the archive."},
    {FLAG_MTIME, 0, "mtime", NULL, "diff-mtime", NULL},
    {FLAG_SET, 0, "set", "OPTION=VALUE", NULL, "Set any option; 'znippy help options' lists them."},
    {FLAG_QUIET, 'q', "quiet", NULL, NULL, "No progress bar and no closing line, also on a terminal."},
    {FLAG_STATS, 0, "stats", NULL, NULL, "Print the whole report at the end."},
    {FLAG_JSON, 0, "json", NULL, NULL, "Print JSON, one object a line."},
    {FLAG_LONG, 'l', "long", NULL, NULL, "Mode, size, stored size, time (UTC), name and link target."},
    {FLAG_NULL, '0', "null", NULL, NULL, "End each name with a NUL byte; names are never escaped."},
    {FLAG_OFFSET, 0, "offset", "N", NULL, "Begin at byte N of the file; K, M and G stand for powers of 1024."},
    {FLAG_LENGTH, 0, "length", "N", NULL, "Write at most N bytes."},
    {FLAG_QUICK, 0, "quick", NULL, NULL, "Check the stored bytes without decoding them."},
    {FLAG_HELP, 'h', "help", NULL, NULL, "Print this help."},
    {0, 0, NULL, NULL, NULL, NULL}};

const struct command *command_find(const char *name) {
    for (const struct command *command = COMMANDS; command->name; command++) {
        if (strcmp(command->name, name) == 0) {
            return command;
        }
    }
    return NULL;
}

static int run_request(struct request *request, int count, char **words) {
    if (!request_parse(request, count, words)) {
        return CODE_USAGE;
    }
    if (request_has(request, FLAG_HELP)) {
        return help_print(request->command->name);
    }
    return request->command->run(request);
}

static int run_command(const struct command *command, int count, char **words) {
    struct request request = {.command = command, .options = znippy_options_new()};
    znippy_cancel *cancel = znippy_cancel_new();
    int code = CODE_FAILED;
    if (!request.options || !cancel) {
        complain(code, command->name, "out of memory", "end some other programs");
    } else {
        znippy_options_set_cancel(request.options, cancel);
        signals_trigger(cancel);
        code = run_request(&request, count, words);
        /* The handler must not see a token that is gone. */
        signals_trigger(NULL);
    }
    znippy_cancel_free(cancel);
    request_free(&request);
    return code;
}

static int dispatch(int count, char **words) {
    const char *name = count > 1 ? words[1] : "";
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        return version_print();
    }
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        return help_print(count > 2 ? words[2] : NULL);
    }
    const struct command *command = command_find(name);
    if (!command) {
        return complain(CODE_USAGE, name[0] ? name : "no command", name[0] ? "no such command" : "nothing to do",
                        "see 'znippy help'");
    }
    return run_command(command, count - 2, words + 2);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "convert") == 0) {
        converter_become(argv);
    }
    if (!output_prepare()) {
        return CODE_FAILED;
    }
    signals_prepare();
    return output_finish(dispatch(argc, argv));
}
