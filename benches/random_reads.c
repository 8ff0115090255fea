/*
 * Files at random out of one tree packed three ways, in one process: by a znippy reader that all threads share, and by
 * libsquashfs and libzip, which need a reader for each thread. Every reader gets the same names, and what they
 * return is compared. Opening is not counted.
 *
 *     random_reads ARCHIVE.znippy IMAGE.squashfs FILE.zip COUNT THREADS
 *
 * Prints microseconds a file: wall time, times threads divided by files.
 */
#include <pthread.h>
#include <sqfs/compressor.h>
#include <sqfs/data_reader.h>
#include <sqfs/dir_reader.h>
#include <sqfs/error.h>
#include <sqfs/inode.h>
#include <sqfs/io.h>
#include <sqfs/super.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zip.h>
#include <znippy.h>

enum { MAX_THREADS = 64, ROUNDS = 5 };

/* The names to read, in order; the same for everybody. */
static char **names;
static size_t name_count;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "random_reads: %s: %s\n", what, why);
    exit(1);
}

static void *allocate(size_t size) {
    void *memory = malloc(size ? size : 1);
    if (!memory) {
        fail("memory", "none left");
    }
    return memory;
}

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return *state >> 33;
}

/* A sum that depends on each byte and its place. */
static uint64_t sum_of(uint64_t sum, const unsigned char *bytes, size_t len) {
    sum = sum * 31 + len;
    for (size_t i = 0; i + 8 <= len; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof word);
        sum = (sum ^ word) * 0x9E3779B97F4A7C15ULL;
    }
    return len ? sum + bytes[len - 1] : sum;
}

/* ---- znippy ---- */

static znippy_reader *reader;

static void check(znippy_status status, znippy_error *error) {
    if (status != ZNIPPY_OK) {
        fail("znippy", error ? znippy_error_message(error) : znippy_status_name(status));
    }
}

static uint64_t read_znippy(size_t from, size_t to, const char *unused) {
    uint64_t sum = 0;
    (void)unused;
    for (size_t i = from; i < to; i++) {
        znippy_error *error = NULL;
        znippy_buffer buffer = {NULL, 0, 0};
        uint64_t index = 0;
        check(znippy_reader_find(reader, names[i], strlen(names[i]), &index, &error), error);
        check(znippy_reader_read(reader, index, NULL, &buffer, &error), error);
        sum += sum_of(i, buffer.data, buffer.len);
        znippy_buffer_free(&buffer);
    }
    return sum;
}

/* ---- libsquashfs ---- */

struct squashfs {
    sqfs_file_t *file;
    sqfs_super_t super;
    sqfs_compressor_t *compressor;
    sqfs_dir_reader_t *directories;
    sqfs_data_reader_t *data;
};

static struct squashfs open_squashfs(const char *path) {
    struct squashfs image;
    sqfs_compressor_config_t config;
    image.file = sqfs_open_file(path, SQFS_FILE_OPEN_READ_ONLY);
    if (!image.file || sqfs_super_read(&image.super, image.file)) {
        fail(path, "can't be opened");
    }
    sqfs_compressor_config_init(&config, image.super.compression_id, image.super.block_size, SQFS_COMP_FLAG_UNCOMPRESS);
    if (sqfs_compressor_create(&config, &image.compressor)) {
        fail(path, "its compressor is missing");
    }
    image.directories = sqfs_dir_reader_create(&image.super, image.compressor, image.file, 0);
    image.data = sqfs_data_reader_create(image.file, image.super.block_size, image.compressor, 0);
    if (!image.directories || !image.data || sqfs_data_reader_load_fragment_table(image.data, &image.super)) {
        fail(path, "can't be read");
    }
    return image;
}

static uint64_t read_squashfs(size_t from, size_t to, const char *path) {
    struct squashfs image = open_squashfs(path);
    uint64_t sum = 0;
    for (size_t i = from; i < to; i++) {
        sqfs_inode_generic_t *inode = NULL;
        sqfs_u64 size = 0;
        if (sqfs_dir_reader_find_by_path(image.directories, NULL, names[i], &inode)) {
            fail(names[i], "is not in the image");
        }
        sqfs_inode_get_file_size(inode, &size);
        unsigned char *bytes = allocate(size);
        if (sqfs_data_reader_read(image.data, inode, 0, bytes, (sqfs_u32)size) != (sqfs_s32)size) {
            fail(names[i], "can't be read from the image");
        }
        sum += sum_of(i, bytes, size);
        free(bytes);
        sqfs_free(inode);
    }
    sqfs_destroy(image.data);
    sqfs_destroy(image.directories);
    sqfs_destroy(image.compressor);
    sqfs_destroy(image.file);
    return sum;
}

/* ---- libzip ---- */

static uint64_t read_zip(size_t from, size_t to, const char *path) {
    int code = 0;
    zip_t *zip = zip_open(path, ZIP_RDONLY, &code);
    uint64_t sum = 0;
    if (!zip) {
        fail(path, "can't be opened");
    }
    for (size_t i = from; i < to; i++) {
        zip_stat_t stat;
        zip_int64_t index = zip_name_locate(zip, names[i], ZIP_FL_ENC_RAW);
        zip_file_t *file = index < 0 ? NULL : zip_fopen_index(zip, (zip_uint64_t)index, 0);
        if (!file || zip_stat_index(zip, (zip_uint64_t)index, 0, &stat)) {
            fail(names[i], "is not in the zip file");
        }
        unsigned char *bytes = allocate(stat.size);
        if (zip_fread(file, bytes, stat.size) != (zip_int64_t)stat.size) {
            fail(names[i], "can't be read from the zip file");
        }
        sum += sum_of(i, bytes, stat.size);
        free(bytes);
        zip_fclose(file);
    }
    zip_discard(zip);
    return sum;
}

/* ---- the race ---- */

struct part {
    uint64_t (*read)(size_t, size_t, const char *);
    const char *path;
    size_t from, to;
    uint64_t sum;
};

static void *run_part(void *argument) {
    struct part *part = argument;
    part->sum = part->read(part->from, part->to, part->path);
    return NULL;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Seconds for all names on `threads` threads, and the sum of what was read. */
static double race(uint64_t (*read)(size_t, size_t, const char *), const char *path, size_t threads, uint64_t *sum) {
    struct part parts[MAX_THREADS];
    pthread_t ids[MAX_THREADS];
    double start = now();
    for (size_t i = 0; i < threads; i++) {
        parts[i] = (struct part){read, path, name_count * i / threads, name_count * (i + 1) / threads, 0};
        if (pthread_create(&ids[i], NULL, run_part, &parts[i])) {
            fail("threads", "can't be made");
        }
    }
    *sum = 0;
    for (size_t i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        *sum += parts[i].sum;
    }
    return now() - start;
}

/* COUNT names of regular files that have bytes, drawn from the whole archive. */
static void draw_names(size_t count) {
    uint64_t entries = znippy_reader_entry_count(reader), state = 11;
    names = allocate(count * sizeof *names);
    while (name_count < count) {
        znippy_error *error = NULL;
        znippy_listing *listing = NULL;
        znippy_entry_info entry = {.struct_size = sizeof entry};
        check(znippy_reader_list(reader, next_random(&state) % entries, 1, &listing, &error), error);
        check(znippy_listing_get(listing, 0, &entry, &error), error);
        if (entry.kind == ZNIPPY_KIND_FILE && entry.size > 0 && entry.size < (1 << 30)) {
            names[name_count] = allocate(entry.path_len + 1);
            memcpy(names[name_count++], entry.path, entry.path_len + 1);
        }
        znippy_listing_free(listing);
    }
}

static int compare(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

int main(int argc, char **argv) {
    static const char *const peers[] = {"znippy", "libsquashfs", "libzip"};
    uint64_t (*const readers[])(size_t, size_t, const char *) = {read_znippy, read_squashfs, read_zip};
    double seconds[3][ROUNDS];
    znippy_error *error = NULL;
    if (argc != 6) {
        fputs("usage: random_reads ARCHIVE.znippy IMAGE.squashfs FILE.zip COUNT THREADS\n", stderr);
        return 2;
    }
    size_t threads = (size_t)atoi(argv[5]);
    if (threads < 1 || threads > MAX_THREADS) {
        fail("THREADS", "1 to 64");
    }
    check(znippy_reader_open(argv[1], NULL, &reader, &error), error);
    draw_names((size_t)atoi(argv[4]));
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t expected = 0;
        for (int peer = 0; peer < 3; peer++) {
            uint64_t sum = 0;
            if (peer == 0) {
                /* A reader without a warm cache. */
                znippy_reader_free(reader);
                check(znippy_reader_open(argv[1], NULL, &reader, &error), error);
            }
            seconds[peer][round] = race(readers[peer], argv[1 + peer], threads, &sum);
            if (peer > 0 && sum != expected) {
                fail(peers[peer], "returned other bytes");
            }
            expected = sum;
        }
    }
    for (int peer = 0; peer < 3; peer++) {
        qsort(seconds[peer], ROUNDS, sizeof(double), compare);
        printf("%-12s %9.1f us a file\n", peers[peer],
               seconds[peer][ROUNDS / 2] * (double)threads / (double)name_count * 1e6);
    }
    znippy_reader_free(reader);
    return 0;
}
