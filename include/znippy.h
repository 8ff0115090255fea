/*
 * libznippy packs a directory into one archive on all cores and reads it back at any point.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * GENERATED from src/capi: change the comments and declarations there.
 *
 *
 * WHAT HOLDS FOR ALL FUNCTIONS
 *
 * Errors. A function that can fail returns a znippy_status and takes a znippy_error **err as its last argument.
 * err may be NULL. What *err holds before the call is ignored; success stores NULL, failure stores an error that
 * the caller owns, so that znippy_error_free(*err) is always right. Results are written on success only. A NULL
 * pointer where one is needed is ZNIPPY_E_INVALID_ARGUMENT and named in the message. New negative statuses may
 * appear in later versions: treat the ones that you don't know as failure.
 *
 * Ownership. What the library allocates is freed by the matching znippy_..._free() and by nothing else; all of
 * them accept NULL. What a function gets is the caller's again when it returns, with one exception: user_data that
 * comes with a release function passes to the library when the call begins, whatever the call returns, and is
 * released exactly once. A borrowed pointer lives as long as the declaration says.
 *
 * Structs. A struct that begins with struct_size is yours: set struct_size to its sizeof before the call. Later
 * versions append fields; the library reads and writes no more than both sides know.
 *
 * Paths. Paths of the host (src_dir, archive_path, dest_dir) are NUL-terminated bytes. Paths inside archives are
 * bytes with a length, with '/' between components, not always UTF-8; the library's are NUL-terminated too. Text
 * (messages, names, metadata) is UTF-8. Where a pair of pointer and length is taken, length 0 goes with NULL.
 *
 * Threads. No handle belongs to a thread.
 *
 *     handle           at the same time, from several threads
 *     znippy_error     reading: any number
 *     znippy_options   reading (calls that get them, clone, get): any number; setting: one thread, alone
 *     znippy_cancel    trigger and query: any number; free: when no other thread uses this handle
 *     znippy_writer    one call at a time, from any thread; a second one answers ZNIPPY_E_BUSY
 *     znippy_reader    everything, any number; each holder of a reference frees its own (retain, free)
 *     znippy_listing   reading: any number; free: when no other thread uses it
 *     znippy_buffer    plain memory of its owner
 *     ArrowArrayStream calls: any number, served one after the other; release: when no other thread uses it
 *
 * Threads that a call starts are joined before it returns; those of a writer before it is finished or freed. All signals
 * are blocked in them.
 *
 * Callbacks. The progress and log functions run on the thread that made the call, and so do a sink's and a stream's;
 * read_at of a source, and wants and extract of a provider, on any thread, one call at a time unless their tables say
 * CONCURRENT. A callback may use other handles. A call of the same reader or writer from inside its own callback answers
 * ZNIPPY_E_BUSY instead of waiting for itself. A callback must not
 * unwind (throw) or longjmp through the library, nor wait for another thread that needs the same reader.
 *
 * fork(). A reader keeps no threads and may be used in the child, unless another thread was inside one of its calls
 * at the moment of the fork. Parent and child share no state, apart from the file position, which isn't used. A writer
 * has threads, which a child doesn't: there its calls answer ZNIPPY_E_FORKED, and freeing it gives up its memory.
 *
 * Signals. None is handled or raised. znippy_cancel_trigger() is the one function that a signal handler may call. Files may be
 * written on the thread that made the call: where the process has a limit on the size of files (RLIMIT_FSIZE), the system
 * sends that thread SIGXFSZ, which kills a process that neither ignores nor blocks it. Where it does, there is an error.
 *
 * Defects. A defect of the library that shows as a panic comes back as ZNIPPY_E_PANIC with its place in the message.
 * The handle is unusable then: all calls answer ZNIPPY_E_INVALID_STATE, freeing it works. A handle of another type,
 * or one that was freed, is found as far as its first bytes tell, which is best effort and no promise.
 *
 * Never: printing, reading environment variables, changing the locale, the working directory, the umask or signal
 * masks of your threads, exiting, needing to be initialised, keeping state outside of handles.
 *
 *
 * EXAMPLE: pack a directory, then read the start of one file
 *
 *     znippy_error *err = NULL;
 *     znippy_reader *reader = NULL;
 *     znippy_stats stats = {0};
 *     char text[100];
 *     uint64_t index;
 *     size_t len = 0;
 *
 *     stats.struct_size = sizeof stats;
 *     if (znippy_compress_dir("project", "project.znippy", NULL, &stats, &err) == ZNIPPY_OK
 *         && znippy_reader_open("project.znippy", NULL, &reader, &err) == ZNIPPY_OK
 *         && znippy_reader_find(reader, "README.md", strlen("README.md"), &index, &err) == ZNIPPY_OK
 *         && znippy_reader_read_at(reader, index, 0, text, sizeof text, &len, &err) == ZNIPPY_OK)
 *         printf("%.1f times smaller; README.md begins: %.*s\n", stats.ratio, (int)len, text);
 *     else
 *         fprintf(stderr, "%s: %s\n", znippy_status_name(znippy_error_status(err)), znippy_error_message(err));
 *     znippy_reader_free(reader);
 *     znippy_error_free(err);
 */


#ifndef ZNIPPY_H
#define ZNIPPY_H

#include <stddef.h>
#include <stdint.h>

/* Version of this header; znippy_version_number() and znippy_version_string() tell that of the library that runs. */
#define ZNIPPY_VERSION_MAJOR 0
#define ZNIPPY_VERSION_MINOR 1
#define ZNIPPY_VERSION_PATCH 0
#define ZNIPPY_VERSION_NUMBER 1000 /* major * 1000000 + minor * 1000 + patch */
#define ZNIPPY_VERSION_STRING "0.1.0"

/* Define ZNIPPY_DLL to link to the library as a DLL on Windows; static linking needs no define. */
#ifndef ZNIPPY_API
#if defined(_WIN32)
#if defined(ZNIPPY_DLL)
#define ZNIPPY_API __declspec(dllimport)
#else
#define ZNIPPY_API
#endif
#elif defined(__GNUC__)
#define ZNIPPY_API __attribute__((visibility("default")))
#else
#define ZNIPPY_API
#endif
#endif

/* The structs of the Arrow C data interface: defined in znippy/arrow_abi.h, and in the headers of Arrow libraries. */
struct ArrowSchema;
struct ArrowArrayStream;


/**
 * Done.
 */
#define ZNIPPY_OK 0

/**
 * Nothing more to come.
 */
#define ZNIPPY_DONE 1

/**
 * An argument is null, out of range or malformed.
 */
#define ZNIPPY_E_INVALID_ARGUMENT -1

/**
 * The handle can't do this in its present state, for instance after ZNIPPY_E_PANIC.
 */
#define ZNIPPY_E_INVALID_STATE -2

/**
 * This build, or this version, doesn't know the option, codec, kind or feature.
 */
#define ZNIPPY_E_UNSUPPORTED -3

/**
 * An allocation failed.
 */
#define ZNIPPY_E_NO_MEMORY -4

/**
 * A defect in the library was caught at its boundary; free the handle and report it.
 */
#define ZNIPPY_E_PANIC -5

/**
 * The handle is in use further up this thread's stack: it was called from its own callback.
 */
#define ZNIPPY_E_BUSY -6

/**
 * The handle was made before fork() and can't be used in the child.
 */
#define ZNIPPY_E_FORKED -7

/**
 * A limit of the options or of the format is exceeded.
 */
#define ZNIPPY_E_LIMIT -8

/**
 * An input or output operation failed; see znippy_error_os_code().
 */
#define ZNIPPY_E_IO -20

/**
 * There is no such file, directory or entry.
 */
#define ZNIPPY_E_NOT_FOUND -21

/**
 * The name exists already and replacing it was not asked for.
 */
#define ZNIPPY_E_EXISTS -22

/**
 * Permission denied.
 */
#define ZNIPPY_E_PERMISSION -23

/**
 * The disk or a quota is full.
 */
#define ZNIPPY_E_NO_SPACE -24

/**
 * A source file changed or vanished while it was being read.
 */
#define ZNIPPY_E_CHANGED -25

/**
 * The bytes are not a znippy archive.
 */
#define ZNIPPY_E_NOT_ARCHIVE -40

/**
 * The archive needs another version of the library.
 */
#define ZNIPPY_E_VERSION -41

/**
 * The archive is damaged or malformed; see znippy_error_rule().
 */
#define ZNIPPY_E_CORRUPT -42

/**
 * Bytes do not match their recorded hash.
 */
#define ZNIPPY_E_CHECKSUM -43

/**
 * A name in the archive would reach outside the destination, or is not a valid name.
 */
#define ZNIPPY_E_UNSAFE_PATH -44

/**
 * Cancelled by a token or by the progress function.
 */
#define ZNIPPY_E_CANCELLED -60

/**
 * A callback reported a failure without a status that the library knows.
 */
#define ZNIPPY_E_CALLBACK -61

/**
 * Done in part: what failed was counted.
 */
#define ZNIPPY_E_PARTIAL -62

/**
 * Worker threads; 0 (default) takes as many as there are processors. Never changes the bytes of an archive.
 */
#define ZNIPPY_OPT_THREADS 1

/**
 * zstd compression level.
 */
#define ZNIPPY_OPT_LEVEL 2

/**
 * Values for level, block size, slice size and small files: 0 default, 1 fast, 2 small, 3 max, 4 random.
 */
#define ZNIPPY_OPT_PRESET 3

/**
 * Files up to this many bytes are not cut, and share blocks with their neighbours.
 */
#define ZNIPPY_OPT_SMALL_FILE 4

/**
 * Bytes of small files, or of shorter slices of big ones, that are compressed as one block.
 */
#define ZNIPPY_OPT_BLOCK_SIZE 5

/**
 * Big files are cut into slices of this many bytes; a power of two.
 */
#define ZNIPPY_OPT_SLICE_SIZE 6

/**
 * Order of small files in the archive: 0 by path, 1 by extension, file name and path.
 */
#define ZNIPPY_OPT_ORDER 7

/**
 * 1: try to compress every file, also those that look compressed already.
 */
#define ZNIPPY_OPT_NO_SKIP 8

/**
 * What to do where the name exists: 0 refuse, 1 replace; extraction also: 2 keep, 3 replace what is older.
 */
#define ZNIPPY_OPT_OVERWRITE 9

/**
 * What to do with a source file that can't be read or changes: 0 fail, 1 leave it out and count it.
 */
#define ZNIPPY_OPT_ON_ERROR 10

/**
 * Most bytes for buffers and contexts; a limit lowers threads, never changes bytes.
 */
#define ZNIPPY_OPT_MEMORY_LIMIT 11

/**
 * 1: record numeric user and group ids.
 */
#define ZNIPPY_OPT_RECORD_IDS 12

/**
 * Bytes: a UTF-8 label that is recorded in the index column `repo`.
 */
#define ZNIPPY_OPT_REPO 13

/**
 * Least milliseconds between two calls of the progress function.
 */
#define ZNIPPY_OPT_PROGRESS_INTERVAL 14

/**
 * Bytes of decoded blocks and index segments that an open archive keeps.
 */
#define ZNIPPY_OPT_CACHE_SIZE 15

/**
 * 1: store index segments without compression.
 */
#define ZNIPPY_OPT_PLAIN_INDEX 16

/**
 * Entries of more bytes than this are not read into memory as a whole.
 */
#define ZNIPPY_OPT_MAX_ENTRY_SIZE 17

/**
 * 1: give extracted files the recorded user and group ids.
 */
#define ZNIPPY_OPT_RESTORE_IDS 18

/**
 * 1: restore set-user-id, set-group-id and sticky bits, which are dropped otherwise.
 */
#define ZNIPPY_OPT_RESTORE_SETUID 19

/**
 * List: restore only what matches one of these globs, and what lies below it.
 */
#define ZNIPPY_OPT_INCLUDE 20

/**
 * List: don't restore what matches one of these globs, nor what lies below it.
 */
#define ZNIPPY_OPT_EXCLUDE 21

/**
 * List: restore only the entries with these paths and what lies below them.
 */
#define ZNIPPY_OPT_PREFIX 22

/**
 * Take so many components off the front of each path.
 */
#define ZNIPPY_OPT_STRIP_COMPONENTS 23

/**
 * Don't touch files that are as the archive has them: 0 rewrite all, 1 by size, time and mode, 2 by size and BLAKE3.
 */
#define ZNIPPY_OPT_SKIP_UNCHANGED 24

/**
 * 1: delete what is not in the archive.
 */
#define ZNIPPY_OPT_PRUNE 25

/**
 * 1: restore everything that is undamaged; the call ends with ZNIPPY_E_PARTIAL where something failed.
 */
#define ZNIPPY_OPT_KEEP_GOING 26

/**
 * 1: the destination is the old tree or the new, nothing in between.
 */
#define ZNIPPY_OPT_ATOMIC 27

/**
 * Name of ignore files, such as .gitignore; each one that is set is added.
 */
#define ZNIPPY_OPT_IGNORE_FILE 28

/**
 * Files of more bytes are left out and counted; 0: no limit.
 */
#define ZNIPPY_OPT_MAX_FILE_SIZE 29

/**
 * 1: directories on which other file systems are mounted are packed as empty ones.
 */
#define ZNIPPY_OPT_ONE_FILE_SYSTEM 30

/**
 * Modification times: 0 keep, 1 none later than ZNIPPY_OPT_MTIME_LIMIT, 2 none, 3 all that limit.
 */
#define ZNIPPY_OPT_MTIMES 31

/**
 * Seconds since the epoch, for ZNIPPY_OPT_MTIMES.
 */
#define ZNIPPY_OPT_MTIME_LIMIT 32

/**
 * Modes: 0 keep, 1 normalise.
 */
#define ZNIPPY_OPT_MODES 33

/**
 * 1: extended attributes of files and directories are recorded.
 */
#define ZNIPPY_OPT_XATTRS 34

/**
 * Extended attributes that are restored: 0 none, 1 user.*, 2 all.
 */
#define ZNIPPY_OPT_RESTORE_XATTRS 35

/**
 * 1: write nothing; report and log what extraction would do.
 */
#define ZNIPPY_OPT_DRY_RUN 36

/**
 * 1: for archives from strangers; see docs/OPTIONS.md.
 */
#define ZNIPPY_OPT_UNTRUSTED 37

/**
 * Refuse archives whose files have more bytes than this; 0 no limit.
 */
#define ZNIPPY_OPT_MAX_BYTES 38

/**
 * Refuse archives of more entries than this; 0 no limit.
 */
#define ZNIPPY_OPT_MAX_ENTRIES 39

/**
 * Refuse archives that unpack to more than so many times their own size; 0 no limit.
 */
#define ZNIPPY_OPT_MAX_RATIO 40

/**
 * Refuse paths of more components than this; 0 no limit.
 */
#define ZNIPPY_OPT_MAX_DEPTH 41

/**
 * 1: modification times count as a difference too.
 */
#define ZNIPPY_OPT_DIFF_MTIME 50

/**
 * What becomes of files with the same bytes: 0 copies, 1 clones that share blocks, 2 hard links.
 */
#define ZNIPPY_OPT_DUPLICATES 42

/**
 * Refuse archives whose decoded index has more bytes than this; 0 stands for 1 GiB, or 64 times the archive.
 */
#define ZNIPPY_OPT_MAX_INDEX 55

/**
 * Which files of a base archive are unchanged: 0 by path, size, time and mode, 1 also by their bytes, which reads all;
 * 2 as 0 and without decoding what is taken, for a base that was verified.
 */
#define ZNIPPY_OPT_BASE_CHECK 45

/**
 * What to do with an entry whose path was added to a writer before: 0 refuse it, 1 let it replace the earlier one.
 */
#define ZNIPPY_OPT_DUPLICATE_PATHS 43

/**
 * Write recovery records between the blobs, so that names survive the loss of the index when an archive is salvaged.
 */
#define ZNIPPY_OPT_RECOVERY 56

/**
 * Flag: znippy_writer_append() leaves out what no entry of the archive uses any more.
 */
#define ZNIPPY_OPT_COMPACT 46

/**
 * Big files of which parts are the same: 0 look for them and let them share blocks, 1 don't.
 */
#define ZNIPPY_OPT_SIMILAR_FILES 44

/**
 * ZNIPPY_PROFILE_*: the format that is written.
 */
#define ZNIPPY_OPT_PROFILE 51

/**
 * Names of one file: 0 record them as such, 1 record each as a file of its own.
 */
#define ZNIPPY_OPT_HARD_LINKS 65

/**
 * A value of ZNIPPY_OPT_PROFILE: format version 4.
 */
#define ZNIPPY_PROFILE_V4 0

/**
 * A value of ZNIPPY_OPT_PROFILE: format version 3, which znippy 0.7.2 and 0.10 read. It carries files and their bytes
 * alone: links, special files, empty directories and names that are not UTF-8 are left out, counted in
 * znippy_stats.skipped and named by log messages; modes, times and the like are not kept. Not for appending or with a base.
 */
#define ZNIPPY_PROFILE_V3 1

/**
 * A regular file.
 */
#define ZNIPPY_KIND_FILE 0

/**
 * A directory.
 */
#define ZNIPPY_KIND_DIRECTORY 1

/**
 * A symbolic link.
 */
#define ZNIPPY_KIND_SYMLINK 2

/**
 * A further name of a file that stands in the archive under another name.
 */
#define ZNIPPY_KIND_HARDLINK 3

/**
 * A FIFO.
 */
#define ZNIPPY_KIND_FIFO 4

/**
 * A character device.
 */
#define ZNIPPY_KIND_CHAR_DEVICE 5

/**
 * A block device.
 */
#define ZNIPPY_KIND_BLOCK_DEVICE 6

/**
 * A socket.
 */
#define ZNIPPY_KIND_SOCKET 7

/**
 * Names are collected.
 */
#define ZNIPPY_PHASE_SCAN 1

/**
 * Files are read, compressed and written.
 */
#define ZNIPPY_PHASE_PACK 2

/**
 * The index is written, the archive synced and renamed.
 */
#define ZNIPPY_PHASE_FINISH 3

/**
 * The index is read.
 */
#define ZNIPPY_PHASE_LIST 4

/**
 * Entries are restored.
 */
#define ZNIPPY_PHASE_EXTRACT 5

/**
 * Bytes are checked against their hashes.
 */
#define ZNIPPY_PHASE_VERIFY 6

/**
 * Archives and trees are compared.
 */
#define ZNIPPY_PHASE_COMPARE 7

/**
 * In a difference: there is no such entry on this side.
 */
#define ZNIPPY_NO_KIND 4294967295

/**
 * Only the second side has the entry.
 */
#define ZNIPPY_DIFF_ADDED 1

/**
 * Only the first side has the entry.
 */
#define ZNIPPY_DIFF_REMOVED 2

/**
 * Both sides have the entry, and not the same; see znippy_difference.flags.
 */
#define ZNIPPY_DIFF_CHANGED 3

/**
 * The bytes of a file differ.
 */
#define ZNIPPY_DIFFERS_BYTES 1

/**
 * The modes differ.
 */
#define ZNIPPY_DIFFERS_MODE 2

/**
 * The modification times differ, and count.
 */
#define ZNIPPY_DIFFERS_MTIME 4

/**
 * The targets of symbolic links differ, or the numbers of devices.
 */
#define ZNIPPY_DIFFERS_TARGET 8

/**
 * The kinds differ; nothing else was compared then.
 */
#define ZNIPPY_DIFFERS_KIND 16

/**
 * Users or groups differ, and count.
 */
#define ZNIPPY_DIFFERS_OWNER 32

/**
 * Extended attributes differ.
 */
#define ZNIPPY_DIFFERS_XATTR 64

/**
 * znippy_salvage_report.index: there are no names.
 */
#define ZNIPPY_SALVAGE_INDEX_LOST 0

/**
 * znippy_salvage_report.index: the index is whole.
 */
#define ZNIPPY_SALVAGE_INDEX_WHOLE 1

/**
 * znippy_salvage_report.index: what was lost of it was made up for by recovery records.
 */
#define ZNIPPY_SALVAGE_INDEX_RECOVERED 2

/**
 * znippy_salvage_report.index: parts of it are lost, and names with them.
 */
#define ZNIPPY_SALVAGE_INDEX_PARTIAL 3

/**
 * znippy_entry_info.mode is recorded.
 */
#define ZNIPPY_ENTRY_HAS_MODE 1

/**
 * znippy_entry_info.mtime_ns is recorded.
 */
#define ZNIPPY_ENTRY_HAS_MTIME 2

/**
 * znippy_entry_info.uid is recorded.
 */
#define ZNIPPY_ENTRY_HAS_UID 4

/**
 * znippy_entry_info.gid is recorded.
 */
#define ZNIPPY_ENTRY_HAS_GID 8

/**
 * znippy_entry_info.rdev is recorded.
 */
#define ZNIPPY_ENTRY_HAS_RDEV 16

/**
 * znippy_entry_info.hash holds the BLAKE3 of the whole file.
 */
#define ZNIPPY_ENTRY_HAS_HASH 32

/**
 * Some of the entry's bytes have no recorded checksum, so that reading can't tell whether they are right: archives of
 * format version 3 may lack checksums.
 */
#define ZNIPPY_ENTRY_UNVERIFIED 64

/**
 * znippy_source.flags: read_at may be called from several threads at once.
 */
#define ZNIPPY_SOURCE_CONCURRENT 1

/**
 * znippy_provider.flags: wants and extract may be called from several threads at once.
 */
#define ZNIPPY_PROVIDER_CONCURRENT 1

/**
 * znippy_column.column_type: text in UTF-8.
 */
#define ZNIPPY_COLUMN_UTF8 1

/**
 * znippy_column.column_type: signed numbers of 64 bits.
 */
#define ZNIPPY_COLUMN_INT64 2

/**
 * znippy_column.column_type: floating point numbers of 64 bits.
 */
#define ZNIPPY_COLUMN_FLOAT64 3

/**
 * znippy_column.column_type: any bytes.
 */
#define ZNIPPY_COLUMN_BINARY 4

/**
 * znippy_features(): this build packs and reads zstd.
 */
#define ZNIPPY_FEATURE_ZSTD 1

/**
 * Something was lost or left out, and the job goes on.
 */
#define ZNIPPY_LOG_WARNING 2

/**
 * What a user may want to know.
 */
#define ZNIPPY_LOG_INFO 3

/**
 * A total that is not known (yet).
 */
#define ZNIPPY_UNKNOWN UINT64_MAX

/**
 * Stops the calls whose options have it. Any thread may trigger and query it at any time.
 */
typedef struct znippy_cancel znippy_cancel;

/**
 * What two trees differ in: immutable, any number of threads at once. It outlives what was compared.
 */
typedef struct znippy_diff znippy_diff;

/**
 * Why a call failed. Made by failing calls, owned by the caller, immutable: any number of threads may read it.
 */
typedef struct znippy_error znippy_error;

/**
 * A run of entries: immutable, any number of threads at once. It outlives the reader that it came from.
 */
typedef struct znippy_listing znippy_listing;

/**
 * Values that a call works with. A call takes a snapshot when it begins, so changes made later don't reach it.
 * NULL in place of options means defaults everywhere.
 */
typedef struct znippy_options znippy_options;

/**
 * An open archive: immutable, counted references, any number of threads at once. It keeps no threads.
 */
typedef struct znippy_reader znippy_reader;

/**
 * The values of one file: lives while znippy_provider.extract runs, and is used by nobody else.
 */
typedef struct znippy_row znippy_row;

/**
 * An archive on its way: one thread at a time, any thread. It keeps worker threads from the first call that adds
 * something to znippy_writer_finish() or znippy_writer_free().
 */
typedef struct znippy_writer znippy_writer;

/**
 * Outcome of a call: ZNIPPY_OK, ZNIPPY_DONE, or a negative ZNIPPY_E_*. Treat unknown negative numbers as failure.
 */
typedef int32_t znippy_status;

/**
 * How far a job is.
 */
typedef struct {
    /**
     * Size of the library's struct: read a field only if this covers it.
     */
    uint32_t struct_size;
    /**
     * ZNIPPY_PHASE_*.
     */
    uint32_t phase;
    /**
     * Entries dealt with in this phase.
     */
    uint64_t entries_done;
    /**
     * Entries of this phase, or ZNIPPY_UNKNOWN.
     */
    uint64_t entries_total;
    /**
     * Original bytes dealt with in this phase.
     */
    uint64_t bytes_done;
    /**
     * Original bytes of this phase, or ZNIPPY_UNKNOWN.
     */
    uint64_t bytes_total;
    /**
     * An entry that is being dealt with (NUL-terminated), or NULL.
     */
    const char *path;
    /**
     * Bytes of the path, without the NUL.
     */
    size_t path_len;
} znippy_progress;

/**
 * Called with the progress of a job, on the thread that made the call and nowhere else. The struct and its
 * path are the library's and end with the callback. Non-zero stops the job with ZNIPPY_E_CANCELLED.
 */
typedef int32_t (*znippy_progress_fn)(void *user_data, const znippy_progress *progress);

/**
 * Gives `user_data` back to the host: called exactly once, on any thread.
 */
typedef void (*znippy_release_fn)(void *user_data);

/**
 * Called with a message of a job that names what it is about, on the thread that made the call and nowhere else.
 * level is ZNIPPY_LOG_*; message is UTF-8, NUL-terminated, and ends with the callback.
 */
typedef void (*znippy_log_fn)(void *user_data, int32_t level, const char *message, size_t message_len);

/**
 * What an entry is. Set struct_size before the call.
 */
typedef struct {
    /**
     * sizeof(znippy_entry_info), set by the caller.
     */
    uint32_t struct_size;
    /**
     * ZNIPPY_KIND_*; may be a number of a later version.
     */
    uint32_t kind;
    /**
     * Number of the entry in the archive.
     */
    uint64_t index;
    /**
     * The exact path: NUL-terminated, path_len bytes, not always UTF-8; lives as long as the listing.
     */
    const char *path;
    /**
     * Bytes of the path, without the NUL.
     */
    size_t path_len;
    /**
     * Target of a symbolic link, or first path of a hard link's group; else NULL. Lives as the path does.
     */
    const char *link_target;
    /**
     * Bytes of the target, without the NUL.
     */
    size_t link_target_len;
    /**
     * Logical size, holes included; 0 for kinds without bytes.
     */
    uint64_t size;
    /**
     * This entry's share of its blobs' stored bytes, rounded down.
     */
    uint64_t stored_size;
    /**
     * Modification time in nanoseconds since the epoch.
     */
    int64_t mtime_ns;
    /**
     * Device number of character and block devices.
     */
    uint64_t rdev;
    /**
     * The low 12 mode bits (07777).
     */
    uint32_t mode;
    /**
     * User id.
     */
    uint32_t uid;
    /**
     * Group id.
     */
    uint32_t gid;
    /**
     * Slices with bytes.
     */
    uint32_t slice_count;
    /**
     * ZNIPPY_ENTRY_HAS_*: which of the fields are recorded; the others are 0.
     */
    uint32_t flags;
    /**
     * 0.
     */
    uint32_t reserved0;
    /**
     * BLAKE3 of the whole file where ZNIPPY_ENTRY_HAS_HASH is set.
     */
    uint8_t hash[32];
} znippy_entry_info;

/**
 * Asked about each entry of a job, on the thread that made the call and nowhere else, in order of path: 1 takes the
 * entry, 0 leaves it out, a negative ZNIPPY_E_* ends the job with it. The struct and its strings are the library's and
 * end with the callback; stored_size and slice_count are 0 in it, and index is ZNIPPY_UNKNOWN for what is in no archive.
 */
typedef int32_t (*znippy_filter_fn)(void *user_data, const znippy_entry_info *entry);

/**
 * A column of the index that a provider fills.
 */
typedef struct {
    /**
     * sizeof(znippy_column), set by the caller; the same in all columns of a provider.
     */
    uint32_t struct_size;
    /**
     * ZNIPPY_COLUMN_*.
     */
    uint32_t column_type;
    /**
     * Its name in the index: UTF-8, NUL-terminated, 1 to 255 bytes. Not the name of a fixed column or of another
     * provider's, whatever the case of letters, and not beginning with "__znippy".
     */
    const char *name;
    /**
     * 0.
     */
    uint32_t flags;
    /**
     * 0.
     */
    uint32_t reserved0;
} znippy_column;

/**
 * Finds values in the bytes of files that are packed; they stand in columns of the index.
 *
 * Each file is offered to the providers in the order in which they were added, while its bytes are in memory. The
 * first one whose wants and extract say yes claims it: pkg_type and its values stand on the file's row. Other
 * files, and columns that were not set, are null. A further name of a file (hard link) has what its first name
 * has, without a call. Files of over 64 MiB are not offered. On the bytes of the archive nothing but these columns
 * depends on providers, and they don't depend on threads.
 */
typedef struct {
    /**
     * sizeof(znippy_provider), set by the caller. Too small a value: nothing else in here is read or released.
     */
    uint32_t struct_size;
    /**
     * 0 or ZNIPPY_PROVIDER_CONCURRENT. Without it the library makes one call of wants or extract at a time.
     */
    uint32_t flags;
    /**
     * First argument of the callbacks.
     */
    void *user_data;
    /**
     * What errors call it: UTF-8, NUL-terminated, 1 to 255 bytes.
     */
    const char *name;
    /**
     * What stands in the column pkg_type of the files that it claims: -127 to 127.
     */
    int32_t pkg_type;
    /**
     * 0.
     */
    uint32_t reserved0;
    /**
     * The columns that it fills.
     */
    const znippy_column *columns;
    /**
     * How many.
     */
    size_t column_count;
    /**
     * Whether extract is to look at the file with this path in the archive (NUL-terminated) and size: 1, or 0, or a
     * negative ZNIPPY_E_* that ends the job. NULL wants everything. On any thread.
     */
    int32_t (*wants)(void *user_data, const char *path, size_t path_len, uint64_t size);
    /**
     * Looks at all bytes of a file and sets values with znippy_row_set_*(): 1 claims the file, 0 leaves it to others, a
     * negative ZNIPPY_E_* ends the job with that status. Path, data and row end with the call; data is NULL where
     * data_len is 0. On any thread. It must not unwind or longjmp; the same writer called from in here answers
     * ZNIPPY_E_BUSY.
     */
    int32_t (*extract)(void *user_data,
                       const char *path,
                       size_t path_len,
                       const uint8_t *data,
                       size_t data_len,
                       znippy_row *row);
    /**
     * Called once with user_data when the library is done with it; may be NULL.
     */
    znippy_release_fn release;
} znippy_provider;

/**
 * What a job did; sizes are bytes. Set struct_size before the call.
 */
typedef struct {
    /**
     * sizeof(znippy_stats), set by the caller.
     */
    uint32_t struct_size;
    /**
     * 0.
     */
    uint32_t reserved0;
    /**
     * Entries of every kind.
     */
    uint64_t entries;
    /**
     * Regular files, hard links not counted.
     */
    uint64_t files;
    /**
     * Files none of whose bytes are compressed.
     */
    uint64_t files_stored;
    /**
     * Files some or all of whose bytes are compressed.
     */
    uint64_t files_compressed;
    /**
     * Directories.
     */
    uint64_t directories;
    /**
     * Symbolic links.
     */
    uint64_t symlinks;
    /**
     * Hard links beyond the first name of a file.
     */
    uint64_t hardlinks;
    /**
     * FIFOs, devices and sockets.
     */
    uint64_t specials;
    /**
     * Slices: runs of file bytes, the rows of the index.
     */
    uint64_t slices;
    /**
     * Blocks: what is compressed as one unit.
     */
    uint64_t blocks;
    /**
     * Files whose bytes another file of the archive has already.
     */
    uint64_t duplicate_files;
    /**
     * Bytes that duplicates did not cost.
     */
    uint64_t duplicate_bytes;
    /**
     * Entries left out by option.
     */
    uint64_t skipped;
    /**
     * Entries that failed.
     */
    uint64_t failed;
    /**
     * Original bytes of all files, holes and duplicates included.
     */
    uint64_t bytes_in;
    /**
     * Bytes of the archive (packing) or bytes written (extraction).
     */
    uint64_t bytes_out;
    /**
     * Original bytes of blocks that are stored as they are.
     */
    uint64_t bytes_stored;
    /**
     * Original bytes of blocks that are compressed.
     */
    uint64_t bytes_compressed_in;
    /**
     * What the compressed blocks take in the archive.
     */
    uint64_t bytes_compressed_out;
    /**
     * Bytes of holes, which take no room.
     */
    uint64_t bytes_holes;
    /**
     * Bytes of index, sections, manifest and frame.
     */
    uint64_t bytes_index;
    /**
     * bytes_in / bytes_out; 0 where nothing was written.
     */
    double ratio;
    /**
     * Wall time in seconds.
     */
    double seconds;
    /**
     * Entries that extraction left as they stood, by option.
     */
    uint64_t kept;
    /**
     * Names that extraction deleted because the archive doesn't have them.
     */
    uint64_t pruned;
    /**
     * Names that extraction made, directories included.
     */
    uint64_t created;
    /**
     * Files, links and FIFOs that extraction put in the place of others.
     */
    uint64_t replaced;
    /**
     * Entries of an archive of format version 3 of which some bytes have no checksum to verify them by.
     */
    uint64_t unverified;
} znippy_stats;

/**
 * What znippy_salvage() kept and lost; sizes are bytes. Set struct_size before the call.
 */
typedef struct {
    /**
     * sizeof(znippy_salvage_report), set by the caller.
     */
    uint32_t struct_size;
    /**
     * ZNIPPY_SALVAGE_INDEX_*: where the names come from.
     */
    uint32_t index;
    /**
     * Entries of the new archive that have their names.
     */
    uint64_t entries_kept;
    /**
     * Entries that are lost, as far as it is known that they were there.
     */
    uint64_t entries_lost;
    /**
     * Blocks that were kept without a name, as lost+found/NUMBER.
     */
    uint64_t blocks_nameless;
    /**
     * Of those: blocks whose blobs no known hash covers, as lost+found/unchecked-NUMBER.
     */
    uint64_t blocks_unchecked;
    /**
     * Bytes of files that were kept.
     */
    uint64_t bytes_kept;
    /**
     * Bytes of files that are lost, as far as their sizes are known.
     */
    uint64_t bytes_lost;
    /**
     * Blobs that were looked at.
     */
    uint64_t blobs;
    /**
     * Of those: blobs that can't be read or decoded, or some of whose slices are wrong.
     */
    uint64_t blobs_damaged;
    /**
     * Index segments that the manifest lists; 0 where it is lost.
     */
    uint64_t segments;
    /**
     * Of those: segments that are damaged.
     */
    uint64_t segments_lost;
    /**
     * Recovery records that were found whole; they are looked for where the index is not.
     */
    uint64_t records;
    /**
     * Entries that are kept without their extended attributes.
     */
    uint64_t xattrs_lost;
    /**
     * Bytes of the damaged archive.
     */
    uint64_t bytes_in;
    /**
     * Bytes of the new one.
     */
    uint64_t bytes_out;
    /**
     * Wall time in seconds.
     */
    double seconds;
} znippy_salvage_report;

/**
 * Append-only output through callbacks.
 */
typedef struct {
    /**
     * sizeof(znippy_sink), set by the caller. Too small a value: nothing else in here is read or released.
     */
    uint32_t struct_size;
    /**
     * 0.
     */
    uint32_t flags;
    /**
     * First argument of the callbacks.
     */
    void *user_data;
    /**
     * Takes up to len bytes, which follow those that were taken before, inside a call of the writer and on its thread.
     * len is at most 1 MiB. Returns how many were taken, at least 1 (the rest is offered again), or a negative
     * ZNIPPY_E_* that becomes the status of the call and ends the archive. It must not unwind or longjmp; the same
     * writer called from in here answers ZNIPPY_E_BUSY.
     */
    int64_t (*write)(void *user_data, const void *data, size_t len);
    /**
     * Called once after the last byte, before znippy_writer_finish() succeeds; never where an archive is not whole. 0,
     * or a negative ZNIPPY_E_* that becomes the status of the call. May be NULL.
     */
    int32_t (*finish)(void *user_data);
    /**
     * Called once with user_data when the library is done with it; may be NULL.
     */
    znippy_release_fn release;
} znippy_sink;

/**
 * A file's bytes through a callback.
 */
typedef struct {
    /**
     * sizeof(znippy_stream), set by the caller. Too small a value: nothing else in here is read or released.
     */
    uint32_t struct_size;
    /**
     * 0.
     */
    uint32_t flags;
    /**
     * First argument of the callbacks.
     */
    void *user_data;
    /**
     * Reads up to len bytes, inside the call and on its thread. Returns how many were read, 0 at the end, or a negative
     * ZNIPPY_E_* that becomes the status of the call. It must not unwind or longjmp; the same writer called from in
     * here answers ZNIPPY_E_BUSY.
     */
    int64_t (*read)(void *user_data, void *buffer, size_t len);
    /**
     * Called once with user_data before the call returns; may be NULL.
     */
    znippy_release_fn release;
} znippy_stream;

/**
 * Random-access input through callbacks.
 */
typedef struct {
    /**
     * sizeof(znippy_source), set by the caller. Too small a value: nothing else in here is read or released.
     */
    uint32_t struct_size;
    /**
     * 0 or ZNIPPY_SOURCE_CONCURRENT. Without it the library makes one call of read_at at a time.
     */
    uint32_t flags;
    /**
     * First argument of the callbacks.
     */
    void *user_data;
    /**
     * Bytes in all.
     */
    uint64_t size;
    /**
     * Reads up to len bytes at offset, on any thread; never asked for bytes beyond size. Returns how many bytes
     * were read, at least 1 (the rest is asked for again), or a negative ZNIPPY_E_* that becomes the status of
     * the call that needed the bytes. It must not unwind or longjmp; the same reader called from in here answers
     * ZNIPPY_E_BUSY.
     */
    int64_t (*read_at)(void *user_data, uint64_t offset, void *buffer, size_t len);
    /**
     * Called once with user_data when the library is done with it; may be NULL.
     */
    znippy_release_fn release;
} znippy_source;

/**
 * Facts about an open archive; sizes are bytes. Set struct_size before the call.
 */
typedef struct {
    /**
     * sizeof(znippy_archive_info), set by the caller.
     */
    uint32_t struct_size;
    /**
     * Version of the archive's format.
     */
    uint32_t format_version;
    /**
     * Bytes of the archive.
     */
    uint64_t archive_size;
    /**
     * Entries.
     */
    uint64_t entries;
    /**
     * Index segments.
     */
    uint64_t segments;
    /**
     * Blobs.
     */
    uint64_t blobs;
    /**
     * Bytes of all blobs.
     */
    uint64_t payload_size;
    /**
     * Everything else.
     */
    uint64_t index_size;
    /**
     * BLAKE3 that covers, directly or through other hashes, every byte that matters. Zeros in format version 3.
     */
    uint8_t archive_digest[32];
} znippy_archive_info;

/**
 * Library memory that holds the bytes of one entry. Freed by znippy_buffer_free() and nothing else.
 */
typedef struct {
    /**
     * The bytes; NULL where there are none.
     */
    uint8_t *data;
    /**
     * How many.
     */
    size_t len;
    /**
     * The library's; leave it alone.
     */
    size_t priv_;
} znippy_buffer;

/**
 * One difference; sizes are bytes. What one side lacks, or does not record, is 0. Set struct_size before the call.
 */
typedef struct {
    /**
     * sizeof(znippy_difference), set by the caller.
     */
    uint32_t struct_size;
    /**
     * ZNIPPY_DIFF_*: which side has the entry.
     */
    uint32_t what;
    /**
     * ZNIPPY_DIFFERS_*: what differs where both have it.
     */
    uint32_t flags;
    /**
     * 0.
     */
    uint32_t reserved0;
    /**
     * The exact path in the archive: NUL-terminated, path_len bytes, not always UTF-8; lives as long as the diff.
     */
    const char *path;
    /**
     * Bytes of the path, without the NUL.
     */
    size_t path_len;
    /**
     * Target of a symbolic link on the first side, or NULL. Lives as the path does.
     */
    const char *old_target;
    /**
     * Bytes of the target, without the NUL.
     */
    size_t old_target_len;
    /**
     * Target of a symbolic link on the second side, or NULL. Lives as the path does.
     */
    const char *new_target;
    /**
     * Bytes of the target, without the NUL.
     */
    size_t new_target_len;
    /**
     * Number of the entry in the first archive, or ZNIPPY_UNKNOWN.
     */
    uint64_t old_index;
    /**
     * Number of the entry in the second archive, or ZNIPPY_UNKNOWN.
     */
    uint64_t new_index;
    /**
     * Logical size on the first side.
     */
    uint64_t old_size;
    /**
     * Logical size on the second side.
     */
    uint64_t new_size;
    /**
     * Modification time on the first side, in nanoseconds since the epoch.
     */
    int64_t old_mtime_ns;
    /**
     * Modification time on the second side.
     */
    int64_t new_mtime_ns;
    /**
     * ZNIPPY_KIND_* on the first side; ZNIPPY_NO_KIND where it has no such entry.
     */
    uint32_t old_kind;
    /**
     * ZNIPPY_KIND_* on the second side.
     */
    uint32_t new_kind;
    /**
     * The low 12 mode bits on the first side.
     */
    uint32_t old_mode;
    /**
     * The low 12 mode bits on the second side.
     */
    uint32_t new_mode;
    /**
     * User id on the first side.
     */
    uint32_t old_uid;
    /**
     * User id on the second side.
     */
    uint32_t new_uid;
    /**
     * Group id on the first side.
     */
    uint32_t old_gid;
    /**
     * Group id on the second side.
     */
    uint32_t new_gid;
} znippy_difference;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Version of the library that runs: major * 1000000 + minor * 1000 + patch. ZNIPPY_VERSION_NUMBER is that of the
 * header that the caller was built with.
 *
 * Ownership: takes nothing. Threads: any. Errors: none.
 */
ZNIPPY_API uint32_t znippy_version_number(void);

/**
 * The same as text.
 *
 * Ownership: static. Threads: any. Errors: none.
 */
ZNIPPY_API const char *znippy_version_string(void);

/**
 * What this build holds: ZNIPPY_FEATURE_* bits.
 *
 * Ownership: takes nothing. Threads: any. Errors: none.
 */
ZNIPPY_API uint64_t znippy_features(void);

/**
 * The name of a status, such as "ZNIPPY_E_CORRUPT"; "ZNIPPY_E_UNKNOWN" for numbers of later versions. Never NULL.
 *
 * Ownership: static. Threads: any. Errors: none.
 */
ZNIPPY_API const char *znippy_status_name(znippy_status status);

/**
 * One sentence about a status, for people. Never NULL.
 *
 * Ownership: static. Threads: any. Errors: none.
 */
ZNIPPY_API const char *znippy_status_message(znippy_status status);

/**
 * The name of an option, such as "block-size"; NULL for unknown keys.
 *
 * Ownership: static. Threads: any. Errors: none.
 */
ZNIPPY_API const char *znippy_option_name(uint32_t key);

/**
 * One sentence about an option, with units; NULL for unknown keys.
 *
 * Ownership: static. Threads: any. Errors: none.
 */
ZNIPPY_API const char *znippy_option_help(uint32_t key);

/**
 * The key of the option with this name; 0 for unknown names and for NULL.
 *
 * Ownership: takes nothing. Threads: any. Errors: none.
 */
ZNIPPY_API uint32_t znippy_option_key(const char *name);

/**
 * The status that the failing call returned; ZNIPPY_OK for NULL.
 *
 * Ownership: takes nothing. Threads: any. Errors: none.
 */
ZNIPPY_API znippy_status znippy_error_status(const znippy_error *error);

/**
 * What happened, as UTF-8 text for people, with the path and the causes; never NULL.
 *
 * Ownership: lives as long as the error. Threads: any. Errors: none.
 */
ZNIPPY_API const char *znippy_error_message(const znippy_error *error);

/**
 * The operating system's error number (errno), or 0.
 *
 * Ownership: takes nothing. Threads: any. Errors: none.
 */
ZNIPPY_API int32_t znippy_error_os_code(const znippy_error *error);

/**
 * The path or entry that the error is about, byte for byte and NUL-terminated, or NULL. Its length without the
 * NUL goes to *len_out, which may be NULL, and is 0 where there is no path.
 *
 * Ownership: lives as long as the error. Threads: any. Errors: none.
 */
ZNIPPY_API const char *znippy_error_path(const znippy_error *error, size_t *len_out);

/**
 * The stable name of the check that refused something, such as "path.dotdot", or NULL.
 *
 * Ownership: lives as long as the error. Threads: any. Errors: none.
 */
ZNIPPY_API const char *znippy_error_rule(const znippy_error *error);

/**
 * How many failures the error lists: those of a call that ended with ZNIPPY_E_PARTIAL, of which the first 10,000 are
 * kept (znippy_stats.failed counts all). 0 for every other error and for NULL.
 *
 * Ownership: takes nothing. Threads: any. Errors: none.
 */
ZNIPPY_API size_t znippy_error_failure_count(const znippy_error *error);

/**
 * One of the failures that an error lists, from 0: an error like others, with an entry's path as a rule; NULL beyond
 * the last one.
 *
 * Ownership: borrowed from the error and gone with it; znippy_error_free() does nothing to it. Threads: any.
 * Errors: none.
 */
ZNIPPY_API const znippy_error *znippy_error_failure(const znippy_error *error, size_t position);

/**
 * Frees an error and the failures that it lists; NULL is fine.
 *
 * Ownership: takes the error. Threads: any, once. Errors: none.
 */
ZNIPPY_API void znippy_error_free(znippy_error *error);

/**
 * Options with defaults everywhere; NULL without memory.
 *
 * Ownership: the caller's, freed by znippy_options_free(). Threads: any. Errors: NULL.
 */
ZNIPPY_API znippy_options *znippy_options_new(void);

/**
 * A copy, which shares the progress function, its user_data and the cancel token; NULL gives defaults.
 *
 * Ownership: the caller's, freed by znippy_options_free(). Threads: any. Errors: NULL for what is not options.
 */
ZNIPPY_API znippy_options *znippy_options_clone(const znippy_options *options);

/**
 * Frees options; NULL is fine. Calls that began with them go on undisturbed.
 *
 * Ownership: takes the handle. Threads: any, once, and not while another thread uses this handle. Errors: none.
 */
ZNIPPY_API void znippy_options_free(znippy_options *options);

/**
 * Sets a number, a flag (0 or 1) or a choice.
 *
 * Ownership: takes nothing. Threads: one at a time.
 * Errors: ZNIPPY_E_UNSUPPORTED for an unknown key, ZNIPPY_E_INVALID_ARGUMENT out of bounds or for a bytes option.
 */
ZNIPPY_API
znippy_status znippy_options_set_i64(znippy_options *options,
                                     uint32_t key,
                                     int64_t value,
                                     znippy_error **err);

/**
 * Sets an option that takes bytes; data may be NULL where len is 0. An option that is a list gets a further
 * value each time, and loses all of them by an empty one.
 *
 * Ownership: the bytes are copied. Threads: one at a time.
 * Errors: ZNIPPY_E_UNSUPPORTED for an unknown key, ZNIPPY_E_INVALID_ARGUMENT for bytes or an option that don't fit.
 */
ZNIPPY_API
znippy_status znippy_options_set_bytes(znippy_options *options,
                                       uint32_t key,
                                       const void *data,
                                       size_t len,
                                       znippy_error **err);

/**
 * Reads the value in force: what was set, or what the preset says, or the default. NULL options have defaults.
 *
 * Ownership: takes nothing. Threads: any, but not while another sets something.
 * Errors: ZNIPPY_E_UNSUPPORTED for an unknown key, ZNIPPY_E_INVALID_ARGUMENT for a bytes option.
 */
ZNIPPY_API
znippy_status znippy_options_get_i64(const znippy_options *options,
                                     uint32_t key,
                                     int64_t *value_out,
                                     znippy_error **err);

/**
 * The least and the greatest value of an option; of its length where it takes bytes.
 *
 * Ownership: takes nothing. Threads: any. Errors: ZNIPPY_E_UNSUPPORTED for an unknown key.
 */
ZNIPPY_API znippy_status znippy_option_bounds(uint32_t key, int64_t *min_out, int64_t *max_out);

/**
 * Installs the progress function in place of the one before; NULL removes it.
 *
 * Ownership: user_data is the library's from here on, whatever happens. release, which may be NULL, gives it
 * back once: when the function is replaced or the last options and calls that share it are gone, or at once if
 * options or function is NULL. Threads: one at a time; calls that share options and run at the same time call
 * the function each in its own thread. Errors: none.
 */
ZNIPPY_API
void znippy_options_set_progress(znippy_options *options,
                                 znippy_progress_fn function,
                                 void *user_data,
                                 znippy_release_fn release);

/**
 * Installs the log function in place of the one before; NULL removes it. It gets the messages of up to max_level.
 *
 * Ownership: user_data is the library's from here on, and released as by znippy_options_set_progress(). Threads: one
 * at a time; calls that share options and run at the same time call the function each in its own thread.
 * Errors: none.
 */
ZNIPPY_API
void znippy_options_set_log(znippy_options *options,
                            int32_t max_level,
                            znippy_log_fn function,
                            void *user_data,
                            znippy_release_fn release);

/**
 * Installs the filter function in place of the one before; NULL removes it. Extraction and comparison ask it about each
 * entry that prefixes and globs leave: what it leaves out is not restored or compared, and no block is read for it.
 * A directory that is left out takes nothing with it: what is below it is asked about too, and where some of that is
 * taken, the directory is made for it.
 *
 * Ownership: user_data is the library's from here on, and released as by znippy_options_set_progress(). Threads: one
 * at a time; calls that share options and run at the same time call the function each in its own thread. The reader
 * that a call is of answers ZNIPPY_E_BUSY from in there.
 * Errors: none.
 */
ZNIPPY_API
void znippy_options_set_filter(znippy_options *options,
                               znippy_filter_fn function,
                               void *user_data,
                               znippy_release_fn release);

/**
 * Attaches a token in place of the one before; NULL detaches it.
 *
 * Ownership: takes a reference of its own. Threads: one at a time. Errors: none.
 */
ZNIPPY_API void znippy_options_set_cancel(znippy_options *options, const znippy_cancel *cancel);

/**
 * Packing takes files from this archive that are in it as they are in the tree, in place of the archive before; NULL
 * takes it away. Blobs are copied; what is unchanged is neither read nor compressed, and the new archive needs the old
 * one no more. A file is unchanged where path, size, modification time and mode are, and it was not modified just
 * before the base was packed. The stored bytes of what is taken are checked, so that no damage passes; what the base
 * says of them is believed. ZNIPPY_OPT_BASE_CHECK 1 has the bytes of all files compared too, and 2, for bases of
 * strangers, has all that is taken decoded and hashed. With a provider all files are read.
 *
 * Ownership: takes a reference of its own. Threads: one at a time. Errors: ZNIPPY_E_INVALID_ARGUMENT for what is no reader,
 * ZNIPPY_E_BUSY from a callback of the reader.
 */
ZNIPPY_API
znippy_status znippy_options_set_base(znippy_options *options,
                                      const znippy_reader *base,
                                      znippy_error **err);

/**
 * Adds a metadata provider behind those that the options have; packing with them offers it each file.
 *
 * Ownership: the table, its columns and names are copied. provider->user_data is the library's when the call
 * begins, whatever it returns, save for a struct_size that is too small; provider->release gives it back once: on
 * failure before the call returns, else when the last options and jobs that share it are gone. Threads: one at a
 * time; the callbacks run on the library's threads, and jobs that share a provider without
 * ZNIPPY_PROVIDER_CONCURRENT take turns; one that begins inside a callback of such a provider is ZNIPPY_E_BUSY. A callback
 * of such a provider must not wait for another thread that packs with the same provider: that job waits for its turn,
 * which comes when the callback returns, and neither would end. A cancel does not end it, for the library can't leave a
 * callback. With ZNIPPY_PROVIDER_CONCURRENT, or another provider for that thread, nothing waits.
 * Errors: ZNIPPY_E_INVALID_ARGUMENT for a malformed table, and for names of columns that are taken.
 */
ZNIPPY_API
znippy_status znippy_options_add_provider(znippy_options *options,
                                          const znippy_provider *provider,
                                          znippy_error **err);

/**
 * Sets a value of a column of type ZNIPPY_COLUMN_INT64. Columns count from 0.
 *
 * Ownership: takes nothing. Threads: that of the call of extract which the row came with.
 * Errors: ZNIPPY_E_INVALID_ARGUMENT for a column that isn't there or has another type.
 */
ZNIPPY_API znippy_status znippy_row_set_i64(znippy_row *row, size_t column, int64_t value);

/**
 * Sets a value of a column of type ZNIPPY_COLUMN_FLOAT64.
 *
 * Ownership: takes nothing. Threads: as for znippy_row_set_i64(). Errors: those of znippy_row_set_i64().
 */
ZNIPPY_API znippy_status znippy_row_set_f64(znippy_row *row, size_t column, double value);

/**
 * Sets a value of a column of type ZNIPPY_COLUMN_UTF8 or ZNIPPY_COLUMN_BINARY; data may be NULL where len is 0. All
 * values of a file together have at most 256 KiB.
 *
 * Ownership: the bytes are copied. Threads: as for znippy_row_set_i64().
 * Errors: those of znippy_row_set_i64(), ZNIPPY_E_INVALID_ARGUMENT for text that is not UTF-8, ZNIPPY_E_LIMIT.
 */
ZNIPPY_API znippy_status znippy_row_set_bytes(znippy_row *row, size_t column, const void *data, size_t len);

/**
 * Makes a value null again, which all are before they are set.
 *
 * Ownership: takes nothing. Threads: as for znippy_row_set_i64().
 * Errors: ZNIPPY_E_INVALID_ARGUMENT for a column that isn't there.
 */
ZNIPPY_API znippy_status znippy_row_set_null(znippy_row *row, size_t column);

/**
 * A token that is not triggered; NULL without memory.
 *
 * Ownership: the caller's, freed by znippy_cancel_free(). Threads: any. Errors: NULL.
 */
ZNIPPY_API znippy_cancel *znippy_cancel_new(void);

/**
 * Stops every running and later call that has the token, within 100 ms as a rule; they return
 * ZNIPPY_E_CANCELLED and leave nothing behind. There is no way back. NULL is fine.
 *
 * Ownership: takes nothing. Threads: any, and signal handlers: it is one atomic store. Errors: none.
 */
ZNIPPY_API void znippy_cancel_trigger(const znippy_cancel *cancel);

/**
 * 1 once triggered, else 0; 0 for NULL.
 *
 * Ownership: takes nothing. Threads: any. Errors: none.
 */
ZNIPPY_API int32_t znippy_cancel_is_triggered(const znippy_cancel *cancel);

/**
 * Drops the caller's reference; options that have the token keep theirs. NULL is fine.
 *
 * Ownership: takes the handle. Threads: any, once, and not while another thread uses this handle. Errors: none.
 */
ZNIPPY_API void znippy_cancel_free(znippy_cancel *cancel);

/**
 * Packs the directory src_dir into the archive archive_path, which appears complete under its name or not at
 * all, and may not exist unless ZNIPPY_OPT_OVERWRITE says so. The bytes don't depend on the number of threads,
 * the time or the host.
 *
 * Ownership: takes nothing; stats_out may be NULL. Threads: any; progress is reported on the calling one.
 * Errors: any of I/O, ZNIPPY_E_CHANGED, ZNIPPY_E_LIMIT, ZNIPPY_E_CANCELLED.
 */
ZNIPPY_API
znippy_status znippy_compress_dir(const char *src_dir,
                                  const char *archive_path,
                                  const znippy_options *options,
                                  znippy_stats *stats_out,
                                  znippy_error **err);

/**
 * Restores the whole archive below dest_dir, which is made where it doesn't exist; its parent must exist.
 * Nothing is written outside dest_dir, and no bytes that don't match their hash stay under a file's name.
 *
 * With ZNIPPY_OPT_KEEP_GOING everything undamaged is restored: *stats_out is written then, and ZNIPPY_E_PARTIAL comes
 * back with an error that lists the failures, see znippy_error_failure(); the log function gets each.
 *
 * Ownership: takes nothing; stats_out may be NULL. Threads: any; progress is reported on the calling one.
 * Errors: any of I/O and format, ZNIPPY_E_PARTIAL, ZNIPPY_E_EXISTS, ZNIPPY_E_UNSAFE_PATH, ZNIPPY_E_LIMIT, ZNIPPY_E_CANCELLED.
 */
ZNIPPY_API
znippy_status znippy_extract_archive(const char *archive_path,
                                     const char *dest_dir,
                                     const znippy_options *options,
                                     znippy_stats *stats_out,
                                     znippy_error **err);

/**
 * Writes what is whole of the damaged archive at damaged into the new archive at archive_path, which appears complete
 * under its name or not at all. Bytes are copied as they are, after each slice was checked against its hash; a damaged
 * block costs the files that have bytes in it and no others. Names come from the index; where that is lost, from the
 * records that ZNIPPY_OPT_RECOVERY writes or from what is left of the index; blocks whose names are lost are kept as
 * lost+found/NUMBER. The log function gets a warning for each entry that is lost, and information on each that is kept.
 *
 * Of the options, ZNIPPY_OPT_OVERWRITE, ZNIPPY_OPT_THREADS, ZNIPPY_OPT_MEMORY_LIMIT and ZNIPPY_OPT_PLAIN_INDEX count.
 *
 * Where something is lost, or names may be, the new archive and *report_out are written all the same, and
 * ZNIPPY_E_PARTIAL comes back with an error that lists the entries, see znippy_error_failure().
 *
 * Ownership: takes nothing; report_out may be NULL. Threads: any; progress is reported on the calling one.
 * Errors: any of I/O, ZNIPPY_E_PARTIAL, ZNIPPY_E_NOT_ARCHIVE where nothing of an archive was found, ZNIPPY_E_VERSION for
 * archives of other format versions, ZNIPPY_E_EXISTS, ZNIPPY_E_LIMIT, ZNIPPY_E_CANCELLED.
 */
ZNIPPY_API
znippy_status znippy_salvage(const char *damaged,
                             const char *archive_path,
                             const znippy_options *options,
                             znippy_salvage_report *report_out,
                             znippy_error **err);

/**
 * Begins an archive that is to stand under exactly the name archive_path. It appears there, complete and synced, when
 * znippy_writer_finish() succeeds, and not before.
 *
 * Ownership: *writer_out is the caller's, freed by znippy_writer_free(). Threads: any.
 * Errors: any of I/O, ZNIPPY_E_EXISTS where the name is taken and ZNIPPY_OPT_OVERWRITE doesn't say otherwise.
 */
ZNIPPY_API
znippy_status znippy_writer_create(const char *archive_path,
                                   const znippy_options *options,
                                   znippy_writer **writer_out,
                                   znippy_error **err);

/**
 * Opens an archive to add to it. All that it holds stays byte for byte; new bytes that it has are not stored again.
 * znippy_writer_finish() puts the result, complete and synced, in its place; until then, and where anything fails,
 * the old archive stands. Options that decide the layout are those that the archive records, where they are not set.
 *
 * Paths that the archive has are taken: they are refused, or replaced where ZNIPPY_OPT_DUPLICATE_PATHS says so, which
 * leaves the old bytes in the archive, unused, until it is appended to with ZNIPPY_OPT_COMPACT; nothing need be added
 * then. Directories only get new attributes. The archive's columns and extended attributes are kept.
 *
 * Ownership: *writer_out is the caller's, freed by znippy_writer_free(). Threads: any.
 * Errors: any of I/O and format, ZNIPPY_E_UNSUPPORTED for an archive with something that could not be kept,
 * ZNIPPY_E_CHECKSUM at the end where new bytes would rest on old ones that are not what the archive says,
 * ZNIPPY_E_CHANGED at the end where another archive stands there by then.
 */
ZNIPPY_API
znippy_status znippy_writer_append(const char *archive_path,
                                   const znippy_options *options,
                                   znippy_writer **writer_out,
                                   znippy_error **err);

/**
 * Begins an archive whose bytes go to callbacks, from the first to the last, as a pipe or an upload needs them. They
 * are those that the file would have. The callbacks run inside calls of the writer, on the thread that made them.
 *
 * Ownership: the struct is copied. sink->user_data is the library's when the call begins, whatever it returns, save
 * for a struct_size that is too small; sink->release gives it back once, on failure before the call returns, else
 * when the writer is freed. *writer_out is the caller's, freed by znippy_writer_free(). Threads: any.
 * Errors: ZNIPPY_E_INVALID_ARGUMENT. The sink isn't called yet.
 */
ZNIPPY_API
znippy_status znippy_writer_create_sink(const znippy_sink *sink,
                                        const znippy_options *options,
                                        znippy_writer **writer_out,
                                        znippy_error **err);

/**
 * Labels what is added from here on, trees and entries, in the index column `repo`, in place of what ZNIPPY_OPT_REPO
 * said. With repo_len 0 there is no label.
 *
 * Ownership: the bytes are copied. Threads: one at a time.
 * Errors: ZNIPPY_E_INVALID_ARGUMENT for what is no UTF-8 or has over 4,096 bytes, ZNIPPY_E_BUSY.
 */
ZNIPPY_API
znippy_status znippy_writer_set_repo(znippy_writer *writer,
                                     const char *repo,
                                     size_t repo_len,
                                     znippy_error **err);

/**
 * Adds everything below the directory src_path, with prefix and a slash in front of each path; the directory itself
 * becomes the entry prefix. With prefix_len 0 its attributes are those of the archive's own root. A directory that
 * was added before gets the attributes of this one. All of it has been read when this returns.
 *
 * Ownership: takes nothing. Threads: one at a time.
 * Errors: any of I/O, ZNIPPY_E_CHANGED, ZNIPPY_E_EXISTS and ZNIPPY_E_INVALID_ARGUMENT for paths that are taken or lie
 * below a file, ZNIPPY_E_CANCELLED. Once files are being packed an error is final, see znippy_writer_free().
 */
ZNIPPY_API
znippy_status znippy_writer_add_tree(znippy_writer *writer,
                                     const char *src_path,
                                     const char *prefix,
                                     size_t prefix_len,
                                     znippy_error **err);

/**
 * Adds all entries of an archive, with prefix and a slash in front of each path, as with a tree; what is recorded of the
 * archive's root becomes the entry prefix. With prefix_len 0 that is recorded of the new archive's own root. So archives are
 * merged: create a writer, or open an archive by znippy_writer_append(), and add others to it.
 *
 * Blobs are copied as they are, each after its stored bytes were checked; one that is there already, or all of whose bytes are,
 * is not stored again. Attributes, hard links, extended attributes, labels and columns come along; an entry without a
 * label gets that of znippy_writer_set_repo(). Directories that were there before get the attributes of these. Filters
 * and providers don't see the entries; ZNIPPY_OPT_MTIMES and ZNIPPY_OPT_MODES count for them. Where bytes from elsewhere
 * would rest on a slice of the archive, it is decoded and hashed at znippy_writer_finish(), and everything is where
 * ZNIPPY_OPT_BASE_CHECK is 2.
 *
 * Ownership: the writer takes a reference to the reader, until it is freed; the caller may free its own. Threads: one at a
 * time; the reader may be in use elsewhere.
 * Errors: those of reading the archive, ZNIPPY_E_EXISTS and ZNIPPY_E_INVALID_ARGUMENT for paths as with
 * znippy_writer_add_tree(), ZNIPPY_E_INVALID_ARGUMENT for a column that is there with another type, ZNIPPY_E_UNSUPPORTED
 * for an archive of format version 3 or with something that could not be kept, ZNIPPY_E_BUSY from a callback of the
 * reader, ZNIPPY_E_CANCELLED. Once blobs are being copied an error is final, see znippy_writer_free().
 */
ZNIPPY_API
znippy_status znippy_writer_add_archive(znippy_writer *writer,
                                        const znippy_reader *archive,
                                        const char *prefix,
                                        size_t prefix_len,
                                        znippy_error **err);

/**
 * Adds the regular file src_path, which may be a symbolic link to one, as path, with its mode and modification time,
 * with its owner where ZNIPPY_OPT_RECORD_IDS is set, and with its extended attributes where ZNIPPY_OPT_XATTRS is. The
 * file has been read when this returns and may go.
 *
 * Ownership: takes nothing. Threads: one at a time.
 * Errors: any of I/O, ZNIPPY_E_CHANGED, ZNIPPY_E_EXISTS, ZNIPPY_E_UNSAFE_PATH, ZNIPPY_E_INVALID_ARGUMENT,
 * ZNIPPY_E_CANCELLED. Those of reading the file leave the writer usable.
 */
ZNIPPY_API
znippy_status znippy_writer_add_file(znippy_writer *writer,
                                     const char *src_path,
                                     const char *path,
                                     size_t path_len,
                                     znippy_error **err);

/**
 * Adds a file of len bytes, or with len 0 an entry of any kind. Of meta the kind and the path count, the link_target
 * of links (of a hard link: the path of a file that was added before), and mode, mtime_ns, uid, gid and rdev as far as
 * flags name them; what flags don't name is not recorded. So the record of an entry of another archive will do.
 *
 * A directory with path_len 0 is the archive's own root: its mode and mtime_ns are recorded, and it is no entry.
 *
 * Ownership: takes nothing; meta and bytes may go when this returns. Threads: one at a time.
 * Errors: ZNIPPY_E_EXISTS where the path was added before, unless both are directories or ZNIPPY_OPT_DUPLICATE_PATHS
 * says otherwise,
 * ZNIPPY_E_UNSAFE_PATH, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_UNSUPPORTED for an unknown kind, any of I/O,
 * ZNIPPY_E_CANCELLED.
 */
ZNIPPY_API
znippy_status znippy_writer_add_buffer(znippy_writer *writer,
                                       const znippy_entry_info *meta,
                                       const void *data,
                                       size_t len,
                                       znippy_error **err);

/**
 * Adds a file of the bytes that stream->read gives, up to its end. Of meta the same counts as for
 * znippy_writer_add_buffer(); the size need not be known.
 *
 * Ownership: the structs are copied. stream->user_data is the library's when the call begins, whatever it returns,
 * save for a struct_size that is too small; stream->release gives it back once, before the call returns.
 * Threads: one at a time; read runs on the thread that made the call.
 * Errors: those of znippy_writer_add_buffer(), and what read reports, which leaves the writer usable.
 */
ZNIPPY_API
znippy_status znippy_writer_add_stream(znippy_writer *writer,
                                       const znippy_entry_info *meta,
                                       const znippy_stream *stream,
                                       znippy_error **err);

/**
 * Gives what the last call added an extended attribute, such as "user.mime_type", whatever ZNIPPY_OPT_XATTRS says. The
 * last call was znippy_writer_add_buffer(), znippy_writer_add_stream() or this one. Access control lists,
 * capabilities and labels are attributes too, with the values that the kernel gives them.
 *
 * Ownership: the bytes are copied. Threads: one at a time.
 * Errors: ZNIPPY_E_INVALID_STATE where the last call failed or added something else, ZNIPPY_E_LIMIT for a name that is
 * empty, has over 255 bytes or was given before, and for a value of over 64 KiB, ZNIPPY_E_INVALID_ARGUMENT.
 */
ZNIPPY_API
znippy_status znippy_writer_set_xattr(znippy_writer *writer,
                                      const char *name,
                                      size_t name_len,
                                      const void *value,
                                      size_t value_len,
                                      znippy_error **err);

/**
 * Writes what is left and the index, joins the threads, and gives the archive its name, or calls the sink's finish.
 * The writer can only be freed afterwards.
 *
 * Ownership: takes nothing; stats_out may be NULL. Threads: one at a time.
 * Errors: any of I/O, ZNIPPY_E_EXISTS, ZNIPPY_E_LIMIT, ZNIPPY_E_CANCELLED; all are final.
 */
ZNIPPY_API znippy_status znippy_writer_finish(znippy_writer *writer, znippy_stats *stats_out, znippy_error **err);

/**
 * Frees a writer; NULL is fine. One that isn't finished leaves nothing: no archive, no temporary file, no thread. In
 * one of its callbacks it takes effect when the call ends. In a child process after fork() the memory is given up and
 * nothing else happens.
 *
 * An error of a writer is final where something was half done: failures of writing the archive, of reading a tree
 * whose files were being packed, a cancel. Its threads have ended then, and all calls but this one answer
 * ZNIPPY_E_INVALID_STATE. All other errors leave the writer as if the call had not been made.
 *
 * Ownership: takes the handle. Threads: any, once, and not while another thread uses this handle. Errors: none.
 */
ZNIPPY_API void znippy_writer_free(znippy_writer *writer);

/**
 * Opens an archive by path. Constant time: the tail is read and checked, the rest when it is used.
 *
 * Ownership: *reader_out is the caller's, freed by znippy_reader_free(). Threads: any.
 * Errors: any of I/O, ZNIPPY_E_NOT_ARCHIVE, ZNIPPY_E_VERSION, ZNIPPY_E_CORRUPT, ZNIPPY_E_LIMIT.
 */
ZNIPPY_API
znippy_status znippy_reader_open(const char *archive_path,
                                 const znippy_options *options,
                                 znippy_reader **reader_out,
                                 znippy_error **err);

/**
 * Opens an archive over an open file descriptor, which must allow reads at offsets; its position is not used.
 *
 * Ownership: the descriptor is duplicated (close-on-exec) and stays the caller's. *reader_out is the caller's,
 * freed by znippy_reader_free(). Threads: any. Errors: those of znippy_reader_open().
 */
ZNIPPY_API
znippy_status znippy_reader_open_fd(intptr_t fd,
                                    const znippy_options *options,
                                    znippy_reader **reader_out,
                                    znippy_error **err);

/**
 * Opens an archive in memory, whose bytes must not change until they are released. Without release they must
 * outlive the reader.
 *
 * Ownership: user_data is the library's when the call begins, whatever it returns; release, which may be NULL,
 * gives it back once, on failure before the call returns, else when the last reference to the reader is gone.
 * *reader_out is the caller's, freed by znippy_reader_free(). Threads: any.
 * Errors: those of znippy_reader_open().
 */
ZNIPPY_API
znippy_status znippy_reader_open_memory(const void *data,
                                        size_t len,
                                        znippy_release_fn release,
                                        void *user_data,
                                        const znippy_options *options,
                                        znippy_reader **reader_out,
                                        znippy_error **err);

/**
 * Opens an archive through callbacks.
 *
 * Ownership: the struct is copied. source->user_data is the library's when the call begins, whatever it
 * returns, save for a struct_size that is too small; source->release gives it back once, on failure before the
 * call returns, else when the last reference to the reader is gone. *reader_out is the caller's, freed by
 * znippy_reader_free(). Threads: any. Errors: those of znippy_reader_open(), and what read_at reports.
 */
ZNIPPY_API
znippy_status znippy_reader_open_source(const znippy_source *source,
                                        const znippy_options *options,
                                        znippy_reader **reader_out,
                                        znippy_error **err);

/**
 * Another reference to the same reader; NULL for NULL.
 *
 * Ownership: the caller's, to be dropped by a znippy_reader_free() of its own. Threads: any. Errors: NULL.
 */
ZNIPPY_API znippy_reader *znippy_reader_retain(const znippy_reader *reader);

/**
 * Drops a reference; with the last one the archive is closed and its source released. Listings and buffers live
 * on. NULL is fine, and so is the middle of a callback.
 *
 * Ownership: takes one reference. Threads: any. Errors: none.
 */
ZNIPPY_API void znippy_reader_free(znippy_reader *reader);

/**
 * Number of entries; 0 for NULL.
 *
 * Ownership: takes nothing. Threads: any number. Errors: none.
 */
ZNIPPY_API uint64_t znippy_reader_entry_count(const znippy_reader *reader);

/**
 * Facts about the archive. No blob is decoded.
 *
 * Ownership: the caller's struct, with struct_size set. Threads: any number.
 * Errors: ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
 */
ZNIPPY_API
znippy_status znippy_reader_info(const znippy_reader *reader,
                                 znippy_archive_info *info_out,
                                 znippy_error **err);

/**
 * What the archive records about itself under a name, such as "level" or "zstd_version": UTF-8, or NULL where
 * there is nothing.
 *
 * Ownership: *value_out lives as long as the reader. Threads: any number.
 * Errors: ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
 */
ZNIPPY_API znippy_status znippy_reader_metadata(const znippy_reader *reader, const char *name, const char **value_out);

/**
 * The digest of the tree: equal for equal trees, whatever the options, level and version they were packed with.
 * The whole index is read, no blob is decoded.
 *
 * Ownership: the caller's 32 bytes. Threads: any number.
 * Errors: any of I/O and format, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
 *
 */
ZNIPPY_API
znippy_status znippy_reader_tree_digest(const znippy_reader *reader,
                                        uint8_t digest_out[32],
                                        znippy_error **err);

/**
 * The number of the entry with exactly this path.
 *
 * Ownership: takes nothing. Threads: any number.
 * Errors: ZNIPPY_E_NOT_FOUND, any of I/O and format, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
 */
ZNIPPY_API
znippy_status znippy_reader_find(const znippy_reader *reader,
                                 const char *path,
                                 size_t path_len,
                                 uint64_t *index_out,
                                 znippy_error **err);

/**
 * The entries at and below a directory (or of one path): `*count_out` of them from number `*first_out` on. The
 * empty prefix is everything; no match is no error.
 *
 * Ownership: takes nothing. Threads: any number.
 * Errors: any of I/O and format, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
 */
ZNIPPY_API
znippy_status znippy_reader_find_prefix(const znippy_reader *reader,
                                        const char *prefix,
                                        size_t prefix_len,
                                        uint64_t *first_out,
                                        uint64_t *count_out,
                                        znippy_error **err);

/**
 * Reads an entry's bytes at an offset. Only the blocks that hold them are decoded, and each slice that is
 * touched is checked whole. `*read_out` is less than len at the end of the entry only, and 0 beyond it.
 *
 * Ownership: the caller's buffer, which may be NULL where len is 0; on failure its bytes are undefined.
 * Threads: any number. Errors: any of I/O and format, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
 */
ZNIPPY_API
znippy_status znippy_reader_read_at(const znippy_reader *reader,
                                    uint64_t index,
                                    uint64_t offset,
                                    void *buffer,
                                    size_t len,
                                    size_t *read_out,
                                    znippy_error **err);

/**
 * The first run of bytes at or after offset that is no hole: from `*start_out` up to `*end_out`. Both are the entry's
 * size where nothing but a hole, or nothing, follows. What lies in holes reads as zeros. No block is read.
 *
 * Ownership: takes nothing. Threads: any number.
 * Errors: any of I/O and format, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
 */
ZNIPPY_API
znippy_status znippy_reader_find_data(const znippy_reader *reader,
                                      uint64_t index,
                                      uint64_t offset,
                                      uint64_t *start_out,
                                      uint64_t *end_out,
                                      znippy_error **err);

/**
 * Reads a whole entry into memory of the library; entries of more than ZNIPPY_OPT_MAX_ENTRY_SIZE bytes are
 * refused.
 *
 * Ownership: the bytes are the caller's, freed by znippy_buffer_free(); they outlive the reader.
 * Threads: any number.
 * Errors: ZNIPPY_E_LIMIT, any of I/O and format, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
 */
ZNIPPY_API
znippy_status znippy_reader_read(const znippy_reader *reader,
                                 uint64_t index,
                                 const znippy_options *options,
                                 znippy_buffer *buffer_out,
                                 znippy_error **err);

/**
 * Number of the extended attributes that an entry has; 0 where none are recorded. Access control lists, capabilities
 * and labels are extended attributes too.
 *
 * Ownership: takes nothing. Threads: any number.
 * Errors: any of I/O and format, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
 */
ZNIPPY_API
znippy_status znippy_reader_xattr_count(const znippy_reader *reader,
                                        uint64_t index,
                                        size_t *count_out,
                                        znippy_error **err);

/**
 * An extended attribute of an entry, by its number in the order of the names' bytes: the name, such as "user.mime_type",
 * which has no NUL at its end, and the value, any bytes, NULL where there are none.
 *
 * Ownership: name and value live as long as the reader. Threads: any number.
 * Errors: ZNIPPY_E_NOT_FOUND where the entry has no attribute of this number, any of I/O and format,
 * ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
 */
ZNIPPY_API
znippy_status znippy_reader_xattr(const znippy_reader *reader,
                                  uint64_t index,
                                  size_t number,
                                  const char **name_out,
                                  size_t *name_len_out,
                                  const void **value_out,
                                  size_t *value_len_out,
                                  znippy_error **err);

/**
 * Restores one entry to exactly dest_path, whose directory must exist: a file, also of a hard link's bytes, a symbolic
 * link, a FIFO, or a directory without what is below it. It gets its name when it is complete and was checked; until
 * then, and after a failure, nothing is there, or what was there before. Of the options, those count that are about
 * single files: overwrite, skip-unchanged, restore-ids and their like, threads and memory-limit.
 *
 * Ownership: takes nothing. Threads: any number; progress is reported on the calling one.
 * Errors: ZNIPPY_E_EXISTS, ZNIPPY_E_UNSUPPORTED for devices and sockets, any of I/O and format, ZNIPPY_E_CANCELLED,
 * ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
 */
ZNIPPY_API
znippy_status znippy_reader_extract(const znippy_reader *reader,
                                    uint64_t index,
                                    const char *dest_path,
                                    const znippy_options *options,
                                    znippy_error **err);

/**
 * Restores the whole archive below dest_dir, as znippy_extract_archive() does.
 *
 * Ownership: takes nothing; stats_out may be NULL. Threads: any number; progress is reported on the calling one.
 * Errors: those of znippy_extract_archive(), ZNIPPY_E_BUSY.
 */
ZNIPPY_API
znippy_status znippy_reader_extract_all(const znippy_reader *reader,
                                        const char *dest_dir,
                                        const znippy_options *options,
                                        znippy_stats *stats_out,
                                        znippy_error **err);

/**
 * Checks everything: every slice and file against its hash, and what spans segments. Nothing is written.
 *
 * Ownership: takes nothing; stats_out may be NULL. Threads: any number; progress is reported on the calling one.
 * Errors: ZNIPPY_E_CHECKSUM, ZNIPPY_E_CORRUPT, any of I/O, ZNIPPY_E_CANCELLED, ZNIPPY_E_BUSY.
 */
ZNIPPY_API
znippy_status znippy_reader_verify(const znippy_reader *reader,
                                   const znippy_options *options,
                                   znippy_stats *stats_out,
                                   znippy_error **err);

/**
 * Checks stored bytes against their hashes without decoding them: finds every damaged byte, at the speed of
 * the disk.
 *
 * Ownership: takes nothing; stats_out may be NULL. Threads: any number; progress is reported on the calling one.
 * Errors: those of znippy_reader_verify().
 */
ZNIPPY_API
znippy_status znippy_reader_verify_quick(const znippy_reader *reader,
                                         const znippy_options *options,
                                         znippy_stats *stats_out,
                                         znippy_error **err);

/**
 * Checks one entry's bytes against their hashes.
 *
 * Ownership: takes nothing. Threads: any number. Errors: those of znippy_reader_verify().
 */
ZNIPPY_API znippy_status znippy_reader_verify_entry(const znippy_reader *reader, uint64_t index, znippy_error **err);

/**
 * Lists up to capacity entries from number first on, in the order of the index; fewer, or none, at the end.
 *
 * Ownership: *listing_out is the caller's, freed by znippy_listing_free(); it keeps what it needs of the index.
 * Threads: any number. Errors: any of I/O and format, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
 */
ZNIPPY_API
znippy_status znippy_reader_list(const znippy_reader *reader,
                                 uint64_t first,
                                 size_t capacity,
                                 znippy_listing **listing_out,
                                 znippy_error **err);

/**
 * Number of entries in the listing; 0 for NULL.
 *
 * Ownership: takes nothing. Threads: any number. Errors: none.
 */
ZNIPPY_API size_t znippy_listing_count(const znippy_listing *listing);

/**
 * The entry at a position of the listing, from 0.
 *
 * Ownership: the caller's struct, with struct_size set; path and link_target live as long as the listing.
 * Threads: any number. Errors: ZNIPPY_E_INVALID_ARGUMENT, also for a position beyond the end.
 */
ZNIPPY_API
znippy_status znippy_listing_get(const znippy_listing *listing,
                                 size_t position,
                                 znippy_entry_info *info_out,
                                 znippy_error **err);

/**
 * Frees a listing and with it the paths that came from it; NULL is fine.
 *
 * Ownership: takes the listing. Threads: any, once, and not while another thread uses it. Errors: none.
 */
ZNIPPY_API void znippy_listing_free(znippy_listing *listing);

/**
 * Compares two archives by their indexes: what the other one has more, less and different, in order of path. No block is
 * read, and it doesn't matter how each was packed; a hard link is the file that it is a name of. Of the options, those
 * that select entries count (a path is asked about once, as the first archive has it if it does), and
 * ZNIPPY_OPT_DIFF_MTIME and ZNIPPY_OPT_RESTORE_IDS make times and owners count. That they differ is no error.
 *
 * Ownership: *diff_out is the caller's, freed by znippy_diff_free(). Threads: any number; progress is reported on the
 * calling one. Errors: any of I/O and format, ZNIPPY_E_CANCELLED, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_BUSY.
 */
ZNIPPY_API
znippy_status znippy_reader_diff(const znippy_reader *reader,
                                 const znippy_reader *other,
                                 const znippy_options *options,
                                 znippy_diff **diff_out,
                                 znippy_error **err);

/**
 * Compares an archive with a directory: what the directory has more, less and different, in order of path. A tree that was
 * just extracted by the same options is equal. No link is followed; files of equal size are hashed in parallel, unless
 * ZNIPPY_OPT_SKIP_UNCHANGED is 1, which believes size, time and mode.
 *
 * Ownership: *diff_out is the caller's, freed by znippy_diff_free(). Threads: any number; progress is reported on the
 * calling one. Errors: those of znippy_reader_diff(), and what can't be read in the directory.
 */
ZNIPPY_API
znippy_status znippy_reader_diff_dir(const znippy_reader *reader,
                                     const char *dir,
                                     const znippy_options *options,
                                     znippy_diff **diff_out,
                                     znippy_error **err);

/**
 * Number of differences; 0 for NULL.
 *
 * Ownership: takes nothing. Threads: any number. Errors: none.
 */
ZNIPPY_API uint64_t znippy_diff_count(const znippy_diff *diff);

/**
 * One difference, from 0, in order of path.
 *
 * Ownership: the caller's struct, with struct_size set; its strings live as long as the diff.
 * Threads: any number. Errors: ZNIPPY_E_INVALID_ARGUMENT, also for a position beyond the end.
 */
ZNIPPY_API
znippy_status znippy_diff_get(const znippy_diff *diff,
                              uint64_t position,
                              znippy_difference *difference_out,
                              znippy_error **err);

/**
 * Frees a diff and with it the strings that came from it; NULL is fine.
 *
 * Ownership: takes the diff. Threads: any, once, and not while another thread uses it. Errors: none.
 */
ZNIPPY_API void znippy_diff_free(znippy_diff *diff);

/**
 * Frees the bytes and zeroes the struct, so that a second call does nothing; NULL is fine. The struct itself is
 * the caller's.
 *
 * Ownership: takes the bytes. Threads: any, once. Errors: none.
 */
ZNIPPY_API void znippy_buffer_free(znippy_buffer *buffer);

/**
 * Stores the schema of the index in the caller's struct: a struct type whose children are the columns, with the
 * archive's metadata. It is the schema of the stream of znippy_reader_export_index(). The first call reads the
 * whole index for columns that this version doesn't know; they are nullable, and come after the known ones.
 *
 * Ownership: *schema_out is the caller's, who calls its release function once; what it held before is ignored.
 * It needs neither reader nor library state. Threads: any number.
 * Errors: any of I/O, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_LIMIT, ZNIPPY_E_BUSY.
 */
ZNIPPY_API
znippy_status znippy_reader_export_schema(const znippy_reader *reader,
                                          struct ArrowSchema *schema_out,
                                          znippy_error **err);

/**
 * Stores a fresh stream over the whole index in the caller's struct: one batch an index segment, in the order of
 * the index, one row a slice, with the schema of znippy_reader_export_schema(). Segments are read and checked when
 * they are asked for; a damaged one is an error of get_next, after which the stream stays failed and get_last_error
 * has the message until release. A cancel token of the options stops the stream between batches; the progress
 * function is not called.
 *
 * Ownership: *stream_out is the caller's, who calls its release function once; what it held before is ignored.
 * It has its own reference to the reader and may outlive the caller's. Its batches outlive both. Threads: any
 * number; get_next serves one thread after the other. In a callback of the reader it returns EBUSY.
 * Errors: any of I/O, ZNIPPY_E_INVALID_ARGUMENT, ZNIPPY_E_LIMIT, ZNIPPY_E_CANCELLED, ZNIPPY_E_BUSY.
 */
ZNIPPY_API
znippy_status znippy_reader_export_index(const znippy_reader *reader,
                                         const znippy_options *options,
                                         struct ArrowArrayStream *stream_out,
                                         znippy_error **err);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ZNIPPY_H */
