/*
 * Times packing with and without a metadata provider, in turns, so that whatever else the machine does falls on both.
 *
 *     provider TREE ARCHIVE [ROUNDS|with|without] [start]
 *
 * With a word in place of the rounds it packs once, that way, for what counts instructions.
 *
 * The provider looks at every byte of every file and fills two columns: the number of lines, and the first line. With `start` it looks
 * at 4 KiB of each alone, as one that reads a header does: it counts the lines in there. It allows concurrent calls. Printed are the medians, and the median of the pairs' ratios.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <znippy.h>

enum { MAX_ROUNDS = 1000 };

static int32_t extract(void *user_data, const char *path, size_t path_len, const uint8_t *data, size_t data_len,
                       znippy_row *row) {
    const size_t *most = user_data;
    data_len = data_len < *most ? data_len : *most;
    const char *text = (const char *)data, *end = text + data_len, *at = text;
    const char *first = data_len == 0 ? NULL : memchr(text, '\n', data_len);
    size_t first_len = first == NULL ? data_len : (size_t)(first - text);
    int64_t lines = 0;
    (void)path;
    (void)path_len;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        lines++;
        at++;
    }
    znippy_row_set_i64(row, 0, lines);
    /* Binary files have no first line: what is no text is refused, and the value stays null. */
    if (first_len <= 200) {
        znippy_row_set_bytes(row, 1, text, first_len);
    }
    return 1;
}

static double seconds_of(const char *tree, const char *archive, const znippy_options *options) {
    struct timespec from, to;
    znippy_error *error = NULL;
    clock_gettime(CLOCK_MONOTONIC, &from);
    if (znippy_compress_dir(tree, archive, options, NULL, &error) != ZNIPPY_OK) {
        fprintf(stderr, "provider: %s\n", znippy_error_message(error));
        exit(1);
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

static int compare(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median(double *values, size_t count) {
    qsort(values, count, sizeof *values, compare);
    return count % 2 != 0 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

int main(int argc, char **argv) {
    static double without[MAX_ROUNDS], with[MAX_ROUNDS], ratio[MAX_ROUNDS];
    static const znippy_column COLUMNS[] = {
        {sizeof COLUMNS[0], ZNIPPY_COLUMN_INT64, "lines", 0, 0},
        {sizeof COLUMNS[0], ZNIPPY_COLUMN_UTF8, "first_line", 0, 0},
    };
    znippy_provider provider = {
        .struct_size = sizeof provider,
        .flags = ZNIPPY_PROVIDER_CONCURRENT,
        .name = "lines",
        .pkg_type = 1,
        .columns = COLUMNS,
        .column_count = 2,
        .extract = extract,
    };
    znippy_error *error = NULL;
    size_t most = argc == 5 && strcmp(argv[4], "start") == 0 ? 4096 : SIZE_MAX;
    provider.user_data = &most;
    bool once = argc >= 4 && strncmp(argv[3], "with", 4) == 0;
    size_t rounds = once ? 1 : argc >= 4 ? strtoul(argv[3], NULL, 10) : 15;
    if (argc < 3 || argc > 5 || (argc == 5 && most == SIZE_MAX) || rounds == 0 || rounds > MAX_ROUNDS) {
        fputs("usage: provider TREE ARCHIVE [ROUNDS|with|without] [start]\n", stderr);
        return 2;
    }
    znippy_options *plain = znippy_options_new(), *provided = znippy_options_new();
    if (znippy_options_set_i64(plain, ZNIPPY_OPT_OVERWRITE, 1, &error) != ZNIPPY_OK
        || znippy_options_set_i64(provided, ZNIPPY_OPT_OVERWRITE, 1, &error) != ZNIPPY_OK
        || znippy_options_add_provider(provided, &provider, &error) != ZNIPPY_OK) {
        fprintf(stderr, "provider: %s\n", znippy_error_message(error));
        return 1;
    }
    if (once) {
        seconds_of(argv[1], argv[2], strcmp(argv[3], "with") == 0 ? provided : plain);
        znippy_options_free(plain);
        znippy_options_free(provided);
        return 0;
    }
    seconds_of(argv[1], argv[2], plain); /* the tree is in the page cache from here on */
    for (size_t i = 0; i < rounds; i++) {
        /* Which one comes first changes, too. */
        for (size_t turn = 0; turn < 2; turn++) {
            if ((i + turn) % 2 == 0) {
                without[i] = seconds_of(argv[1], argv[2], plain);
            } else {
                with[i] = seconds_of(argv[1], argv[2], provided);
            }
        }
        ratio[i] = with[i] / without[i];
    }
    double cost = median(ratio, rounds);
    printf("%zu rounds: without %.1f ms, with %.1f ms, ratio %.3f\n", rounds, median(without, rounds) * 1e3,
           median(with, rounds) * 1e3, cost);
    znippy_options_free(plain);
    znippy_options_free(provided);
    return 0;
}
