/* The tool at a terminal: a bar is drawn, and Ctrl-C ends it with 130 and leaves nothing behind. */
#include "harness.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct run {
    pid_t pid;
    int terminal;
    char text[65536];
    size_t len;
};

static int open_terminal(int *user_end) {
    int fd = posix_openpt(O_RDWR | O_NOCTTY);
    if (fd < 0 || grantpt(fd) != 0 || unlockpt(fd) != 0) {
        skip("no terminal can be made here");
    }
    *user_end = open(ptsname(fd), O_RDWR | O_NOCTTY);
    if (*user_end < 0) {
        skip("no terminal can be opened here");
    }
    return fd;
}

static void start(struct run *run, const char *const arguments[]) {
    int user_end;
    memset(run, 0, sizeof *run);
    run->terminal = open_terminal(&user_end);
    run->pid = fork();
    CHECK(run->pid >= 0);
    if (run->pid == 0) {
        dup2(user_end, STDERR_FILENO);
        signal(SIGINT, SIG_DFL); /* jobs in the background ignore it, and so would the tool */
        execv(getenv("ZNIPPY"), (char *const *)(uintptr_t)arguments);
        _exit(99);
    }
    close(user_end);
}

/* Collects what the terminal shows until a text is there, or the program has closed it. */
static void collect(struct run *run, const char *until) {
    struct pollfd poll_on = {.fd = run->terminal, .events = POLLIN, .revents = 0};
    while (run->len < sizeof run->text - 1 && !(until && strstr(run->text, until)) && poll(&poll_on, 1, 60000) == 1) {
        ssize_t got = read(run->terminal, run->text + run->len, sizeof run->text - 1 - run->len);
        if (got <= 0) {
            return;
        }
        run->len += (size_t)got;
    }
}

static int finish(struct run *run) {
    int status = 0;
    collect(run, NULL);
    CHECK(waitpid(run->pid, &status, 0) == run->pid && WIFEXITED(status));
    close(run->terminal);
    return WEXITSTATUS(status);
}

static void draws_a_bar(const char *tree, const char *archive) {
    const char *const arguments[] = {"znippy", "pack", tree, archive, NULL};
    struct run run;
    start(&run, arguments);
    CHECK(finish(&run) == 0);
    CHECK(strstr(run.text, "packing") && strstr(run.text, "% [") && strstr(run.text, "left"));
    CHECK(strstr(run.text, "packed 25 entries, 48 MiB") || strstr(run.text, "packed 24 entries, 48 MiB"));
    CHECK(exists(archive));
}

static void stops_on(int number, const char *tree, const char *archive) {
    const char *const arguments[] = {"znippy", "pack", "-l", "22", "-j", "1", tree, archive, NULL};
    struct run run;
    start(&run, arguments);
    collect(&run, "packing");
    double began = seconds_now();
    CHECK(kill(run.pid, number) == 0);
    CHECK(finish(&run) == 130);
    CHECK(seconds_now() - began < 5);
    CHECK(strstr(run.text, "cancelled"));
    CHECK(count_names(scratch()) == 2);
}

int main(void) {
    struct path tree = in_scratch("tree"), archive = in_scratch("a.znippy"), other = in_scratch("b.znippy");
    if (!getenv("ZNIPPY") || !getenv("ZNIPPY")[0]) {
        skip("ZNIPPY does not name the tool");
    }
    alarm(100);
    make_big_tree(tree.text, 24, 2 * MIB);
    draws_a_bar(tree.text, archive.text);
    stops_on(SIGINT, tree.text, other.text);
    stops_on(SIGTERM, tree.text, other.text);
    return 0;
}
