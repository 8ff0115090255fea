/* zip -> entries. libzip gives names as they are, checks each entry's CRC, and reads zip64; what a file is and when it
 * was written stands in attributes and fields (APPNOTE 4.4.15 and 4.5, and proginfo/extrafld.txt of Info-ZIP). */
#include "foreign.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

enum { FIELD_TIMES = 0x5455, FIELD_OWNER = 0x7875, HAS_MTIME = 1, MAX_TARGET = 65535 };

struct zip_flow {
    zip_file_t *file;
    uint64_t left; /* of what the directory of the archive says */
    bool failed, too_long;
};

static int64_t flow_read(void *user_data, void *buffer, size_t len) {
    struct zip_flow *flow = user_data;
    if (signals_caught()) {
        return ZNIPPY_E_CANCELLED;
    }
    zip_int64_t got = zip_fread(flow->file, buffer, len);
    flow->failed = got < 0;
    flow->too_long = got > 0 && (uint64_t)got > flow->left;
    flow->left -= got > 0 && !flow->too_long ? (uint64_t)got : 0;
    return got < 0 || flow->too_long ? ZNIPPY_E_CORRUPT : got;
}

/* What an error of libzip is to the library's callers. */
static znippy_status fail(zip_error_t *error, const char *name) {
    char what[512];
    int code = zip_error_code_zip(error);
    bool unsupported = code == ZIP_ER_COMPNOTSUPP || code == ZIP_ER_ENCRNOTSUPP || code == ZIP_ER_MULTIDISK;
    snprintf(what, sizeof what, "%.400s; %s", zip_error_strerror(error),
             unsupported ? "unpack it with another program and pack the directory" : "get the archive again");
    zip_error_fini(error);
    return job_fail(unsupported ? ZNIPPY_E_UNSUPPORTED : ZNIPPY_E_CORRUPT, name, what);
}

static bool is_unix(zip_uint8_t system) {
    return system == ZIP_OPSYS_UNIX || system == ZIP_OPSYS_OS_X;
}

static uint32_t number(const zip_uint8_t *bytes, size_t len) {
    uint32_t value = 0;
    for (size_t i = 0; i < len && i < 4; i++) {
        value |= (uint32_t)bytes[i] << (8 * i);
    }
    return value;
}

static const zip_uint8_t *field(zip_t *zip, zip_uint64_t index, zip_uint16_t id, zip_uint16_t *len) {
    const zip_uint8_t *found = zip_file_extra_field_get_by_id(zip, index, id, 0, len, ZIP_FL_CENTRAL);
    return found ? found : zip_file_extra_field_get_by_id(zip, index, id, 0, len, ZIP_FL_LOCAL);
}

/* Seconds in the field of times, else the local time that every entry has, to 2 seconds. */
static void set_mtime(zip_t *zip, zip_uint64_t index, const zip_stat_t *stat, znippy_entry_info *info) {
    zip_uint16_t len = 0;
    const zip_uint8_t *times = field(zip, index, FIELD_TIMES, &len);
    if (times && len >= 5 && (times[0] & HAS_MTIME)) {
        info->mtime_ns = (int64_t)(int32_t)number(times + 1, 4) * 1000000000;
    } else if (stat->valid & ZIP_STAT_MTIME) {
        info->mtime_ns = (int64_t)stat->mtime * 1000000000;
    } else {
        return;
    }
    info->flags |= ZNIPPY_ENTRY_HAS_MTIME;
}

static void set_owner(zip_t *zip, zip_uint64_t index, znippy_entry_info *info) {
    zip_uint16_t len = 0;
    const zip_uint8_t *owner = field(zip, index, FIELD_OWNER, &len);
    if (!owner || len < 3 || owner[0] != 1) {
        return;
    }
    size_t uid_len = owner[1], at = 2 + uid_len;
    if (at + 1 > len || at + 1 + owner[at] > len) {
        return;
    }
    info->uid = number(owner + 2, uid_len);
    info->gid = number(owner + at + 1, owner[at]);
    info->flags |= ZNIPPY_ENTRY_HAS_UID | ZNIPPY_ENTRY_HAS_GID;
}

/* Kind and mode: Unix systems write them beside the attributes of DOS; else a '/' at the end makes a directory. */
static znippy_status set_kind(zip_t *zip, zip_uint64_t index, znippy_entry_info *info, zip_uint8_t *system) {
    zip_uint32_t attributes = 0;
    size_t len = strlen(info->path);
    bool slash = len > 0 && (info->path[len - 1] == '/' || (info->path[len - 1] == '\\' && !is_unix(*system)));
    zip_file_get_external_attributes(zip, index, 0, system, &attributes);
    uint32_t mode = is_unix(*system) ? attributes >> 16 : 0;
    info->kind = slash ? ZNIPPY_KIND_DIRECTORY : ZNIPPY_KIND_FILE;
    if (mode == 0) {
        return ZNIPPY_OK;
    }
    info->mode = mode & 07777;
    info->flags |= ZNIPPY_ENTRY_HAS_MODE;
    if (S_ISLNK(mode)) {
        info->kind = ZNIPPY_KIND_SYMLINK;
    } else if (S_ISFIFO(mode)) {
        info->kind = ZNIPPY_KIND_FIFO;
    } else if (S_ISDIR(mode)) {
        info->kind = ZNIPPY_KIND_DIRECTORY;
    } else if ((mode & S_IFMT) != 0 && !S_ISREG(mode)) {
        return job_fail(ZNIPPY_E_UNSUPPORTED, info->path, "is a device or a socket, which zip has no room for");
    }
    return ZNIPPY_OK;
}

static znippy_status add(struct import *import, zip_t *zip, zip_uint64_t index, znippy_entry_info *info,
                         const zip_stat_t *stat, znippy_error **error) {
    struct zip_flow flow = {.left = stat->valid & ZIP_STAT_SIZE ? stat->size : UINT64_MAX};
    znippy_stream bytes = {.struct_size = sizeof bytes, .user_data = &flow, .read = flow_read};
    char target[MAX_TARGET + 1];
    const char *name = info->path;
    bool has_bytes = info->kind == ZNIPPY_KIND_FILE || info->kind == ZNIPPY_KIND_SYMLINK;
    flow.file = has_bytes ? zip_fopen_index(zip, index, 0) : NULL;
    if (has_bytes && !flow.file) {
        return fail(zip_get_error(zip), name);
    }
    znippy_status status = ZNIPPY_OK;
    if (info->kind == ZNIPPY_KIND_SYMLINK) {
        zip_int64_t got = stat->size <= MAX_TARGET ? zip_fread(flow.file, target, sizeof target) : -1;
        flow.failed = got < 0;
        info->link_target = target;
        info->link_target_len = got < 0 ? 0 : (size_t)got;
        target[info->link_target_len] = '\0';
        status = stat->size <= MAX_TARGET ? ZNIPPY_OK
                                          : job_fail(ZNIPPY_E_LIMIT, name, "is a link with a target of over 65,535 bytes");
    }
    if (status == ZNIPPY_OK && !(flow.failed && info->kind == ZNIPPY_KIND_SYMLINK)) {
        status = import_entry(import, info, info->kind == ZNIPPY_KIND_FILE ? stat->size : 0, &bytes, error);
    }
    if (flow.too_long) {
        status = job_fail(ZNIPPY_E_CORRUPT, name, "has more bytes than the archive's directory says; get the archive again");
    } else if (flow.failed) {
        status = fail(zip_file_get_error(flow.file), name);
    }
    if (flow.file) {
        zip_fclose(flow.file);
    }
    return status;
}

/* Names of DOS and its like may have '\' where others have '/'. */
static void turn_slashes(char *name) {
    for (; *name; name++) {
        *name = *name == '\\' ? '/' : *name;
    }
}

static znippy_status pass_entry(struct import *import, zip_t *zip, zip_uint64_t index, znippy_error **error) {
    zip_stat_t stat;
    zip_uint8_t system = ZIP_OPSYS_DOS;
    znippy_entry_info info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    zip_uint32_t attributes = 0;
    if (zip_stat_index(zip, index, 0, &stat) != 0 ||
        zip_file_get_external_attributes(zip, index, 0, &system, &attributes) != 0) {
        return fail(zip_get_error(zip), "convert");
    }
    /* Elsewhere than on Unix, a name that isn't marked as UTF-8 has the letters of DOS. */
    const char *found = zip_get_name(zip, index, is_unix(system) ? ZIP_FL_ENC_RAW : ZIP_FL_ENC_GUESS);
    char *name = found ? strdup(found) : NULL;
    if (!name) {
        return fail(zip_get_error(zip), "convert");
    }
    if (!is_unix(system) && !strchr(name, '/')) {
        turn_slashes(name);
    }
    info.path = name;
    znippy_status status = ZNIPPY_OK;
    if ((stat.valid & ZIP_STAT_ENCRYPTION_METHOD) && stat.encryption_method != ZIP_EM_NONE) {
        status = job_fail(ZNIPPY_E_UNSUPPORTED, name, "is encrypted; unpack the archive with its password and pack the directory");
    }
    if (status == ZNIPPY_OK) {
        status = set_kind(zip, index, &info, &system);
    }
    set_mtime(zip, index, &stat, &info);
    if (import->owners) {
        set_owner(zip, index, &info);
    }
    if (status == ZNIPPY_OK) {
        status = add(import, zip, index, &info, &stat, error);
    }
    free(name);
    return status;
}

static zip_t *open_zip(struct input *input, zip_error_t *error) {
    zip_source_t *source = NULL;
    FILE *file = NULL;
    int fd = dup(input->fd);
    zip_error_init(error);
    file = fd < 0 ? NULL : fdopen(fd, "rb");
    if (file) {
        source = zip_source_filep_create(file, 0, -1, error);
    }
    zip_t *zip = source ? zip_open_from_source(source, ZIP_RDONLY, error) : NULL;
    if (!zip && source) {
        zip_source_free(source);
    } else if (!source && file) {
        fclose(file);
    } else if (!file && fd >= 0) {
        close(fd);
    }
    return zip;
}

znippy_status from_zip(struct import *import, struct input *input, znippy_error **error) {
    zip_error_t trouble;
    znippy_status status = ZNIPPY_OK;
    if (lseek(input->fd, 0, SEEK_SET) != 0) {
        return job_fail(ZNIPPY_E_UNSUPPORTED, input->name,
                        "is a zip archive in a pipe, and what is in it stands at its end; save it to a file first");
    }
    zip_t *zip = open_zip(input, &trouble);
    if (!zip) {
        return fail(&trouble, input->name);
    }
    zip_int64_t count = zip_get_num_entries(zip, 0);
    for (zip_int64_t i = 0; status == ZNIPPY_OK && i < count; i++) {
        status = pass_entry(import, zip, (zip_uint64_t)i, error);
    }
    zip_discard(zip);
    return status;
}
