/*
 * Loads modules that each have a libznippy of their own, and lets them force panics: alone, and at the same time.
 *
 * usage: host DIRECTORY MODULE...
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { MOST = 4 };

struct module {
    int (*run)(const char *directory);
    char directory[3000];
    int code;
};

static void *run(void *argument) {
    struct module *module = argument;
    module->code = module->run(module->directory);
    return NULL;
}

int main(int argc, char **argv) {
    static struct module modules[MOST];
    pthread_t threads[MOST];
    int count = argc - 2, code = 0;
    if (count < 1 || count > MOST) {
        return 2;
    }
    for (int i = 0; i < count; i++) {
        char tree[3100];
        void *library = dlopen(argv[i + 2], RTLD_NOW | RTLD_LOCAL);
        if (!library) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        *(void **)&modules[i].run = dlsym(library, "run_module");
        snprintf(modules[i].directory, sizeof modules[i].directory, "%s/%d", argv[1], i);
        snprintf(tree, sizeof tree, "%s/tree", modules[i].directory);
        if (!modules[i].run || mkdir(modules[i].directory, 0700) != 0 || mkdir(tree, 0700) != 0) {
            return 1;
        }
        pthread_create(&threads[i], NULL, run, &modules[i]);
    }
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        code |= modules[i].code;
    }
    return code;
}
