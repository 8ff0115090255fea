/* A tree comes back as it was: names, kinds, bytes, modes, times, links, holes. */
#include "harness.h"

#include <sys/stat.h>
#include <unistd.h>

static void same_inode(const char *tree) {
    struct stat one, two;
    CHECK(stat(join(tree, "hello.txt").text, &one) == 0 && stat(join(tree, "a/hard").text, &two) == 0);
    CHECK(one.st_ino == two.st_ino);
}

/* Holes may be filled where the file system has none, but not where the source had some. */
static void still_sparse(const char *left, const char *right) {
    struct stat one, two;
    CHECK(stat(join(left, "sparse").text, &one) == 0 && stat(join(right, "sparse").text, &two) == 0);
    CHECK(two.st_blocks <= one.st_blocks + 2048);
}

static void reports(const znippy_stats *packed, const znippy_stats *unpacked) {
    CHECK(packed->files == 15 && packed->hardlinks == 1 && packed->symlinks == 2 && packed->directories == 14);
    CHECK(packed->entries == packed->files + packed->hardlinks + packed->symlinks + packed->directories);
    CHECK(packed->duplicate_files == 1 && packed->duplicate_bytes == 300000);
    CHECK(packed->failed == 0 && packed->skipped == 0);
    CHECK(packed->bytes_in > 15 * MIB && packed->bytes_out > 300000 && packed->ratio > 1.5);
    CHECK(packed->files_compressed > 0 && packed->files_stored > 0 && packed->blocks > 0 && packed->slices > 0);
    CHECK(packed->seconds > 0 && unpacked->seconds > 0);
    CHECK(unpacked->entries == packed->entries && unpacked->files == packed->files);
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy"), back = in_scratch("back");
    znippy_error *error = NULL;
    znippy_stats packed = {.struct_size = sizeof packed}, unpacked = {.struct_size = sizeof unpacked};
    umask(027); /* must not show in the result */
    make_tree(tree.text);
    EXPECT_OK(znippy_compress_dir(tree.text, archive.text, NULL, &packed, &error), &error);
    EXPECT_OK(znippy_extract_archive(archive.text, back.text, NULL, &unpacked, &error), &error);
    same_tree(tree.text, back.text);
    same_inode(back.text);
    still_sparse(tree.text, back.text);
    reports(&packed, &unpacked);
    struct bytes bytes = read_file(archive.text);
    CHECK(bytes.len == packed.bytes_out);
    free(bytes.data);
    CHECK(count_names(scratch()) == 3);
    return 0;
}
