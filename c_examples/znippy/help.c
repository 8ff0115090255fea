/* Texts for people who ask. What an option means and which values it takes is asked of the library, so that
 * the help can't drift from it. */
#include "cli.h"

#include <inttypes.h>
#include <string.h>

enum { INDENT = 26, WIDTH = 100 };

/* Prints words from the column INDENT on, breaking lines before the right edge. */
static void put_wrapped(const char *text) {
    int column = INDENT;
    while (*text) {
        int len = (int)strcspn(text, " ");
        bool first = column == INDENT;
        if (!first && column + 1 + len > WIDTH) {
            printf("\n%*s", INDENT, "");
            column = INDENT;
            first = true;
        }
        printf("%s%.*s", first ? "" : " ", len, text);
        column += len + !first;
        text += len + (text[len] != '\0');
    }
    putchar('\n');
}

static void put_row(const char *left, const char *right) {
    int len = (int)strlen(left);
    printf("  %-*s", INDENT - 2, left);
    if (len > INDENT - 3) {
        printf("\n%*s", INDENT, "");
    }
    put_wrapped(right);
}

/* " (-7 to 22, default 3)" */
static void bounds_text(uint32_t key, char *text, size_t size) {
    int64_t min = 0, max = 0, value = 0;
    char upper[40] = " or more", initial[40] = "";
    znippy_option_bounds(key, &min, &max);
    if (max != INT64_MAX) {
        snprintf(upper, sizeof upper, " to %" PRId64, max);
    }
    /* Without options the library answers with its defaults; options that are text have none. */
    if (znippy_options_get_i64(NULL, key, &value, NULL) == ZNIPPY_OK) {
        snprintf(initial, sizeof initial, ", default %" PRId64, value);
    }
    snprintf(text, size, " (%" PRId64 "%s%s)", min, upper, initial);
}

static void put_option(const char *left, uint32_t key, bool bounds) {
    char right[1024], numbers[128] = "";
    const char *help = znippy_option_help(key);
    if (bounds) {
        bounds_text(key, numbers, sizeof numbers);
    }
    snprintf(right, sizeof right, "%s%s", help ? help : "", numbers);
    put_row(left, right);
}

static void put_flag(const struct flag *flag) {
    char left[64];
    char letter[8] = "";
    if (flag->letter) {
        snprintf(letter, sizeof letter, "-%c, ", flag->letter);
    }
    snprintf(left, sizeof left, "%s--%s%s%s", letter, flag->name, flag->value ? " " : "",
             flag->value ? flag->value : "");
    if (flag->option) {
        put_option(left, znippy_option_key(flag->option), flag->value != NULL);
    } else {
        put_row(left, flag->help);
    }
}

/* What neither the summary nor the options say. */
static const char *details_of(const struct command *command) {
    if (command->run == run_list) {
        return "A NAME stands for the entry of that name and for everything below it. What names nothing is a GLOB, which\n"
               "must match a whole path: '*', '?' and '[...]' match no '/', as fnmatch(3) has it with FNM_PATHNAME, so\n"
               "'*.c' finds nothing in directories and 'src/*.c' what is right below src. Quote it, or the shell takes it\n"
               "for names of the working directory. Entries are printed once, in the order of the archive.\n\n";
    }
    if (command->run == run_convert) {
        return "What comes out: of tar (compressed or not) and zip an archive; of an archive, with NEW - a tar, else one of\n"
               "version 4 if it has version 3, and one of version 3 if it has version 4; --profile says otherwise. Owners\n"
               "of tar and zip entries are recorded with --set record-ids=1, extended attributes and access control lists\n"
               "with --xattrs. A tar archive gets all that is recorded.\n\n";
    }
    return "";
}

static int command_help(const struct command *command) {
    printf("usage: znippy %s [OPTION]... %s\n\n%s\n\n%s", command->name, command->operands, command->summary,
           details_of(command));
    for (const struct flag *flag = FLAGS; flag->id; flag++) {
        if (command->flags & flag->id) {
            put_flag(flag);
        }
    }
    return CODE_OK;
}

static int options_help(void) {
    printf("Options of the library, for --set OPTION=VALUE; K, M and G stand for powers of 1024.\n\n");
    for (uint32_t key = 1; key < OPTIONS_END; key++) {
        if (znippy_option_name(key)) {
            put_option(znippy_option_name(key), key, true);
        }
    }
    return CODE_OK;
}

static int overview(void) {
    printf("usage: znippy COMMAND [OPTION]... NAME...\n\n");
    for (const struct command *command = COMMANDS; command->name; command++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", command->name, command->operands);
        put_row(left, command->summary);
    }
    put_row("help [COMMAND]", "Print help on a command.");
    put_row("help options", "Print the options for --set.");
    put_row("--version", "Print the version.");
    printf("\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 done in part, 4 differences found, 130 interrupted.\n");
    return CODE_OK;
}

int help_print(const char *topic) {
    if (!topic) {
        return overview();
    }
    if (strcmp(topic, "options") == 0) {
        return options_help();
    }
    const struct command *command = command_find(topic);
    return command ? command_help(command) : complain(CODE_USAGE, topic, "no such command", "see 'znippy help'");
}

int version_print(void) {
    printf("znippy %s\n", ZNIPPY_VERSION_STRING);
    if (strcmp(ZNIPPY_VERSION_STRING, znippy_version_string()) != 0) {
        printf("with libznippy %s\n", znippy_version_string());
    }
    return CODE_OK;
}
