/* The command line -> a request. */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The words that are still to be read. */
struct words {
    char **next;
    char **end;
};

bool request_has(const struct request *request, uint64_t flag) {
    return (request->flags & flag) != 0;
}

void request_free(struct request *request) {
    znippy_options_free(request->options);
    request->options = NULL;
}

static bool mistake(const struct request *request, const char *word, const char *what) {
    char advice[64];
    snprintf(advice, sizeof advice, "see 'znippy help %s'", request->command->name);
    complain(CODE_USAGE, word, what, advice);
    return false;
}

/* A whole number, with K, M or G for powers of 1024. */
static bool parse_number(const char *text, int64_t *number) {
    static const char SUFFIXES[] = "KMG";
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text) {
        return false;
    }
    const char *suffix = *end ? strchr(SUFFIXES, *end) : NULL;
    if (suffix) {
        int64_t unit = (int64_t)1 << (10 * (suffix - SUFFIXES + 1));
        if (value > INT64_MAX / unit || value < INT64_MIN / unit) {
            return false;
        }
        value *= unit;
        end++;
    }
    *number = value;
    return *end == '\0';
}

/* The names that people use for the numbers of options that are a choice. */
static bool parse_choice(uint32_t key, const char *text, int64_t *number) {
    static const char *const PRESETS[] = {"default", "fast", "small", "max", "random", NULL};
    static const char *const OVERWRITE[] = {"refuse", "replace", "keep", "older", NULL};
    static const char *const MODES[] = {"keep", "normalise", NULL};
    static const char *const PROFILES[] = {"v4", "v3", NULL};
    static const char *const XATTRS[] = {"none", "user", "all", NULL};
    static const struct {
        uint32_t key;
        const char *const *names;
    } CHOICES[] = {{ZNIPPY_OPT_PRESET, PRESETS}, {ZNIPPY_OPT_OVERWRITE, OVERWRITE}, {ZNIPPY_OPT_MODES, MODES},
                   {ZNIPPY_OPT_RESTORE_XATTRS, XATTRS}, {ZNIPPY_OPT_PROFILE, PROFILES}};
    static const char *const NONE[] = {NULL};
    const char *const *names = NONE;
    for (size_t i = 0; i < sizeof CHOICES / sizeof CHOICES[0]; i++) {
        names = CHOICES[i].key == key ? CHOICES[i].names : names;
    }
    for (int64_t i = 0; names[i]; i++) {
        if (strcmp(text, names[i]) == 0) {
            *number = i;
            return true;
        }
    }
    return parse_number(text, number);
}

/* Sets an option that takes bytes; where it takes a number instead, says between which bounds. */
static bool set_text(struct request *request, const char *word, uint32_t key, const char *value) {
    znippy_error *error = NULL;
    int64_t min = 0, max = 0;
    char what[256];
    if (znippy_options_set_bytes(request->options, key, value, strlen(value), &error) == ZNIPPY_OK) {
        return true;
    }
    /* Options with a number as a default are no bytes. */
    if (znippy_options_get_i64(NULL, key, &min, NULL) != ZNIPPY_OK) {
        snprintf(what, sizeof what, "%.200s", znippy_error_message(error));
        znippy_error_free(error);
        return mistake(request, word, what);
    }
    znippy_error_free(error);
    znippy_option_bounds(key, &min, &max);
    snprintf(what, sizeof what, "option %s takes a value between %" PRId64 " and %" PRId64 ", not '%.80s'",
             znippy_option_name(key), min, max, value);
    return mistake(request, word, what);
}

static bool set_option(struct request *request, const char *word, const char *name, const char *value) {
    uint32_t key = znippy_option_key(name);
    int64_t number = 0;
    if (key == 0) {
        return mistake(request, word, "no such option of the library, 'znippy help options' lists them");
    }
    if (key < OPTIONS_END) {
        request->chosen[key] = true;
    }
    if (znippy_options_get_i64(NULL, key, &number, NULL) != ZNIPPY_OK) {
        return set_text(request, word, key, value);
    }
    bool parsed = parse_choice(key, value, &number);
    if (parsed && znippy_options_set_i64(request->options, key, number, NULL) == ZNIPPY_OK) {
        return true;
    }
    return set_text(request, word, key, value);
}

/* --set OPTION=VALUE */
static bool set_pair(struct request *request, const char *pair) {
    const char *equals = strchr(pair, '=');
    char name[64];
    if (!equals || (size_t)(equals - pair) >= sizeof name) {
        return mistake(request, pair, "--set takes OPTION=VALUE");
    }
    memcpy(name, pair, (size_t)(equals - pair));
    name[equals - pair] = '\0';
    return set_option(request, pair, name, equals + 1);
}

/* A number of bytes. */
static bool set_bytes(struct request *request, const char *word, const char *value, uint64_t *bytes) {
    int64_t number = 0;
    if (!parse_number(value, &number) || number < 0) {
        return mistake(request, word, "this option takes a number of bytes");
    }
    *bytes = (uint64_t)number;
    return true;
}

static bool apply(struct request *request, const struct flag *flag, const char *word, const char *value) {
    request->flags |= flag->id;
    if (flag->id == FLAG_SET) {
        return set_pair(request, value);
    }
    if (flag->id == FLAG_OFFSET) {
        return set_bytes(request, word, value, &request->offset);
    }
    if (flag->id == FLAG_LENGTH) {
        return set_bytes(request, word, value, &request->length);
    }
    if (flag->id == FLAG_BELOW) {
        request->below = value;
        return true;
    }
    if (flag->id == FLAG_BASE) {
        request->base = value;
        return true;
    }
    if (flag->id == FLAG_WHEN) {
        return policy_set_time(request, value) ||
               mistake(request, word, "takes seconds since 1970 or a time like 2026-01-01T00:00:00Z, 1678 to 2262");
    }
    if (flag->id == FLAG_FORCE) {
        return set_option(request, word, "overwrite", "1");
    }
    if (flag->id == FLAG_UNCHANGED) {
        return set_option(request, word, "skip-unchanged", request_has(request, FLAG_CHECKSUM) ? "2" : "1");
    }
    if (flag->id == FLAG_CHECKSUM) {
        return set_option(request, word, "skip-unchanged", "2");
    }
    return flag->option ? set_option(request, word, flag->option, value ? value : "1") : true;
}

static const struct flag *flag_by_letter(const struct request *request, char letter) {
    for (const struct flag *flag = FLAGS; flag->id; flag++) {
        if ((request->command->flags & flag->id) && flag->letter == letter) {
            return flag;
        }
    }
    return NULL;
}

static const struct flag *flag_by_name(const struct request *request, const char *name, size_t len) {
    for (const struct flag *flag = FLAGS; flag->id; flag++) {
        if ((request->command->flags & flag->id) && strlen(flag->name) == len && memcmp(flag->name, name, len) == 0) {
            return flag;
        }
    }
    return NULL;
}

/* The value of a flag: what is left of its word, or else the next word. */
static bool apply_with_value(struct request *request, const struct flag *flag, const char *word, const char *rest,
                             struct words *words) {
    if (!rest && words->next == words->end) {
        return mistake(request, word, "a value is missing");
    }
    return apply(request, flag, word, rest ? rest : *words->next++);
}

static bool parse_long(struct request *request, const char *word, struct words *words) {
    const char *name = word + 2;
    const char *equals = strchr(name, '=');
    const struct flag *flag = flag_by_name(request, name, equals ? (size_t)(equals - name) : strlen(name));
    if (!flag) {
        return mistake(request, word, "no such option");
    }
    if (flag->value) {
        return apply_with_value(request, flag, word, equals ? equals + 1 : NULL, words);
    }
    return equals ? mistake(request, word, "this option takes no value") : apply(request, flag, word, NULL);
}

/* One word of one-letter flags, the last of which may take the rest of the word as its value. */
static bool parse_letters(struct request *request, const char *word, struct words *words) {
    for (const char *letter = word + 1; *letter; letter++) {
        const struct flag *flag = flag_by_letter(request, *letter);
        if (!flag) {
            return mistake(request, word, "no such option");
        }
        if (flag->value) {
            return apply_with_value(request, flag, word, letter[1] ? letter + 1 : NULL, words);
        }
        if (!apply(request, flag, word, NULL)) {
            return false;
        }
    }
    return true;
}

/* Whether there are as many operands as the command takes; one flag makes unpack take others. */
static bool check_operands(const struct request *request) {
    const struct command *command = request->command;
    bool to_stdout = request_has(request, FLAG_TO_STDOUT);
    const char *operands = to_stdout ? "ARCHIVE [NAME|GLOB]..." : command->operands;
    int least = to_stdout ? 1 : command->operand_count;
    char what[64];
    if (request->operand_count > least && !strstr(operands, "...")) {
        return mistake(request, request->operands[least], "one name too many");
    }
    if (request->operand_count < least) {
        snprintf(what, sizeof what, "%s takes %s", command->name, operands);
        return mistake(request, command->name, what);
    }
    return true;
}

/* Operands take the places of words that were read before them. */
static bool add_operand(struct request *request, char *word) {
    if (word[0] == '\0') {
        return mistake(request, "''", "a name can't be empty");
    }
    request->operands[request->operand_count++] = word;
    return true;
}

static bool parse_words(struct request *request, struct words *words) {
    bool flags = true;
    while (words->next < words->end) {
        char *word = *words->next++;
        bool good;
        if (flags && strcmp(word, "--") == 0) {
            flags = false;
            continue;
        }
        if (!flags || word[0] != '-' || word[1] == '\0') {
            good = add_operand(request, word);
        } else if (word[1] == '-') {
            good = parse_long(request, word, words);
        } else {
            good = parse_letters(request, word, words);
        }
        if (!good) {
            return false;
        }
    }
    return true;
}

bool request_parse(struct request *request, int count, char **words) {
    struct words rest = {words, words + count};
    request->operands = words;
    request->operand_count = 0;
    request->length = UINT64_MAX;
    if (!parse_words(request, &rest)) {
        return false;
    }
    if (request_has(request, FLAG_HELP)) {
        return true;
    }
    return check_operands(request) && (!(request->command->flags & FLAG_WHEN) || policy_settle(request));
}
