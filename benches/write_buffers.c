/*
 * Adds every file below a directory to a writer, one by one from memory, and prints the seconds that this took and the
 * most memory: what a program pays that has its files in memory already. Reading them is not timed.
 *
 *     write_buffers DIR ARCHIVE THREADS [buffers|files|tree]
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include <znippy.h>

struct file {
    char *path;
    char *data;
    size_t len;
};

static struct file *files;
static size_t count, room, root_len;
static int keeps_bytes;

static int die(const char *what) {
    fprintf(stderr, "write_buffers: %s\n", what);
    exit(1);
}

static int take(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)walk;
    if (kind != FTW_F || !S_ISREG(status->st_mode)) {
        return 0;
    }
    if (count == room && !(files = realloc(files, (room = room ? 2 * room : 1024) * sizeof *files))) {
        return die("out of memory");
    }
    struct file *file = &files[count++];
    file->path = strdup(path);
    file->len = (size_t)status->st_size;
    file->data = NULL;
    if (keeps_bytes) {
        FILE *in = fopen(path, "rb");
        file->data = malloc(file->len + 1);
        if (!in || !file->data || fread(file->data, 1, file->len, in) != file->len) {
            die("can't read a file");
        }
        fclose(in);
    }
    return 0;
}

static int by_path(const void *left, const void *right) {
    return strcmp(((const struct file *)left)->path, ((const struct file *)right)->path);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static znippy_status add_one(znippy_writer *writer, const struct file *file, znippy_error **error) {
    znippy_entry_info info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    info.path = file->path + root_len + 1;
    info.path_len = strlen(info.path);
    if (!keeps_bytes) {
        return znippy_writer_add_file(writer, file->path, info.path, info.path_len, error);
    }
    info.mode = 0644;
    info.flags = ZNIPPY_ENTRY_HAS_MODE;
    return znippy_writer_add_buffer(writer, &info, file->data, file->len, error);
}

int main(int argc, char **argv) {
    if (argc < 4) {
        return die("usage: write_buffers DIR ARCHIVE THREADS [buffers|files|tree]");
    }
    const char *how = argc > 4 ? argv[4] : "buffers";
    int tree = strcmp(how, "tree") == 0;
    keeps_bytes = strcmp(how, "buffers") == 0;
    root_len = strlen(argv[1]);
    if (!tree && nftw(argv[1], take, 16, FTW_PHYS) != 0) {
        return die("can't walk the directory");
    }
    if (count > 0) {
        qsort(files, count, sizeof *files, by_path);
    }
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    double began = now();
    znippy_error *error = NULL;
    znippy_writer *writer = NULL;
    znippy_options *options = znippy_options_new();
    znippy_status status = znippy_options_set_i64(options, ZNIPPY_OPT_THREADS, atoi(argv[3]), &error);
    if (status == ZNIPPY_OK) {
        status = znippy_options_set_i64(options, ZNIPPY_OPT_OVERWRITE, 1, &error);
    }
    if (status == ZNIPPY_OK) {
        status = znippy_writer_create(argv[2], options, &writer, &error);
    }
    if (status == ZNIPPY_OK && tree) {
        status = znippy_writer_add_tree(writer, argv[1], NULL, 0, &error);
    }
    for (size_t i = 0; status == ZNIPPY_OK && i < count; i++) {
        status = add_one(writer, &files[i], &error);
    }
    if (status == ZNIPPY_OK) {
        status = znippy_writer_finish(writer, NULL, &error);
    }
    if (status != ZNIPPY_OK) {
        return die(znippy_error_message(error));
    }
    double seconds = now() - began;
    znippy_writer_free(writer);
    znippy_options_free(options);
    getrusage(RUSAGE_SELF, &after);
    printf("%s %.3f s, %.1f MiB at the most, %.1f MiB before the writer\n", how, seconds,
           (double)after.ru_maxrss / 1024, (double)before.ru_maxrss / 1024);
    return 0;
}
