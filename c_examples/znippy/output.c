/* Standard output, and errors as one line each on standard error. */
#define _GNU_SOURCE /* fopencookie */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* A descriptor that is closed would be given to the next file that is opened, and then an archive would take
 * what is meant for the terminal. Reading from, or writing to, what stands in for it fails. */
static bool keep_taken(int fd) {
    if (fcntl(fd, F_GETFD) != -1 || errno != EBADF) {
        return true;
    }
    return open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) == fd;
}

#ifdef __GLIBC__
/* Writes all of it, however often the system interrupts. */
static ssize_t write_patiently(void *cookie, const char *data, size_t len) {
    (void)cookie;
    size_t done = 0;
    while (done < len) {
        ssize_t written = write(STDOUT_FILENO, data + done, len - done);
        if (written > 0) {
            done += (size_t)written;
        } else if (written == 0 || errno != EINTR) {
            break;
        }
    }
    return (ssize_t)done;
}

/* The C library's own standard output forgets what it holds when writing is interrupted. A program may put another one in
 * its place with this C library. Without one the old stays. */
static void make_stdout_patient(void) {
    cookie_io_functions_t functions = {.write = write_patiently};
    FILE *patient = fopencookie(NULL, "w", functions);
    if (patient) {
        setvbuf(patient, NULL, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF, BUFSIZ);
        stdout = patient;
    }
}
#else
static void make_stdout_patient(void) {
}
#endif

bool output_prepare(void) {
    /* Errors are written line by line, so that those of several processes don't mix. */
    setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
    /* A closed pipe is a write error like any other. */
    signal(SIGPIPE, SIG_IGN);
    make_stdout_patient();
    return keep_taken(STDIN_FILENO) && keep_taken(STDOUT_FILENO) && keep_taken(STDERR_FILENO);
}

bool output_works(void) {
    return !ferror(stdout);
}

/* Whether standard output is a pipe that nobody reads any more. */
static bool reader_gone(void) {
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

static int64_t write_some(void *user_data, const void *data, size_t len) {
    int *cause = user_data;
    ssize_t written;
    do {
        written = write(STDOUT_FILENO, data, len);
    } while (written < 0 && errno == EINTR && !signals_caught());
    if (written >= 0) {
        return written;
    }
    if (errno == EINTR) {
        return ZNIPPY_E_CANCELLED;
    }
    *cause = errno;
    return errno == ENOSPC || errno == EDQUOT ? ZNIPPY_E_NO_SPACE : ZNIPPY_E_IO;
}

znippy_sink output_sink(int *cause) {
    znippy_sink sink = {.struct_size = sizeof sink, .user_data = cause, .write = write_some};
    *cause = 0;
    return sink;
}

int output_finish(int code) {
    bool failed = ferror(stdout) != 0;
    errno = 0;
    failed = fflush(stdout) != 0 || failed;
    int cause = errno;
    if (!failed && close(STDOUT_FILENO) != 0) {
        cause = errno;
        failed = cause != EINTR;
    }
    if (!failed) {
        return code;
    }
    /* Whoever closed the pipe has seen enough and needs no message. */
    if (cause == EPIPE || reader_gone()) {
        return CODE_FAILED;
    }
    return complain(CODE_FAILED, "standard output", cause ? strerror(cause) : "not everything could be written",
                    "make room or send it elsewhere");
}

int complain(int code, const char *subject, const char *what, const char *advice) {
    fputs("znippy: ", stderr);
    put_escaped(stderr, subject, strlen(subject));
    fputs(": ", stderr);
    put_escaped(stderr, what, strlen(what));
    if (advice) {
        fprintf(stderr, "; %s", advice);
    }
    putc('\n', stderr);
    return code;
}

static const char *advice_for(znippy_status status) {
    switch (status) {
    case ZNIPPY_E_UNSUPPORTED:
    case ZNIPPY_E_VERSION: return "use a newer znippy";
    case ZNIPPY_E_NO_MEMORY: return "use fewer threads (-j 1) or a smaller preset";
    case ZNIPPY_E_PANIC: return "this is a defect of znippy, please report it";
    case ZNIPPY_E_LIMIT: return "raise the limit with --set, 'znippy help options' lists them";
    case ZNIPPY_E_NOT_FOUND: return "check the name";
    case ZNIPPY_E_EXISTS: return "use -f to replace it, or choose another name";
    case ZNIPPY_E_PERMISSION: return "check who may read and write there";
    case ZNIPPY_E_NO_SPACE: return "make room and try again";
    case ZNIPPY_E_CHANGED: return "try again when nothing writes there";
    case ZNIPPY_E_NOT_ARCHIVE: return "check the name of the archive";
    case ZNIPPY_E_CORRUPT:
    case ZNIPPY_E_CHECKSUM: return "get the archive again";
    case ZNIPPY_E_UNSAFE_PATH: return "don't trust this archive";
    case ZNIPPY_E_CANCELLED: return NULL;
    case ZNIPPY_E_PARTIAL: return "--stats shows the counts";
    default: return "check the name and the disk and try again";
    }
}

/* Whether the message says by itself what to do: then there is a semicolon that is not the path's. */
static bool advises(const char *message, const char *path) {
    return strchr(message, ';') && !(path && strchr(path, ';'));
}

int complain_of(znippy_status status, znippy_error *error, const char *subject) {
    size_t len = 0;
    const char *path = error ? znippy_error_path(error, &len) : NULL;
    const char *message = error ? znippy_error_message(error) : znippy_status_message(status);
    const char *advice = advises(message, path) ? NULL : advice_for(status);
    fputs("znippy: ", stderr);
    if (!path) {
        put_escaped(stderr, subject, strlen(subject));
        fputs(": ", stderr);
    }
    put_escaped(stderr, message, strlen(message)); /* begins with the path where there is one */
    if (advice) {
        fprintf(stderr, "; %s", advice);
    } else if (status == ZNIPPY_E_EXISTS) {
        fputs(" (-f)", stderr); /* what the library advises has a name here */
    }
    putc('\n', stderr);
    znippy_error_free(error);
    if (status == ZNIPPY_E_CANCELLED) {
        return CODE_INTERRUPTED;
    }
    return status == ZNIPPY_E_PARTIAL ? CODE_PARTIAL : CODE_FAILED;
}

znippy_reader *open_archive(const struct request *request, int *code) {
    znippy_reader *reader = NULL;
    znippy_error *error = NULL;
    znippy_status status = znippy_reader_open(request->operands[0], request->options, &reader, &error);
    if (status != ZNIPPY_OK) {
        *code = complain_of(status, error, request->operands[0]);
        return NULL;
    }
    return reader;
}
