/* convert: an archive of one format into one of another, entry by entry, through a reader and a writer: formats of znippy,
 * tar and zip. */
#include "foreign/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 1024, DIGEST = 32 };

/* A file on its way from the reader to the writer. */
struct flow {
    const znippy_reader *reader;
    uint64_t index, offset;
    znippy_error *error; /* why it can't be read */
};

static int64_t flow_read(void *user_data, void *buffer, size_t len) {
    struct flow *flow = user_data;
    size_t got = 0;
    znippy_status status = znippy_reader_read_at(flow->reader, flow->index, flow->offset, buffer, len, &got, &flow->error);
    flow->offset += got;
    return status == ZNIPPY_OK ? (int64_t)got : status;
}

static znippy_status pass_file(const znippy_reader *reader, znippy_writer *writer, const znippy_entry_info *entry,
                               znippy_error **error) {
    struct flow flow = {.reader = reader, .index = entry->index};
    znippy_stream stream = {.struct_size = sizeof stream, .user_data = &flow, .read = flow_read};
    znippy_status status = znippy_writer_add_stream(writer, entry, &stream, error);
    if (status != ZNIPPY_OK && flow.error) { /* the reader's own words say more */
        znippy_error_free(*error);
        *error = flow.error;
        flow.error = NULL;
    }
    znippy_error_free(flow.error);
    return status;
}

static znippy_status pass_xattrs(const znippy_reader *reader, znippy_writer *writer, uint64_t index,
                                 znippy_error **error) {
    size_t count = 0;
    znippy_status status = znippy_reader_xattr_count(reader, index, &count, error);
    for (size_t i = 0; status == ZNIPPY_OK && i < count; i++) {
        const char *name;
        const void *value;
        size_t name_len, value_len;
        status = znippy_reader_xattr(reader, index, i, &name, &name_len, &value, &value_len, error);
        if (status == ZNIPPY_OK) {
            status = znippy_writer_set_xattr(writer, name, name_len, value, value_len, error);
        }
    }
    return status;
}

static znippy_status pass_page(const znippy_reader *reader, znippy_writer *writer, const znippy_listing *listing,
                               struct limits *limits, uint64_t *unverified, znippy_error **error) {
    znippy_status status = ZNIPPY_OK;
    znippy_entry_info entry;
    memset(&entry, 0, sizeof entry);
    entry.struct_size = sizeof entry;
    for (size_t i = 0; status == ZNIPPY_OK && i < znippy_listing_count(listing); i++) {
        status = znippy_listing_get(listing, i, &entry, error);
        if (status != ZNIPPY_OK) {
            break;
        }
        status = limits_admit(limits, entry.path, entry.size);
        if (status != ZNIPPY_OK) {
            break;
        }
        *unverified += (entry.flags & ZNIPPY_ENTRY_UNVERIFIED) != 0;
        status = entry.kind == ZNIPPY_KIND_FILE ? pass_file(reader, writer, &entry, error)
                                                : znippy_writer_add_buffer(writer, &entry, NULL, 0, error);
        if (status == ZNIPPY_OK) {
            status = pass_xattrs(reader, writer, entry.index, error);
        }
    }
    return status;
}

/* The root of the tree, where its mode is recorded; it is no entry of the archive. */
static znippy_status pass_root(const znippy_reader *reader, znippy_writer *writer, znippy_error **error) {
    const char *mode = NULL, *mtime = NULL;
    znippy_entry_info root;
    memset(&root, 0, sizeof root);
    root.struct_size = sizeof root;
    root.kind = ZNIPPY_KIND_DIRECTORY;
    if (znippy_reader_metadata(reader, "root_mode", &mode) != ZNIPPY_OK || !mode) {
        return ZNIPPY_OK;
    }
    root.mode = (uint32_t)strtoul(mode, NULL, 8) & 07777;
    root.flags = ZNIPPY_ENTRY_HAS_MODE;
    if (znippy_reader_metadata(reader, "root_mtime_ns", &mtime) == ZNIPPY_OK && mtime) {
        root.mtime_ns = strtoll(mtime, NULL, 10);
        root.flags |= ZNIPPY_ENTRY_HAS_MTIME;
    }
    return znippy_writer_add_buffer(writer, &root, NULL, 0, error);
}

static znippy_status pass_all(const znippy_reader *reader, znippy_writer *writer, const znippy_archive_info *info,
                              struct limits *limits, uint64_t *unverified, znippy_error **error) {
    znippy_status status = pass_root(reader, writer, error);
    for (uint64_t first = 0; status == ZNIPPY_OK && first < info->entries; first += PAGE) {
        znippy_listing *listing = NULL;
        status = znippy_reader_list(reader, first, PAGE, &listing, error);
        if (status == ZNIPPY_OK) {
            status = pass_page(reader, writer, listing, limits, unverified, error);
        }
        znippy_listing_free(listing);
    }
    return status;
}

/* The other format than the archive has, unless --profile says which. */
static znippy_status choose_format(const struct request *request, const znippy_archive_info *info,
                                   znippy_error **error) {
    if (request->chosen[ZNIPPY_OPT_PROFILE]) {
        return ZNIPPY_OK;
    }
    int64_t profile = info->format_version == 3 ? ZNIPPY_PROFILE_V4 : ZNIPPY_PROFILE_V3;
    return znippy_options_set_i64(request->options, ZNIPPY_OPT_PROFILE, profile, error);
}

static bool to_stdout(const struct request *request) {
    return strcmp(request->operands[1], "-") == 0;
}

static znippy_status create(const struct request *request, znippy_writer **writer, znippy_error **error) {
    if (to_stdout(request)) {
        znippy_sink sink = job_sink();
        return znippy_writer_create_sink(&sink, request->options, writer, error);
    }
    return znippy_writer_create(request->operands[1], request->options, writer, error);
}

static znippy_status write_other(const struct request *request, const znippy_reader *reader,
                                 const znippy_archive_info *info, znippy_stats *stats, znippy_error **error) {
    struct limits limits;
    limits_begin(&limits, request, info->archive_size);
    znippy_writer *writer = NULL;
    uint64_t unverified = 0;
    znippy_status status = create(request, &writer, error);
    if (status == ZNIPPY_OK) {
        status = pass_all(reader, writer, info, &limits, &unverified, error);
    }
    if (status == ZNIPPY_OK) {
        status = znippy_writer_finish(writer, stats, error);
        stats->unverified = unverified;
    }
    znippy_writer_free(writer);
    return status;
}

static znippy_status print_digest(const znippy_reader *reader, FILE *out, znippy_error **error) {
    uint8_t digest[DIGEST];
    znippy_status status = znippy_reader_tree_digest(reader, digest, error);
    if (status == ZNIPPY_OK) {
        fputs("tree digest ", out);
        put_hex(out, digest, DIGEST);
        putc('\n', out);
    }
    return status;
}

/* Of what was written. An archive on standard output is gone. */
static znippy_status print_new_digest(const struct request *request, znippy_error **error) {
    znippy_reader *reader = NULL;
    if (to_stdout(request) || request_has(request, FLAG_JSON)) {
        return ZNIPPY_OK;
    }
    znippy_status status = znippy_reader_open(request->operands[1], NULL, &reader, error);
    if (status == ZNIPPY_OK) {
        status = print_digest(reader, stdout, error);
    }
    znippy_reader_free(reader);
    return status;
}

#if !defined(ZNIPPY_WITH_LIBARCHIVE) || !defined(ZNIPPY_WITH_LIBZIP)
static znippy_status without(const char *subject, const char *library) {
    char what[512]; /* a path is in it */
#ifdef ZNIPPY_CONVERTER
    snprintf(what, sizeof what, "takes %s, and the part of znippy that has it can't be run: %s, from where znippy is; "
             "install all of znippy", library, ZNIPPY_CONVERTER);
#else
    snprintf(what, sizeof what, "this znippy was built without %s, which it takes for that; build it where %s is installed",
             library, library);
#endif
    return job_fail(ZNIPPY_E_UNSUPPORTED, subject, what);
}
#endif

/* ---- from an archive of znippy ---- */

static znippy_status write_tar(const struct request *request, const znippy_reader *reader, znippy_stats *stats,
                               znippy_error **error) {
#ifdef ZNIPPY_WITH_LIBARCHIVE
    znippy_sink sink = job_sink();
    znippy_status status = to_tar(reader, &sink, stats, error);
    /* Standard output has the tar archive. */
    return status == ZNIPPY_OK && !request_has(request, FLAG_JSON | FLAG_QUIET) ? print_digest(reader, stderr, error) : status;
#else
    (void)request, (void)reader, (void)stats, (void)error;
    return without("tar", "libarchive");
#endif
}

static znippy_status from_reader(const struct request *request, const znippy_reader *reader, znippy_stats *stats,
                                 znippy_error **error) {
    znippy_archive_info info = {.struct_size = sizeof info};
    if (to_stdout(request) && !request->chosen[ZNIPPY_OPT_PROFILE]) {
        return write_tar(request, reader, stats, error);
    }
    znippy_status status = znippy_reader_info(reader, &info, error);
    if (status == ZNIPPY_OK) {
        status = choose_format(request, &info, error);
    }
    if (status == ZNIPPY_OK) {
        status = write_other(request, reader, &info, stats, error);
    }
    return status == ZNIPPY_OK ? print_new_digest(request, error) : status;
}

/* ---- from tar and zip ---- */

ssize_t input_read(struct input *input, void *buffer, size_t len) {
    if (input->first > 0) {
        size_t some = input->first < len ? input->first : len;
        memmove(buffer, input->room, some);
        input->first = 0;
        return (ssize_t)some;
    }
    for (;;) {
        struct pollfd in = {.fd = input->fd, .events = POLLIN};
        if (signals_caught()) {
            errno = EINTR;
            return -1;
        }
        if (poll(&in, 1, 100) <= 0) {
            continue; /* nothing yet, or a signal */
        }
        ssize_t got = read(input->fd, buffer, len);
        if (got >= 0) {
            return got;
        }
        if (errno != EINTR && errno != EAGAIN) {
            input->cause = errno;
            return -1;
        }
    }
}

static znippy_status pass_foreign(struct import *import, struct input *input, znippy_error **error) {
    static const unsigned char ZNIPPY[] = {0x89, 'Z', 'N', 'I', 'P', 'P', 'Y'};
    /* Enough to tell; a pipe may give it in pieces. */
    size_t len = 0;
    for (ssize_t got = 1; got > 0 && len < sizeof ZNIPPY; len += (size_t)got) {
        got = input_read(input, input->room + len, INPUT_ROOM - len);
        if (got < 0) {
            return signals_caught() ? ZNIPPY_E_CANCELLED : job_fail(ZNIPPY_E_IO, input->name, strerror(input->cause));
        }
    }
    input->first = len;
    if (len == 0) {
        return job_fail(ZNIPPY_E_NOT_ARCHIVE, input->name, "is empty; check the name of the archive");
    }
    if (len >= sizeof ZNIPPY && memcmp(input->room, ZNIPPY, sizeof ZNIPPY) == 0) {
        return job_fail(ZNIPPY_E_UNSUPPORTED, input->name,
                        "is an archive of znippy that can't be read at any place; save it to a file first");
    }
    if (len >= 4 && memcmp(input->room, "PK", 2) == 0 && (memcmp(input->room + 2, "\3\4", 2) == 0 || memcmp(input->room + 2, "\5\6", 2) == 0)) {
#ifdef ZNIPPY_WITH_LIBZIP
        return from_zip(import, input, error);
#else
        return without(input->name, "libzip");
#endif
    }
#ifdef ZNIPPY_WITH_LIBARCHIVE
    return from_tar(import, input, error);
#else
    (void)import, (void)error;
    return without(input->name, "libarchive");
#endif
}

/* 0 where it is a pipe. */
static uint64_t input_size(const struct input *input) {
    struct stat stat_of;
    return fstat(input->fd, &stat_of) == 0 && S_ISREG(stat_of.st_mode) ? (uint64_t)stat_of.st_size : 0;
}

static znippy_status from_input(const struct request *request, struct input *input, znippy_stats *stats,
                                znippy_error **error) {
    znippy_writer *writer = NULL;
    struct import import;
    znippy_status status = ZNIPPY_OK;
    if (!request->chosen[ZNIPPY_OPT_DUPLICATE_PATHS]) { /* what comes last counts, as for who unpacks */
        status = znippy_options_set_i64(request->options, ZNIPPY_OPT_DUPLICATE_PATHS, 1, error);
    }
    if (status == ZNIPPY_OK) {
        status = create(request, &writer, error);
    }
    if (status == ZNIPPY_OK) {
        import_begin(&import, request, input_size(input), writer);
        status = pass_foreign(&import, input, error);
        if (status == ZNIPPY_OK) {
            status = import_end(&import, error);
        }
        import_free(&import);
    }
    if (status == ZNIPPY_OK) {
        status = znippy_writer_finish(writer, stats, error);
    }
    znippy_writer_free(writer);
    return status == ZNIPPY_OK ? print_new_digest(request, error) : status;
}

static znippy_status from_foreign(const struct request *request, znippy_stats *stats, znippy_error **error) {
    const char *name = request->operands[0];
    bool standard = strcmp(name, "-") == 0;
    struct input input = {.name = standard ? "standard input" : name, .fd = STDIN_FILENO};
    if (!standard) {
        input.fd = open(name, O_RDONLY | O_CLOEXEC);
    }
    if (input.fd < 0) {
        return job_fail(ZNIPPY_E_IO, name, strerror(errno));
    }
    input.room = malloc(INPUT_ROOM);
    znippy_status status = input.room ? from_input(request, &input, stats, error)
                                      : job_fail(ZNIPPY_E_NO_MEMORY, name, "out of memory");
    free(input.room);
    if (!standard) {
        close(input.fd);
    }
    return status;
}

/* Whether an archive of znippy can be there at all. */
static bool is_file(const char *name) {
    struct stat stat_of;
    return strcmp(name, "-") != 0 && (stat(name, &stat_of) != 0 || S_ISREG(stat_of.st_mode));
}

znippy_status convert_archive(const struct request *request, znippy_stats *stats, znippy_error **error) {
    znippy_reader *reader = NULL;
    if (!is_file(request->operands[0])) {
        return from_foreign(request, stats, error);
    }
    znippy_status status = znippy_reader_open(request->operands[0], NULL, &reader, error);
    if (status == ZNIPPY_E_NOT_ARCHIVE) {
        znippy_error_free(*error);
        *error = NULL;
        return from_foreign(request, stats, error);
    }
    if (status == ZNIPPY_OK) {
        status = from_reader(request, reader, stats, error);
    }
    znippy_reader_free(reader);
    return status;
}
