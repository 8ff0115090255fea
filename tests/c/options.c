/* Options: every key has a name, help and bounds that are kept; unknown keys are told; callbacks are released once. */
#include "harness.h"

static int released;

static void count_release(void *user_data) {
    (void)user_data;
    released++;
}

static int32_t go_on(void *user_data, const znippy_progress *progress) {
    (void)user_data, (void)progress;
    return 0;
}

static void bounds_are_kept(znippy_options *options, uint32_t key) {
    znippy_error *error = NULL;
    int64_t min = 1, max = 0, value = 0;
    EXPECT_OK(znippy_option_bounds(key, &min, &max), &error);
    CHECK(min <= max);
    if (key == ZNIPPY_OPT_REPO) {
        EXPECT(znippy_options_set_i64(options, key, 0, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
        EXPECT_OK(znippy_options_set_bytes(options, key, "label", 5, &error), &error);
        EXPECT(znippy_options_set_bytes(options, key, "\xff", 1, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
        return;
    }
    if (key == ZNIPPY_OPT_INCLUDE || key == ZNIPPY_OPT_EXCLUDE || key == ZNIPPY_OPT_PREFIX ||
        key == ZNIPPY_OPT_IGNORE_FILE) {
        EXPECT(znippy_options_set_i64(options, key, 0, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
        EXPECT(znippy_options_get_i64(options, key, &value, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
        EXPECT_OK(znippy_options_set_bytes(options, key, "one", 3, &error), &error);
        EXPECT_OK(znippy_options_set_bytes(options, key, "two", 3, &error), &error);
        EXPECT_OK(znippy_options_set_bytes(options, key, NULL, 0, &error), &error);
        const char *bad = key == ZNIPPY_OPT_PREFIX || key == ZNIPPY_OPT_IGNORE_FILE ? "../x" : "a[";
        EXPECT(znippy_options_set_bytes(options, key, bad, strlen(bad), &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
        return;
    }
    EXPECT_OK(znippy_options_get_i64(options, key, &value, &error), &error);
    CHECK(min <= value && value <= max);
    EXPECT_OK(znippy_options_set_i64(options, key, max, &error), &error);
    EXPECT_OK(znippy_options_set_i64(options, key, min, &error), &error);
    EXPECT_OK(znippy_options_get_i64(options, key, &value, &error), &error);
    CHECK(value == min);
    EXPECT(znippy_options_set_i64(options, key, min - 1, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    if (max < INT64_MAX) {
        EXPECT(znippy_options_set_i64(options, key, max + 1, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    }
    EXPECT(znippy_options_set_bytes(options, key, "x", 1, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    EXPECT_OK(znippy_options_get_i64(options, key, &value, &error), &error);
    CHECK(value == min);
}

static void every_key(znippy_options *options) {
    uint32_t last = 0;
    for (uint32_t key = 1; key < 1000; key++) {
        if (!znippy_option_name(key)) {
            continue; /* numbers have gaps */
        }
        last = key;
        CHECK(znippy_option_key(znippy_option_name(key)) == key);
        CHECK(znippy_option_help(key) && znippy_option_help(key)[0]);
        bounds_are_kept(options, key);
    }
    CHECK(last >= ZNIPPY_OPT_ATOMIC);
}

static void unknown_keys(znippy_options *options) {
    znippy_error *error = NULL;
    int64_t min = 7, max = 7;
    static const uint32_t UNKNOWN[] = {0, 12345, UINT32_MAX};
    for (size_t i = 0; i < 3; i++) {
        EXPECT(znippy_options_set_i64(options, UNKNOWN[i], 0, &error), ZNIPPY_E_UNSUPPORTED, &error);
        EXPECT(znippy_options_set_bytes(options, UNKNOWN[i], "", 0, &error), ZNIPPY_E_UNSUPPORTED, &error);
        EXPECT(znippy_options_get_i64(options, UNKNOWN[i], &min, &error), ZNIPPY_E_UNSUPPORTED, &error);
        CHECK(znippy_option_bounds(UNKNOWN[i], &min, &max) == ZNIPPY_E_UNSUPPORTED && min == 7 && max == 7);
        CHECK(!znippy_option_name(UNKNOWN[i]) && !znippy_option_help(UNKNOWN[i]));
    }
    CHECK(znippy_option_key("no such option") == 0 && znippy_option_key(NULL) == 0);
}

static void on_log(void *user_data, int32_t level, const char *message, size_t len) {
    (void)user_data, (void)level, (void)message, (void)len;
}

static void callbacks_are_released_once(void) {
    znippy_options *options = znippy_options_new();
    znippy_options_set_progress(options, go_on, NULL, count_release);
    znippy_options_set_progress(options, go_on, NULL, count_release);
    CHECK(released == 1);
    znippy_options *clone = znippy_options_clone(options);
    znippy_options_free(options);
    CHECK(released == 1);
    znippy_options_free(clone);
    CHECK(released == 2);
    options = znippy_options_new();
    znippy_options_set_log(options, ZNIPPY_LOG_WARNING, on_log, NULL, count_release);
    znippy_options_set_log(options, ZNIPPY_LOG_WARNING, NULL, NULL, NULL);
    CHECK(released == 3);
    znippy_options_free(options);
    CHECK(released == 3);
}

static void clones_are_apart(void) {
    znippy_error *error = NULL;
    int64_t level = 0;
    znippy_options *options = options_with(ZNIPPY_OPT_LEVEL, 7);
    znippy_options *clone = znippy_options_clone(options);
    EXPECT_OK(znippy_options_set_i64(options, ZNIPPY_OPT_LEVEL, 9, &error), &error);
    EXPECT_OK(znippy_options_get_i64(clone, ZNIPPY_OPT_LEVEL, &level, &error), &error);
    CHECK(level == 7);
    znippy_options_free(options);
    znippy_options_free(clone);
}

int main(void) {
    znippy_options *options = znippy_options_new();
    every_key(options);
    unknown_keys(options);
    znippy_options_free(options);
    callbacks_are_released_once();
    clones_are_apart();
    return 0;
}
