/*
 * What it costs to load the library and call it once: dlopen(), dlsym() and znippy_version_number(), each time in a process of
 * its own, since the library stays once it is loaded. The file is in the page cache after the first time.
 *
 * usage: load LIBRARY [TIMES]
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 10000 };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

/* Microseconds; negative where the library can't be used. */
static double load(const char *path) {
    double start = now();
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    uint32_t (*version)(void) = NULL;
    if (library) {
        *(void **)&version = dlsym(library, "znippy_version_number");
    }
    return version && version() > 0 ? now() - start : -1;
}

static int ascending(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

int main(int argc, char **argv) {
    static double times[MOST];
    int count = argc > 2 ? atoi(argv[2]) : 200;
    if (argc < 2 || count < 1 || count > MOST) {
        fprintf(stderr, "usage: load LIBRARY [TIMES]\n");
        return 2;
    }
    for (int i = 0; i < count; i++) {
        int ends[2];
        pid_t child;
        if (pipe(ends) != 0 || (child = fork()) < 0) {
            perror("load");
            return 1;
        }
        if (child == 0) {
            double time = load(argv[1]);
            _exit(write(ends[1], &time, sizeof time) != (ssize_t)sizeof time);
        }
        close(ends[1]);
        if (read(ends[0], &times[i], sizeof times[i]) != (ssize_t)sizeof times[i] || times[i] < 0) {
            fprintf(stderr, "load: %s can't be loaded\n", argv[1]);
            return 1;
        }
        close(ends[0]);
        waitpid(child, NULL, 0);
    }
    printf("first %.0f us\n", times[0]);
    qsort(times, (size_t)count, sizeof times[0], ascending);
    printf("%d times: median %.0f us, 95 %% below %.0f us, most %.0f us\n", count, times[count / 2], times[count * 95 / 100],
           times[count - 1]);
    return 0;
}
