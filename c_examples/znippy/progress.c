/* The bar on a terminal: phase, part done, rate, time left. */
#include "cli.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static const double DRAW_EVERY = 0.1; /* seconds */

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int terminal_width(void) {
    struct winsize size;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return known ? size.ws_col : 80;
}

static const char *phase_name(uint32_t phase) {
    switch (phase) {
    case ZNIPPY_PHASE_SCAN: return "scanning";
    case ZNIPPY_PHASE_PACK: return "packing";
    case ZNIPPY_PHASE_FINISH: return "finishing";
    case ZNIPPY_PHASE_LIST: return "reading the index";
    case ZNIPPY_PHASE_EXTRACT: return "unpacking";
    case ZNIPPY_PHASE_VERIFY: return "verifying";
    case ZNIPPY_PHASE_COMPARE: return "comparing";
    default: return "working";
    }
}

static void begin_phase(struct progress_bar *bar, uint32_t phase) {
    bar->phase = phase;
    bar->rate = 0;
    bar->measured_at = now();
    bar->measured_bytes = 0;
    bar->drawn_at = 0;
}

/* Takes the last second or so into account, so that the rate follows a change and doesn't flicker. */
static void measure(struct progress_bar *bar, double time, uint64_t bytes) {
    double elapsed = time - bar->measured_at;
    if (elapsed < DRAW_EVERY || bytes < bar->measured_bytes) {
        return;
    }
    double current = (double)(bytes - bar->measured_bytes) / elapsed;
    double weight = elapsed / (elapsed + 1.0);
    bar->rate = bar->rate > 0 ? bar->rate * (1 - weight) + current * weight : current;
    bar->measured_at = time;
    bar->measured_bytes = bytes;
}

static void time_left(double seconds, char *text, size_t size) {
    if (seconds >= 100 * 3600.0) {
        snprintf(text, size, "long");
        return;
    }
    unsigned whole = (unsigned)seconds;
    if (whole >= 3600) {
        snprintf(text, size, "%u:%02u:%02u", whole / 3600, whole / 60 % 60, whole % 60);
    } else {
        snprintf(text, size, "%u:%02u", whole / 60, whole % 60);
    }
}

/* "  1.2 GiB of 2.8 GiB  512 MiB/s  0:12 left" */
static void figures(const struct progress_bar *bar, const znippy_progress *progress, char *text, size_t size) {
    char done[SIZE_TEXT], total[SIZE_TEXT], rate[SIZE_TEXT], left[16] = "?";
    uint64_t todo = progress->bytes_total > progress->bytes_done ? progress->bytes_total - progress->bytes_done : 0;
    if (bar->rate > 0) {
        time_left((double)todo / bar->rate, left, sizeof left);
    }
    snprintf(text, size, "  %s of %s  %s/s  %s left", size_text(progress->bytes_done, done),
             size_text(progress->bytes_total, total), size_text((uint64_t)bar->rate, rate), left);
}

static void draw_bar(const struct progress_bar *bar, const znippy_progress *progress) {
    char text[128];
    double part = progress->bytes_total ? (double)progress->bytes_done / (double)progress->bytes_total : 1.0;
    part = part > 1 ? 1 : part;
    figures(bar, progress, text, sizeof text);
    const char *name = phase_name(progress->phase);
    /* What the bar itself may take: the line without " 100% [" and "]" and without the last column. */
    int room = terminal_width() - 1 - (int)strlen(name) - (int)strlen(text) - 8;
    fprintf(stderr, "\r\033[K%s %3d%%", name, (int)(part * 100));
    if (room >= 5) {
        int full = (int)(part * room);
        fputs(" [", stderr);
        for (int i = 0; i < room; i++) {
            putc(i < full ? '=' : i == full ? '>' : ' ', stderr);
        }
        putc(']', stderr);
    }
    fputs(room >= -8 ? text : "", stderr);
}

static void draw(const struct progress_bar *bar, const znippy_progress *progress) {
    if (progress->bytes_total != ZNIPPY_UNKNOWN && progress->bytes_total > 0) {
        draw_bar(bar, progress);
    } else {
        fprintf(stderr, "\r\033[K%s", phase_name(progress->phase));
        if (progress->entries_done > 0) {
            fprintf(stderr, " %" PRIu64 " entries", progress->entries_done);
        }
    }
    fflush(stderr);
}

static int32_t on_progress(void *user_data, const znippy_progress *progress) {
    struct progress_bar *bar = user_data;
    if (progress->phase != bar->phase) {
        begin_phase(bar, progress->phase);
    }
    double time = now();
    measure(bar, time, progress->bytes_done);
    if (time - bar->drawn_at >= DRAW_EVERY) {
        bar->drawn_at = time;
        draw(bar, progress);
    }
    return 0;
}

void progress_attach(struct progress_bar *bar, znippy_options *options, bool quiet) {
    memset(bar, 0, sizeof *bar);
    bar->active = !quiet && isatty(STDERR_FILENO);
    if (bar->active) {
        znippy_options_set_progress(options, on_progress, bar, NULL);
    }
}

void progress_clear(struct progress_bar *bar) {
    if (bar->active) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
}
