/*
 * What reading costs, through the public header alone: opening, finding, reading, listing. Times are medians: of wall
 * time, and in brackets of the processor time of this process, which other load on the machine disturbs less.
 *
 *     reader ARCHIVE             all figures, one a line
 *     reader ARCHIVE PATH        opens, finds and reads one file and ends: the cold process that the former times
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <znippy.h>

enum { RUNS = 21, PAGE = 4096 };

/* ---- helpers ---- */

static void expect(znippy_status status, znippy_error *error) {
    if (status != ZNIPPY_OK) {
        fprintf(stderr, "reader: %s\n", error ? znippy_error_message(error) : znippy_status_name(status));
        exit(1);
    }
}

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (!memory) {
        fputs("reader: out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

/* Seconds of wall time, and of processor time of this process and of the children that it waited for. */
struct moment {
    double wall, processor;
};

static double seconds(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static double seconds_of_children(void) {
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
           + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static struct moment now(void) {
    return (struct moment){seconds(CLOCK_MONOTONIC), seconds(CLOCK_PROCESS_CPUTIME_ID) + seconds_of_children()};
}

static int compare(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(double *values, size_t count) {
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

/* Times of runs of the same thing. */
struct times {
    size_t count;
    double *wall, *processor;
};

static struct times times_new(size_t room) {
    return (struct times){0, allocate(room, sizeof(double)), allocate(room, sizeof(double))};
}

static void times_add(struct times *times, struct moment since) {
    struct moment end = now();
    times->wall[times->count] = end.wall - since.wall;
    times->processor[times->count++] = end.processor - since.processor;
}

static void times_print(struct times *times, const char *name, double scale, const char *unit) {
    printf("%-23s %10.3f %s (%.3f)\n", name, median(times->wall, times->count) * scale, unit,
           median(times->processor, times->count) * scale);
    free(times->wall);
    free(times->processor);
}

/* Memory of this process that is in use now, in bytes. */
static double resident(void) {
    unsigned long pages = 0, in_use = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file) {
        if (fscanf(file, "%lu %lu", &pages, &in_use) != 2) {
            in_use = 0;
        }
        fclose(file);
    }
    return (double)in_use * (double)sysconf(_SC_PAGESIZE);
}

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return *state >> 33;
}

static znippy_reader *open_reader(const char *archive) {
    znippy_error *error = NULL;
    znippy_reader *reader = NULL;
    expect(znippy_reader_open(archive, NULL, &reader, &error), error);
    return reader;
}

static uint64_t find(const znippy_reader *reader, const char *path) {
    znippy_error *error = NULL;
    uint64_t index = 0;
    expect(znippy_reader_find(reader, path, strlen(path), &index, &error), error);
    return index;
}

static size_t read_file(const znippy_reader *reader, const char *path) {
    znippy_error *error = NULL;
    znippy_buffer buffer = {NULL, 0, 0};
    expect(znippy_reader_read(reader, find(reader, path), NULL, &buffer, &error), error);
    size_t len = buffer.len;
    znippy_buffer_free(&buffer);
    return len;
}

/* The path of the first regular file from entry `index` on; the caller frees it. */
static char *file_at(const znippy_reader *reader, uint64_t index) {
    znippy_error *error = NULL;
    znippy_listing *listing = NULL;
    znippy_entry_info entry = {.struct_size = sizeof entry};
    char *path = NULL;
    expect(znippy_reader_list(reader, index, 1000, &listing, &error), error);
    for (size_t i = 0; i < znippy_listing_count(listing) && !path; i++) {
        expect(znippy_listing_get(listing, i, &entry, &error), error);
        if (entry.kind == ZNIPPY_KIND_FILE) {
            path = allocate(entry.path_len + 1, 1);
            memcpy(path, entry.path, entry.path_len);
        }
    }
    znippy_listing_free(listing);
    if (!path) {
        fputs("reader: there is no file where one is wanted\n", stderr);
        exit(1);
    }
    return path;
}

/* ---- figures ---- */

static void opening(const char *archive) {
    struct times times = times_new(RUNS);
    double before = resident();
    for (int i = 0; i < RUNS; i++) {
        struct moment start = now();
        znippy_reader *reader = open_reader(archive);
        times_add(&times, start);
        if (i == 0) {
            printf("%-23s %10.2f MiB\n", "open, memory", (resident() - before) / (1 << 20));
        }
        znippy_reader_free(reader);
    }
    times_print(&times, "open", 1e3, "ms");
}

static void run_child(const char *program, const char *archive, const char *path) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        execl(program, program, archive, path, (char *)NULL);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        fputs("reader: the cold process failed\n", stderr);
        exit(1);
    }
}

/* A process that does just that, from fork() to its end; the file's pages are in the kernel's cache. */
static void cold_process(const char *program, const char *archive, const char *path) {
    struct times times = times_new(RUNS);
    for (int i = 0; i < RUNS; i++) {
        struct moment start = now();
        run_child(program, archive, path);
        times_add(&times, start);
    }
    times_print(&times, "process: open+find+read", 1e3, "ms");
}

/* The same inside this process, with a reader of its own each time. */
static void first_file(const char *archive, const char *path) {
    struct times times = times_new(RUNS);
    for (int i = 0; i < RUNS; i++) {
        struct moment start = now();
        znippy_reader *reader = open_reader(archive);
        read_file(reader, path);
        znippy_reader_free(reader);
        times_add(&times, start);
    }
    times_print(&times, "open+find+read", 1e3, "ms");
}

/* Look-ups of random names of one segment, which is in the cache after the first. */
static void cached_find(const char *archive) {
    enum { LOOKUPS = 1000 };
    znippy_error *error = NULL;
    znippy_listing *listing = NULL;
    znippy_reader *reader = open_reader(archive);
    expect(znippy_reader_list(reader, 0, PAGE, &listing, &error), error);
    size_t count = znippy_listing_count(listing);
    znippy_entry_info *names = allocate(count, sizeof *names);
    for (size_t i = 0; i < count; i++) {
        names[i].struct_size = sizeof *names;
        expect(znippy_listing_get(listing, i, &names[i], &error), error);
    }
    struct times times = times_new(RUNS * 10);
    uint64_t state = 1, index = 0;
    for (int run = 0; run < RUNS * 10; run++) {
        struct moment start = now();
        for (int i = 0; i < LOOKUPS; i++) {
            const znippy_entry_info *name = &names[next_random(&state) % count];
            expect(znippy_reader_find(reader, name->path, name->path_len, &index, &error), error);
        }
        times_add(&times, start);
    }
    times_print(&times, "find, cached segment", 1e6 / LOOKUPS, "us");
    free(names);
    znippy_listing_free(listing);
    znippy_reader_free(reader);
}

/* One look-up in each segment of a fresh reader. */
static void uncached_find(const char *archive, uint64_t segments) {
    znippy_reader *names = open_reader(archive), *reader = open_reader(archive);
    uint64_t entries = znippy_reader_entry_count(names);
    struct times times = times_new(segments);
    for (uint64_t i = 0; i < segments; i++) {
        char *path = file_at(names, entries * i / segments + entries / segments / 2);
        struct moment start = now();
        find(reader, path);
        times_add(&times, start);
        free(path);
    }
    times_print(&times, "find, another segment", 1e3, "ms");
    znippy_reader_free(reader);
    znippy_reader_free(names);
}

static uint64_t list_all(const char *archive) {
    znippy_error *error = NULL;
    znippy_reader *reader = open_reader(archive);
    uint64_t entries = znippy_reader_entry_count(reader), bytes = 0;
    for (uint64_t first = 0; first < entries; first += PAGE) {
        znippy_listing *listing = NULL;
        expect(znippy_reader_list(reader, first, PAGE, &listing, &error), error);
        for (size_t i = 0; i < znippy_listing_count(listing); i++) {
            znippy_entry_info entry = {.struct_size = sizeof entry};
            expect(znippy_listing_get(listing, i, &entry, &error), error);
            bytes += entry.size + entry.path_len;
        }
        znippy_listing_free(listing);
    }
    znippy_reader_free(reader);
    return bytes;
}

static void listing_all(const char *archive) {
    struct times times = times_new(5);
    for (int i = 0; i < 5; i++) {
        struct moment start = now();
        list_all(archive);
        times_add(&times, start);
    }
    times_print(&times, "list all", 1, "s");
}

/* Files at random, all over the archive, with the default cache. */
static void random_files(const char *archive) {
    enum { FILES = 301 };
    znippy_reader *names = open_reader(archive), *reader = open_reader(archive);
    uint64_t entries = znippy_reader_entry_count(names), state = 7;
    struct times times = times_new(FILES);
    for (int i = 0; i < FILES; i++) {
        char *path = file_at(names, next_random(&state) % (entries - entries / 50));
        struct moment start = now();
        read_file(reader, path);
        times_add(&times, start);
        free(path);
    }
    times_print(&times, "find+read, random files", 1e3, "ms");
    znippy_reader_free(reader);
    znippy_reader_free(names);
}

/* ---- the cost of range reads ---- */

struct counting {
    FILE *file;
    uint64_t calls, bytes;
};

static int64_t count_read(void *user_data, uint64_t offset, void *buffer, size_t len) {
    struct counting *counting = user_data;
    counting->calls++;
    counting->bytes += len;
    if (fseeko(counting->file, (off_t)offset, SEEK_SET) != 0 || fread(buffer, 1, len, counting->file) != len) {
        return ZNIPPY_E_IO;
    }
    return (int64_t)len;
}

static void range_reads(const char *archive, uint64_t size, const char *path) {
    struct counting counting = {fopen(archive, "rb"), 0, 0};
    if (!counting.file) {
        perror(archive);
        exit(1);
    }
    znippy_source source = {sizeof source, 0, &counting, size, count_read, NULL};
    znippy_error *error = NULL;
    znippy_reader *reader = NULL;
    expect(znippy_reader_open_source(&source, NULL, &reader, &error), error);
    size_t len = read_file(reader, path);
    printf("%-23s %10" PRIu64 " calls, %" PRIu64 " bytes for a file of %zu\n", "one file by ranges", counting.calls,
           counting.bytes, len);
    znippy_reader_free(reader);
    fclose(counting.file);
}

static void all_figures(const char *program, const char *archive) {
    znippy_error *error = NULL;
    znippy_archive_info info = {.struct_size = sizeof info};
    opening(archive); /* first: the growth of memory counts before anything else is loaded */
    znippy_reader *reader = open_reader(archive);
    expect(znippy_reader_info(reader, &info, &error), error);
    char *path = file_at(reader, info.entries / 2);
    znippy_reader_free(reader);
    cold_process(program, archive, path);
    first_file(archive, path);
    cached_find(archive);
    uncached_find(archive, info.segments);
    listing_all(archive);
    random_files(archive);
    printf("%-23s %10.2f bytes an entry (%" PRIu64 " entries, %" PRIu64 " segments, %" PRIu64 " blobs)\n", "index",
           (double)info.index_size / (double)info.entries, info.entries, info.segments, info.blobs);
    range_reads(archive, info.archive_size, path);
    free(path);
}

int main(int argc, char **argv) {
    if (argc == 3) {
        znippy_reader *reader = open_reader(argv[1]);
        read_file(reader, argv[2]);
        znippy_reader_free(reader);
        return 0;
    }
    if (argc != 2) {
        fputs("usage: reader ARCHIVE [PATH]\n", stderr);
        return 2;
    }
    all_figures(argv[0], argv[1]);
    return 0;
}
