/* What is recorded of times, modes and owners, where several flags and the environment decide together. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

/* Takes `count` digits; false where there are fewer. */
static bool take_digits(const char **text, int count, int64_t *number) {
    *number = 0;
    for (int i = 0; i < count; i++, (*text)++) {
        if (**text < '0' || **text > '9') {
            return false;
        }
        *number = *number * 10 + (**text - '0');
    }
    return true;
}

/* A number of `count` digits and the character after it. */
static bool take_part(const char **text, int count, char after, int64_t least, int64_t most, int64_t *number) {
    if (!take_digits(text, count, number) || *number < least || *number > most || **text != after) {
        return false;
    }
    (*text)++;
    return true;
}

static int days_of_month(int64_t year, int64_t month) {
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return DAYS[month - 1] + (month == 2 && leap);
}

/* Days from 1970-01-01 to a day of the Gregorian calendar; `year` is 0 to 9999. */
static int64_t days_since_epoch(int64_t year, int64_t month, int64_t day) {
    int64_t before = year - 1; /* years that ended before this one, year 0 apart, which is a leap year */
    int64_t days = year == 0 ? 0 : 366 + before * 365 + before / 4 - before / 100 + before / 400;
    for (int64_t m = 1; m < month; m++) {
        days += days_of_month(year, m);
    }
    return days + day - 1 - 719528; /* days from 0000-01-01 to 1970-01-01 */
}

/* 2026-01-01T00:00:00Z, as RFC 3339 has it for UTC, without fractions and leap seconds. */
static bool parse_date(const char *text, int64_t *seconds) {
    int64_t year, month, day, hour, minute, second;
    if (!take_part(&text, 4, '-', 0, 9999, &year) || !take_part(&text, 2, '-', 1, 12, &month) ||
        !take_part(&text, 2, 'T', 1, days_of_month(year, month), &day) || !take_part(&text, 2, ':', 0, 23, &hour) ||
        !take_part(&text, 2, ':', 0, 59, &minute) || !take_part(&text, 2, 'Z', 0, 59, &second)) {
        return false;
    }
    *seconds = ((days_since_epoch(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    return *text == '\0';
}

/* Seconds since the epoch. More digits than this are out of bounds in any case. */
static bool parse_seconds(const char *text, int64_t *seconds) {
    bool negative = *text == '-';
    const char *digits = text + negative;
    size_t len = strlen(digits);
    if (len == 0 || len > 18 || !take_digits(&digits, (int)len, seconds)) {
        return false;
    }
    *seconds = negative ? -*seconds : *seconds;
    return true;
}

bool policy_set_time(struct request *request, const char *text) {
    int64_t seconds = 0;
    if (!parse_seconds(text, &seconds) && !parse_date(text, &seconds)) {
        return false;
    }
    request->chosen[ZNIPPY_OPT_MTIME_LIMIT] = true;
    return znippy_options_set_i64(request->options, ZNIPPY_OPT_MTIME_LIMIT, seconds, NULL) == ZNIPPY_OK;
}

static int64_t value_of(const struct request *request, uint32_t key) {
    int64_t value = 0;
    znippy_options_get_i64(request->options, key, &value, NULL);
    return value;
}

/* SOURCE_DATE_EPOCH, as reproducible-builds.org specifies it, where nothing else says which time is meant. */
static bool read_environment(struct request *request, bool *found) {
    const char *text = getenv("SOURCE_DATE_EPOCH");
    *found = text != NULL;
    if (!text || request->chosen[ZNIPPY_OPT_MTIME_LIMIT]) {
        return true;
    }
    int64_t seconds = 0;
    if (text[0] == '-' || !parse_seconds(text, &seconds) ||
        znippy_options_set_i64(request->options, ZNIPPY_OPT_MTIME_LIMIT, seconds, NULL) != ZNIPPY_OK) {
        complain(CODE_USAGE, "SOURCE_DATE_EPOCH", "this variable of the environment is no number of seconds since 1970",
                 "correct it, unset it, or give --mtime");
        return false;
    }
    return true;
}

/* What two users must have in common besides the times. */
static bool make_reproducible(struct request *request) {
    static const struct {
        uint32_t key;
        int64_t value;
    } SETTINGS[] = {{ZNIPPY_OPT_MODES, 1}, {ZNIPPY_OPT_HARD_LINKS, 1}, {ZNIPPY_OPT_RECORD_IDS, 0}, {ZNIPPY_OPT_XATTRS, 0}};
    char what[96];
    for (size_t i = 0; i < sizeof SETTINGS / sizeof SETTINGS[0]; i++) {
        uint32_t key = SETTINGS[i].key;
        if (request->chosen[key] && value_of(request, key) != SETTINGS[i].value) {
            snprintf(what, sizeof what, "the value given for %s would make archives differ between users",
                     znippy_option_name(key));
            complain(CODE_USAGE, "--reproducible", what, "take one of the two away");
            return false;
        }
        znippy_options_set_i64(request->options, key, SETTINGS[i].value, NULL);
    }
    if (request->chosen[ZNIPPY_OPT_MTIMES] && value_of(request, ZNIPPY_OPT_MTIMES) < 2) {
        complain(CODE_USAGE, "--reproducible", "the value given for mtimes would make archives differ between users",
                 "take one of the two away");
        return false;
    }
    return true;
}

bool policy_settle(struct request *request) {
    bool reproducible = request_has(request, FLAG_REPRODUCIBLE), from_environment = false;
    if (reproducible && !make_reproducible(request)) {
        return false;
    }
    if (request->chosen[ZNIPPY_OPT_MTIMES] && !reproducible) {
        return true;
    }
    if (!read_environment(request, &from_environment)) {
        return false;
    }
    if (!request->chosen[ZNIPPY_OPT_MTIMES] && (reproducible || from_environment || request_has(request, FLAG_WHEN))) {
        znippy_options_set_i64(request->options, ZNIPPY_OPT_MTIMES, reproducible ? 3 : 1, NULL);
    }
    return true;
}
