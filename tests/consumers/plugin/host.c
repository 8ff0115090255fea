/*
 * A host that loads the library as a plug-in, works with it and closes it, a thousand times over. The library stays
 * resident after the first time, as its link flags say (-z nodelete: Rust code can't be unloaded): nothing may grow.
 *
 * usage: host LIBRARY DIR ARCHIVE
 */
#include <dirent.h>
#include <dlfcn.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <znippy.h>

enum { TIMES = 1000, WARM = 10 };

struct counts {
    int mappings, descriptors, threads;
};

static int names_in(const char *directory) {
    int count = 0;
    DIR *handle = opendir(directory);
    while (handle && readdir(handle)) {
        count++;
    }
    closedir(handle);
    return count;
}

static struct counts count(void) {
    struct counts now = {0, names_in("/proc/self/fd"), names_in("/proc/self/task")};
    FILE *maps = fopen("/proc/self/maps", "r");
    int byte;
    while (maps && (byte = getc(maps)) != EOF) {
        now.mappings += byte == '\n';
    }
    if (maps) {
        fclose(maps);
    }
    return now;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A function pointer from an object pointer, which POSIX allows and ISO C has no cast for. */
#define FIND(library, name, pointer) (*(void **)(pointer) = dlsym(library, name))

static int visit(const char *path, const char *dir, const char *archive, int pack) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    uint32_t (*version)(void) = NULL;
    znippy_status (*compress)(const char *, const char *, const znippy_options *, znippy_stats *, znippy_error **) = NULL;
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 0;
    }
    FIND(library, "znippy_version_number", &version);
    FIND(library, "znippy_compress_dir", &compress);
    int good = version && compress && version() == ZNIPPY_VERSION_NUMBER;
    if (good && pack) {
        unlink(archive);
        good = compress(dir, archive, NULL, NULL, NULL) == ZNIPPY_OK;
    }
    return dlclose(library) == 0 && good;
}

int main(int argc, char **argv) {
    struct counts before = {0, 0, 0}, after;
    if (argc != 4) {
        return 2;
    }
    /* How many of them malloc makes depends on which threads meet in it, and each is two mappings. */
    mallopt(M_ARENA_MAX, 1);
    double start = seconds();
    if (!visit(argv[1], argv[2], argv[3], 0)) {
        return 1;
    }
    printf("first dlopen, version and dlclose: %.3f ms\n", (seconds() - start) * 1e3);
    for (int i = 0; i < TIMES; i++) {
        if (i == WARM) {
            before = count();
        }
        if (!visit(argv[1], argv[2], argv[3], i % 50 == 0)) {
            return 1;
        }
    }
    after = count();
    if (!dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD)) {
        fprintf(stderr, "the library was unloaded\n");
        return 1;
    }
    printf("after %d times: %d mappings (%+d), %d descriptors (%+d), %d threads (%+d)\n", TIMES, after.mappings,
           after.mappings - before.mappings, after.descriptors, after.descriptors - before.descriptors, after.threads,
           after.threads - before.threads);
    return after.mappings > before.mappings || after.descriptors > before.descriptors || after.threads > before.threads;
}
