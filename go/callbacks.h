/* What Go can't say itself: function pointers, tables, and many calls of the library in one crossing. */
#ifndef ZNIPPY_GO_CALLBACKS_H
#define ZNIPPY_GO_CALLBACKS_H

#include <znippy.h>

#if ZNIPPY_VERSION_MAJOR != 0 || ZNIPPY_VERSION_MINOR != 1
#error "this version of the Go package is for libznippy 0.1"
#endif

/* A handle is a cgo.Handle: a number that Go finds its value by. */

void zgo_set_progress(znippy_options *options, uintptr_t handle);
void zgo_set_log(znippy_options *options, uintptr_t handle);
void zgo_set_filter(znippy_options *options, uintptr_t handle);

/* names: the columns' names, one after the other, each NUL-terminated. */
znippy_status zgo_add_provider(znippy_options *options, const char *name, int32_t pkg_type, uint32_t flags, const char *names,
                               const uint32_t *types, size_t columns, uintptr_t handle, znippy_error **err);

/* The handle goes to the library, which gives it to znippyGoRelease() in any case. */
znippy_status zgo_open_source(uintptr_t handle, uint64_t size, const znippy_options *options, znippy_reader **reader_out,
                              znippy_error **err);

/* data: memory of malloc, which goes to the library in any case. */
znippy_status zgo_open_memory(void *data, size_t len, const znippy_options *options, znippy_reader **reader_out,
                              znippy_error **err);

/* The handle stays the caller's, who frees the writer first. */
znippy_status zgo_create_sink(uintptr_t handle, const znippy_options *options, znippy_writer **writer_out, znippy_error **err);

/* meta without strings, which come beside it: Go memory may not hold pointers to Go memory. */
znippy_status zgo_add_buffer(znippy_writer *writer, const znippy_entry_info *meta, const char *path, size_t path_len,
                             const char *target, size_t target_len, const void *data, size_t len, znippy_error **err);
znippy_status zgo_add_stream(znippy_writer *writer, const znippy_entry_info *meta, const char *path, size_t path_len,
                             uintptr_t handle, znippy_error **err);

/* The entry with this number. *listing_out pins its strings; it is NULL where a link's target is the only one that
 * could matter and there is none. */
znippy_status zgo_entry(const znippy_reader *reader, uint64_t index, znippy_entry_info *info_out, znippy_listing **listing_out,
                        znippy_error **err);

/* Fills in `count` records, whose strings live as long as the diff. */
znippy_status zgo_differences(const znippy_diff *diff, uint64_t first, size_t count, znippy_difference *out);

/* The entry with this path, or a directory with the number ZNIPPY_UNKNOWN where there are only entries below it. Of its
 * strings only the target is there, as by zgo_entry(). *err is NULL where nothing was found, which is ZNIPPY_E_NOT_FOUND. */
znippy_status zgo_lookup(const znippy_reader *reader, const char *path, size_t path_len, znippy_entry_info *info_out,
                         znippy_listing **listing_out, znippy_error **err);

/* Records of many entries are in memory of C, the caller's to free(): of Go's, cgo would look through all of it for pointers
 * in each call. */

/* Up to capacity entries from number first on. */
znippy_status zgo_list(const znippy_reader *reader, uint64_t first, size_t capacity, znippy_entry_info **infos_out,
                       size_t *count_out, znippy_listing **listing_out, znippy_error **err);

/* Up to capacity of the entries that stand right below a directory, from number *next on, which moves to where to go on; end
 * is the number behind the directory's last entry. below is empty or ends with a slash. A name that only entries
 * below it imply is a directory with the number ZNIPPY_UNKNOWN.
 *
 * The names (paths without below) stand one after the other in *text_out, which is the caller's to free(); the paths of the
 * records are NULL and their path_len is that of the name. A link's target follows its name, and has link_target_len bytes. */
znippy_status zgo_children(const znippy_reader *reader, const char *below, size_t below_len, uint64_t *next, uint64_t end,
                           size_t capacity, znippy_entry_info **infos_out, size_t *count_out, char **text_out,
                           size_t *text_len_out, znippy_error **err);

#endif
