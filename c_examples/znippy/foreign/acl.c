/* Access control lists. The kernel hands them out as the bytes of an extended attribute (linux/posix_acl_xattr.h): a
 * version, then tag, permissions and id of each entry, all little endian; tar has them as text, which is libarchive's. */
#include "foreign.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 2, HEAD = 4, ENTRY = 8 };

/* In the order in which the kernel wants them. */
static const struct {
    unsigned kernel;
    int libarchive;
    bool has_id;
} TAGS[] = {
    {0x01, ARCHIVE_ENTRY_ACL_USER_OBJ, false},  {0x02, ARCHIVE_ENTRY_ACL_USER, true},
    {0x04, ARCHIVE_ENTRY_ACL_GROUP_OBJ, false}, {0x08, ARCHIVE_ENTRY_ACL_GROUP, true},
    {0x10, ARCHIVE_ENTRY_ACL_MASK, false},      {0x20, ARCHIVE_ENTRY_ACL_OTHER, false},
};

enum { TAG_COUNT = sizeof TAGS / sizeof TAGS[0] };

static const uint32_t NO_ID = UINT32_MAX;

struct item {
    uint32_t tag, permissions, id;
};

static void put(unsigned char *at, uint32_t value, int bytes) {
    for (int i = 0; i < bytes; i++) {
        at[i] = (unsigned char)(value >> (8 * i));
    }
}

static uint32_t get(const unsigned char *at, int bytes) {
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++) {
        value |= (uint32_t)at[i] << (8 * i);
    }
    return value;
}

static int by_tag_and_id(const void *left, const void *right) {
    const struct item *a = left, *b = right;
    if (a->tag != b->tag) {
        return a->tag < b->tag ? -1 : 1;
    }
    return a->id < b->id ? -1 : a->id > b->id;
}

void *acl_value(struct archive_entry *entry, bool of_default, size_t *len) {
    int kind = of_default ? ARCHIVE_ENTRY_ACL_TYPE_DEFAULT : ARCHIVE_ENTRY_ACL_TYPE_ACCESS;
    int count = archive_entry_acl_reset(entry, kind);
    int type, permissions, tag, id;
    const char *name;
    /* Three entries are the mode alone. */
    if (count <= 0 || (count == 3 && !of_default)) {
        return NULL;
    }
    struct item *items = calloc((size_t)count, sizeof *items);
    unsigned char *value = malloc(HEAD + (size_t)count * ENTRY);
    size_t found = 0;
    while (items && found < (size_t)count &&
           archive_entry_acl_next(entry, kind, &type, &permissions, &tag, &id, &name) == ARCHIVE_OK) {
        for (int i = 0; i < TAG_COUNT; i++) {
            if (TAGS[i].libarchive == tag) {
                items[found].tag = TAGS[i].kernel;
                items[found].permissions = (uint32_t)permissions & 7;
                items[found++].id = TAGS[i].has_id ? (uint32_t)id : NO_ID;
            }
        }
    }
    if (items && value && found > 0) {
        qsort(items, found, sizeof *items, by_tag_and_id);
        put(value, VERSION, 4);
        for (size_t i = 0; i < found; i++) {
            unsigned char *at = value + HEAD + i * ENTRY;
            put(at, items[i].tag, 2);
            put(at + 2, items[i].permissions, 2);
            put(at + 4, items[i].id, 4);
        }
        *len = HEAD + found * ENTRY;
    } else {
        free(value);
        value = NULL;
    }
    free(items);
    return value;
}

uint32_t acl_mode(struct archive_entry *entry, uint32_t mode) {
    int type, permissions, tag, id;
    const char *name;
    archive_entry_acl_reset(entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS);
    while (archive_entry_acl_next(entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, &type, &permissions, &tag, &id, &name) == ARCHIVE_OK) {
        if (tag == ARCHIVE_ENTRY_ACL_MASK) {
            return (mode & ~(uint32_t)070) | ((uint32_t)permissions & 7) << 3;
        }
    }
    return mode;
}

bool acl_add(struct archive_entry *entry, bool of_default, const void *value, size_t len) {
    const unsigned char *bytes = value;
    int kind = of_default ? ARCHIVE_ENTRY_ACL_TYPE_DEFAULT : ARCHIVE_ENTRY_ACL_TYPE_ACCESS;
    if (len < HEAD + ENTRY || (len - HEAD) % ENTRY != 0 || get(bytes, 4) != VERSION) {
        return false;
    }
    for (size_t at = HEAD; at < len; at += ENTRY) {
        uint32_t tag = get(bytes + at, 2), id = get(bytes + at + 4, 4);
        int i = 0;
        while (i < TAG_COUNT && TAGS[i].kernel != tag) {
            i++;
        }
        if (i == TAG_COUNT) {
            return false;
        }
        archive_entry_acl_add_entry(entry, kind, (int)get(bytes + at + 2, 2), TAGS[i].libarchive,
                                    TAGS[i].has_id ? (int)id : -1, NULL);
    }
    return true;
}
