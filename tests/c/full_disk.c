/* A full disk is an error, soon, and leaves nothing behind; so does unpacking onto one. */
#define _GNU_SOURCE
#include "harness.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

/* A file system of 4 MiB that only this process sees. */
static void mount_small(const char *path) {
    make_dir(path);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", path, "tmpfs", 0, "size=4m") != 0) {
        skip("no small file system can be mounted here");
    }
}

int main(void) {
    struct path tree = in_scratch("tree"), disk = in_scratch("disk"), archive = in_scratch("tree.znippy");
    znippy_error *error = NULL;
    alarm(60);
    mount_small(disk.text);
    make_big_tree(tree.text, 12, MIB);

    struct path old = join(disk.text, "old.znippy");
    write_string(old.text, "an older archive");
    znippy_options *replace = options_with(ZNIPPY_OPT_OVERWRITE, 1);
    EXPECT(znippy_compress_dir(tree.text, old.text, replace, NULL, &error), ZNIPPY_E_NO_SPACE, &error);
    CHECK(count_names(disk.text) == 1);
    struct bytes kept = read_file(old.text);
    CHECK(kept.len == 16);
    free(kept.data);

    pack(tree.text, archive.text);
    struct path back = join(disk.text, "back");
    EXPECT(znippy_extract_archive(archive.text, back.text, NULL, NULL, &error), ZNIPPY_E_NO_SPACE, &error);
    znippy_options_free(replace);
    CHECK(umount2(disk.text, MNT_DETACH) == 0);
    return 0;
}
