/*
 * A source that blocks until it is cancelled: the host's token ends the wait, the call ends with that status soon
 * after, and threads that wanted the same bytes are told too. What the source doesn't wait for goes on meanwhile.
 */
#include "harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

enum { WAITERS = 4 };

struct host {
    struct bytes bytes;
    znippy_cancel *cancel;
    atomic_bool stuck; /* once a call waits */
    atomic_bool blocks;
};

struct job {
    znippy_reader *reader;
    uint64_t index;
    znippy_status status;
};

static void sleep_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* A host that waits for a network would wait like this, or for a descriptor that the token's owner closes. */
static int64_t read_at(void *user_data, uint64_t offset, void *buffer, size_t len) {
    struct host *host = user_data;
    while (host->blocks && !znippy_cancel_is_triggered(host->cancel)) {
        host->stuck = true;
        sleep_ms(1);
    }
    if (host->blocks) {
        return ZNIPPY_E_CANCELLED;
    }
    memcpy(buffer, host->bytes.data + offset, len);
    return (int64_t)len;
}

static znippy_reader *open_over(struct host *host) {
    znippy_source source = {sizeof source, ZNIPPY_SOURCE_CONCURRENT, host, host->bytes.len, read_at, NULL};
    znippy_reader *reader = NULL;
    znippy_error *error = NULL;
    EXPECT_OK(znippy_reader_open_source(&source, NULL, &reader, &error), &error);
    return reader;
}

static void *read_one(void *argument) {
    struct job *job = argument;
    char buffer[100];
    size_t got = 0;
    znippy_error *error = NULL;
    job->status = znippy_reader_read_at(job->reader, job->index, 5 * MIB, buffer, sizeof buffer, &got, &error);
    CHECK((error != NULL) == (job->status < 0));
    znippy_error_free(error);
    return NULL;
}

static void *verify_all(void *argument) {
    struct job *job = argument;
    job->status = znippy_reader_verify(job->reader, NULL, NULL, NULL);
    return NULL;
}

static void wait_until_stuck(struct host *host) {
    while (!host->stuck) {
        sleep_ms(1);
    }
}

/* Runs `work` on some threads, cancels while they wait, and sees all of them end. */
static void cancelled(struct host *host, void *(*work)(void *), int count) {
    pthread_t threads[WAITERS];
    struct job jobs[WAITERS];
    host->blocks = false;
    host->stuck = false;
    host->cancel = znippy_cancel_new();
    CHECK(host->cancel != NULL);
    znippy_reader *reader = open_over(host);
    uint64_t hello = find(reader, "hello.txt"), big = find(reader, "big.txt");
    host->blocks = true;
    for (int i = 0; i < count; i++) {
        jobs[i] = (struct job){.reader = reader, .index = big, .status = ZNIPPY_OK};
        CHECK(pthread_create(&threads[i], NULL, work, &jobs[i]) == 0);
    }
    wait_until_stuck(host);
    CHECK(find(reader, "hello.txt") == hello); /* needs no bytes, so it waits for nobody */
    double start = seconds_now();
    znippy_cancel_trigger(host->cancel);
    for (int i = 0; i < count; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(jobs[i].status == ZNIPPY_E_CANCELLED);
    }
    CHECK(seconds_now() - start < 10); /* at once; the bound is for slow machines */
    host->blocks = false; /* and nothing of it is kept */
    read_one(&jobs[0]);
    CHECK(jobs[0].status == ZNIPPY_OK);
    znippy_reader_free(reader);
    znippy_cancel_free(host->cancel);
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy");
    alarm(60);
    make_tree(tree.text);
    pack(tree.text, archive.text);
    struct host host = {.bytes = read_file(archive.text)};
    cancelled(&host, read_one, 1);
    cancelled(&host, read_one, WAITERS);
    cancelled(&host, verify_all, 1);
    free(host.bytes.data);
    return 0;
}
