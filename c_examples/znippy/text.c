/* Names, sizes and times as text. */
#include "cli.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

/* The ranges of the second byte that RFC 3629 allows; the others are 80 to BF. */
static bool second_byte_valid(unsigned char first, unsigned char second) {
    switch (first) {
    case 0xE0: return second >= 0xA0 && second <= 0xBF;
    case 0xED: return second >= 0x80 && second <= 0x9F; /* no surrogates */
    case 0xF0: return second >= 0x90 && second <= 0xBF;
    case 0xF4: return second >= 0x80 && second <= 0x8F;
    default: return second >= 0x80 && second <= 0xBF;
    }
}

size_t utf8_sequence(const char *text, size_t len) {
    const unsigned char *byte = (const unsigned char *)text;
    if (len == 0) {
        return 0;
    }
    if (byte[0] < 0x80) {
        return 1;
    }
    size_t want = byte[0] >= 0xC2 && byte[0] <= 0xDF   ? 2
                  : byte[0] >= 0xE0 && byte[0] <= 0xEF ? 3
                  : byte[0] >= 0xF0 && byte[0] <= 0xF4 ? 4
                                                       : 0;
    if (want == 0 || want > len || !second_byte_valid(byte[0], byte[1])) {
        return 0;
    }
    for (size_t i = 2; i < want; i++) {
        if ((byte[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return want;
}

bool utf8_valid(const char *text, size_t len) {
    for (size_t at = 0, step; at < len; at += step) {
        step = utf8_sequence(text + at, len - at);
        if (step == 0) {
            return false;
        }
    }
    return true;
}

/* C0, DEL and C1: what a terminal may take for a command. */
static bool is_control(const char *text, size_t len) {
    unsigned char first = (unsigned char)text[0];
    return first < 0x20 || first == 0x7F || (len == 2 && first == 0xC2 && (unsigned char)text[1] < 0xA0);
}

static void put_control(FILE *out, const char *text, size_t len) {
    switch (text[0]) {
    case '\n': fputs("\\n", out); return;
    case '\t': fputs("\\t", out); return;
    case '\r': fputs("\\r", out); return;
    default: fprintf(out, "\\u{%x}", (unsigned)(unsigned char)text[len - 1]);
    }
}

void put_escaped(FILE *out, const char *text, size_t len) {
    for (size_t at = 0; at < len;) {
        size_t step = utf8_sequence(text + at, len - at);
        if (step == 0) {
            fprintf(out, "\\x%02x", (unsigned)(unsigned char)text[at]);
            step = 1;
        } else if (is_control(text + at, step)) {
            put_control(out, text + at, step);
        } else {
            fwrite(text + at, 1, step, out);
        }
        at += step;
    }
}

void put_hex(FILE *out, const void *data, size_t len) {
    const unsigned char *byte = data;
    for (size_t i = 0; i < len; i++) {
        fprintf(out, "%02x", byte[i]);
    }
}

const char *size_text(uint64_t bytes, char text[SIZE_TEXT]) {
    static const char *const UNITS[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1000 && unit < sizeof UNITS / sizeof UNITS[0] - 1) {
        value /= 1024;
        unit++;
    }
    snprintf(text, SIZE_TEXT, unit > 0 && value < 9.95 ? "%.1f %s" : "%.0f %s", value, UNITS[unit]);
    return text;
}

const char *kind_name(uint32_t kind) {
    static const char *const NAMES[] = {"file", "directory",        "symlink",      "hardlink",
                                        "fifo", "character device", "block device", "socket"};
    return kind < sizeof NAMES / sizeof NAMES[0] ? NAMES[kind] : "unknown";
}

const char *time_text(int64_t ns, bool digits, char text[TIME_TEXT]) {
    const int64_t SECOND = 1000000000;
    int64_t rest = ns % SECOND;
    time_t seconds = (time_t)(ns / SECOND);
    if (rest < 0) { /* before 1970: the nanoseconds still count upwards */
        rest += SECOND;
        seconds -= 1;
    }
    struct tm parts;
    char date[32];
    if (!gmtime_r(&seconds, &parts) || strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts) == 0) {
        snprintf(text, TIME_TEXT, "?");
    } else if (digits) {
        snprintf(text, TIME_TEXT, "%s.%09" PRId64 "Z", date, rest);
    } else {
        snprintf(text, TIME_TEXT, "%sZ", date);
    }
    return text;
}
