/* A FIFO, a socket: recorded or counted as skipped, but never opened, so that nothing waits for a writer. */
#include "harness.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void make_socket(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(fd >= 0 && strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path));
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    close(fd);
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("tree.znippy"), back = in_scratch("back");
    znippy_error *error = NULL;
    znippy_stats stats = {.struct_size = sizeof stats};
    alarm(30);
    make_dir(tree.text);
    write_string(join(tree.text, "file").text, "bytes\n");
    CHECK(mkfifo(join(tree.text, "fifo").text, 0644) == 0);
    make_socket(join(tree.text, "socket").text);
    EXPECT_OK(znippy_compress_dir(tree.text, archive.text, NULL, &stats, &error), &error);
    CHECK(stats.specials + stats.skipped == 2 && stats.files == 1);
    EXPECT_OK(znippy_extract_archive(archive.text, back.text, NULL, NULL, &error), &error);
    CHECK(exists(join(back.text, "file").text));
    return 0;
}
