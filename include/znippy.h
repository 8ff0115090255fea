/* CONTRACT DRAFT: names, signatures and struct layouts are fixed; src/capi and cbindgen replace this file. */
#ifndef ZNIPPY_H
#define ZNIPPY_H
#include <stdint.h>
#include <stddef.h>

typedef int32_t znippy_status; /* ZNIPPY_OK 0, ZNIPPY_DONE 1, ZNIPPY_E_* < 0: numbers in src/error.rs */
#define ZNIPPY_OPT_THREADS 1   /* ... one ZNIPPY_OPT_<NAME> for each row of OPTION_TABLE in src/options.rs */
#define ZNIPPY_KIND_FILE 0     /* ... one ZNIPPY_KIND_<NAME> for each EntryKind in src/format/row.rs */
#define ZNIPPY_PHASE_SCAN 1    /* ... SCAN 1 PACK 2 FINISH 3 LIST 4 EXTRACT 5 VERIFY 6, src/progress.rs */
#define ZNIPPY_UNKNOWN UINT64_MAX

typedef struct znippy_error znippy_error;     /* owned by the caller */
typedef struct znippy_options znippy_options;
typedef struct znippy_cancel znippy_cancel;   /* refcounted */
typedef struct znippy_reader znippy_reader;   /* refcounted, any number of threads */
typedef struct znippy_listing znippy_listing; /* owned, pins index segments; immutable, any number of threads */

typedef struct { uint8_t *data; size_t len; size_t priv_; } znippy_buffer;

typedef struct {            /* what an entry is; out-struct */
  uint32_t struct_size;
  uint32_t kind;            /* ZNIPPY_KIND_*; may be a number of a later version */
  uint64_t index;
  const char *path;         /* NUL-terminated and path_len bytes; lives as long as the listing */
  size_t path_len;
  const char *link_target;  /* or NULL */
  size_t link_target_len;
  uint64_t size;            /* logical size, holes included; 0 for kinds without bytes */
  uint64_t stored_size;     /* this entry's share of its blobs' stored bytes, rounded down */
  int64_t mtime_ns;
  uint64_t rdev;
  uint32_t mode;            /* 07777 */
  uint32_t uid;
  uint32_t gid;
  uint32_t slice_count;
  uint32_t flags;           /* ZNIPPY_ENTRY_HAS_MODE 1, _HAS_MTIME 2, _HAS_UID 4, _HAS_GID 8, _HAS_RDEV 16, _HAS_HASH 32 */
  uint32_t reserved0;
  uint8_t hash[32];         /* BLAKE3 of the whole file where ZNIPPY_ENTRY_HAS_HASH */
} znippy_entry_info;

typedef struct {            /* src/stats.rs, field by field, in its order */
  uint32_t struct_size;
  uint32_t reserved0;
  uint64_t entries, files, files_stored, files_compressed, directories, symlinks, hardlinks, specials, slices, blocks,
           duplicate_files, duplicate_bytes, skipped, failed, bytes_in, bytes_out, bytes_stored,
           bytes_compressed_in, bytes_compressed_out, bytes_holes, bytes_index;
  double ratio, seconds;
} znippy_stats;

typedef struct {            /* facts about an open archive, no decoding of blobs */
  uint32_t struct_size;
  uint32_t format_version;
  uint64_t archive_size, entries, segments, blobs, payload_size, index_size;
  uint8_t archive_digest[32];
} znippy_archive_info;

typedef struct {
  uint32_t struct_size;
  uint32_t phase;           /* ZNIPPY_PHASE_* */
  uint64_t entries_done, entries_total, bytes_done, bytes_total; /* totals ZNIPPY_UNKNOWN where not known */
  const char *path;         /* or NULL */
  size_t path_len;
} znippy_progress;

typedef int32_t (*znippy_progress_fn)(void *user_data, const znippy_progress *progress); /* non-zero = stop */
typedef void (*znippy_release_fn)(void *user_data);

typedef struct {            /* random-access input */
  uint32_t struct_size;
  uint32_t flags;           /* ZNIPPY_SOURCE_CONCURRENT 1: read_at may be called from several threads at once */
  void *user_data;
  uint64_t size;
  int64_t (*read_at)(void *user_data, uint64_t offset, void *buffer, size_t len); /* bytes >= 0, or negative status */
  znippy_release_fn release;
} znippy_source;

/* library */
uint32_t znippy_version_number(void);   /* major * 1000000 + minor * 1000 + patch */
const char *znippy_version_string(void);
uint64_t znippy_features(void);
const char *znippy_status_name(znippy_status status);
const char *znippy_status_message(znippy_status status);
/* error */
znippy_status znippy_error_status(const znippy_error *error);
const char *znippy_error_message(const znippy_error *error);
int32_t znippy_error_os_code(const znippy_error *error);
const char *znippy_error_path(const znippy_error *error, size_t *len_out);
const char *znippy_error_rule(const znippy_error *error);  /* stable name of the refusal rule, or NULL */
void znippy_error_free(znippy_error *error);
/* options */
znippy_options *znippy_options_new(void);
znippy_options *znippy_options_clone(const znippy_options *options);
void znippy_options_free(znippy_options *options);
znippy_status znippy_options_set_i64(znippy_options *options, uint32_t key, int64_t value, znippy_error **err);
znippy_status znippy_options_set_bytes(znippy_options *options, uint32_t key, const void *data, size_t len, znippy_error **err);
znippy_status znippy_options_get_i64(const znippy_options *options, uint32_t key, int64_t *value_out, znippy_error **err);
znippy_status znippy_option_bounds(uint32_t key, int64_t *min_out, int64_t *max_out);
const char *znippy_option_name(uint32_t key);   /* NULL for unknown keys */
const char *znippy_option_help(uint32_t key);
uint32_t znippy_option_key(const char *name);   /* 0 for unknown names */
void znippy_options_set_progress(znippy_options *options, znippy_progress_fn function, void *user_data, znippy_release_fn release);
void znippy_options_set_cancel(znippy_options *options, const znippy_cancel *cancel);
/* cancel */
znippy_cancel *znippy_cancel_new(void);
void znippy_cancel_trigger(const znippy_cancel *cancel);
int32_t znippy_cancel_is_triggered(const znippy_cancel *cancel);
void znippy_cancel_free(znippy_cancel *cancel);
/* one-shot */
znippy_status znippy_compress_dir(const char *src_dir, const char *archive_path, const znippy_options *options, znippy_stats *stats_out, znippy_error **err);
znippy_status znippy_extract_archive(const char *archive_path, const char *dest_dir, const znippy_options *options, znippy_stats *stats_out, znippy_error **err);
/* reader */
znippy_status znippy_reader_open(const char *archive_path, const znippy_options *options, znippy_reader **reader_out, znippy_error **err);
znippy_status znippy_reader_open_fd(intptr_t fd, const znippy_options *options, znippy_reader **reader_out, znippy_error **err);
znippy_status znippy_reader_open_memory(const void *data, size_t len, znippy_release_fn release, void *user_data, const znippy_options *options, znippy_reader **reader_out, znippy_error **err);
znippy_status znippy_reader_open_source(const znippy_source *source, const znippy_options *options, znippy_reader **reader_out, znippy_error **err);
znippy_reader *znippy_reader_retain(const znippy_reader *reader);
void znippy_reader_free(znippy_reader *reader);
uint64_t znippy_reader_entry_count(const znippy_reader *reader);
znippy_status znippy_reader_info(const znippy_reader *reader, znippy_archive_info *info_out, znippy_error **err);
znippy_status znippy_reader_metadata(const znippy_reader *reader, const char *name, const char **value_out); /* schema metadata: "level", "zstd_version", ...; NULL where absent; lives as long as the reader */
znippy_status znippy_reader_tree_digest(const znippy_reader *reader, uint8_t digest_out[32], znippy_error **err);
znippy_status znippy_reader_find(const znippy_reader *reader, const char *path, size_t path_len, uint64_t *index_out, znippy_error **err); /* ZNIPPY_E_NOT_FOUND */
znippy_status znippy_reader_find_prefix(const znippy_reader *reader, const char *prefix, size_t prefix_len, uint64_t *first_out, uint64_t *count_out, znippy_error **err);
znippy_status znippy_reader_list(const znippy_reader *reader, uint64_t first, size_t capacity, znippy_listing **listing_out, znippy_error **err); /* up to capacity entries from first */
size_t znippy_listing_count(const znippy_listing *listing);
znippy_status znippy_listing_get(const znippy_listing *listing, size_t position, znippy_entry_info *info_out, znippy_error **err);
void znippy_listing_free(znippy_listing *listing);
znippy_status znippy_reader_read_at(const znippy_reader *reader, uint64_t index, uint64_t offset, void *buffer, size_t len, size_t *read_out, znippy_error **err);
znippy_status znippy_reader_read(const znippy_reader *reader, uint64_t index, const znippy_options *options, znippy_buffer *buffer_out, znippy_error **err);
void znippy_buffer_free(znippy_buffer *buffer);
znippy_status znippy_reader_extract_all(const znippy_reader *reader, const char *dest_dir, const znippy_options *options, znippy_stats *stats_out, znippy_error **err);
znippy_status znippy_reader_verify(const znippy_reader *reader, const znippy_options *options, znippy_stats *stats_out, znippy_error **err);
znippy_status znippy_reader_verify_quick(const znippy_reader *reader, const znippy_options *options, znippy_stats *stats_out, znippy_error **err);
znippy_status znippy_reader_verify_entry(const znippy_reader *reader, uint64_t index, znippy_error **err);
#endif
