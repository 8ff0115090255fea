/*
 * One process that uses the library for hours: packs, verifies, reads, exports, extracts, appends, salvages, fails in
 * many ways, and has children of its own killed while they do the same. Its memory, descriptors, threads and mappings
 * must stay what they were, and no temporary name may be left.
 *
 * usage: soak MINUTES PERCENT SEED       PERCENT of one processor's time at most; 100 for no rest
 *
 * Prints a line a minute on standard error and one line at the end; scripts/campaign-soak.sh builds and starts it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../c/harness.h"
#include "znippy/arrow_abi.h"

/* ---- random numbers, of one seed ---- */

static uint64_t random_state;

static uint32_t below(uint32_t limit) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(((random_state >> 32) * limit) >> 32);
}

/* ---- trees ---- */

static int open_directory(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)status, (void)walk;
    return kind == FTW_D || kind == FTW_DNR ? chmod(path, 0700) : 0;
}

static int remove_name(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

static void remove_all(const char *path) {
    if (exists(path)) {
        nftw(path, open_directory, 16, FTW_PHYS);
        CHECK(nftw(path, remove_name, 16, FTW_PHYS | FTW_DEPTH) == 0);
    }
}

static void make_random_file(const char *path, size_t len) {
    struct bytes bytes = below(3) ? text_bytes(len, below(1u << 30)) : random_bytes(len, below(1u << 30));
    write_file(path, bytes.data, bytes.len);
    free(bytes.data);
}

static void make_random_tree(const char *tree) {
    static const char *const DIRECTORIES[] = {"", "a", "a/b", "c", "c/empty"};
    make_dir(tree);
    for (size_t i = 1; i < sizeof DIRECTORIES / sizeof *DIRECTORIES; i++) {
        make_dir(join(tree, DIRECTORIES[i]).text);
    }
    uint32_t count = 10 + below(40);
    for (uint32_t i = 0; i < count; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s/file-%03u", DIRECTORIES[below(4)], (unsigned)i);
        make_random_file(join(tree, name).text, below(20) ? below(8000) : below(400000));
    }
    make_random_file(join(tree, "big").text, 1000000 + below(1500000));
    CHECK(symlink("big", join(tree, "link").text) == 0);
    CHECK(link(join(tree, "big").text, join(tree, "c/hard").text) == 0);
    int fd = open(join(tree, "holes").text, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    CHECK(fd >= 0 && pwrite(fd, "end", 3, 3 * MIB) == 3 && close(fd) == 0);
}

/* ---- jobs that succeed ---- */

static znippy_options *random_options(void) {
    znippy_options *options = options_with(ZNIPPY_OPT_THREADS, 1 + below(4));
    znippy_error *error = NULL;
    EXPECT_OK(znippy_options_set_i64(options, ZNIPPY_OPT_LEVEL, 1 + below(4), &error), &error);
    EXPECT_OK(znippy_options_set_i64(options, ZNIPPY_OPT_RECOVERY, below(2), &error), &error);
    EXPECT_OK(znippy_options_set_i64(options, ZNIPPY_OPT_PLAIN_INDEX, below(2), &error), &error);
    EXPECT_OK(znippy_options_set_i64(options, ZNIPPY_OPT_OVERWRITE, 1, &error), &error);
    return options;
}

static int32_t on_progress(void *user_data, const znippy_progress *progress) {
    (void)progress;
    return *(int *)user_data;
}

static void pack_tree(const char *tree, const char *archive) {
    znippy_error *error = NULL;
    znippy_options *options = random_options();
    znippy_stats stats = {.struct_size = sizeof stats};
    int goes_on = 0;
    znippy_options_set_progress(options, on_progress, &goes_on, NULL);
    EXPECT_OK(znippy_compress_dir(tree, archive, options, &stats, &error), &error);
    CHECK(stats.files >= 11 && stats.failed == 0);
    znippy_options_free(options);
}

static void verify(const char *archive) {
    znippy_error *error = NULL;
    znippy_options *options = options_with(ZNIPPY_OPT_THREADS, 1 + below(3));
    znippy_reader *reader = open_reader(archive);
    uint8_t digest[32];
    EXPECT_OK(znippy_reader_verify(reader, options, NULL, &error), &error);
    EXPECT_OK(znippy_reader_verify_quick(reader, options, NULL, &error), &error);
    EXPECT_OK(znippy_reader_tree_digest(reader, digest, &error), &error);
    znippy_reader_free(reader);
    znippy_options_free(options);
}

static void export_index(const znippy_reader *reader) {
    znippy_error *error = NULL;
    struct ArrowSchema schema;
    struct ArrowArrayStream stream;
    struct ArrowArray batch;
    int64_t rows = 0;
    EXPECT_OK(znippy_reader_export_schema(reader, &schema, &error), &error);
    schema.release(&schema);
    EXPECT_OK(znippy_reader_export_index(reader, NULL, &stream, &error), &error);
    for (;;) {
        CHECK(stream.get_next(&stream, &batch) == 0);
        if (batch.release == NULL) {
            break;
        }
        rows += batch.length;
        batch.release(&batch);
    }
    CHECK(rows >= 12);
    stream.release(&stream);
}

static void read_parts(const znippy_reader *reader, const char *tree) {
    znippy_error *error = NULL;
    struct bytes right = read_file(join(tree, "big").text);
    uint64_t index = find(reader, "big");
    char buffer[5000];
    for (int i = 0; i < 20; i++) {
        size_t at = below((uint32_t)right.len), len = below(sizeof buffer), got = 0;
        EXPECT_OK(znippy_reader_read_at(reader, index, at, buffer, len, &got, &error), &error);
        CHECK(got == (len < right.len - at ? len : right.len - at) && memcmp(buffer, right.data + at, got) == 0);
    }
    znippy_buffer whole = {NULL, 0, 0};
    EXPECT_OK(znippy_reader_read(reader, index, NULL, &whole, &error), &error);
    CHECK(whole.len == right.len && memcmp(whole.data, right.data, whole.len) == 0);
    znippy_buffer_free(&whole);
    free(right.data);
}

static void read_archive(const char *archive, const char *tree) {
    znippy_error *error = NULL;
    znippy_reader *by_fd = NULL, *in_memory = NULL, *reader = open_reader(archive);
    znippy_listing *listing = list_all(reader);
    for (size_t i = 0; i < znippy_listing_count(listing); i++) {
        znippy_entry_info entry = entry_at(listing, i);
        uint64_t found = find(reader, entry.path);
        CHECK(found == entry.index);
    }
    read_parts(reader, tree);
    export_index(reader);
    znippy_diff *diff = NULL;
    EXPECT_OK(znippy_reader_diff_dir(reader, tree, NULL, &diff, &error), &error);
    CHECK(znippy_diff_count(diff) == 0);
    znippy_diff_free(diff);

    int fd = open(archive, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    EXPECT_OK(znippy_reader_open_fd(fd, NULL, &by_fd, &error), &error);
    CHECK(close(fd) == 0);
    read_parts(by_fd, tree);
    struct bytes bytes = read_file(archive);
    EXPECT_OK(znippy_reader_open_memory(bytes.data, bytes.len, free, bytes.data, NULL, &in_memory, &error), &error);
    read_parts(in_memory, tree);
    znippy_reader_free(znippy_reader_retain(reader));
    znippy_reader_free(reader);
    znippy_reader_free(by_fd);
    znippy_reader_free(in_memory);
    znippy_listing_free(listing); /* it outlives its reader */
}

static void extract(const char *archive, const char *tree, const char *out) {
    znippy_error *error = NULL;
    znippy_options *options = options_with(ZNIPPY_OPT_THREADS, 1 + below(3));
    znippy_stats stats = {.struct_size = sizeof stats};
    EXPECT_OK(znippy_extract_archive(archive, out, options, NULL, &error), &error);
    same_tree(tree, out);
    EXPECT_OK(znippy_options_set_i64(options, ZNIPPY_OPT_OVERWRITE, 1, &error), &error);
    if (below(2)) {
        write_string(join(out, "a/new").text, "is not in the archive");
        CHECK(truncate(join(out, "holes").text, 5) == 0);
        EXPECT_OK(znippy_options_set_i64(options, ZNIPPY_OPT_SKIP_UNCHANGED, 1 + below(2), &error), &error);
        EXPECT_OK(znippy_options_set_i64(options, ZNIPPY_OPT_PRUNE, 1, &error), &error);
    } else {
        EXPECT_OK(znippy_options_set_i64(options, ZNIPPY_OPT_ATOMIC, 1, &error), &error);
    }
    EXPECT_OK(znippy_extract_archive(archive, out, options, &stats, &error), &error);
    /* A destination that had something in it keeps its own attributes. */
    struct stat root;
    CHECK(stat(tree, &root) == 0);
    set_mtime(out, root.st_mtim.tv_sec, root.st_mtim.tv_nsec);
    same_tree(tree, out);
    znippy_options_free(options);
}

static void append(const char *archive, const char *tree, const char *second) {
    znippy_error *error = NULL;
    znippy_writer *writer = NULL;
    znippy_reader *donor = open_reader(second);
    znippy_entry_info meta = {.struct_size = sizeof meta, .kind = ZNIPPY_KIND_FILE, .path = "added", .path_len = 5};
    EXPECT_OK(znippy_writer_append(archive, NULL, &writer, &error), &error);
    EXPECT_OK(znippy_writer_add_buffer(writer, &meta, "bytes", 5, &error), &error);
    EXPECT_OK(znippy_writer_add_tree(writer, tree, "again", 5, &error), &error);
    EXPECT_OK(znippy_writer_add_archive(writer, donor, "donated", 7, &error), &error);
    EXPECT(znippy_writer_add_buffer(writer, &meta, "bytes", 5, &error), ZNIPPY_E_EXISTS, &error);
    if (below(2)) {
        EXPECT_OK(znippy_writer_finish(writer, NULL, &error), &error);
    }
    znippy_writer_free(writer);
    znippy_reader_free(donor);
}

/* ---- jobs that fail ---- */

static void *trigger_later(void *cancel) {
    struct timespec wait = {.tv_sec = 0, .tv_nsec = 8 * 1000 * 1000};
    nanosleep(&wait, NULL);
    znippy_cancel_trigger(cancel);
    return NULL;
}

static void cancelled(const char *tree, const char *archive, const char *place) {
    znippy_error *error = NULL;
    znippy_options *options = random_options();
    znippy_cancel *cancel = znippy_cancel_new();
    struct path new = join(place, "cancelled.znippy"), out = join(place, "cancelled");
    pthread_t thread;
    znippy_options_set_cancel(options, cancel);
    bool before = below(2);
    CHECK(pthread_create(&thread, NULL, trigger_later, cancel) == 0);
    CHECK(!before || pthread_join(thread, NULL) == 0);
    znippy_status status = znippy_compress_dir(tree, new.text, options, NULL, &error);
    CHECK(status == ZNIPPY_E_CANCELLED || (status == ZNIPPY_OK && !before));
    znippy_error_free(error);
    status = znippy_extract_archive(archive, out.text, options, NULL, &error);
    CHECK(status == ZNIPPY_E_CANCELLED || (status == ZNIPPY_OK && !before));
    znippy_error_free(error);
    CHECK(before || pthread_join(thread, NULL) == 0);
    znippy_cancel_free(cancel);
    znippy_options_free(options);
    remove_all(new.text);
    remove_all(out.text);
}

static void refused(const char *tree, const char *archive, const char *place) {
    znippy_error *error = NULL;
    znippy_reader *reader = NULL;
    znippy_options *options = random_options();
    int stops = 1;
    EXPECT(znippy_compress_dir(tree, archive, NULL, NULL, &error), ZNIPPY_E_EXISTS, &error);
    EXPECT(znippy_compress_dir(join(place, "no such").text, join(place, "new").text, NULL, NULL, &error),
           ZNIPPY_E_NOT_FOUND, &error);
    EXPECT(znippy_extract_archive(archive, tree, NULL, NULL, &error), ZNIPPY_E_EXISTS, &error);
    EXPECT(znippy_reader_open(join(tree, "big").text, NULL, &reader, &error), ZNIPPY_E_NOT_ARCHIVE, &error);
    EXPECT(znippy_options_set_i64(options, ZNIPPY_OPT_LEVEL, 1000, &error), ZNIPPY_E_INVALID_ARGUMENT, &error);
    znippy_options_set_progress(options, on_progress, &stops, NULL);
    EXPECT(znippy_compress_dir(tree, join(place, "new").text, options, NULL, &error), ZNIPPY_E_CANCELLED, &error);
    znippy_options_free(options);
}

static void damaged(const char *archive, const char *place) {
    znippy_error *error = NULL;
    struct path broken = join(place, "broken.znippy"), out = join(place, "broken"), saved = join(place, "saved.znippy");
    znippy_options *options = options_with(ZNIPPY_OPT_KEEP_GOING, below(2));
    struct bytes bytes = read_file(archive);
    for (int i = 0; i < 3; i++) {
        bytes.data[16 + below((uint32_t)bytes.len - 16)] ^= (unsigned char)(1u << below(8));
    }
    bool cut = below(4) == 0;
    write_file(broken.text, bytes.data, cut ? bytes.len - below((uint32_t)bytes.len / 2) : bytes.len);
    free(bytes.data);
    CHECK(znippy_extract_archive(broken.text, out.text, options, NULL, &error) != ZNIPPY_E_PANIC);
    znippy_error_free(error);
    znippy_status status = znippy_salvage(broken.text, saved.text, NULL, NULL, &error);
    /* Without its index, and cut within its first big block, nothing of an archive may be left. */
    if (status != ZNIPPY_E_PARTIAL && !(cut && status == ZNIPPY_E_NOT_ARCHIVE)) {
        EXPECT(status, ZNIPPY_OK, &error);
    }
    znippy_error_free(error);
    CHECK(exists(saved.text) == (status != ZNIPPY_E_NOT_ARCHIVE));
    if (status != ZNIPPY_E_NOT_ARCHIVE) {
        verify(saved.text);
    }
    znippy_options_free(options);
    remove_all(broken.text);
    remove_all(out.text);
    remove_all(saved.text);
}

/* ---- children that are killed ---- */

/* What a killed extraction leaves is in `place`, which the caller removes. */
static bool killed(const char *tree, const char *archive, const char *place) {
    struct path new = join(place, "new.znippy"), out = join(place, "out");
    const char *const self = "/proc/self/exe";
    bool packs = below(2);
    int status;
    make_dir(place);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        execl(self, "soak", packs ? "--pack" : "--extract", packs ? tree : archive, packs ? new.text : out.text, (char *)NULL);
        _exit(127);
    }
    struct timespec wait = {.tv_sec = 0, .tv_nsec = (long)below(60 * 1000 * 1000)};
    nanosleep(&wait, NULL);
    kill(child, SIGKILL);
    CHECK(waitpid(child, &status, 0) == child);
    bool by_signal = WIFSIGNALED(status);
    CHECK(by_signal || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    if (packs) {
        CHECK(count_names(place) == (exists(new.text) ? 1 : 0));
        if (exists(new.text)) {
            verify(new.text);
        }
    }
    return by_signal;
}

static int child_job(char **arguments) {
    znippy_error *error = NULL;
    znippy_status status = strcmp(arguments[1], "--pack") == 0
                               ? znippy_compress_dir(arguments[2], arguments[3], NULL, NULL, &error)
                               : znippy_extract_archive(arguments[2], arguments[3], NULL, NULL, &error);
    znippy_error_free(error);
    return status == ZNIPPY_OK ? 0 : 1;
}

/* ---- what is watched ---- */

struct use {
    double resident, heap; /* bytes */
    double descriptors, threads, mappings;
};

static double count_lines(const char *path) {
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    double lines = 0;
    for (int byte; (byte = fgetc(file)) != EOF;) {
        lines += byte == '\n';
    }
    fclose(file);
    return lines;
}

static void rest(double seconds) {
    struct timespec wait = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    if (seconds > 0) {
        nanosleep(&wait, NULL);
    }
}

/* After the allocator gave back what is free, which it keeps as chance has it. */
static struct use use_now(void) {
    long pages = 0, resident = 0;
    malloc_trim(0);
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fscanf(file, "%ld %ld", &pages, &resident) == 2);
    fclose(file);
    struct mallinfo2 heap = mallinfo2();
    return (struct use){
        .resident = (double)resident * (double)sysconf(_SC_PAGESIZE),
        .heap = (double)heap.uordblks + (double)heap.hblkhd,
        .descriptors = (double)count_names("/proc/self/fd"),
        .threads = (double)count_threads(1),
        .mappings = count_lines("/proc/self/maps"),
    };
}

/* The most of each over the rounds of a span. */
static void widen(struct use *most, struct use now) {
    most->resident = now.resident > most->resident ? now.resident : most->resident;
    most->heap = now.heap > most->heap ? now.heap : most->heap;
    most->descriptors = now.descriptors > most->descriptors ? now.descriptors : most->descriptors;
    most->threads = now.threads > most->threads ? now.threads : most->threads;
    most->mappings = now.mappings > most->mappings ? now.mappings : most->mappings;
}

static double processor_seconds(void) {
    struct rusage own, children;
    CHECK(getrusage(RUSAGE_SELF, &own) == 0 && getrusage(RUSAGE_CHILDREN, &children) == 0);
    const struct timeval times[] = {own.ru_utime, own.ru_stime, children.ru_utime, children.ru_stime};
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        sum += (double)times[i].tv_sec + (double)times[i].tv_usec * 1e-6;
    }
    return sum;
}

/* ---- rounds ---- */

static bool one_round(void) {
    struct path work = in_scratch("round");
    make_dir(work.text);
    struct path tree = join(work.text, "tree"), archive = join(work.text, "tree.znippy");
    struct path other = join(work.text, "other.znippy"), out = join(work.text, "out"), place = join(work.text, "place");
    make_random_tree(tree.text);
    pack_tree(tree.text, archive.text);
    verify(archive.text);
    read_archive(archive.text, tree.text);
    extract(archive.text, tree.text, out.text);
    cancelled(tree.text, archive.text, work.text);
    refused(tree.text, archive.text, work.text);
    damaged(archive.text, work.text);
    bool by_signal = killed(tree.text, archive.text, place.text);
    remove_all(place.text);
    pack_tree(join(tree.text, ".").text, other.text);
    append(archive.text, tree.text, other.text);
    verify(archive.text);
    CHECK(count_names(work.text) == 4); /* tree, two archives, out: nothing temporary */
    remove_all(work.text);
    CHECK(count_names(scratch()) == 0);
    return by_signal;
}

int main(int count, char **arguments) {
    if (count == 4 && arguments[1][0] == '-') {
        return child_job(arguments);
    }
    CHECK(count == 4);
    /* One arena, so that what the allocator keeps doesn't depend on which threads met. */
    CHECK(mallopt(M_ARENA_MAX, 1) == 1 && mallopt(M_MMAP_THRESHOLD, 1 << 17) == 1);
    double minutes = atof(arguments[1]), share = atof(arguments[2]) / 100;
    random_state = (uint64_t)strtoull(arguments[3], NULL, 10) * 2654435761u + 1;
    double begun = seconds_now(), end = begun + minutes * 60, told = begun;
    /* A tenth to warm up, then the most of the tenth that follows is what the last tenth is held against. */
    struct use first = {0}, last = {0};
    unsigned long rounds = 0, kills = 0, first_rounds = 0, last_rounds = 0;
    while (seconds_now() < end || last_rounds < 3) {
        double used = processor_seconds(), at = seconds_now(), part = (at - begun) / (end - begun);
        kills += one_round();
        rounds++;
        struct use now = use_now();
        if (part >= 0.1 && part < 0.2) {
            widen(&first, now);
            first_rounds++;
        } else if (part >= 0.9) {
            widen(&last, now);
            last_rounds++;
        }
        if (seconds_now() - told >= 60) {
            told = seconds_now();
            fprintf(stderr, "%.0f min: %lu rounds, %lu kills; resident %.0f KiB, heap %.0f KiB, %.0f descriptors, %.0f threads, "
                    "%.0f mappings\n", (told - begun) / 60, rounds, kills, now.resident / 1024, now.heap / 1024,
                    now.descriptors, now.threads, now.mappings);
        }
        if (share < 1) {
            rest((processor_seconds() - used) / share - (seconds_now() - at));
        }
    }
    double resident = last.resident - first.resident, heap = last.heap - first.heap;
    double descriptors = last.descriptors - first.descriptors, threads = last.threads - first.threads;
    double mappings = last.mappings - first.mappings;
    bool grew = first_rounds < 3 || resident >= MIB || heap >= MIB || descriptors > 0 || threads > 0 || mappings > 32;
    printf("soak: %.0f minutes, seed %s, %lu rounds, %lu children killed: growth of resident memory %.0f KiB, of the heap "
           "%.0f KiB, %.0f descriptors, %.0f threads, %.0f mappings; no temporary name was left; %s\n",
           (seconds_now() - begun) / 60, arguments[3], rounds, kills, resident / 1024, heap / 1024, descriptors, threads,
           mappings, grew ? "IT GROWS" : "no growth");
    return grew;
}
