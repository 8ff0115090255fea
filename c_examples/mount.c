/*
 * Mounts an archive as a read-only file system (FUSE 3), served by any number of threads from one reader.
 *
 *     mount ARCHIVE MOUNTPOINT [-f] [-s] [-o OPTION,...]        fusermount3 -u MOUNTPOINT ends it
 *
 * What a program reads there was checked against the archive's hashes; damage shows as EIO and not as wrong bytes.
 */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <znippy.h>

enum { PAGE = 256 /* entries that are asked for at once */, FIRST_INODE = 2, NANO = 1000000000 };

/* A path inside the archive, with room for the slash that makes a prefix of it. */
struct name {
    char text[PATH_MAX + 2];
    size_t len;
};

static const znippy_reader *the_reader(void) {
    return fuse_get_context()->private_data;
}

/* Turns a failed call into what the kernel wants, and frees the error. */
static int errno_of(znippy_status status, znippy_error *error) {
    int os_code = znippy_error_os_code(error);
    znippy_error_free(error);
    switch (status) {
    case ZNIPPY_OK: return 0;
    case ZNIPPY_E_NOT_FOUND: return -ENOENT;
    case ZNIPPY_E_NO_MEMORY: return -ENOMEM;
    case ZNIPPY_E_INVALID_ARGUMENT: return -EINVAL;
    case ZNIPPY_E_UNSUPPORTED: return -EOPNOTSUPP;
    default: return os_code > 0 ? -os_code : -EIO;
    }
}

/* ---- lookups ---- */

static bool set_name(struct name *name, const char *text, size_t len) {
    if (len > PATH_MAX) {
        return false;
    }
    memcpy(name->text, text, len);
    name->text[len] = '\0';
    name->len = len;
    return true;
}

static int find_entry(const struct name *name, uint64_t *index) {
    znippy_error *error = NULL;
    return errno_of(znippy_reader_find(the_reader(), name->text, name->len, index, &error), error);
}

/* What lies below a directory is one range of entries. */
static int find_below(const struct name *directory, uint64_t *first, uint64_t *end) {
    znippy_error *error = NULL;
    struct name prefix = *directory;
    uint64_t count = 0;
    if (prefix.len > 0) {
        prefix.text[prefix.len++] = '/';
    }
    int code = errno_of(znippy_reader_find_prefix(the_reader(), prefix.text, prefix.len, first, &count, &error), error);
    *end = *first + count;
    return code;
}

/* A listing of `count` entries, and with it the first of them. */
static int list_from(uint64_t index, size_t count, znippy_listing **listing, znippy_entry_info *entry) {
    znippy_error *error = NULL;
    memset(entry, 0, sizeof *entry);
    entry->struct_size = sizeof *entry;
    int code = errno_of(znippy_reader_list(the_reader(), index, count, listing, &error), error);
    return code != 0 ? code : errno_of(znippy_listing_get(*listing, 0, entry, &error), error);
}

/* ---- attributes ---- */

static mode_t type_of(uint32_t kind) {
    static const mode_t TYPES[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFREG, S_IFIFO, S_IFCHR, S_IFBLK, S_IFSOCK};
    return kind < sizeof TYPES / sizeof TYPES[0] ? TYPES[kind] : S_IFREG;
}

/* Names of one file have one inode number: that of the name that carries the file in the archive. */
static ino_t inode_of(const znippy_entry_info *entry) {
    struct name first;
    uint64_t index = entry->index;
    if (entry->kind == ZNIPPY_KIND_HARDLINK && set_name(&first, entry->link_target, entry->link_target_len)) {
        find_entry(&first, &index); /* where it isn't there, the entry keeps its own number */
    }
    return (ino_t)index + FIRST_INODE;
}

static void set_mtime(struct stat *status, int64_t ns) {
    int64_t rest = ns % NANO;
    status->st_mtim.tv_sec = ns / NANO - (rest < 0);
    status->st_mtim.tv_nsec = rest < 0 ? rest + NANO : rest;
    status->st_ctim = status->st_atim = status->st_mtim;
}

/* A directory that has no entry of its own in the archive, as the root has none. */
static void bare_directory(struct stat *status, ino_t inode) {
    memset(status, 0, sizeof *status);
    status->st_ino = inode;
    status->st_mode = S_IFDIR | 0555;
    status->st_nlink = 2;
    status->st_uid = getuid();
    status->st_gid = getgid();
}

static void fill_status(struct stat *status, const znippy_entry_info *entry) {
    bool directory = entry->kind == ZNIPPY_KIND_DIRECTORY, link = entry->kind == ZNIPPY_KIND_SYMLINK;
    bare_directory(status, inode_of(entry));
    status->st_mode = type_of(entry->kind) | (directory ? 0555 : link ? 0777 : 0444);
    if (entry->flags & ZNIPPY_ENTRY_HAS_MODE) {
        status->st_mode = type_of(entry->kind) | (mode_t)(entry->mode & 07777);
    }
    status->st_nlink = directory ? 2 : 1; /* how many names a file has isn't recorded */
    status->st_uid = entry->flags & ZNIPPY_ENTRY_HAS_UID ? entry->uid : status->st_uid;
    status->st_gid = entry->flags & ZNIPPY_ENTRY_HAS_GID ? entry->gid : status->st_gid;
    status->st_rdev = (dev_t)entry->rdev;
    status->st_size = (off_t)(link ? entry->link_target_len : entry->size);
    status->st_blocks = (blkcnt_t)((entry->size + 511) / 512);
    set_mtime(status, entry->mtime_ns);
}

static void root_status(struct stat *status) {
    const char *mode = NULL, *mtime = NULL;
    bare_directory(status, 1);
    if (znippy_reader_metadata(the_reader(), "root_mode", &mode) == ZNIPPY_OK && mode) {
        status->st_mode = S_IFDIR | ((mode_t)strtoul(mode, NULL, 8) & 07777);
    }
    if (znippy_reader_metadata(the_reader(), "root_mtime_ns", &mtime) == ZNIPPY_OK && mtime) {
        set_mtime(status, strtoll(mtime, NULL, 10));
    }
}

/* Archives made by other means than packing a tree may hold "a/b" without "a". */
static int implied_directory(const struct name *name, struct stat *status) {
    uint64_t first = 0, end = 0;
    int code = find_below(name, &first, &end);
    if (code == 0 && first == end) {
        return -ENOENT;
    }
    bare_directory(status, (ino_t)(UINT64_MAX - first)); /* above all numbers of entries */
    return code;
}

static int get_attributes(const char *path, struct stat *status, struct fuse_file_info *file) {
    struct name name;
    uint64_t index = 0;
    znippy_listing *listing = NULL;
    znippy_entry_info entry;
    (void)file;
    if (!set_name(&name, path + 1, strlen(path + 1))) {
        return -ENAMETOOLONG;
    }
    if (name.len == 0) {
        root_status(status);
        return 0;
    }
    int code = find_entry(&name, &index);
    if (code == -ENOENT) {
        return implied_directory(&name, status);
    }
    code = code != 0 ? code : list_from(index, 1, &listing, &entry);
    if (code == 0) {
        fill_status(status, &entry);
    }
    znippy_listing_free(listing);
    return code;
}

static int read_link(const char *path, char *target, size_t size) {
    struct name name;
    uint64_t index = 0;
    znippy_listing *listing = NULL;
    znippy_entry_info entry;
    int code = set_name(&name, path + 1, strlen(path + 1)) ? find_entry(&name, &index) : -ENAMETOOLONG;
    code = code != 0 ? code : list_from(index, 1, &listing, &entry);
    if (code == 0 && entry.kind != ZNIPPY_KIND_SYMLINK) {
        code = -EINVAL;
    }
    if (code == 0) {
        snprintf(target, size, "%s", entry.link_target); /* cut where it is too long, as readlink() does */
    }
    znippy_listing_free(listing);
    return code;
}

/* ---- directories ---- */

/* A walk over the entries below a directory, of which only those right below it are names in it. */
struct walk {
    struct name directory; /* ends with a slash, but for the root */
    uint64_t next, end;
    void *buffer;
    fuse_fill_dir_t add;
};

static int add_name(const struct walk *walk, const char *name, const struct stat *status) {
    return walk->add(walk->buffer, name, status, 0, FUSE_FILL_DIR_PLUS) == 0 ? 0 : -ENOMEM;
}

/* Goes on behind everything below the directory in which the entry at hand lies: "a/b/c" in a walk over "a". */
static int skip_subtree(struct walk *walk, const char *path, size_t component) {
    struct name inner;
    struct stat status;
    uint64_t first = 0, index = 0;
    if (!set_name(&inner, path, walk->directory.len + component)) {
        return -ENAMETOOLONG;
    }
    int code = find_entry(&inner, &index);
    if (code == -ENOENT) {
        bare_directory(&status, (ino_t)(UINT64_MAX - walk->next));
        code = add_name(walk, inner.text + walk->directory.len, &status);
    }
    return code != 0 ? code : find_below(&inner, &first, &walk->next);
}

/* Adds the names of one page, up to the first entry that lies deeper. */
static int add_page(struct walk *walk, const znippy_listing *listing, znippy_entry_info *entry) {
    znippy_error *error = NULL;
    for (size_t i = 0; i < znippy_listing_count(listing) && walk->next < walk->end; i++) {
        struct stat status;
        int code = errno_of(znippy_listing_get(listing, i, entry, &error), error);
        if (code != 0) {
            return code;
        }
        const char *name = entry->path + walk->directory.len, *slash = strchr(name, '/');
        if (slash) {
            return skip_subtree(walk, entry->path, (size_t)(slash - name));
        }
        fill_status(&status, entry);
        code = add_name(walk, name, &status);
        if (code != 0) {
            return code;
        }
        walk->next++;
    }
    return 0;
}

static int read_directory(const char *path, void *buffer, fuse_fill_dir_t add, off_t offset,
                          struct fuse_file_info *file, enum fuse_readdir_flags flags) {
    struct walk walk = {.buffer = buffer, .add = add};
    (void)offset, (void)file, (void)flags;
    int code = set_name(&walk.directory, path + 1, strlen(path + 1)) ? 0 : -ENAMETOOLONG;
    code = code != 0 ? code : find_below(&walk.directory, &walk.next, &walk.end);
    if (walk.directory.len > 0) {
        walk.directory.text[walk.directory.len++] = '/';
    }
    while (code == 0 && walk.next < walk.end) {
        znippy_listing *listing = NULL;
        znippy_entry_info entry;
        code = list_from(walk.next, PAGE, &listing, &entry);
        code = code != 0 ? code : add_page(&walk, listing, &entry);
        znippy_listing_free(listing);
    }
    return code;
}

/* ---- files ---- */

static int open_file(const char *path, struct fuse_file_info *file) {
    struct name name;
    if ((file->flags & O_ACCMODE) != O_RDONLY) {
        return -EROFS;
    }
    file->keep_cache = 1; /* an archive doesn't change */
    return set_name(&name, path + 1, strlen(path + 1)) ? find_entry(&name, &file->fh) : -ENAMETOOLONG;
}

static int read_file(const char *path, char *buffer, size_t size, off_t offset, struct fuse_file_info *file) {
    znippy_error *error = NULL;
    size_t got = 0;
    (void)path;
    int code = errno_of(
        znippy_reader_read_at(the_reader(), file->fh, (uint64_t)offset, buffer, size, &got, &error), error);
    return code != 0 ? code : (int)got;
}

/* Nothing changes, so the kernel may keep what it was told. */
static void *begin(struct fuse_conn_info *connection, struct fuse_config *config) {
    enum { A_DAY = 86400 };
    (void)connection;
    config->use_ino = 1;
    config->kernel_cache = 1;
    config->entry_timeout = config->attr_timeout = config->negative_timeout = A_DAY;
    return fuse_get_context()->private_data;
}

/* ---- the command line ---- */

/* The first word that is no option is the archive; all others are for the FUSE library. */
static int take_archive(void *data, const char *word, int key, struct fuse_args *rest) {
    char **archive = data;
    (void)rest;
    if (key != FUSE_OPT_KEY_NONOPT || *archive) {
        return 1;
    }
    *archive = strdup(word);
    return *archive ? 0 : -1;
}

int main(int argc, char **argv) {
    static const struct fuse_operations OPERATIONS = {.getattr = get_attributes, .readlink = read_link,
                                                      .open = open_file, .read = read_file,
                                                      .readdir = read_directory, .init = begin};
    struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
    char *archive = NULL;
    znippy_error *error = NULL;
    znippy_reader *reader = NULL;
    int code = 1;
    if (fuse_opt_parse(&args, &archive, NULL, take_archive) != 0
        || fuse_opt_add_arg(&args, "-oro,default_permissions,subtype=znippy") != 0) {
        fputs("mount: out of memory\n", stderr);
    } else if (!archive) {
        fputs("usage: mount ARCHIVE MOUNTPOINT [-f] [-s] [-o OPTION,...]\n", stderr);
        code = 2;
    } else if (znippy_reader_open(archive, NULL, &reader, &error) != ZNIPPY_OK) {
        fprintf(stderr, "mount: %s\n", znippy_error_message(error));
    } else {
        /* It goes to the background with fork(), which a reader survives: it keeps no threads. */
        code = fuse_main(args.argc, args.argv, &OPERATIONS, reader);
    }
    znippy_error_free(error);
    znippy_reader_free(reader);
    free(archive);
    fuse_opt_free_args(&args);
    return code;
}
