/* tar, compressed in whatever way libarchive knows -> entries. What gzip packed comes unpacked.
 *
 * Two readers of libarchive stand one behind the other: the first takes off compression, the second reads tar. So what
 * stands behind the end of the tar archive is read as well, which checks the checksums at the end of compressed files.
 *
 * Names go through as bytes. libarchive would turn those of pax headers into the composed form of Unicode in a locale of
 * UTF-8, so that two names may become one; in the locale "C", which this program is in, it warns and leaves them. */
#include "foreign.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { RECORD = 512 };

struct tar {
    struct input *input;
    struct gzip *gzip;     /* or NULL */
    unsigned char *room;   /* of what that unpacks */
    const char *why;       /* what is wrong with it */
    struct archive *plain; /* without compression */
    struct archive *tar;
    const unsigned char *block; /* what `plain` gave last, and how much it gave in all */
    size_t block_len;
    int64_t given;
};

/* The bytes of a file on their way to the writer. */
struct flow {
    struct tar *tar;
    const unsigned char *block;
    size_t left;        /* of the block */
    int64_t at;         /* where it goes on */
    int64_t position;   /* in the file; zeros up to `at` */
    int64_t size;
    bool ended;
    znippy_status status;
    char what[512];
};

static const char *words_of(struct archive *archive) {
    const char *text = archive_error_string(archive);
    return text ? text : "can't be read";
}

static znippy_status status_of(struct archive *archive) {
    switch (archive_errno(archive)) {
    case EINTR: return ZNIPPY_E_CANCELLED;
    case ENOMEM: return ZNIPPY_E_NO_MEMORY;
    default: return ZNIPPY_E_CORRUPT;
    }
}

/* Wrong bytes of the archive itself, or that it can't be read. */
static znippy_status fail(struct tar *tar, struct archive *archive) {
    if (tar->input->cause != 0) {
        return job_fail(ZNIPPY_E_IO, tar->input->name, strerror(tar->input->cause));
    }
    char what[512];
    snprintf(what, sizeof what, "%.400s; get the archive again", words_of(archive));
    return job_fail(signals_caught() ? ZNIPPY_E_CANCELLED : status_of(archive), tar->input->name, what);
}

static la_ssize_t read_input(struct archive *archive, void *user_data, const void **block) {
    struct tar *tar = user_data;
    ssize_t got = tar->gzip ? gzip_read(tar->gzip, tar->room, INPUT_ROOM, &tar->why)
                            : input_read(tar->input, tar->room, INPUT_ROOM);
    *block = tar->room;
    if (got < 0 && tar->why) {
        archive_set_error(archive, EILSEQ, "%s", tar->why);
    } else if (got < 0) {
        archive_set_error(archive, errno, "%s", strerror(errno));
    }
    return got;
}

static la_ssize_t read_plain(struct archive *archive, void *user_data, const void **block) {
    struct tar *tar = user_data;
    size_t len = 0;
    la_int64_t offset = 0;
    int result;
    do {
        result = archive_read_data_block(tar->plain, block, &len, &offset);
    } while (result == ARCHIVE_OK && len == 0);
    if (result == ARCHIVE_EOF) {
        len = 0;
    } else if (result != ARCHIVE_OK) {
        archive_set_error(archive, archive_errno(tar->plain), "%s", words_of(tar->plain));
        return -1;
    }
    tar->block = *block;
    tar->block_len = len;
    tar->given += (int64_t)len;
    return (la_ssize_t)len;
}

/* Filters that libarchive has in itself; it would run other programs for the rest. */
static void support_filters(struct archive *archive) {
    static int (*const FILTERS[])(struct archive *) = {
        archive_read_support_filter_gzip, archive_read_support_filter_bzip2, archive_read_support_filter_compress,
        archive_read_support_filter_lzip, archive_read_support_filter_lzma,  archive_read_support_filter_xz,
        archive_read_support_filter_lz4,  archive_read_support_filter_zstd,
    };
    for (size_t i = 0; i < sizeof FILTERS / sizeof FILTERS[0]; i++) {
        FILTERS[i](archive);
    }
}

static znippy_status open_both(struct tar *tar) {
    struct archive_entry *entry;
    bool is_gzip = memcmp(tar->input->room, "\x1f\x8b", 2) == 0;
    tar->plain = archive_read_new();
    tar->tar = archive_read_new();
    tar->room = malloc(INPUT_ROOM);
    tar->gzip = is_gzip ? gzip_begin(tar->input) : NULL;
    if (!tar->plain || !tar->tar || !tar->room || (is_gzip && !tar->gzip)) {
        return job_fail(ZNIPPY_E_NO_MEMORY, tar->input->name, "out of memory");
    }
    support_filters(tar->plain);
    archive_read_support_format_raw(tar->plain);
    archive_read_support_format_tar(tar->tar);
    if (archive_read_open(tar->plain, tar, NULL, read_input, NULL) != ARCHIVE_OK ||
        archive_read_next_header(tar->plain, &entry) != ARCHIVE_OK) {
        return fail(tar, tar->plain);
    }
    if (archive_read_open(tar->tar, tar, NULL, read_plain, NULL) != ARCHIVE_OK) {
        return fail(tar, tar->tar);
    }
    return ZNIPPY_OK;
}

/* The next piece of the file; at its end a hole may still be left. */
static bool next_block(struct flow *flow) {
    const void *block = NULL;
    la_int64_t at = 0;
    int result = archive_read_data_block(flow->tar->tar, &block, &flow->left, &at);
    if (result == ARCHIVE_EOF) {
        flow->ended = true;
        flow->left = 0;
        flow->at = flow->size;
        return true;
    }
    flow->block = block;
    flow->at = at;
    if (result == ARCHIVE_OK && at >= flow->position && at + (int64_t)flow->left <= flow->size) {
        return true;
    }
    flow->status = result == ARCHIVE_OK ? ZNIPPY_E_CORRUPT : status_of(flow->tar->tar);
    snprintf(flow->what, sizeof flow->what, "%.400s; get the archive again",
             result == ARCHIVE_OK ? "its pieces overlap, or reach beyond its end" : words_of(flow->tar->tar));
    return false;
}

static int64_t flow_read(void *user_data, void *buffer, size_t len) {
    struct flow *flow = user_data;
    while (!flow->ended && flow->left == 0 && flow->position >= flow->at) {
        if (!next_block(flow)) {
            return flow->status;
        }
    }
    int64_t hole = flow->at - flow->position;
    size_t some = hole > 0 ? ((uint64_t)hole < len ? (size_t)hole : len) : flow->left < len ? flow->left : len;
    if (hole > 0) {
        memset(buffer, 0, some);
    } else if (some > 0) {
        memcpy(buffer, flow->block, some);
        flow->block += some;
        flow->left -= some;
        flow->at += (int64_t)some;
    }
    flow->position += (int64_t)some;
    return (int64_t)some;
}

/* What the header says, as far as it is recorded. */
static znippy_status describe(const struct import *import, struct archive_entry *entry, znippy_entry_info *info) {
    static const struct {
        unsigned type;
        uint32_t kind;
    } KINDS[] = {
        {AE_IFREG, ZNIPPY_KIND_FILE},         {AE_IFDIR, ZNIPPY_KIND_DIRECTORY},   {AE_IFLNK, ZNIPPY_KIND_SYMLINK},
        {AE_IFIFO, ZNIPPY_KIND_FIFO},         {AE_IFCHR, ZNIPPY_KIND_CHAR_DEVICE}, {AE_IFBLK, ZNIPPY_KIND_BLOCK_DEVICE},
        {AE_IFSOCK, ZNIPPY_KIND_SOCKET},
    };
    size_t i = 0;
    while (i < sizeof KINDS / sizeof KINDS[0] && KINDS[i].type != (unsigned)archive_entry_filetype(entry)) {
        i++;
    }
    memset(info, 0, sizeof *info);
    info->struct_size = sizeof *info;
    info->path = archive_entry_pathname(entry);
    if (!info->path) {
        return job_fail(ZNIPPY_E_CORRUPT, "convert", "an entry has no name; get the archive again");
    }
    if (i == sizeof KINDS / sizeof KINDS[0] && !archive_entry_hardlink(entry)) {
        return job_fail(ZNIPPY_E_UNSUPPORTED, info->path, "is of a kind that is not known; use a newer znippy");
    }
    info->kind = archive_entry_hardlink(entry) ? ZNIPPY_KIND_HARDLINK : KINDS[i].kind;
    info->link_target = archive_entry_hardlink(entry) ? archive_entry_hardlink(entry)
                        : info->kind == ZNIPPY_KIND_SYMLINK ? archive_entry_symlink(entry) : NULL;
    info->link_target_len = info->link_target ? strlen(info->link_target) : 0;
    info->mode = acl_mode(entry, (uint32_t)archive_entry_mode(entry) & 07777);
    info->flags = ZNIPPY_ENTRY_HAS_MODE;
    if (info->kind == ZNIPPY_KIND_CHAR_DEVICE || info->kind == ZNIPPY_KIND_BLOCK_DEVICE) {
        info->rdev = (uint64_t)archive_entry_rdev(entry);
        info->flags |= ZNIPPY_ENTRY_HAS_RDEV;
    }
    int64_t seconds = archive_entry_mtime(entry);
    if (archive_entry_mtime_is_set(entry) && seconds > INT64_MIN / 1000000000 && seconds < INT64_MAX / 1000000000) {
        /* Of a time before 1970, libarchive takes digits behind the point as they stand: they count downwards there. */
        int64_t rest = archive_entry_mtime_nsec(entry);
        info->mtime_ns = seconds * 1000000000 + (seconds < 0 ? -rest : rest);
        info->flags |= ZNIPPY_ENTRY_HAS_MTIME;
    }
    int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);
    if (import->owners && uid >= 0 && uid < UINT32_MAX && gid >= 0 && gid < UINT32_MAX) {
        info->uid = (uint32_t)uid;
        info->gid = (uint32_t)gid;
        info->flags |= ZNIPPY_ENTRY_HAS_UID | ZNIPPY_ENTRY_HAS_GID;
    }
    return ZNIPPY_OK;
}

static znippy_status set_acl(struct import *import, struct archive_entry *entry, bool of_default, znippy_error **error) {
    size_t len = 0;
    const char *name = of_default ? ACL_DEFAULT : ACL_ACCESS;
    void *value = acl_value(entry, of_default, &len);
    znippy_status status =
        value ? znippy_writer_set_xattr(import->writer, name, strlen(name), value, len, error) : ZNIPPY_OK;
    free(value);
    return status;
}

/* Whether the name is among those before it: tar may have an attribute in two headers, or a list as one too. */
static bool is_repeated(const char *const *names, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return strcmp(name, ACL_ACCESS) == 0 || strcmp(name, ACL_DEFAULT) == 0;
}

/* Extended attributes of the entry that was added last. */
static znippy_status set_xattrs(struct import *import, struct archive_entry *entry, znippy_error **error) {
    const char *name;
    const void *value;
    size_t len, count = 0, most = (size_t)archive_entry_xattr_reset(entry);
    const char **names = calloc(most + 1, sizeof *names);
    if (!names) {
        return job_fail(ZNIPPY_E_NO_MEMORY, "convert", "out of memory");
    }
    znippy_status status = set_acl(import, entry, false, error);
    if (status == ZNIPPY_OK) {
        status = set_acl(import, entry, true, error);
    }
    while (status == ZNIPPY_OK && count < most && archive_entry_xattr_next(entry, &name, &value, &len) == ARCHIVE_OK) {
        if (!is_repeated(names, count, name)) {
            status = znippy_writer_set_xattr(import->writer, name, strlen(name), value, len, error);
        }
        names[count++] = name;
    }
    free(names);
    return status;
}

static znippy_status pass_entry(struct import *import, struct tar *tar, struct archive_entry *entry,
                                znippy_error **error) {
    struct flow flow = {.tar = tar, .size = archive_entry_size(entry)};
    znippy_stream bytes = {.struct_size = sizeof bytes, .user_data = &flow, .read = flow_read};
    znippy_entry_info info;
    znippy_status status = describe(import, entry, &info);
    if (status == ZNIPPY_OK) {
        status = import_entry(import, &info, flow.size < 0 ? 0 : (uint64_t)flow.size, &bytes, error);
    }
    if (flow.status != ZNIPPY_OK) {
        return tar->input->cause ? fail(tar, tar->tar) : job_fail(flow.status, info.path, flow.what);
    }
    if (status == ZNIPPY_OK && import->xattrs && info.kind != ZNIPPY_KIND_HARDLINK) {
        status = set_xattrs(import, entry, error);
    }
    return status;
}

/* Whether what libarchive warns of is that it left a name as it is. */
static bool is_about_charset(struct archive *archive) {
    return strstr(words_of(archive), "can't be converted") || strstr(words_of(archive), "cannot be converted");
}

static bool all_zeros(const unsigned char *bytes, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

/* Reads what stands behind the tar archive, and checks that its end is there. */
static znippy_status pass_end(struct tar *tar) {
    int64_t ends = archive_filter_bytes(tar->tar, 0);
    if (ends - archive_read_header_position(tar->tar) < RECORD) {
        return job_fail(ZNIPPY_E_CORRUPT, tar->input->name,
                        "ends without the two records of zeros that end a tar archive, so that some of it may be "
                        "missing; get it again, or append 1,024 zeros if this is all");
    }
    /* Of the last block some was looked at and not taken. */
    size_t rest = (size_t)(tar->given - ends);
    bool zeros = rest <= tar->block_len && all_zeros(tar->block + tar->block_len - rest, rest);
    la_ssize_t len;
    const void *block;
    while ((len = read_plain(tar->tar, tar, &block)) > 0) {
        zeros = zeros && all_zeros(block, (size_t)len);
        if (signals_caught()) {
            return ZNIPPY_E_CANCELLED;
        }
    }
    if (len < 0) {
        return fail(tar, tar->plain);
    }
    if (!zeros) {
        job_note(tar->input->name, "something stands behind the end of the tar archive; it is left out, as tar does");
    }
    return ZNIPPY_OK;
}

static znippy_status pass_all(struct import *import, struct tar *tar, znippy_error **error) {
    struct archive_entry *entry;
    znippy_status status = ZNIPPY_OK;
    for (bool first = true; status == ZNIPPY_OK; first = false) {
        int result = archive_read_next_header(tar->tar, &entry);
        if (result == ARCHIVE_EOF) {
            return pass_end(tar);
        }
        if (first && result == ARCHIVE_FATAL && archive_format(tar->tar) == 0 && tar->input->cause == 0 &&
            archive_errno(tar->plain) == 0 && !signals_caught()) {
            return job_fail(ZNIPPY_E_NOT_ARCHIVE, tar->input->name,
                            "is no archive of znippy, and neither tar nor zip; check the name of the archive");
        }
        if (result != ARCHIVE_OK && !(result == ARCHIVE_WARN && is_about_charset(tar->tar))) {
            return fail(tar, tar->tar);
        }
        status = pass_entry(import, tar, entry, error);
    }
    return status;
}

znippy_status from_tar(struct import *import, struct input *input, znippy_error **error) {
    struct tar tar = {.input = input};
    znippy_status status = open_both(&tar);
    if (status == ZNIPPY_OK) {
        status = pass_all(import, &tar, error);
    }
    archive_read_free(tar.tar);
    archive_read_free(tar.plain);
    gzip_end(tar.gzip);
    free(tar.room);
    return status;
}
