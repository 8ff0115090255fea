/*
 * The least that restoring a tree can cost: its directories made, and each of its files created, written in one call,
 * given its time and closed, by THREADS threads that take 64 files at a time in order of path. The bytes are zeros,
 * nothing is decoded, checked or resolved. With "modes" each file's mode is set by a call of its own too.
 *
 *     write_floor TREE TARGET THREADS [modes]          TARGET must not exist
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, MAX_THREADS = 64 };

struct file {
    char *path;
    size_t size;
    mode_t mode;
    struct timespec time;
};

static struct file *files;
static size_t file_count, file_room, prefix;
static const char *target;
static char *zeros;
static size_t longest;
static int with_modes;
static atomic_size_t next_file;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int visit(const char *path, const struct stat *stat, int type, struct FTW *walk) {
    char to[8192];
    (void)walk;
    snprintf(to, sizeof to, "%s%s", target, path + prefix);
    if (type == FTW_D) {
        if (mkdir(to, 0777)) {
            fail(to);
        }
    } else if (type == FTW_F && S_ISREG(stat->st_mode)) {
        if (file_count == file_room) {
            file_room = file_room ? file_room * 2 : 1024;
            files = realloc(files, file_room * sizeof *files);
        }
        files[file_count++] = (struct file){strdup(to), (size_t)stat->st_size, stat->st_mode & 0777, stat->st_mtim};
        longest = (size_t)stat->st_size > longest ? (size_t)stat->st_size : longest;
    }
    return 0;
}

static int by_path(const void *left, const void *right) {
    return strcmp(((const struct file *)left)->path, ((const struct file *)right)->path);
}

static void write_file(int directory, const struct file *file) {
    struct timespec times[2] = {{0, UTIME_OMIT}, file->time};
    int fd = openat(directory, strrchr(file->path, '/') + 1, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0 || (file->size && pwrite(fd, zeros, file->size, 0) != (ssize_t)file->size)
        || (with_modes && fchmod(fd, file->mode)) || futimens(fd, times) || close(fd)) {
        fail(file->path);
    }
}

static void *work(void *unused) {
    char held[8192] = "";
    int directory = -1;
    (void)unused;
    for (;;) {
        size_t from = atomic_fetch_add(&next_file, BATCH);
        if (from >= file_count) {
            close(directory);
            return NULL;
        }
        for (size_t i = from; i < from + BATCH && i < file_count; i++) {
            size_t length = (size_t)(strrchr(files[i].path, '/') - files[i].path);
            if (strlen(held) != length || memcmp(held, files[i].path, length) != 0) {
                close(directory);
                snprintf(held, sizeof held, "%.*s", (int)length, files[i].path);
                directory = open(held, O_PATH | O_DIRECTORY | O_CLOEXEC);
            }
            write_file(directory, &files[i]);
        }
    }
}

int main(int argc, char **argv) {
    pthread_t threads[MAX_THREADS];
    struct timespec start, end;
    int count = argc > 3 ? atoi(argv[3]) : 0;
    if (count < 1 || count > MAX_THREADS) {
        fputs("usage: write_floor TREE TARGET THREADS [modes]\n", stderr);
        return 2;
    }
    prefix = strlen(argv[1]);
    target = argv[2];
    with_modes = argc > 4;
    if (nftw(argv[1], visit, 64, FTW_PHYS)) {
        fail(argv[1]);
    }
    qsort(files, file_count, sizeof *files, by_path);
    zeros = calloc(longest + 1, 1);
    memset(zeros, 1, longest);
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < count; i++) {
        pthread_create(&threads[i], NULL, work, NULL);
    }
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%zu files: %.3f s for the files alone\n", file_count,
           (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) * 1e-9);
    return 0;
}
