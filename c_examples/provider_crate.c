/*
 * Packs a directory and notes name and version of each package of Rust source (.crate) in it, in two columns of the
 * archive's index. They are read from the Cargo.toml inside the package while it is packed; nothing is read twice.
 *
 *     provider_crate DIR ARCHIVE
 *
 * Then, with DuckDB and the class Index of query.py:
 *
 *     SELECT crate_name, crate_version, relative_path FROM index WHERE pkg_type = 1 ORDER BY ALL
 */
#define ZLIB_CONST
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <znippy.h>

enum {
    PKG_TYPE_CRATE = 1, /* the number in the column pkg_type: whatever the users of the archive agree on */
    TAR_BLOCK = 512,
    MANIFEST_MAX = 1 << 20, /* bytes of a Cargo.toml */
    TAR_MAX = 256 << 20     /* unpacked bytes of a package that are looked at: a few bytes may claim to be many */
};

/* Column numbers, in the order of the table in main(). */
enum { COLUMN_NAME, COLUMN_VERSION };

/* A gzip stream in memory. */
struct gunzip {
    z_stream stream;
    size_t left; /* bytes that may still come out */
};

/* Takes the next len bytes; drops them where to is NULL. */
static int take(struct gunzip *in, void *to, size_t len) {
    unsigned char dropped[16 << 10];
    unsigned char *at = to;
    if (len > in->left) {
        return 0;
    }
    in->left -= len;
    while (len > 0) {
        size_t step = to == NULL && len > sizeof dropped ? sizeof dropped : len;
        in->stream.next_out = to == NULL ? dropped : at;
        in->stream.avail_out = (uInt)step;
        int code = inflate(&in->stream, Z_SYNC_FLUSH);
        size_t got = step - in->stream.avail_out;
        if (got == 0 && code != Z_OK) {
            return 0;
        }
        len -= got;
        if (to != NULL) {
            at += got;
        }
    }
    return 1;
}

/* An octal number of a tar header; SIZE_MAX for what is none. */
static size_t octal(const char *field, size_t len) {
    size_t value = 0, at = 0;
    while (at < len && field[at] == ' ') {
        at++;
    }
    for (; at < len && field[at] >= '0' && field[at] <= '7'; at++) {
        value = value * 8 + (size_t)(field[at] - '0');
    }
    return at == len || field[at] == '\0' || field[at] == ' ' ? value : SIZE_MAX;
}

/* Whether a tar header is that of `directory/Cargo.toml`. Longer names than a header holds are other files'. */
static int is_manifest(const char header[TAR_BLOCK], const char *directory, size_t len) {
    static const char FILE_NAME[] = "/Cargo.toml";
    const char *name = header; /* 100 bytes, behind them the mode */
    return len + sizeof FILE_NAME <= 100 && header[345] == '\0' && memcmp(name, directory, len) == 0
           && memcmp(name + len, FILE_NAME, sizeof FILE_NAME) == 0;
}

/* Finds directory/Cargo.toml in the tar file; how many bytes it has, 0 where it isn't there. */
static size_t find_manifest(struct gunzip *in, const char *directory, size_t len, char *manifest) {
    char header[TAR_BLOCK];
    while (take(in, header, sizeof header) && header[0] != '\0') {
        size_t size = octal(header + 124, 12);
        if (size > TAR_MAX) {
            return 0;
        }
        if (is_manifest(header, directory, len)) {
            return size <= MANIFEST_MAX && take(in, manifest, size) ? size : 0;
        }
        if (!take(in, NULL, (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK)) {
            return 0;
        }
    }
    return 0;
}

/* A piece of text. */
struct text {
    const char *start;
    size_t len;
};

/* The value of `key = "value"` among the lines of [package], as cargo writes them; NULL where it isn't there. */
static struct text value_of(const char *manifest, size_t len, const char *key) {
    struct text none = {NULL, 0};
    size_t key_len = strlen(key);
    int in_package = 0;
    for (const char *line = manifest, *end = manifest + len; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        stop = stop == NULL ? end : stop;
        size_t rest = (size_t)(stop - line);
        if (rest > 0 && line[0] == '[') {
            in_package = rest >= 9 && memcmp(line, "[package]", 9) == 0;
        } else if (in_package && rest > key_len + 4 && memcmp(line, key, key_len) == 0
                   && memcmp(line + key_len, " = \"", 4) == 0) {
            const char *start = line + key_len + 4;
            const char *quote = memchr(start, '"', (size_t)(stop - start));
            struct text value = {start, quote == NULL ? 0 : (size_t)(quote - start)};
            return quote == NULL ? none : value;
        }
        line = stop + 1;
    }
    return none;
}

static int32_t wants(void *user_data, const char *path, size_t path_len, uint64_t size) {
    static const char EXTENSION[] = ".crate";
    size_t len = sizeof EXTENSION - 1;
    (void)user_data;
    (void)size;
    return path_len > len && memcmp(path + path_len - len, EXTENSION, len) == 0;
}

/* name-version.crate is a package where the Cargo.toml of its directory name-version says the same. */
static int32_t extract(void *user_data, const char *path, size_t path_len, const uint8_t *data, size_t data_len,
                       znippy_row *row) {
    const char *slash = strrchr(path, '/');
    const char *directory = slash == NULL ? path : slash + 1;
    size_t len = (size_t)(path + path_len - directory) - strlen(".crate");
    struct gunzip in = {.left = TAR_MAX};
    struct text name = {NULL, 0}, version = {NULL, 0};
    (void)user_data;
    if (data_len > UINT32_MAX || inflateInit2(&in.stream, 16 + MAX_WBITS) != Z_OK) {
        return 0;
    }
    in.stream.next_in = data;
    in.stream.avail_in = (uInt)data_len;
    char *manifest = malloc(MANIFEST_MAX);
    size_t size = manifest == NULL ? 0 : find_manifest(&in, directory, len, manifest);
    inflateEnd(&in.stream);
    int32_t answer = 0;
    if (size > 0) {
        name = value_of(manifest, size, "name");
        version = value_of(manifest, size, "version");
    }
    if (name.start != NULL && version.start != NULL && name.len + 1 + version.len == len
        && memcmp(directory, name.start, name.len) == 0 && directory[name.len] == '-'
        && memcmp(directory + name.len + 1, version.start, version.len) == 0) {
        answer = znippy_row_set_bytes(row, COLUMN_NAME, name.start, name.len) == ZNIPPY_OK
                 && znippy_row_set_bytes(row, COLUMN_VERSION, version.start, version.len) == ZNIPPY_OK;
    }
    free(manifest);
    return manifest == NULL ? ZNIPPY_E_NO_MEMORY : answer;
}

int main(int argc, char **argv) {
    static const znippy_column COLUMNS[] = {
        {sizeof COLUMNS[0], ZNIPPY_COLUMN_UTF8, "crate_name", 0, 0},
        {sizeof COLUMNS[0], ZNIPPY_COLUMN_UTF8, "crate_version", 0, 0},
    };
    znippy_provider provider = {
        .struct_size = sizeof provider,
        .flags = ZNIPPY_PROVIDER_CONCURRENT, /* there is no state, so any number of threads may ask at once */
        .name = "crate",
        .pkg_type = PKG_TYPE_CRATE,
        .columns = COLUMNS,
        .column_count = sizeof COLUMNS / sizeof COLUMNS[0],
        .wants = wants,
        .extract = extract,
    };
    znippy_error *error = NULL;
    znippy_stats stats = {.struct_size = sizeof stats};
    if (argc != 3) {
        fputs("usage: provider_crate DIR ARCHIVE\n", stderr);
        return 2;
    }
    znippy_options *options = znippy_options_new();
    if (znippy_options_add_provider(options, &provider, &error) == ZNIPPY_OK
        && znippy_compress_dir(argv[1], argv[2], options, &stats, &error) == ZNIPPY_OK) {
        printf("%llu files, %llu bytes\n", (unsigned long long)stats.files, (unsigned long long)stats.bytes_out);
    } else {
        fprintf(stderr, "provider_crate: %s\n", znippy_error_message(error));
    }
    int code = error != NULL;
    znippy_error_free(error);
    znippy_options_free(options);
    return code;
}
