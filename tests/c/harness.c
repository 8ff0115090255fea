#include "harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- checks ---- */

void check_at(const char *file, int line, bool good, const char *condition) {
    if (!good) {
        fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
        exit(1);
    }
}

void expect_at(const char *file, int line, znippy_status status, znippy_status wanted, znippy_error **error) {
    if (status != wanted) {
        fprintf(stderr, "%s:%d: %s instead of %s: %s\n", file, line, znippy_status_name(status),
                znippy_status_name(wanted), *error ? znippy_error_message(*error) : "no error object");
        exit(1);
    }
    check_at(file, line, (*error != NULL) == (status < 0), "an error object exists exactly where the call failed");
    if (*error) {
        check_at(file, line, znippy_error_status(*error) == status, "the error object has the status of the call");
        check_at(file, line, znippy_error_message(*error)[0] != '\0', "the error has a message");
    }
    znippy_error_free(*error);
    *error = NULL;
}

void skip(const char *why) {
    printf("skipped: %s\n", why);
    exit(SKIP);
}

double seconds_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* ---- the scratch directory ---- */

static char scratch_dir[4096];
static pid_t scratch_owner;

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

/* Directories without permissions would keep what is in them. */
static int open_up(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)status, (void)walk;
    return kind == FTW_D || kind == FTW_DNR ? chmod(path, 0700) : 0;
}

/* A test that ended as somebody else first becomes who it was, or it could not remove its own files. */
static void remove_scratch(void) {
    if (getpid() == scratch_owner && seteuid(getuid()) == 0 && chdir("/") == 0) {
        nftw(scratch_dir, open_up, 16, FTW_PHYS);
        nftw(scratch_dir, remove_one, 16, FTW_PHYS | FTW_DEPTH);
    }
}

const char *scratch(void) {
    if (scratch_dir[0] == '\0') {
        const char *parent = getenv("TMPDIR");
        snprintf(scratch_dir, sizeof scratch_dir, "%s/znippy-test-XXXXXX", parent ? parent : "/tmp");
        CHECK(mkdtemp(scratch_dir) != NULL);
        scratch_owner = getpid();
        CHECK(atexit(remove_scratch) == 0);
    }
    return scratch_dir;
}

struct path join(const char *directory, const char *name) {
    struct path path;
    int len = snprintf(path.text, sizeof path.text, "%s/%s", directory, name);
    CHECK(len > 0 && (size_t)len < sizeof path.text);
    return path;
}

struct path in_scratch(const char *name) {
    return join(scratch(), name);
}

/* ---- bytes and files ---- */

static struct bytes allocate(size_t len) {
    struct bytes bytes = {malloc(len ? len : 1), len};
    CHECK(bytes.data != NULL);
    return bytes;
}

static uint32_t next_random(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

struct bytes random_bytes(size_t len, uint32_t seed) {
    struct bytes bytes = allocate(len);
    uint32_t state = seed * 2654435761u + 1;
    for (size_t i = 0; i < len; i++) {
        bytes.data[i] = (unsigned char)(next_random(&state) >> 11);
    }
    return bytes;
}

struct bytes text_bytes(size_t len, uint32_t seed) {
    static const char *const WORDS[] = {"the ",  "archive ", "slice ", "block ", "of\n",   "index ", "hash ", "a ",
                                        "tree ", "path ",    "reads ", "write ", "fast\n", "old ",   "new ",  "so "};
    struct bytes bytes = allocate(len);
    uint32_t state = seed * 2654435761u + 1;
    for (size_t at = 0; at < len;) {
        const char *word = WORDS[next_random(&state) >> 28];
        size_t step = strlen(word) < len - at ? strlen(word) : len - at;
        memcpy(bytes.data + at, word, step);
        at += step;
    }
    return bytes;
}

void write_file(const char *path, const void *data, size_t len) {
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    CHECK(fwrite(data, 1, len, file) == len);
    CHECK(fclose(file) == 0);
}

void write_string(const char *path, const char *text) {
    write_file(path, text, strlen(text));
}

struct bytes read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL);
    CHECK(fseek(file, 0, SEEK_END) == 0);
    long len = ftell(file);
    CHECK(len >= 0 && fseek(file, 0, SEEK_SET) == 0);
    struct bytes bytes = allocate((size_t)len);
    CHECK(fread(bytes.data, 1, bytes.len, file) == bytes.len);
    fclose(file);
    return bytes;
}

bool exists(const char *path) {
    struct stat status;
    return lstat(path, &status) == 0;
}

void make_dir(const char *path) {
    CHECK(mkdir(path, 0755) == 0);
}

void set_mtime(const char *path, int64_t seconds, long nanoseconds) {
    struct timespec times[2] = {{.tv_sec = (time_t)seconds, .tv_nsec = nanoseconds},
                                {.tv_sec = (time_t)seconds, .tv_nsec = nanoseconds}};
    CHECK(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) == 0);
}

/* ---- trees ---- */

static void make_files(const char *tree) {
    struct bytes text = text_bytes(9 * MIB + 12345, 1), noise = random_bytes(300000, 2);
    write_string(join(tree, "hello.txt").text, "hello, world\n");
    write_file(join(tree, "empty").text, "", 0);
    write_file(join(tree, "big.txt").text, text.data, text.len);
    write_file(join(tree, "noise.bin").text, noise.data, noise.len);
    write_file(join(tree, "copy of noise.jpg").text, noise.data, noise.len);
    write_string(join(tree, "private").text, "secret\n");
    write_string(join(tree, "script.sh").text, "#!/bin/sh\n");
    CHECK(chmod(join(tree, "private").text, 0600) == 0);
    CHECK(chmod(join(tree, "script.sh").text, 0755) == 0);
    free(text.data);
    free(noise.data);
}

static void make_odd_names(const char *tree) {
    write_string(join(tree, "latin-\xe9.txt").text, "not UTF-8\n");
    write_string(join(tree, "line\nbreak").text, "a newline in the name\n");
    write_string(join(tree, "back\\slash").text, "a backslash\n");
    write_string(join(tree, "\xc3\xa9t\xc3\xa9").text, "UTF-8\n");
    write_string(join(tree, "-dash").text, "looks like an option\n");
}

/* 4 MiB of hole, some bytes, 2 MiB of hole. */
static void make_sparse(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    CHECK(fd >= 0);
    CHECK(pwrite(fd, "data in the middle", 18, 4 * MIB) == 18);
    CHECK(ftruncate(fd, 6 * MIB) == 0);
    CHECK(close(fd) == 0);
}

static void make_directories(const char *tree) {
    struct path deep = join(tree, "a");
    for (int depth = 0; depth < 12; depth++) {
        make_dir(deep.text);
        deep = join(deep.text, "deeper");
    }
    write_string(deep.text, "far down\n");
    make_dir(join(tree, "empty-dir").text);
    make_dir(join(tree, "closed-dir").text);
    write_string(join(tree, "closed-dir/inside").text, "inside\n");
    CHECK(symlink("hello.txt", join(tree, "link").text) == 0);
    CHECK(symlink("../no/such/\xff name", join(tree, "dangling").text) == 0);
    CHECK(link(join(tree, "hello.txt").text, join(tree, "a/hard").text) == 0);
}

/* Modes and times of directories last, since making names in them changes both. */
static void set_times(const char *tree) {
    set_mtime(join(tree, "hello.txt").text, 1700000000, 123456789);
    set_mtime(join(tree, "empty").text, 0, 1);
    set_mtime(join(tree, "private").text, -86400, 999999999);
    set_mtime(join(tree, "link").text, 1600000000, 5);
    set_mtime(join(tree, "empty-dir").text, 1500000000, 987654321);
    CHECK(chmod(join(tree, "closed-dir").text, 0500) == 0);
    set_mtime(join(tree, "closed-dir").text, 1400000000, 1);
    CHECK(chmod(tree, 0750) == 0);
    set_mtime(tree, 1300000000, 7);
}

void make_tree(const char *path) {
    make_dir(path);
    make_files(path);
    make_odd_names(path);
    make_sparse(join(path, "sparse").text);
    make_directories(path);
    set_times(path);
}

void make_big_tree(const char *path, int count, size_t len) {
    make_dir(path);
    for (int i = 0; i < count; i++) {
        char name[32];
        struct bytes noise = random_bytes(len, (uint32_t)i + 100);
        snprintf(name, sizeof name, "file-%03d", i);
        write_file(join(path, name).text, noise.data, noise.len);
        free(noise.data);
    }
}

/* ---- comparison ---- */

static void differ(const char *path, const char *how) {
    fprintf(stderr, "%s: %s\n", path, how);
    exit(1);
}

static int scan(const char *directory, struct dirent ***names) {
    int count = scandir(directory, names, NULL, alphasort);
    CHECK(count >= 0);
    return count;
}

static void free_names(struct dirent **names, int count) {
    for (int i = 0; i < count; i++) {
        free(names[i]);
    }
    free(names);
}

size_t count_names(const char *directory) {
    struct dirent **names;
    int count = scan(directory, &names);
    free_names(names, count);
    return (size_t)count - 2;
}

size_t count_threads(size_t wanted) {
    size_t threads = count_names("/proc/self/task");
    for (int i = 0; i < 100 && threads > wanted; i++) {
        const struct timespec rest = {0, 10 * 1000 * 1000};
        nanosleep(&rest, NULL);
        threads = count_names("/proc/self/task");
    }
    return threads;
}

static void same_bytes(const char *left, const char *right) {
    struct bytes one = read_file(left), two = read_file(right);
    if (one.len != two.len || memcmp(one.data, two.data, one.len) != 0) {
        differ(right, "other bytes");
    }
    free(one.data);
    free(two.data);
}

static void same_target(const char *left, const char *right) {
    char one[4096], two[4096];
    ssize_t len = readlink(left, one, sizeof one);
    if (len < 0 || readlink(right, two, sizeof two) != len || memcmp(one, two, (size_t)len) != 0) {
        differ(right, "another link target");
    }
}

static void same_directory(const char *left, const char *right) {
    struct dirent **one, **two;
    int count = scan(left, &one), other = scan(right, &two);
    if (count != other) {
        differ(right, "more or fewer names");
    }
    for (int i = 0; i < count; i++) {
        const char *name = one[i]->d_name;
        if (strcmp(name, two[i]->d_name) != 0) {
            differ(join(right, two[i]->d_name).text, "another name");
        }
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
            same_tree(join(left, name).text, join(right, name).text);
        }
    }
    free_names(one, count);
    free_names(two, other);
}

void same_tree(const char *left, const char *right) {
    struct stat one, two;
    CHECK(lstat(left, &one) == 0);
    if (lstat(right, &two) != 0) {
        differ(right, "missing");
    }
    if ((one.st_mode & S_IFMT) != (two.st_mode & S_IFMT)) {
        differ(right, "another kind");
    }
    if (!S_ISLNK(one.st_mode) && one.st_mode != two.st_mode) {
        differ(right, "another mode");
    }
    if (one.st_mtim.tv_sec != two.st_mtim.tv_sec || one.st_mtim.tv_nsec != two.st_mtim.tv_nsec) {
        differ(right, "another modification time");
    }
    if (!S_ISDIR(one.st_mode) && one.st_nlink != two.st_nlink) {
        differ(right, "another number of hard links");
    }
    if (S_ISREG(one.st_mode)) {
        same_bytes(left, right);
    } else if (S_ISLNK(one.st_mode)) {
        same_target(left, right);
    } else if (S_ISDIR(one.st_mode)) {
        same_directory(left, right);
    }
}

/* ---- the library ---- */

znippy_options *options_with(uint32_t key, int64_t value) {
    znippy_error *error = NULL;
    znippy_options *options = znippy_options_new();
    CHECK(options != NULL);
    EXPECT_OK(znippy_options_set_i64(options, key, value, &error), &error);
    return options;
}

void pack(const char *tree, const char *archive) {
    znippy_error *error = NULL;
    EXPECT_OK(znippy_compress_dir(tree, archive, NULL, NULL, &error), &error);
}

znippy_reader *open_reader(const char *archive) {
    znippy_error *error = NULL;
    znippy_reader *reader = NULL;
    EXPECT_OK(znippy_reader_open(archive, NULL, &reader, &error), &error);
    CHECK(reader != NULL);
    return reader;
}

uint64_t find(const znippy_reader *reader, const char *path) {
    znippy_error *error = NULL;
    uint64_t index = UINT64_MAX;
    EXPECT_OK(znippy_reader_find(reader, path, strlen(path), &index, &error), &error);
    CHECK(index < znippy_reader_entry_count(reader));
    return index;
}

znippy_listing *list_all(const znippy_reader *reader) {
    znippy_error *error = NULL;
    znippy_listing *listing = NULL;
    EXPECT_OK(znippy_reader_list(reader, 0, SIZE_MAX, &listing, &error), &error);
    CHECK(znippy_listing_count(listing) == znippy_reader_entry_count(reader));
    return listing;
}

znippy_entry_info entry_at(const znippy_listing *listing, size_t position) {
    znippy_error *error = NULL;
    znippy_entry_info entry;
    memset(&entry, 0, sizeof entry);
    entry.struct_size = sizeof entry;
    EXPECT_OK(znippy_listing_get(listing, position, &entry, &error), &error);
    return entry;
}

void same_entries(const znippy_reader *left, const znippy_reader *right) {
    znippy_listing *one = list_all(left), *two = list_all(right);
    CHECK(znippy_listing_count(one) == znippy_listing_count(two));
    for (size_t i = 0; i < znippy_listing_count(one); i++) {
        znippy_entry_info a = entry_at(one, i), b = entry_at(two, i);
        CHECK(a.path_len == b.path_len && memcmp(a.path, b.path, a.path_len) == 0);
        CHECK(a.link_target_len == b.link_target_len);
        CHECK(a.link_target_len == 0 || memcmp(a.link_target, b.link_target, a.link_target_len) == 0);
        CHECK(a.kind == b.kind && a.size == b.size && a.mode == b.mode && a.mtime_ns == b.mtime_ns);
        CHECK(a.flags == b.flags && memcmp(a.hash, b.hash, sizeof a.hash) == 0);
    }
    znippy_listing_free(one);
    znippy_listing_free(two);
}
