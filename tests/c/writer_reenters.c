/* A writer called from its own callbacks answers ZNIPPY_E_BUSY, and in a child process ZNIPPY_E_FORKED. */
#include "harness.h"

#include <sys/wait.h>
#include <unistd.h>

struct host {
    znippy_writer *writer;
    int reads, writes, reports;
    bool frees;
};

static void refused(const struct host *host, znippy_status wanted) {
    znippy_error *error = NULL;
    znippy_entry_info info = {.struct_size = sizeof info, .path = "x", .path_len = 1};
    EXPECT(znippy_writer_add_buffer(host->writer, &info, "x", 1, &error), wanted, &error);
    EXPECT(znippy_writer_add_tree(host->writer, "/", "x", 1, &error), wanted, &error);
    EXPECT(znippy_writer_add_file(host->writer, "/dev/null", "x", 1, &error), wanted, &error);
    EXPECT(znippy_writer_finish(host->writer, NULL, &error), wanted, &error);
}

static int64_t give(void *user_data, void *buffer, size_t len) {
    struct host *host = user_data;
    if (host->frees) {
        znippy_writer_free(host->writer);
        host->frees = false;
        return 0;
    }
    refused(host, ZNIPPY_E_BUSY);
    memset(buffer, 'x', len);
    return host->reads++ < 12 ? (int64_t)len : 0;
}

static int64_t take(void *user_data, const void *data, size_t len) {
    struct host *host = user_data;
    (void)data;
    host->writes++;
    refused(host, ZNIPPY_E_BUSY);
    return (int64_t)len;
}

static int32_t report(void *user_data, const znippy_progress *progress) {
    struct host *host = user_data;
    (void)progress;
    host->reports++;
    refused(host, ZNIPPY_E_BUSY);
    return 0;
}

static znippy_status add_stream(struct host *host, const char *path, znippy_error **error) {
    znippy_stream stream = {sizeof stream, 0, host, give, NULL};
    znippy_entry_info info = {.struct_size = sizeof info, .path = path, .path_len = strlen(path)};
    return znippy_writer_add_stream(host->writer, &info, &stream, error);
}

static void in_callbacks(void) {
    struct host host = {NULL, 0, 0, 0, false};
    znippy_error *error = NULL;
    znippy_options *options = options_with(ZNIPPY_OPT_PROGRESS_INTERVAL, 0);
    znippy_sink sink = {sizeof sink, 0, &host, take, NULL, NULL};
    znippy_options_set_progress(options, report, &host, NULL);
    EXPECT_OK(znippy_writer_create_sink(&sink, options, &host.writer, &error), &error);
    EXPECT_OK(add_stream(&host, "stream", &error), &error);
    EXPECT_OK(znippy_writer_finish(host.writer, NULL, &error), &error);
    CHECK(host.reads > 1 && host.writes > 1 && host.reports > 1);
    znippy_writer_free(host.writer);

    /* Freed in the middle of a call: the call ends first. */
    EXPECT_OK(znippy_writer_create_sink(&sink, NULL, &host.writer, &error), &error);
    host.frees = true;
    EXPECT_OK(add_stream(&host, "stream", &error), &error);
    znippy_options_free(options);
}

static void in_a_child(void) {
    struct path archive = in_scratch("forked.znippy");
    struct host host = {NULL, 0, 0, 0, false};
    znippy_error *error = NULL;
    int status = 0;
    EXPECT_OK(znippy_writer_create(archive.text, NULL, &host.writer, &error), &error);
    EXPECT_OK(znippy_writer_add_tree(host.writer, in_scratch("tree").text, NULL, 0, &error), &error);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(20); /* a hang would be a failure */
        refused(&host, ZNIPPY_E_FORKED);
        znippy_writer_free(host.writer);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EXPECT_OK(znippy_writer_finish(host.writer, NULL, &error), &error);
    znippy_writer_free(host.writer);
    znippy_reader *reader = open_reader(archive.text);
    EXPECT_OK(znippy_reader_verify(reader, NULL, NULL, &error), &error);
    znippy_reader_free(reader);
}

int main(void) {
    make_tree(in_scratch("tree").text);
    in_callbacks();
    in_a_child();
    return 0;
}
