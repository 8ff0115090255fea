/* Entries are found by name and read at any offset, and what is read is what was packed. */
#include "harness.h"

static void facts(const znippy_reader *reader) {
    znippy_listing *listing = list_all(reader);
    znippy_entry_info hello = entry_at(listing, (size_t)find(reader, "hello.txt"));
    znippy_entry_info link = entry_at(listing, (size_t)find(reader, "link"));
    znippy_entry_info dir = entry_at(listing, (size_t)find(reader, "closed-dir"));
    CHECK(hello.index == find(reader, "hello.txt") && hello.size == 13);
    CHECK((hello.flags & ZNIPPY_ENTRY_HAS_MTIME) && hello.mtime_ns == 1700000000123456789);
    CHECK(hello.flags & ZNIPPY_ENTRY_HAS_HASH);
    CHECK(strcmp(hello.path, "hello.txt") == 0 && hello.path_len == 9);
    CHECK(link.kind == ZNIPPY_KIND_SYMLINK && strcmp(link.link_target, "hello.txt") == 0);
    CHECK(dir.kind == ZNIPPY_KIND_DIRECTORY && (dir.flags & ZNIPPY_ENTRY_HAS_MODE) && dir.mode == 0500);
    CHECK(entry_at(listing, (size_t)find(reader, "latin-\xe9.txt")).path_len == 11);
    for (size_t i = 1; i < znippy_listing_count(listing); i++) {
        CHECK(strcmp(entry_at(listing, i - 1).path, entry_at(listing, i).path) < 0);
    }
    znippy_listing_free(listing);
}

static void whole_entry(const znippy_reader *reader, const char *tree, const char *name) {
    znippy_error *error = NULL;
    znippy_buffer buffer = {NULL, 0, 0};
    struct bytes want = read_file(join(tree, name).text);
    EXPECT_OK(znippy_reader_read(reader, find(reader, name), NULL, &buffer, &error), &error);
    CHECK(buffer.len == want.len && (want.len == 0 || memcmp(buffer.data, want.data, want.len) == 0));
    EXPECT_OK(znippy_reader_verify_entry(reader, find(reader, name), &error), &error);
    znippy_buffer_free(&buffer);
    CHECK(buffer.data == NULL && buffer.len == 0);
    free(want.data);
}

static void at_offset(const znippy_reader *reader, const struct bytes *want, uint64_t index, size_t offset, size_t len) {
    znippy_error *error = NULL;
    size_t got = 0, rest = offset < want->len ? want->len - offset : 0;
    unsigned char *buffer = malloc(len + 1);
    CHECK(buffer != NULL);
    buffer[len] = 0xAA;
    EXPECT_OK(znippy_reader_read_at(reader, index, offset, buffer, len, &got, &error), &error);
    CHECK(got == (len < rest ? len : rest));
    CHECK(got == 0 || memcmp(buffer, want->data + offset, got) == 0);
    CHECK(buffer[len] == 0xAA);
    free(buffer);
}

static void offsets(const znippy_reader *reader, const char *tree, const char *name) {
    struct bytes want = read_file(join(tree, name).text);
    uint64_t index = find(reader, name);
    static const size_t LENGTHS[] = {0, 1, 4096, MIB + 1};
    for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i++) {
        at_offset(reader, &want, index, 0, LENGTHS[i]);
        at_offset(reader, &want, index, 4 * MIB - 1, LENGTHS[i]);
        at_offset(reader, &want, index, want.len / 2, LENGTHS[i]);
        at_offset(reader, &want, index, want.len - 1, LENGTHS[i]);
        at_offset(reader, &want, index, want.len, LENGTHS[i]);
        at_offset(reader, &want, index, want.len + MIB, LENGTHS[i]);
    }
    at_offset(reader, &want, index, 0, want.len);
    free(want.data);
}

static void prefixes(const znippy_reader *reader) {
    znippy_error *error = NULL;
    uint64_t first = 0, count = 0;
    EXPECT_OK(znippy_reader_find_prefix(reader, "closed-dir", 10, &first, &count, &error), &error);
    CHECK(first == find(reader, "closed-dir") && count == 2);
    EXPECT_OK(znippy_reader_find_prefix(reader, "", 0, &first, &count, &error), &error);
    CHECK(first == 0 && count == znippy_reader_entry_count(reader));
    EXPECT_OK(znippy_reader_find_prefix(reader, "clos", 4, &first, &count, &error), &error);
    CHECK(count == 0);
}

static void refusals(const znippy_reader *reader) {
    znippy_error *error = NULL;
    uint64_t index = 77;
    znippy_buffer buffer = {NULL, 0, 0};
    EXPECT(znippy_reader_find(reader, "hello", 5, &index, &error), ZNIPPY_E_NOT_FOUND, &error);
    CHECK(index == 77);
    CHECK(znippy_reader_read(reader, UINT64_MAX, NULL, &buffer, NULL) < 0 && buffer.data == NULL);
    znippy_options *small = options_with(ZNIPPY_OPT_MAX_ENTRY_SIZE, 1000);
    EXPECT(znippy_reader_read(reader, find(reader, "big.txt"), small, &buffer, &error), ZNIPPY_E_LIMIT, &error);
    znippy_options_free(small);
}

static void checks(const znippy_reader *reader) {
    znippy_error *error = NULL;
    znippy_archive_info info = {.struct_size = sizeof info};
    znippy_stats stats = {.struct_size = sizeof stats};
    const char *value = NULL;
    EXPECT_OK(znippy_reader_info(reader, &info, &error), &error);
    CHECK(info.format_version == 4 && info.entries == znippy_reader_entry_count(reader));
    CHECK(info.payload_size + info.index_size == info.archive_size && info.blobs > 0 && info.segments == 1);
    CHECK(znippy_reader_metadata(reader, "znippy_format_version", &value) == ZNIPPY_OK && strcmp(value, "4") == 0);
    CHECK(znippy_reader_metadata(reader, "level", &value) == ZNIPPY_OK && value && strcmp(value, "3") == 0);
    CHECK(znippy_reader_metadata(reader, "no such key", &value) == ZNIPPY_OK && value == NULL);
    EXPECT_OK(znippy_reader_verify(reader, NULL, &stats, &error), &error);
    CHECK(stats.entries == info.entries && stats.failed == 0);
    EXPECT_OK(znippy_reader_verify_quick(reader, NULL, &stats, &error), &error);
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy");
    static const char *const NAMES[] = {"hello.txt", "empty", "big.txt", "noise.bin", "a/hard", "sparse",
                                        "latin-\xe9.txt", "closed-dir/inside"};
    make_tree(tree.text);
    pack(tree.text, archive.text);
    znippy_reader *reader = open_reader(archive.text);
    facts(reader);
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        whole_entry(reader, tree.text, NAMES[i]);
    }
    offsets(reader, tree.text, "big.txt");
    offsets(reader, tree.text, "sparse");
    prefixes(reader);
    refusals(reader);
    checks(reader);

    /* A listing outlives the reader that it came from. */
    znippy_listing *listing = list_all(reader);
    znippy_reader_free(reader);
    CHECK(entry_at(listing, 0).path[0] != '\0');
    znippy_listing_free(listing);
    return 0;
}
