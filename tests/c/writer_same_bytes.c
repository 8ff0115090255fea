/* Many small buffers make the same archive at every thread count, within the memory that is promised. */
#include "harness.h"

enum { COUNT = 30000 };

static struct bytes written_with(int64_t threads) {
    static int number;
    znippy_error *error = NULL;
    znippy_writer *writer = NULL;
    char name[64];
    snprintf(name, sizeof name, "%d.znippy", number++);
    struct path archive = in_scratch(name);
    znippy_options *options = options_with(ZNIPPY_OPT_THREADS, threads);
    EXPECT_OK(znippy_writer_create(archive.text, options, &writer, &error), &error);
    znippy_options_free(options);
    for (uint32_t i = 0; i < COUNT; i++) {
        char text[400];
        znippy_entry_info info = {.struct_size = sizeof info, .path = name};
        info.path_len = (size_t)snprintf(name, sizeof name, "%u/%u.%s", i * 7919 % 97, i, i % 9 ? "c" : "gz");
        int len = 0;
        for (uint32_t state = i; len < 60 + (int)(i % 240); state = state * 1664525u + 1013904223u) {
            len += snprintf(text + len, sizeof text - (size_t)len, "%u;\n", state >> 24);
        }
        EXPECT_OK(znippy_writer_add_buffer(writer, &info, text, (size_t)len, &error), &error);
    }
    EXPECT_OK(znippy_writer_finish(writer, NULL, &error), &error);
    znippy_writer_free(writer);
    return read_file(archive.text);
}

static long peak_kib(void) {
    char line[256];
    long peak = 0;
    FILE *status = fopen("/proc/self/status", "r");
    CHECK(status != NULL);
    while (fgets(line, sizeof line, status)) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            peak = strtol(line + 6, NULL, 10);
        }
    }
    fclose(status);
    return peak;
}

int main(void) {
    struct bytes first = written_with(2);
    long peak = peak_kib();
    printf("%ld KiB at the most\n", peak);
    CHECK(peak < 256 * 1024);
    for (int64_t threads = 1; threads <= 8; threads += 7) {
        struct bytes other = written_with(threads);
        CHECK(other.len == first.len && memcmp(other.data, first.data, first.len) == 0);
        free(other.data);
    }
    free(first.data);
    return 0;
}
