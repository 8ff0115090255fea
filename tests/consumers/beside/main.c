/* libznippy.a, another Rust static library and the system's libzstd in one program: each has its own way with panics,
 * and each zstd is the one that was asked for. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <zstd.h>
#include <znippy.h>

uint32_t other_catches_a_panic(uint32_t divisor);

int main(int argc, char **argv) {
    char packed[256], back[16];
    znippy_reader *reader = NULL;
    if (argc != 3 || znippy_compress_dir(argv[1], argv[2], NULL, NULL, NULL) != ZNIPPY_OK) {
        return 2;
    }
    /* The system's zstd is not the one inside libznippy, whose version the archive records. */
    const char *inside = NULL;
    if (znippy_reader_open(argv[2], NULL, &reader, NULL) != ZNIPPY_OK ||
        znippy_reader_metadata(reader, "zstd_version", &inside) != ZNIPPY_OK) {
        return 3;
    }
    printf("zstd: %s of the system, %s in libznippy\n", ZSTD_versionString(), inside ? inside : "?");
    znippy_reader_free(reader);
    size_t len = ZSTD_compress(packed, sizeof packed, "sixteen bytes...", 16, 1);
    if (ZSTD_isError(len) || ZSTD_decompress(back, sizeof back, packed, len) != 16 ||
        memcmp(back, "sixteen bytes...", 16) != 0) {
        return 4;
    }
    return other_catches_a_panic(0) == 7 && other_catches_a_panic(50) == 2 ? 0 : 5;
}
