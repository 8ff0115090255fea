/* A reader -> tar, in the format of POSIX (pax), in the order of tree_order.c: whatever the archive records, and nothing else, so that
 * the bytes depend on the archive alone.
 *
 * libarchive takes names in the character set of the locale. With one of UTF-8, names that are UTF-8 go into pax headers
 * as they are, and others are marked (hdrcharset=BINARY). */
#include "foreign.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PIECE = 1 << 20, TAR_BLOCK = 10240 };

struct tar_out {
    const znippy_reader *reader;
    const znippy_sink *sink;
    struct archive *archive;
    znippy_stats *stats;
    char *piece;
    znippy_status broken; /* what the sink said */
};

static la_ssize_t write_out(struct archive *archive, void *user_data, const void *data, size_t len) {
    struct tar_out *out = user_data;
    int64_t written = signals_caught() ? ZNIPPY_E_CANCELLED : out->sink->write(out->sink->user_data, data, len);
    if (written < 0) {
        out->broken = (znippy_status)written;
        archive_set_error(archive, EIO, "%s", znippy_status_message(out->broken));
        return -1;
    }
    out->stats->bytes_out += (uint64_t)written;
    return (la_ssize_t)written;
}

static znippy_status fail(const struct tar_out *out, const char *name) {
    if (out->broken != ZNIPPY_OK) {
        return out->broken;
    }
    const char *text = archive_error_string(out->archive);
    return job_fail(ZNIPPY_E_UNSUPPORTED, name, text ? text : "can't be written to a tar archive");
}

/* libarchive writes seconds, a point and nanoseconds, as decimal digits of one number: before 1970 both count downwards. In
 * the last second before it there is no sign that it would write; that loses its fraction. */
static void set_mtime(struct archive_entry *entry, int64_t ns) {
    int64_t seconds = ns / 1000000000, rest = ns % 1000000000;
    if (seconds == 0 && rest < 0) {
        seconds = -1;
        rest = 0;
    }
    archive_entry_set_mtime(entry, seconds, (long)(rest < 0 ? -rest : rest));
}

static unsigned type_of(uint32_t kind) {
    switch (kind) {
    case ZNIPPY_KIND_DIRECTORY: return AE_IFDIR;
    case ZNIPPY_KIND_SYMLINK: return AE_IFLNK;
    case ZNIPPY_KIND_FIFO: return AE_IFIFO;
    case ZNIPPY_KIND_CHAR_DEVICE: return AE_IFCHR;
    case ZNIPPY_KIND_BLOCK_DEVICE: return AE_IFBLK;
    default: return AE_IFREG;
    }
}

/* What is not recorded gets what most files have. */
static uint32_t mode_of(const znippy_entry_info *info) {
    if (info->flags & ZNIPPY_ENTRY_HAS_MODE) {
        return info->mode;
    }
    return info->kind == ZNIPPY_KIND_DIRECTORY ? 0755 : info->kind == ZNIPPY_KIND_SYMLINK ? 0777 : 0644;
}

static void describe(struct archive_entry *entry, const znippy_entry_info *info) {
    archive_entry_set_pathname(entry, info->path);
    archive_entry_set_filetype(entry, type_of(info->kind));
    archive_entry_set_perm(entry, (mode_t)mode_of(info));
    archive_entry_set_uid(entry, (la_int64_t)info->uid);
    archive_entry_set_gid(entry, (la_int64_t)info->gid);
    if (info->flags & ZNIPPY_ENTRY_HAS_MTIME) {
        set_mtime(entry, info->mtime_ns);
    }
    if (info->flags & ZNIPPY_ENTRY_HAS_RDEV) {
        archive_entry_set_rdev(entry, (dev_t)info->rdev);
    }
    if (info->kind == ZNIPPY_KIND_SYMLINK) {
        archive_entry_set_symlink(entry, info->link_target);
    } else if (info->kind == ZNIPPY_KIND_HARDLINK) {
        archive_entry_set_hardlink(entry, info->link_target);
    } else if (info->kind == ZNIPPY_KIND_FILE) {
        archive_entry_set_size(entry, (la_int64_t)info->size);
    }
}

static znippy_status add_xattrs(const struct tar_out *out, struct archive_entry *entry, uint64_t index,
                                znippy_error **error) {
    size_t count = 0;
    znippy_status status = znippy_reader_xattr_count(out->reader, index, &count, error);
    for (size_t i = 0; status == ZNIPPY_OK && i < count; i++) {
        const char *name;
        const void *value;
        size_t name_len, value_len;
        char text[256];
        status = znippy_reader_xattr(out->reader, index, i, &name, &name_len, &value, &value_len, error);
        if (status != ZNIPPY_OK || name_len >= sizeof text) {
            break;
        }
        memcpy(text, name, name_len);
        text[name_len] = '\0';
        bool access = strcmp(text, ACL_ACCESS) == 0, by_default = strcmp(text, ACL_DEFAULT) == 0;
        if (!(access || by_default) || !acl_add(entry, by_default, value, value_len)) {
            archive_entry_xattr_add_entry(entry, text, value, value_len);
        }
    }
    return status;
}

/* Tells libarchive where the bytes are, unless they are everywhere. */
static znippy_status add_holes(const struct tar_out *out, struct archive_entry *entry, const znippy_entry_info *info,
                               znippy_error **error) {
    uint64_t start = 0, end = 0;
    znippy_status status = znippy_reader_find_data(out->reader, info->index, 0, &start, &end, error);
    if (status != ZNIPPY_OK || (start == 0 && end == info->size)) {
        return status;
    }
    while (status == ZNIPPY_OK && start < end) {
        archive_entry_sparse_add_entry(entry, (la_int64_t)start, (la_int64_t)(end - start));
        status = znippy_reader_find_data(out->reader, info->index, end, &start, &end, error);
    }
    if (archive_entry_sparse_count(entry) == 0) { /* nothing but a hole */
        archive_entry_sparse_add_entry(entry, (la_int64_t)info->size, 0);
    }
    return status;
}

/* Holes are given as zeros, of which libarchive writes none. */
static znippy_status write_hole(struct tar_out *out, uint64_t len, const char *name) {
    memset(out->piece, 0, PIECE);
    while (len > 0) {
        size_t some = len < PIECE ? (size_t)len : PIECE;
        if (archive_write_data(out->archive, out->piece, some) != (la_ssize_t)some || signals_caught()) {
            return signals_caught() ? ZNIPPY_E_CANCELLED : fail(out, name);
        }
        len -= some;
    }
    return ZNIPPY_OK;
}

static znippy_status write_data(struct tar_out *out, const znippy_entry_info *info, uint64_t start, uint64_t end,
                                znippy_error **error) {
    while (start < end) {
        size_t got = 0, some = end - start < PIECE ? (size_t)(end - start) : PIECE;
        znippy_status status = znippy_reader_read_at(out->reader, info->index, start, out->piece, some, &got, error);
        if (status != ZNIPPY_OK || signals_caught()) {
            return status != ZNIPPY_OK ? status : ZNIPPY_E_CANCELLED;
        }
        if (got == 0 || archive_write_data(out->archive, out->piece, got) != (la_ssize_t)got) {
            return fail(out, info->path);
        }
        start += got;
    }
    return ZNIPPY_OK;
}

static znippy_status write_bytes(struct tar_out *out, const znippy_entry_info *info, znippy_error **error) {
    uint64_t at = 0;
    znippy_status status = ZNIPPY_OK;
    while (status == ZNIPPY_OK && at < info->size) {
        uint64_t start = 0, end = 0;
        status = znippy_reader_find_data(out->reader, info->index, at, &start, &end, error);
        if (status == ZNIPPY_OK && start > at) {
            status = write_hole(out, start - at, info->path);
        }
        if (status == ZNIPPY_OK) {
            status = write_data(out, info, start, end, error);
        }
        at = end;
    }
    return status;
}

static void count(znippy_stats *stats, const znippy_entry_info *info) {
    stats->entries++;
    stats->bytes_in += info->kind == ZNIPPY_KIND_FILE ? info->size : 0;
    stats->unverified += (info->flags & ZNIPPY_ENTRY_UNVERIFIED) != 0;
    switch (info->kind) {
    case ZNIPPY_KIND_FILE: stats->files++; break;
    case ZNIPPY_KIND_DIRECTORY: stats->directories++; break;
    case ZNIPPY_KIND_SYMLINK: stats->symlinks++; break;
    case ZNIPPY_KIND_HARDLINK: stats->hardlinks++; break;
    default: stats->specials++;
    }
}

static znippy_status write_entry(struct tar_out *out, const znippy_entry_info *info, znippy_error **error) {
    if (info->kind == ZNIPPY_KIND_SOCKET || info->kind > ZNIPPY_KIND_SOCKET) {
        job_note(info->path, "left out: tar has no sockets, nor kinds that this version doesn't know");
        out->stats->skipped++;
        return ZNIPPY_OK;
    }
    struct archive_entry *entry = archive_entry_new2(out->archive);
    if (!entry) {
        return job_fail(ZNIPPY_E_NO_MEMORY, info->path, "out of memory");
    }
    describe(entry, info);
    znippy_status status = ZNIPPY_OK;
    if (info->kind != ZNIPPY_KIND_HARDLINK && info->index != ZNIPPY_UNKNOWN) {
        status = add_xattrs(out, entry, info->index, error);
    }
    if (status == ZNIPPY_OK && info->kind == ZNIPPY_KIND_FILE) {
        status = add_holes(out, entry, info, error);
    }
    /* It warns where it marks a name as no UTF-8. */
    int result = status == ZNIPPY_OK ? archive_write_header(out->archive, entry) : ARCHIVE_OK;
    if (result != ARCHIVE_OK && (result != ARCHIVE_WARN || archive_errno(out->archive) == ENOMEM)) {
        status = fail(out, info->path);
    }
    if (status == ZNIPPY_OK && info->kind == ZNIPPY_KIND_FILE) {
        status = write_bytes(out, info, error);
    }
    archive_entry_free(entry);
    count(out->stats, info);
    return status;
}

/* The root of the tree, where its mode is recorded; it is no entry of the archive. */
static znippy_status write_root(struct tar_out *out, znippy_error **error) {
    const char *mode = NULL, *mtime = NULL;
    znippy_entry_info info;
    memset(&info, 0, sizeof info);
    info.kind = ZNIPPY_KIND_DIRECTORY;
    info.index = ZNIPPY_UNKNOWN;
    info.path = "./";
    if (znippy_reader_metadata(out->reader, "root_mode", &mode) != ZNIPPY_OK || !mode) {
        return ZNIPPY_OK;
    }
    info.mode = (uint32_t)strtoul(mode, NULL, 8) & 07777;
    info.flags = ZNIPPY_ENTRY_HAS_MODE;
    if (znippy_reader_metadata(out->reader, "root_mtime_ns", &mtime) == ZNIPPY_OK && mtime) {
        info.mtime_ns = strtoll(mtime, NULL, 10);
        info.flags |= ZNIPPY_ENTRY_HAS_MTIME;
    }
    znippy_status status = write_entry(out, &info, error);
    out->stats->entries--;
    out->stats->directories--;
    return status;
}

static znippy_status visit(void *user_data, const znippy_entry_info *info, znippy_error **error) {
    return signals_caught() ? ZNIPPY_E_CANCELLED : write_entry(user_data, info, error);
}

static znippy_status write_all(struct tar_out *out, znippy_error **error) {
    znippy_status status = write_root(out, error);
    return status == ZNIPPY_OK ? tree_walk(out->reader, visit, out, error) : status;
}

static bool open_tar(struct tar_out *out) {
    return archive_write_set_format_pax(out->archive) == ARCHIVE_OK &&
           archive_write_set_format_option(out->archive, "pax", "xattrheader", "SCHILY") == ARCHIVE_OK &&
           archive_write_set_bytes_per_block(out->archive, TAR_BLOCK) == ARCHIVE_OK &&
           archive_write_set_bytes_in_last_block(out->archive, TAR_BLOCK) == ARCHIVE_OK &&
           archive_write_open(out->archive, out, NULL, write_out, NULL) == ARCHIVE_OK;
}

znippy_status to_tar(const znippy_reader *reader, const znippy_sink *sink, znippy_stats *stats, znippy_error **error) {
    struct tar_out out = {.reader = reader, .sink = sink, .stats = stats};
    znippy_status status;
    setlocale(LC_CTYPE, "C.UTF-8");
    out.archive = archive_write_new();
    out.piece = malloc(PIECE);
    if (!out.archive || !out.piece) {
        status = job_fail(ZNIPPY_E_NO_MEMORY, "convert", "out of memory");
    } else {
        status = open_tar(&out) ? write_all(&out, error) : fail(&out, "tar");
    }
    if (status == ZNIPPY_OK && archive_write_close(out.archive) != ARCHIVE_OK) {
        status = fail(&out, "tar");
    }
    if (status != ZNIPPY_OK && out.archive) {
        archive_write_fail(out.archive); /* no end for what has none */
    }
    archive_write_free(out.archive);
    free(out.piece);
    return status;
}
