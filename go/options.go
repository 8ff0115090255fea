package znippy

// #include <stdlib.h>
// #include "callbacks.h"
import "C"

import (
	"context"
	"fmt"
	"unsafe"
)

// Option is a setting of a call. What a call has no use for is ignored. docs/OPTIONS.md has the defaults and bounds.
type Option func(*settings)

// settings are what the options of a call come to.
type settings struct {
	values    []value
	err       error
	ctx       context.Context
	progress  func(Progress) error
	log       func(LogLevel, string)
	filter    func(Entry) (bool, error)
	providers []Provider
	base      *Archive
}

type value struct {
	key    C.uint32_t
	number int64
	bytes  []byte // counts where it isn't nil
}

func number(key C.uint32_t, n int64) Option {
	return func(s *settings) { s.values = append(s.values, value{key: key, number: n}) }
}

func list(key C.uint32_t, items []string) Option {
	return func(s *settings) {
		for _, item := range items {
			s.values = append(s.values, value{key: key, bytes: append([]byte{}, item...)})
		}
	}
}

// Set sets an option by its name in docs/OPTIONS.md, such as "block-size": an integer, a bool, a string or a []byte.
func Set(name string, v any) Option {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	key := C.znippy_option_key(text)
	if key == 0 {
		return fails(&Error{Status: Unsupported, Message: fmt.Sprintf("there is no option %q", name)})
	}
	switch v := v.(type) {
	case int:
		return number(key, int64(v))
	case int64:
		return number(key, v)
	case bool:
		if v {
			return number(key, 1)
		}
		return number(key, 0)
	case string:
		return list(key, []string{v})
	case []byte:
		return list(key, []string{string(v)})
	}
	return fails(&Error{Status: InvalidArgument, Message: fmt.Sprintf("option %s can't be a %T", name, v)})
}

func fails(err error) Option {
	return func(s *settings) { s.err = err }
}

// WithContext has a [Writer], which takes no context with each call, stop when ctx ends.
func WithContext(ctx context.Context) Option { return func(s *settings) { s.ctx = ctx } }

// Threads is the number of worker threads; 0 takes as many as there are processors. It never changes the bytes of an archive.
func Threads(n int) Option { return number(C.ZNIPPY_OPT_THREADS, int64(n)) }

// MemoryLimit is the most bytes for buffers and contexts. It lowers the number of threads and never changes bytes.
func MemoryLimit(bytes int64) Option { return number(C.ZNIPPY_OPT_MEMORY_LIMIT, bytes) }

// ProgressInterval is the least number of milliseconds between two calls of the progress function.
func ProgressInterval(ms int) Option { return number(C.ZNIPPY_OPT_PROGRESS_INTERVAL, int64(ms)) }

// OverwritePolicy says what to do where a name exists.
type OverwritePolicy int

const (
	Refuse       OverwritePolicy = 0 // fail with Exists, the default
	Replace      OverwritePolicy = 1 // replace what is there
	Keep         OverwritePolicy = 2 // extraction: keep what is there
	ReplaceOlder OverwritePolicy = 3 // extraction: replace what is older than the entry
)

// Overwrite says what to do where the archive, or a file to be extracted, exists.
func Overwrite(policy OverwritePolicy) Option { return number(C.ZNIPPY_OPT_OVERWRITE, int64(policy)) }

// Include packs, extracts or compares only what matches one of the globs, and what lies below it. Include adds to earlier ones.
func Include(globs ...string) Option { return list(C.ZNIPPY_OPT_INCLUDE, globs) }

// Exclude leaves out what matches one of the globs, and what lies below it. Exclude adds to earlier ones.
func Exclude(globs ...string) Option { return list(C.ZNIPPY_OPT_EXCLUDE, globs) }

// ---- packing ----

// Level is the compression level of zstd, -7 to 22.
func Level(n int) Option { return number(C.ZNIPPY_OPT_LEVEL, int64(n)) }

// PresetKind is a set of values for level, block size, slice size and small files.
type PresetKind int

const (
	PresetDefault PresetKind = 0
	PresetFast    PresetKind = 1
	PresetSmall   PresetKind = 2
	PresetMax     PresetKind = 3
	PresetRandom  PresetKind = 4 // quick access to small parts of big archives
)

// Preset takes the values of a preset for what isn't set.
func Preset(kind PresetKind) Option { return number(C.ZNIPPY_OPT_PRESET, int64(kind)) }

// SmallFile is the size up to which files are not cut, and share blocks with their neighbours.
func SmallFile(bytes int64) Option { return number(C.ZNIPPY_OPT_SMALL_FILE, bytes) }

// BlockSize is the number of bytes of small files, or of shorter slices of big ones, that are compressed as one block.
func BlockSize(bytes int64) Option { return number(C.ZNIPPY_OPT_BLOCK_SIZE, bytes) }

// SliceSize is the size that big files are cut into; a power of two.
func SliceSize(bytes int64) Option { return number(C.ZNIPPY_OPT_SLICE_SIZE, bytes) }

// OrderByExtension puts small files in order of extension, file name and path instead of path.
func OrderByExtension() Option { return number(C.ZNIPPY_OPT_ORDER, 1) }

// NoSkip tries to compress every file, also those that look compressed already.
func NoSkip() Option { return number(C.ZNIPPY_OPT_NO_SKIP, 1) }

// SkipUnreadable leaves out and counts source files that can't be read or change, instead of failing.
func SkipUnreadable() Option { return number(C.ZNIPPY_OPT_ON_ERROR, 1) }

// RecordIDs records numeric user and group ids.
func RecordIDs() Option { return number(C.ZNIPPY_OPT_RECORD_IDS, 1) }

// RecordXattrs records extended attributes of files and directories.
func RecordXattrs() Option { return number(C.ZNIPPY_OPT_XATTRS, 1) }

// Repo is a label that is recorded in the index column "repo".
func Repo(label string) Option { return list(C.ZNIPPY_OPT_REPO, []string{label}) }

// PlainIndex stores the index without compression.
func PlainIndex() Option { return number(C.ZNIPPY_OPT_PLAIN_INDEX, 1) }

// IgnoreFiles heeds files of these names, such as ".gitignore", as git does.
func IgnoreFiles(names ...string) Option { return list(C.ZNIPPY_OPT_IGNORE_FILE, names) }

// MaxFileSize leaves out and counts bigger files.
func MaxFileSize(bytes int64) Option { return number(C.ZNIPPY_OPT_MAX_FILE_SIZE, bytes) }

// OneFileSystem packs directories on which other file systems are mounted as empty ones.
func OneFileSystem() Option { return number(C.ZNIPPY_OPT_ONE_FILE_SYSTEM, 1) }

// TimePolicy says which modification times are recorded.
type TimePolicy int

const (
	KeepTimes  TimePolicy = 0 // as they are, the default
	ClampTimes TimePolicy = 1 // none later than the limit
	NoTimes    TimePolicy = 2 // none at all
	OneTime    TimePolicy = 3 // all are the limit
)

// Times says which modification times are recorded; limit is in seconds since 1970.
func Times(policy TimePolicy, limit int64) Option {
	return func(s *settings) {
		number(C.ZNIPPY_OPT_MTIMES, int64(policy))(s)
		number(C.ZNIPPY_OPT_MTIME_LIMIT, limit)(s)
	}
}

// NormaliseModes records 0755 for directories and for files that somebody may execute, else 0644.
func NormaliseModes() Option { return number(C.ZNIPPY_OPT_MODES, 1) }

// Recovery writes recovery records between the blobs, so that names survive the loss of the index when an archive is salvaged.
func Recovery() Option { return number(C.ZNIPPY_OPT_RECOVERY, 1) }

// SimilarFilesApart doesn't look for big files of which parts are the same, to let them share blocks; that saves reading up
// to 6 MiB of each twice.
func SimilarFilesApart() Option { return number(C.ZNIPPY_OPT_SIMILAR_FILES, 1) }

// HardLinksAsFiles records each name of a file as a file of its own; its bytes are stored once in any case.
func HardLinksAsFiles() Option { return number(C.ZNIPPY_OPT_HARD_LINKS, 1) }

// ReplacePaths lets an entry of a [Writer] replace an earlier one of the same path, instead of refusing it.
func ReplacePaths() Option { return number(C.ZNIPPY_OPT_DUPLICATE_PATHS, 1) }

// ForOlderReaders writes format version 3, which znippy 0.7.2 and 0.10 read. It carries files and their bytes; what it can't carry
// is counted in [Stats.Skipped].
func ForOlderReaders() Option { return number(C.ZNIPPY_OPT_PROFILE, C.ZNIPPY_PROFILE_V3) }

// Compact has [Append] leave out the blobs that no entry of the archive uses any more.
func Compact() Option { return number(C.ZNIPPY_OPT_COMPACT, 1) }

// Base takes files from this archive that are in it as they are in the tree: they are neither read nor compressed.
func Base(archive *Archive) Option { return func(s *settings) { s.base = archive } }

// BaseCheck reads all files and compares their bytes with those of the base, instead of believing size, time and mode.
func BaseCheck() Option { return number(C.ZNIPPY_OPT_BASE_CHECK, 1) }

// BaseOfStranger decodes and hashes all that is taken from a base, or from an archive that is added, before the new one is finished.
// Without it no damage passes, but what the other archive says of its bytes is believed.
func BaseOfStranger() Option { return number(C.ZNIPPY_OPT_BASE_CHECK, 2) }

// ---- reading ----

// CacheSize is the number of bytes of decoded blocks and index segments that an open archive keeps.
func CacheSize(bytes int64) Option { return number(C.ZNIPPY_OPT_CACHE_SIZE, bytes) }

// ---- extracting and comparing ----

// Prefix takes only the entries with these paths and what lies below them. Prefix adds to earlier ones.
func Prefix(paths ...string) Option { return list(C.ZNIPPY_OPT_PREFIX, paths) }

// StripComponents takes so many components off the front of each path.
func StripComponents(n int) Option { return number(C.ZNIPPY_OPT_STRIP_COMPONENTS, int64(n)) }

// Filter takes only the entries for which the function says true. An error of it ends the call, which fails with it.
func Filter(function func(Entry) (bool, error)) Option {
	return func(s *settings) { s.filter = function }
}

// SkipUnchanged doesn't touch files whose size, time and mode are those of the archive.
func SkipUnchanged() Option { return number(C.ZNIPPY_OPT_SKIP_UNCHANGED, 1) }

// SkipUnchangedByHash doesn't touch files whose size and bytes are those of the archive.
func SkipUnchangedByHash() Option { return number(C.ZNIPPY_OPT_SKIP_UNCHANGED, 2) }

// Prune deletes what is not in the archive, after all else succeeded.
func Prune() Option { return number(C.ZNIPPY_OPT_PRUNE, 1) }

// KeepGoing extracts everything that is undamaged. The call fails with Partial where something is not; see Error.Failures.
func KeepGoing() Option { return number(C.ZNIPPY_OPT_KEEP_GOING, 1) }

// Atomic makes the destination the old tree or the new, nothing in between.
func Atomic() Option { return number(C.ZNIPPY_OPT_ATOMIC, 1) }

// DryRun writes nothing: the statistics and the log say what would be done.
func DryRun() Option { return number(C.ZNIPPY_OPT_DRY_RUN, 1) }

// RestoreIDs gives extracted files the recorded user and group ids.
func RestoreIDs() Option { return number(C.ZNIPPY_OPT_RESTORE_IDS, 1) }

// RestoreSetuid restores set-user-id, set-group-id and sticky bits.
func RestoreSetuid() Option { return number(C.ZNIPPY_OPT_RESTORE_SETUID, 1) }

// XattrPolicy says which extended attributes are restored.
type XattrPolicy int

const (
	NoXattrs   XattrPolicy = 0 // none, the default
	UserXattrs XattrPolicy = 1 // user.*
	AllXattrs  XattrPolicy = 2 // all
)

// RestoreXattrs restores recorded extended attributes.
func RestoreXattrs(policy XattrPolicy) Option {
	return number(C.ZNIPPY_OPT_RESTORE_XATTRS, int64(policy))
}

// DuplicatePolicy says what becomes of files with the same bytes.
type DuplicatePolicy int

const (
	Copies    DuplicatePolicy = 0 // the default
	Clones    DuplicatePolicy = 1 // share blocks, where the file system can do that
	HardLinks DuplicatePolicy = 2 // are one file, where mode, time and owner are equal too
)

// Duplicates says what becomes of files with the same bytes.
func Duplicates(policy DuplicatePolicy) Option {
	return number(C.ZNIPPY_OPT_DUPLICATES, int64(policy))
}

// Untrusted is for archives from strangers: links must stay inside, names must be portable, and limits apply.
func Untrusted() Option { return number(C.ZNIPPY_OPT_UNTRUSTED, 1) }

// MaxBytes refuses archives whose files have more bytes.
func MaxBytes(n int64) Option { return number(C.ZNIPPY_OPT_MAX_BYTES, n) }

// MaxEntries refuses archives of more entries.
func MaxEntries(n int64) Option { return number(C.ZNIPPY_OPT_MAX_ENTRIES, n) }

// MaxRatio refuses archives that unpack to more than so many times their own size.
func MaxRatio(n int64) Option { return number(C.ZNIPPY_OPT_MAX_RATIO, n) }

// MaxDepth refuses paths of more components.
func MaxDepth(n int) Option { return number(C.ZNIPPY_OPT_MAX_DEPTH, int64(n)) }

// MaxIndex refuses archives whose decoded index has more bytes.
func MaxIndex(bytes int64) Option { return number(C.ZNIPPY_OPT_MAX_INDEX, bytes) }

// LogLevel is how much a message matters.
type LogLevel int32

const (
	LogWarning LogLevel = C.ZNIPPY_LOG_WARNING // something was lost or left out, and the job goes on
	LogInfo    LogLevel = C.ZNIPPY_LOG_INFO    // what a user may want to know
)

// OnLog has a function called with messages that name what they are about.
func OnLog(function func(level LogLevel, message string)) Option {
	return func(s *settings) { s.log = function }
}
