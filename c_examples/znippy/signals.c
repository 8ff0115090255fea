/* Ctrl-C: the handler triggers the cancel token, and the call that runs cleans up and returns. A limit on the size of
 * files is an error like a full disk. */
#include "cli.h"

#include <signal.h>
#include <string.h>

/* The only globals of the tool: a handler has no other way to reach the token. Both are written before the
 * handler is installed, or are plain stores of a type that a handler may write. */
static const znippy_cancel *volatile token;
static volatile sig_atomic_t caught;

static void on_signal(int number) {
    caught = number;
    if (token) {
        znippy_cancel_trigger(token);
    }
}

static void install(int number) {
    struct sigaction old, action;
    /* nohup and background jobs of old shells ignore signals on purpose. */
    if (sigaction(number, NULL, &old) != 0 || old.sa_handler == SIG_IGN) {
        return;
    }
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    /* After the first one the default is back, so that a second Ctrl-C ends what the first could not. */
    action.sa_flags = SA_RESTART | (int)SA_RESETHAND;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

void signals_prepare(void) {
    struct sigaction ignore;
    memset(&ignore, 0, sizeof ignore);
    ignore.sa_handler = SIG_IGN;
    sigemptyset(&ignore.sa_mask);
    sigaction(SIGXFSZ, &ignore, NULL);
}

void signals_trigger(const znippy_cancel *cancel) {
    token = cancel;
    if (cancel) {
        install(SIGINT);
        install(SIGTERM);
        install(SIGHUP);
    }
}

bool signals_caught(void) {
    return caught != 0;
}
