/* A directory that isn't there is an error, and an older archive of the same name stays as it is. */
#include "harness.h"

static void refused(const char *input, const char *archive, znippy_status wanted) {
    znippy_error *error = NULL;
    znippy_options *options = options_with(ZNIPPY_OPT_OVERWRITE, 1);
    znippy_status status = znippy_compress_dir(input, archive, options, NULL, &error);
    size_t len = 0;
    const char *path = error ? znippy_error_path(error, &len) : NULL;
    CHECK(path && len == strlen(input) && memcmp(path, input, len) == 0);
    if (wanted) {
        EXPECT(status, wanted, &error);
    }
    CHECK(status < 0);
    znippy_error_free(error);
    znippy_options_free(options);
}

int main(void) {
    struct path archive = in_scratch("old.znippy"), file = in_scratch("file");
    write_string(archive.text, "an older archive");
    write_string(file.text, "not a directory");
    refused(in_scratch("no such directory").text, archive.text, ZNIPPY_E_NOT_FOUND);
    refused(file.text, archive.text, 0);
    struct bytes old = read_file(archive.text);
    CHECK(old.len == 16 && memcmp(old.data, "an older archive", 16) == 0);
    CHECK(count_names(scratch()) == 2);
    free(old.data);
    return 0;
}
