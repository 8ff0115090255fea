/* JSON, one object a line, always valid UTF-8. */
#include "cli.h"

#include <inttypes.h>

void json_open(struct json *json, FILE *out) {
    json->out = out;
    json->began = false;
    putc('{', out);
}

void json_key(struct json *json, const char *key) {
    fprintf(json->out, "%s\"%s\":", json->began ? "," : "", key);
    json->began = true;
}

static void put_character(FILE *out, const char *text, size_t len) {
    unsigned char first = (unsigned char)text[0];
    if (first == '"' || first == '\\') {
        fprintf(out, "\\%c", first);
    } else if (first < 0x20 || first == 0x7F) {
        fprintf(out, "\\u%04x", first);
    } else {
        fwrite(text, 1, len, out);
    }
}

/* Bytes that are not UTF-8 become U+FFFD: a string of JSON can't hold them. */
static void put_string(FILE *out, const char *text, size_t len) {
    putc('"', out);
    for (size_t at = 0, step; at < len; at += step) {
        step = utf8_sequence(text + at, len - at);
        if (step == 0) {
            fputs("\\ufffd", out);
            step = 1;
        } else {
            put_character(out, text + at, step);
        }
    }
    putc('"', out);
}

void json_text(struct json *json, const char *key, const char *text, size_t len) {
    json_key(json, key);
    put_string(json->out, text, len);
    if (!utf8_valid(text, len)) {
        fprintf(json->out, ",\"%s_bytes\":\"", key);
        put_hex(json->out, text, len);
        putc('"', json->out);
    }
}

void json_u64(struct json *json, const char *key, uint64_t value) {
    json_key(json, key);
    fprintf(json->out, "%" PRIu64, value);
}

void json_real(struct json *json, const char *key, double value) {
    json_key(json, key);
    fprintf(json->out, "%.6f", value);
}

void json_hex(struct json *json, const char *key, const void *data, size_t len) {
    json_key(json, key);
    putc('"', json->out);
    put_hex(json->out, data, len);
    putc('"', json->out);
}

void json_close(struct json *json) {
    fputs("}\n", json->out);
}
