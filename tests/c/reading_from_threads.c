/* One reader serves eight threads at once, with a cache too small for them. */
#include "harness.h"

#include <pthread.h>

enum { THREADS = 8, READS = 300 };

struct job {
    znippy_reader *reader;
    const struct bytes *want;
    uint32_t seed;
};

static void *read_around(void *argument) {
    struct job *job = argument;
    unsigned char buffer[70000];
    uint32_t state = job->seed;
    uint64_t index = find(job->reader, "big.txt");
    for (int i = 0; i < READS; i++) {
        state = state * 1664525u + 1013904223u;
        size_t offset = state % job->want->len, got = 0, len = (state >> 8) % sizeof buffer;
        size_t rest = job->want->len - offset;
        znippy_error *error = NULL;
        EXPECT_OK(znippy_reader_read_at(job->reader, index, offset, buffer, len, &got, &error), &error);
        CHECK(got == (len < rest ? len : rest) && memcmp(buffer, job->want->data + offset, got) == 0);
    }
    znippy_reader_free(job->reader);
    return NULL;
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy");
    pthread_t threads[THREADS];
    struct job jobs[THREADS];
    znippy_error *error = NULL;
    znippy_reader *reader = NULL;
    make_tree(tree.text);
    pack(tree.text, archive.text);
    struct bytes want = read_file(join(tree.text, "big.txt").text);
    znippy_options *options = options_with(ZNIPPY_OPT_CACHE_SIZE, 5 * MIB);
    EXPECT_OK(znippy_reader_open(archive.text, options, &reader, &error), &error);
    znippy_options_free(options);
    for (uint32_t i = 0; i < THREADS; i++) {
        jobs[i] = (struct job){.reader = znippy_reader_retain(reader), .want = &want, .seed = i + 1};
        CHECK(pthread_create(&threads[i], NULL, read_around, &jobs[i]) == 0);
    }
    znippy_reader_free(reader); /* each thread has a reference of its own */
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    free(want.data);
    return 0;
}
