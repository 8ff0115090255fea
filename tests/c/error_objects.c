/* Errors are owned objects that say what, where and which number of the system; success stores null. */
#include "harness.h"

#include <errno.h>

static void tells_all(const char *missing) {
    znippy_error *error = NULL;
    znippy_reader *reader = NULL;
    size_t len = 0;
    CHECK(znippy_reader_open(missing, NULL, &reader, &error) == ZNIPPY_E_NOT_FOUND);
    CHECK(reader == NULL && error != NULL);
    CHECK(znippy_error_status(error) == ZNIPPY_E_NOT_FOUND && znippy_error_os_code(error) == ENOENT);
    CHECK(strcmp(znippy_error_path(error, &len), missing) == 0 && len == strlen(missing));
    CHECK(strcmp(znippy_error_path(error, NULL), missing) == 0);
    CHECK(strstr(znippy_error_message(error), missing) != NULL && !strchr(znippy_error_message(error), '\n'));
    znippy_error_free(error);
}

static void stale_pointers_are_ignored(const char *archive) {
    int something = 0;
    znippy_error *error = (znippy_error *)(void *)&something;
    znippy_reader *reader = NULL;
    CHECK(znippy_reader_open(archive, NULL, &reader, &error) == ZNIPPY_OK && error == NULL);
    znippy_reader_free(reader);
}

static void null_is_allowed(const char *missing) {
    znippy_reader *reader = NULL;
    CHECK(znippy_reader_open(missing, NULL, &reader, NULL) == ZNIPPY_E_NOT_FOUND);
    znippy_error_free(NULL);
    CHECK(znippy_error_message(NULL) != NULL);
    CHECK(znippy_error_os_code(NULL) == 0 && znippy_error_path(NULL, NULL) == NULL);
    CHECK(znippy_error_rule(NULL) == NULL);
}

static void names_exist(void) {
    CHECK(strcmp(znippy_status_name(ZNIPPY_OK), "ZNIPPY_OK") == 0);
    CHECK(strcmp(znippy_status_name(ZNIPPY_E_CORRUPT), "ZNIPPY_E_CORRUPT") == 0);
    CHECK(strcmp(znippy_status_name(ZNIPPY_E_PARTIAL), "ZNIPPY_E_PARTIAL") == 0);
    CHECK(znippy_status_name(-12345) != NULL && znippy_status_message(-12345) != NULL);
    CHECK(znippy_status_message(ZNIPPY_E_NO_SPACE)[0] != '\0');
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy");
    make_dir(tree.text);
    pack(tree.text, archive.text);
    tells_all(in_scratch("no such archive").text);
    stale_pointers_are_ignored(archive.text);
    null_is_allowed(in_scratch("no such archive").text);
    names_exist();
    return 0;
}
