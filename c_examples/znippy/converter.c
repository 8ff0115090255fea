/* The program that convert runs in, where the tool has one: it is this tool once more, with libarchive and libzip, which
 * the loader reads at each start. No other command waits for them so. */
#include "cli.h"

#include <string.h>
#include <unistd.h>

#ifdef ZNIPPY_CONVERTER

enum { ROOM = 4096 };

/* Puts the path of a file beside this program's own into `place`. */
static bool find_beside(const char *relative, char *place) {
    ssize_t len = readlink("/proc/self/exe", place, ROOM);
    if (len <= 0 || len == ROOM) {
        return false;
    }
    place[len] = '\0';
    char *last = strrchr(place, '/');
    size_t kept = last ? (size_t)(last + 1 - place) : 0;
    if (kept + strlen(relative) >= ROOM) {
        return false;
    }
    strcpy(place + kept, relative);
    return true;
}

void converter_become(char **words) {
    /* Where it is installed, and where the build puts it. */
    static const char *const PLACES[] = {ZNIPPY_CONVERTER, "../libexec/znippy/convert"};
    char path[ROOM];
    for (size_t at = 0; at < sizeof PLACES / sizeof *PLACES; at++) {
        if (find_beside(PLACES[at], path)) {
            execv(path, words);
        }
    }
}

#else

void converter_become(char **words) {
    (void)words;
}

#endif
