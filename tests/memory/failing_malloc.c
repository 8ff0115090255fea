/* Preloaded: makes allocations of at least FAIL_MIN bytes fail, the FAIL_AT-th of them, or from it on where FAIL_ON is 1.
 * The number of them is written to the file FAIL_COUNT at the end, where it is set. Only the library's and the program's
 * allocations count, once main has begun: those of the loader are none of theirs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static atomic_ulong seen;
static unsigned long fail_at, fail_min, fail_on;
static atomic_bool armed;

static unsigned long number(const char *name) {
    const char *text = getenv(name);
    return text ? strtoul(text, NULL, 10) : 0;
}

__attribute__((constructor)) static void begin(void) {
    fail_at = number("FAIL_AT");
    fail_min = number("FAIL_MIN");
    fail_on = number("FAIL_ON");
    atomic_store(&armed, 1);
}

__attribute__((destructor)) static void end(void) {
    const char *path = getenv("FAIL_COUNT");
    atomic_store(&armed, 0);
    if (path) {
        FILE *out = fopen(path, "w");
        if (out) {
            fprintf(out, "%lu\n", atomic_load(&seen));
            fclose(out);
        }
    }
}

static int fails(size_t size) {
    if (!atomic_load_explicit(&armed, memory_order_relaxed) || size < fail_min) {
        return 0;
    }
    unsigned long this = atomic_fetch_add(&seen, 1) + 1;
    int failing = fail_at != 0 && (fail_on ? this >= fail_at : this == fail_at);
    if (failing) {
        errno = ENOMEM;
    }
    return failing;
}

void *malloc(size_t size) {
    return fails(size) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    return fails(count * size) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
    return fails(size) ? NULL : __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size) {
    return fails(size) ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    return fails(size) ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size) {
    void *made = fails(size) ? NULL : __libc_memalign(alignment, size);
    if (!made) {
        return ENOMEM;
    }
    *out = made;
    return 0;
}
