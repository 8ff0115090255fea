package znippy

// #include <stdlib.h>
// #include "callbacks.h"
import "C"

import (
	"context"
	"io/fs"
	"time"
	"unsafe"
)

// Change says which side of a comparison has an entry.
type Change uint32

const (
	EntryAdded   Change = C.ZNIPPY_DIFF_ADDED   // the other side alone has it
	EntryRemoved Change = C.ZNIPPY_DIFF_REMOVED // the archive alone has it
	EntryChanged Change = C.ZNIPPY_DIFF_CHANGED // both have it, and not the same
)

// Differs says what differs of an entry that both sides have; several may.
type Differs uint32

const (
	DiffersBytes  Differs = C.ZNIPPY_DIFFERS_BYTES
	DiffersMode   Differs = C.ZNIPPY_DIFFERS_MODE
	DiffersTime   Differs = C.ZNIPPY_DIFFERS_MTIME
	DiffersTarget Differs = C.ZNIPPY_DIFFERS_TARGET // of symbolic links, or the numbers of devices
	DiffersKind   Differs = C.ZNIPPY_DIFFERS_KIND   // nothing else was compared then
	DiffersOwner  Differs = C.ZNIPPY_DIFFERS_OWNER
	DiffersXattr  Differs = C.ZNIPPY_DIFFERS_XATTR
)

// Difference is one path that is not the same on both sides.
type Difference struct {
	Path     string // byte for byte, not always UTF-8
	Change   Change
	Differs  Differs // where both sides have it
	Old, New Side
}

// Side is an entry on one side of a comparison; the zero Side where there is none.
type Side struct {
	Exists  bool
	Index   uint64 // its number in the archive; NoIndex in a directory
	Kind    Kind
	Size    uint64
	Target  string // of a symbolic link
	ModTime time.Time
	Perm    fs.FileMode
}

// CompareTimes lets modification times count in a comparison.
func CompareTimes() Option { return number(C.ZNIPPY_OPT_DIFF_MTIME, 1) }

// Diff compares the archive with another one by their indexes: what the other one has more, less and different, in order of
// path. No block is read.
func (a *Archive) Diff(ctx context.Context, other *Archive, options ...Option) ([]Difference, error) {
	if !other.acquire() {
		return nil, closed("diff")
	}
	defer other.release()
	return a.differences(ctx, options, func(c *call, diff **C.znippy_diff, object **C.znippy_error) C.znippy_status {
		return C.znippy_reader_diff(a.reader, other.reader, c.options, diff, object)
	})
}

// DiffDir compares the archive with a directory. Files of equal size are hashed, unless [SkipUnchanged] says to believe size,
// time and mode.
func (a *Archive) DiffDir(ctx context.Context, dir string, options ...Option) ([]Difference, error) {
	name, other, err := hostPaths("diff", dir, "")
	if err != nil {
		return nil, err
	}
	defer C.free(unsafe.Pointer(name))
	defer C.free(unsafe.Pointer(other))
	return a.differences(ctx, options, func(c *call, diff **C.znippy_diff, object **C.znippy_error) C.znippy_status {
		return C.znippy_reader_diff_dir(a.reader, name, c.options, diff, object)
	})
}

func (a *Archive) differences(ctx context.Context, options []Option,
	run func(*call, **C.znippy_diff, **C.znippy_error) C.znippy_status) ([]Difference, error) {
	var diff *C.znippy_diff
	_, err := a.job(ctx, "diff", options, func(c *call, _ *C.znippy_stats, object **C.znippy_error) C.znippy_status {
		return run(c, &diff, object)
	})
	if err != nil {
		return nil, err
	}
	defer C.znippy_diff_free(diff)
	count := int(C.znippy_diff_count(diff))
	list := make([]Difference, 0, count)
	room := C.calloc(diffBatch, C.sizeof_znippy_difference)
	if room == nil {
		return nil, &Error{Op: "diff", Status: NoMemory, Message: NoMemory.Error()}
	}
	defer C.free(room)
	records := unsafe.Slice((*C.znippy_difference)(room), diffBatch)
	for len(list) < count {
		batch := minimum(count-len(list), diffBatch)
		stress()
		if status := C.zgo_differences(diff, C.uint64_t(len(list)), C.size_t(batch), &records[0]); status < 0 {
			return nil, a.fail("diff", a.path, status, nil)
		}
		for i := range records[:batch] {
			list = append(list, differenceOf(&records[i]))
		}
	}
	return list, nil
}

// diffBatch is how many differences come from C at a time.
const diffBatch = 256

func differenceOf(d *C.znippy_difference) Difference {
	return Difference{
		Path:    C.GoStringN(d.path, C.int(d.path_len)),
		Change:  Change(d.what),
		Differs: Differs(d.flags),
		Old:     sideOf(d.old_kind, d.old_index, d.old_size, d.old_mtime_ns, d.old_mode, d.old_target, d.old_target_len),
		New:     sideOf(d.new_kind, d.new_index, d.new_size, d.new_mtime_ns, d.new_mode, d.new_target, d.new_target_len),
	}
}

func sideOf(kind C.uint32_t, index, size C.uint64_t, mtime C.int64_t, mode C.uint32_t, target *C.char, targetLen C.size_t) Side {
	if kind == C.ZNIPPY_NO_KIND {
		return Side{}
	}
	s := Side{Exists: true, Index: uint64(index), Kind: Kind(kind), Size: uint64(size), Perm: permOf(uint32(mode))}
	if mtime != 0 {
		s.ModTime = time.Unix(0, int64(mtime))
	}
	if target != nil {
		s.Target = C.GoStringN(target, C.int(targetLen))
	}
	return s
}
