/* A sink that waits for another thread, and a cancel from a third one: the bytes come through in order, a cancel is seen
 * as soon as the sink is back, and in calls of a writer that wait for nobody it is seen at once. */
#include "harness.h"

#include <pthread.h>
#include <time.h>

/* A place for one piece between the sink and who takes the bytes. */
struct pipe_of_one {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const void *data;
    size_t len;
    bool closed, holding; /* nothing is taken while it holds */
    double waited_since, let_go_at;
    struct bytes taken;
    znippy_cancel *cancel;
};

/* A cancel ends a call within 0.1 s, which a run with ZNIPPY_TEST_TIMED=1 demands; beside other programs only the order
 * of magnitude can be told: some of these jobs have no end. */
static double promptly(void) {
    return getenv("ZNIPPY_TEST_TIMED") ? 0.1 : 20.0;
}

static void sleep_ms(long ms) {
    struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&wait, NULL);
}

static int64_t hand_over(void *user_data, const void *data, size_t len) {
    struct pipe_of_one *pipe = user_data;
    pthread_mutex_lock(&pipe->lock);
    pipe->data = data;
    pipe->len = len;
    pipe->waited_since = seconds_now();
    pthread_cond_broadcast(&pipe->changed);
    while (pipe->data) {
        pthread_cond_wait(&pipe->changed, &pipe->lock);
    }
    pthread_mutex_unlock(&pipe->lock);
    return (int64_t)len;
}

static void *take_all(void *user_data) {
    struct pipe_of_one *pipe = user_data;
    pthread_mutex_lock(&pipe->lock);
    for (;;) {
        while ((!pipe->data || pipe->holding) && !pipe->closed) {
            pthread_cond_wait(&pipe->changed, &pipe->lock);
        }
        if (pipe->closed) {
            break;
        }
        pipe->taken.data = realloc(pipe->taken.data, pipe->taken.len + pipe->len);
        CHECK(pipe->taken.data != NULL);
        memcpy(pipe->taken.data + pipe->taken.len, pipe->data, pipe->len);
        pipe->taken.len += pipe->len;
        pipe->data = NULL;
        pipe->let_go_at = seconds_now();
        pthread_cond_broadcast(&pipe->changed);
    }
    pthread_mutex_unlock(&pipe->lock);
    return NULL;
}

/* Cancels while the sink is held, and lets it go a while later. */
static void *cancel_while_held(void *user_data) {
    struct pipe_of_one *pipe = user_data;
    for (bool waits = false; !waits; sleep_ms(5)) {
        pthread_mutex_lock(&pipe->lock);
        waits = pipe->data != NULL;
        pthread_mutex_unlock(&pipe->lock);
    }
    znippy_cancel_trigger(pipe->cancel);
    sleep_ms(300);
    pthread_mutex_lock(&pipe->lock);
    pipe->holding = false;
    pthread_cond_broadcast(&pipe->changed);
    pthread_mutex_unlock(&pipe->lock);
    return NULL;
}

static znippy_status write_tree(struct pipe_of_one *pipe, const char *tree) {
    pthread_t taker;
    znippy_error *error = NULL;
    znippy_writer *writer = NULL;
    znippy_options *options = znippy_options_new();
    znippy_sink table = {sizeof table, 0, pipe, hand_over, NULL, NULL};
    size_t threads = count_threads(SIZE_MAX);
    CHECK(pthread_create(&taker, NULL, take_all, pipe) == 0);
    znippy_options_set_cancel(options, pipe->cancel);
    EXPECT_OK(znippy_writer_create_sink(&table, options, &writer, &error), &error);
    znippy_status status = znippy_writer_add_tree(writer, tree, NULL, 0, &error);
    if (status == ZNIPPY_OK) {
        status = znippy_writer_finish(writer, NULL, &error);
    }
    double back = seconds_now();
    znippy_error_free(error);
    znippy_writer_free(writer);
    znippy_options_free(options);
    pthread_mutex_lock(&pipe->lock);
    pipe->closed = true;
    pthread_cond_broadcast(&pipe->changed);
    pthread_mutex_unlock(&pipe->lock);
    CHECK(pthread_join(taker, NULL) == 0);
    CHECK(count_threads(threads + 1) <= threads + 1); /* who cancels may still be there */
    if (status != ZNIPPY_OK) {
        printf("back %.0f ms after the sink\n", (back - pipe->let_go_at) * 1000);
        CHECK(back - pipe->let_go_at < promptly());
    }
    return status;
}

static void blocked_sink(const char *tree, const char *archive) {
    struct pipe_of_one pipe = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct bytes file = read_file(archive);
    CHECK(write_tree(&pipe, tree) == ZNIPPY_OK);
    CHECK(pipe.taken.len == file.len && memcmp(pipe.taken.data, file.data, file.len) == 0);
    free(pipe.taken.data);

    struct pipe_of_one held = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    pthread_t canceller;
    held.holding = true;
    held.cancel = znippy_cancel_new();
    CHECK(pthread_create(&canceller, NULL, cancel_while_held, &held) == 0);
    CHECK(write_tree(&held, tree) == ZNIPPY_E_CANCELLED);
    CHECK(pthread_join(canceller, NULL) == 0);
    CHECK(held.taken.len < file.len);
    znippy_cancel_free(held.cancel);
    free(held.taken.data);
    free(file.data);
}

static double triggered_at;

static void *trigger_soon(void *token) {
    sleep_ms(200);
    triggered_at = seconds_now();
    znippy_cancel_trigger(token);
    return NULL;
}

static int64_t endless(void *user_data, void *buffer, size_t len) {
    memset(buffer, *(unsigned char *)user_data, len);
    *(unsigned char *)user_data += 1;
    return (int64_t)len;
}

/* In a stream that never ends, in buffers of slow compression, and in finish. */
static void calls_of_a_writer(void) {
    struct bytes text = text_bytes(40 * MIB, 3);
    for (int what = 0; what < 3; what++) {
        struct path archive = in_scratch("cancelled.znippy");
        pthread_t thread;
        znippy_error *error = NULL;
        znippy_writer *writer = NULL;
        znippy_options *options = options_with(ZNIPPY_OPT_LEVEL, 19);
        znippy_cancel *cancel = znippy_cancel_new();
        size_t names = count_names(scratch());
        znippy_options_set_cancel(options, cancel);
        EXPECT_OK(znippy_writer_create(archive.text, options, &writer, &error), &error);
        znippy_entry_info meta = {.struct_size = sizeof meta, .kind = ZNIPPY_KIND_FILE, .path = "a", .path_len = 1};
        unsigned char seed = 0;
        znippy_stream stream = {.struct_size = sizeof stream, .user_data = &seed, .read = endless};
        if (what == 2) {
            EXPECT_OK(znippy_writer_add_buffer(writer, &meta, text.data, text.len / 4, &error), &error);
        }
        CHECK(pthread_create(&thread, NULL, trigger_soon, cancel) == 0);
        znippy_status status = ZNIPPY_OK;
        char name[16];
        meta.path = name;
        for (int i = 0; status == ZNIPPY_OK; i++) {
            meta.path_len = (size_t)snprintf(name, sizeof name, "entry %d", i);
            status = what == 0   ? znippy_writer_add_stream(writer, &meta, &stream, &error)
                     : what == 1 ? znippy_writer_add_buffer(writer, &meta, text.data, text.len, &error)
                                 : znippy_writer_finish(writer, NULL, &error);
        }
        double late = seconds_now() - triggered_at;
        CHECK(status == ZNIPPY_E_CANCELLED);
        znippy_error_free(error);
        CHECK(pthread_join(thread, NULL) == 0);
        printf("call %d stopped after %.0f ms\n", what, late * 1000);
        CHECK(late < promptly());
        znippy_writer_free(writer);
        CHECK(count_names(scratch()) == names);
        znippy_cancel_free(cancel);
        znippy_options_free(options);
    }
    free(text.data);
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy");
    make_big_tree(tree.text, 6, 3 * MIB);
    pack(tree.text, archive.text);
    blocked_sink(tree.text, archive.text);
    calls_of_a_writer();
    return 0;
}
