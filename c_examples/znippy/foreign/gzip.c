/* gzip, unpacked with zlib: that checks length and CRC of each member, which libarchive passes over. */
#include "foreign.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct gzip {
    struct input *input;
    z_stream stream;
    bool inside; /* a member has begun and not ended */
    unsigned char room[INPUT_ROOM];
};

struct gzip *gzip_begin(struct input *input) {
    struct gzip *gzip = calloc(1, sizeof *gzip);
    if (gzip && inflateInit2(&gzip->stream, MAX_WBITS + 16) != Z_OK) {
        free(gzip);
        return NULL;
    }
    if (gzip) {
        gzip->input = input;
    }
    return gzip;
}

void gzip_end(struct gzip *gzip) {
    if (gzip) {
        inflateEnd(&gzip->stream);
        free(gzip);
    }
}

/* More of the file; 0 at its end. */
static ssize_t refill(struct gzip *gzip) {
    ssize_t got = input_read(gzip->input, gzip->room, sizeof gzip->room);
    gzip->stream.next_in = gzip->room;
    gzip->stream.avail_in = got > 0 ? (uInt)got : 0;
    return got;
}

ssize_t gzip_read(struct gzip *gzip, void *buffer, size_t len, const char **why) {
    z_stream *stream = &gzip->stream;
    stream->next_out = buffer;
    stream->avail_out = (uInt)len;
    while (stream->avail_out == len) {
        ssize_t got = stream->avail_in > 0 ? 1 : refill(gzip);
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            *why = "the gzip file ends early";
            return gzip->inside ? -1 : 0;
        }
        /* Zeros may fill up the last block of a tape, as gzip has it. */
        if (!gzip->inside && *stream->next_in == 0) {
            stream->next_in++;
            stream->avail_in--;
            continue;
        }
        gzip->inside = true;
        int result = inflate(stream, Z_NO_FLUSH);
        if (result == Z_STREAM_END) {
            gzip->inside = false;
            inflateReset(stream);
        } else if (result != Z_OK) {
            *why = stream->msg ? stream->msg : "the gzip file is damaged";
            return -1;
        }
    }
    return (ssize_t)(len - stream->avail_out);
}
