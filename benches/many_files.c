/*
 * Makes a tree of many tiny files: a hundred files a directory, a hundred directories below each of those above.
 * Names, sizes and bytes depend on the number of the file alone, so the tree is the same everywhere.
 *
 *     many_files DIR COUNT
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES = 100, DIRECTORIES = 100 };

static int fail(const char *name) {
    fprintf(stderr, "many_files: %s: %s\n", name, strerror(errno));
    return 1;
}

static int make_directory(const char *path) {
    return mkdir(path, 0755) == 0 || errno == EEXIST ? 0 : fail(path);
}

/* 60 to 300 bytes that no other file has, and that compress about as well as source code does. */
static size_t fill(char *text, size_t size, unsigned long number) {
    static const char *const WORDS[] = {"static", "return", "index", "offset", "reader", "length", "block", "(void)"};
    unsigned long long state = number * 6364136223846793005ULL + 1442695040888963407ULL;
    size_t wanted = 60 + (size_t)(state >> 33) % 240;
    size_t len = (size_t)snprintf(text, size, "/* file %lu */\n", number);
    while (len < wanted) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        len += (size_t)snprintf(text + len, size - len, "%s %llu;\n", WORDS[(state >> 40) % 8], (state >> 33) % 1000);
    }
    return len;
}

static int make_file(const char *path, unsigned long number) {
    char text[400];
    size_t len = fill(text, sizeof text, number);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return fail(path);
    }
    int code = write(fd, text, len) == (ssize_t)len ? 0 : fail(path);
    return close(fd) == 0 ? code : fail(path);
}

static int make_nth(const char *root, unsigned long number) {
    char path[4096];
    unsigned long directory = number / FILES, above = directory / DIRECTORIES;
    int code = 0;
    if (number % (FILES * DIRECTORIES) == 0) {
        snprintf(path, sizeof path, "%s/part-%03lu", root, above);
        code = make_directory(path);
    }
    if (code == 0 && number % FILES == 0) {
        snprintf(path, sizeof path, "%s/part-%03lu/module-%05lu", root, above, directory);
        code = make_directory(path);
    }
    snprintf(path, sizeof path, "%s/part-%03lu/module-%05lu/file-%07lu.c", root, above, directory, number);
    return code != 0 ? code : make_file(path, number);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fputs("usage: many_files DIR COUNT\n", stderr);
        return 2;
    }
    unsigned long count = strtoul(argv[2], NULL, 10);
    int code = make_directory(argv[1]);
    for (unsigned long number = 0; code == 0 && number < count; number++) {
        code = make_nth(argv[1], number);
    }
    return code;
}
