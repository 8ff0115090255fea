/* A flipped bit anywhere is reported, or everything reads back as it was. A shortened archive is refused. */
#include "harness.h"

#include <unistd.h>

static znippy_reader *open_bytes(const unsigned char *data, size_t len) {
    znippy_reader *reader = NULL;
    znippy_error *error = NULL;
    znippy_status status = znippy_reader_open_memory(data, len, NULL, NULL, NULL, &reader, &error);
    CHECK((status == ZNIPPY_OK) == (reader != NULL) && (status < 0) == (error != NULL));
    znippy_error_free(error);
    return reader;
}

/* Whether the damage was seen; where it was not, it must be harmless. */
static bool seen(const struct bytes *bytes, const znippy_reader *original) {
    znippy_reader *reader = open_bytes(bytes->data, bytes->len);
    if (!reader) {
        return true;
    }
    znippy_error *error = NULL;
    znippy_status status = znippy_reader_verify(reader, NULL, NULL, &error);
    CHECK((status < 0) == (error != NULL));
    if (status == ZNIPPY_OK) {
        same_entries(original, reader);
    }
    znippy_error_free(error);
    znippy_reader_free(reader);
    return status != ZNIPPY_OK;
}

static void flips(struct bytes *bytes, const znippy_reader *original) {
    size_t unseen = 0, step = bytes->len > 4000 ? bytes->len / 4000 : 1;
    for (size_t at = 0; at < bytes->len; at += step) {
        unsigned char bit = (unsigned char)(1u << (at % 8));
        bytes->data[at] ^= bit;
        unseen += !seen(bytes, original);
        bytes->data[at] ^= bit;
    }
    printf("%zu of %zu flips are harmless\n", unseen, bytes->len / step);
    CHECK(unseen < 20);
    CHECK(!seen(bytes, original));
}

/* Extraction of a damaged archive fails too, and what it wrote is right. */
static void extraction(struct bytes *bytes, const char *tree) {
    struct path damaged = in_scratch("damaged.znippy"), back = in_scratch("back");
    znippy_error *error = NULL;
    bytes->data[bytes->len / 4] ^= 0x10; /* in the payload */
    write_file(damaged.text, bytes->data, bytes->len);
    znippy_status status = znippy_extract_archive(damaged.text, back.text, NULL, NULL, &error);
    CHECK(status == ZNIPPY_E_CORRUPT || status == ZNIPPY_E_CHECKSUM || status == ZNIPPY_E_PARTIAL);
    znippy_error_free(error);
    if (exists(join(back.text, "noise").text)) {
        struct bytes want = read_file(join(tree, "noise").text), got = read_file(join(back.text, "noise").text);
        CHECK(want.len == got.len && memcmp(want.data, got.data, want.len) == 0);
        free(want.data);
        free(got.data);
    }
    bytes->data[bytes->len / 4] ^= 0x10;
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy");
    struct bytes noise = random_bytes(9000, 9);
    alarm(110);
    make_dir(tree.text);
    make_dir(join(tree.text, "dir").text);
    write_file(join(tree.text, "noise").text, noise.data, noise.len);
    write_string(join(tree.text, "dir/file").text, "some bytes\n");
    pack(tree.text, archive.text);
    znippy_reader *original = open_reader(archive.text);
    struct bytes bytes = read_file(archive.text);
    flips(&bytes, original);
    for (size_t len = 0; len < bytes.len; len++) {
        CHECK(open_bytes(bytes.data, len) == NULL);
    }
    extraction(&bytes, tree.text);
    znippy_reader_free(original);
    free(bytes.data);
    free(noise.data);
    return 0;
}
