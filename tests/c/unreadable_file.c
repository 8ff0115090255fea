/* A file that can't be read is an error that names it, or by option left out and counted. */
#include "harness.h"

#include <sys/stat.h>
#include <unistd.h>

static void names_the_file(const char *tree, const char *archive, const char *file) {
    znippy_error *error = NULL;
    size_t len = 0;
    CHECK(znippy_compress_dir(tree, archive, NULL, NULL, &error) == ZNIPPY_E_PERMISSION);
    const char *path = znippy_error_path(error, &len);
    CHECK(path && strlen(path) == len && strstr(path, "unreadable") && strstr(file, path));
    CHECK(strstr(znippy_error_message(error), path) != NULL);
    CHECK(znippy_error_os_code(error) != 0);
    znippy_error_free(error);
    CHECK(!exists(archive));
}

static int messages;

static void on_log(void *user_data, int32_t level, const char *message, size_t len) {
    CHECK(user_data == &messages && level == ZNIPPY_LOG_WARNING && strlen(message) == len);
    CHECK(strstr(message, "unreadable") != NULL);
    messages++;
}

static void leaves_it_out(const char *tree, const char *archive) {
    znippy_error *error = NULL;
    znippy_options *options = options_with(ZNIPPY_OPT_ON_ERROR, 1);
    znippy_stats stats = {.struct_size = sizeof stats};
    znippy_options_set_log(options, ZNIPPY_LOG_WARNING, on_log, &messages, NULL);
    znippy_status status = znippy_compress_dir(tree, archive, options, &stats, &error);
    CHECK(status == ZNIPPY_OK || status == ZNIPPY_E_PARTIAL);
    CHECK(stats.skipped + stats.failed == 1 && stats.files == 1);
    CHECK(messages == 1);
    znippy_error_free(error);
    znippy_options_free(options);
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy");
    struct path file = join(tree.text, "unreadable");
    make_dir(tree.text);
    write_string(join(tree.text, "readable").text, "bytes\n");
    write_string(file.text, "bytes\n");
    CHECK(chmod(file.text, 0) == 0);
    if (geteuid() == 0) { /* root reads everything, so somebody else has to try */
        CHECK(chmod(scratch(), 0777) == 0);
        if (seteuid(65534) != 0) {
            skip("the user can't be changed");
        }
    }
    names_the_file(tree.text, archive.text, file.text);
    leaves_it_out(tree.text, archive.text);
    if (geteuid() != getuid()) {
        CHECK(seteuid(getuid()) == 0);
    }
    return 0;
}
