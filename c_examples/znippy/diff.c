/* diff: what is different in another archive, or in a directory. */
#include "cli.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    uint32_t flag;
    const char *name;
} FLAG_NAMES[] = {
    {ZNIPPY_DIFFERS_BYTES, "bytes"}, {ZNIPPY_DIFFERS_MODE, "mode"},   {ZNIPPY_DIFFERS_MTIME, "mtime"},
    {ZNIPPY_DIFFERS_TARGET, "target"}, {ZNIPPY_DIFFERS_KIND, "kind"}, {ZNIPPY_DIFFERS_OWNER, "owner"},
    {ZNIPPY_DIFFERS_XATTR, "xattr"},
};

enum { FLAG_COUNT = sizeof FLAG_NAMES / sizeof FLAG_NAMES[0], FLAG_TEXT = 96 };

/* "bytes, mode" */
static const char *flags_text(uint32_t flags, char text[FLAG_TEXT]) {
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        if (flags & FLAG_NAMES[i].flag) {
            len += (size_t)snprintf(text + len, FLAG_TEXT - len, "%s%s", len ? ", " : "", FLAG_NAMES[i].name);
        }
    }
    return text;
}

static void put_line(const znippy_difference *difference, bool escape) {
    char text[FLAG_TEXT];
    putchar(difference->what == ZNIPPY_DIFF_ADDED ? 'A' : difference->what == ZNIPPY_DIFF_REMOVED ? 'D' : 'M');
    putchar(' ');
    if (escape) {
        put_escaped(stdout, difference->path, difference->path_len);
    } else {
        fwrite(difference->path, 1, difference->path_len, stdout);
    }
    if (difference->what == ZNIPPY_DIFF_CHANGED) {
        printf(" (%s)", flags_text(difference->flags, text));
    }
    putchar('\n');
}

static void put_json(const znippy_difference *difference) {
    static const char *const WHATS[] = {"", "added", "removed", "changed"};
    char text[FLAG_TEXT];
    struct json json;
    const char *what = difference->what < 4 ? WHATS[difference->what] : "";
    json_open(&json, stdout);
    json_text(&json, "what", what, strlen(what));
    json_text(&json, "path", difference->path, difference->path_len);
    if (difference->what == ZNIPPY_DIFF_CHANGED) {
        flags_text(difference->flags, text);
        json_text(&json, "differs", text, strlen(text));
    }
    if (difference->old_kind != ZNIPPY_NO_KIND) {
        json_text(&json, "old_kind", kind_name(difference->old_kind), strlen(kind_name(difference->old_kind)));
        json_u64(&json, "old_size", difference->old_size);
        json_u64(&json, "old_mode", difference->old_mode);
    }
    if (difference->new_kind != ZNIPPY_NO_KIND) {
        json_text(&json, "new_kind", kind_name(difference->new_kind), strlen(kind_name(difference->new_kind)));
        json_u64(&json, "new_size", difference->new_size);
        json_u64(&json, "new_mode", difference->new_mode);
    }
    json_close(&json);
}

static int put_all(const znippy_diff *diff, const struct request *request) {
    znippy_difference difference;
    znippy_error *error = NULL;
    uint64_t count = znippy_diff_count(diff);
    bool escape = isatty(STDOUT_FILENO);
    for (uint64_t i = 0; i < count && !request_has(request, FLAG_QUIET) && output_works(); i++) {
        difference.struct_size = sizeof difference;
        znippy_status status = znippy_diff_get(diff, i, &difference, &error);
        if (status != ZNIPPY_OK) {
            return complain_of(status, error, request->operands[0]);
        }
        if (request_has(request, FLAG_JSON)) {
            put_json(&difference);
        } else {
            put_line(&difference, escape);
        }
    }
    return count > 0 ? CODE_DIFFERENT : CODE_OK;
}

/* A directory is compared as a tree, everything else is an archive. */
static znippy_status compare(const struct request *request, const znippy_reader *reader, znippy_diff **diff,
                             znippy_error **error) {
    struct stat status;
    const char *other = request->operands[1];
    if (stat(other, &status) == 0 && S_ISDIR(status.st_mode)) {
        return znippy_reader_diff_dir(reader, other, request->options, diff, error);
    }
    znippy_reader *second = NULL;
    znippy_status code = znippy_reader_open(other, request->options, &second, error);
    if (code == ZNIPPY_OK) {
        code = znippy_reader_diff(reader, second, request->options, diff, error);
    }
    znippy_reader_free(second);
    return code;
}

int run_diff(const struct request *request) {
    int code = CODE_OK;
    znippy_reader *reader = open_archive(request, &code);
    if (!reader) {
        return code;
    }
    znippy_diff *diff = NULL;
    znippy_error *error = NULL;
    struct progress_bar bar;
    progress_attach(&bar, request->options, request_has(request, FLAG_QUIET));
    znippy_status status = compare(request, reader, &diff, &error);
    progress_clear(&bar);
    code = status == ZNIPPY_OK ? put_all(diff, request) : complain_of(status, error, request->operands[1]);
    znippy_diff_free(diff);
    znippy_reader_free(reader);
    return code;
}
