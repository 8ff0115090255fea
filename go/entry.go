package znippy

// #include <stdlib.h>
// #include "callbacks.h"
import "C"

import (
	"context"
	"io/fs"
	"math"
	"path"
	"time"
	"unsafe"
)

// Kind is what an entry is. Later versions may have more.
type Kind uint32

const (
	KindFile        Kind = C.ZNIPPY_KIND_FILE
	KindDirectory   Kind = C.ZNIPPY_KIND_DIRECTORY
	KindSymlink     Kind = C.ZNIPPY_KIND_SYMLINK
	KindHardlink    Kind = C.ZNIPPY_KIND_HARDLINK // a further name of a file
	KindFIFO        Kind = C.ZNIPPY_KIND_FIFO
	KindCharDevice  Kind = C.ZNIPPY_KIND_CHAR_DEVICE
	KindBlockDevice Kind = C.ZNIPPY_KIND_BLOCK_DEVICE
	KindSocket      Kind = C.ZNIPPY_KIND_SOCKET
)

// Entry is what the index has of one entry. The Sys method of an fs.FileInfo of an archive is an *Entry.
type Entry struct {
	Index      uint64 // its number, in order of path; NoIndex for a directory that is only implied
	Kind       Kind
	Path       string      // byte for byte, not always UTF-8
	LinkTarget string      // of a symbolic link, or the first name of a hard link's file
	Size       uint64      // holes included; 0 for kinds without bytes
	StoredSize uint64      // its share of the archive's payload
	Perm       fs.FileMode // permission, set-id and sticky bits, where HasMode
	ModTime    time.Time   // zero where it is not recorded
	UID, GID   uint32      // where HasUID, HasGID
	Rdev       uint64      // number of a device
	Slices     uint32      // slices with bytes
	Hash       [32]byte    // BLAKE3 of the whole file, where HasHash

	HasMode, HasUID, HasGID, HasHash bool
}

// NoIndex is the number of a directory that has no entry of its own.
const NoIndex uint64 = math.MaxUint64

// HasBytes says whether the entry is a file, also a further name of one.
func (e *Entry) HasBytes() bool { return e.Kind == KindFile || e.Kind == KindHardlink }

// Mode is the entry's type and permissions. Where none are recorded it may be read by everybody.
func (e *Entry) Mode() fs.FileMode {
	mode := e.Perm
	if !e.HasMode {
		mode = 0o444
		if e.Kind == KindDirectory {
			mode = 0o555
		}
	}
	return mode | e.kindMode()
}

func (e *Entry) kindMode() fs.FileMode {
	switch e.Kind {
	case KindFile, KindHardlink:
		return 0
	case KindDirectory:
		return fs.ModeDir
	case KindSymlink:
		return fs.ModeSymlink
	case KindFIFO:
		return fs.ModeNamedPipe
	case KindCharDevice:
		return fs.ModeDevice | fs.ModeCharDevice
	case KindBlockDevice:
		return fs.ModeDevice
	case KindSocket:
		return fs.ModeSocket
	}
	return fs.ModeIrregular
}

// FileInfo is the entry as package fs sees it.
func (e Entry) FileInfo() fs.FileInfo { return &fileInfo{name: path.Base(e.Path), entry: e} }

// entryOf copies a record with its strings.
func entryOf(info *C.znippy_entry_info) Entry {
	e := bareEntry(info)
	e.Path = C.GoStringN(info.path, C.int(info.path_len))
	if info.link_target != nil {
		e.LinkTarget = C.GoStringN(info.link_target, C.int(info.link_target_len))
	}
	return e
}

// bareEntry copies a record without its strings.
func bareEntry(info *C.znippy_entry_info) Entry {
	e := Entry{
		Index:      uint64(info.index),
		Kind:       Kind(info.kind),
		Size:       uint64(info.size),
		StoredSize: uint64(info.stored_size),
		Perm:       permOf(uint32(info.mode)),
		UID:        uint32(info.uid),
		GID:        uint32(info.gid),
		Rdev:       uint64(info.rdev),
		Slices:     uint32(info.slice_count),
		Hash:       digest(&info.hash),
		HasMode:    info.flags&C.ZNIPPY_ENTRY_HAS_MODE != 0,
		HasUID:     info.flags&C.ZNIPPY_ENTRY_HAS_UID != 0,
		HasGID:     info.flags&C.ZNIPPY_ENTRY_HAS_GID != 0,
		HasHash:    info.flags&C.ZNIPPY_ENTRY_HAS_HASH != 0,
	}
	if info.flags&C.ZNIPPY_ENTRY_HAS_MTIME != 0 {
		e.ModTime = time.Unix(0, int64(info.mtime_ns))
	}
	return e
}

// permOf has the bits of 07777 where Go has them.
func permOf(mode uint32) fs.FileMode {
	perm := fs.FileMode(mode & 0o777)
	if mode&0o4000 != 0 {
		perm |= fs.ModeSetuid
	}
	if mode&0o2000 != 0 {
		perm |= fs.ModeSetgid
	}
	if mode&0o1000 != 0 {
		perm |= fs.ModeSticky
	}
	return perm
}

// Len is the number of entries; 0 once the archive is closed.
func (a *Archive) Len() uint64 {
	if !a.acquire() {
		return 0
	}
	defer a.release()
	return uint64(C.znippy_reader_entry_count(a.reader))
}

// Entry is the entry with this number.
func (a *Archive) Entry(index uint64) (Entry, error) {
	entries, err := a.Entries(index, 1)
	if err != nil {
		return Entry{}, err
	}
	if len(entries) == 0 {
		return Entry{}, &Error{Op: "list", Status: NotFound, Message: "the archive has no entry of this number"}
	}
	return entries[0], nil
}

// Entries are up to n entries from number first on, in order of path; fewer, or none, at the end.
func (a *Archive) Entries(first uint64, n int) ([]Entry, error) {
	const op = "list"
	if !a.acquire() {
		return nil, closed(op)
	}
	defer a.release()
	count := uint64(C.znippy_reader_entry_count(a.reader))
	if first >= count || n <= 0 {
		return nil, nil
	}
	if left := count - first; uint64(n) > left {
		n = int(left)
	}
	entries := make([]Entry, 0, n)
	for len(entries) < n {
		room := minimum(n-len(entries), listBatch)
		var got C.size_t
		var infos *C.znippy_entry_info
		var listing *C.znippy_listing
		var object *C.znippy_error
		stress()
		status := C.zgo_list(a.reader, C.uint64_t(first)+C.uint64_t(len(entries)), C.size_t(room), &infos, &got, &listing, &object)
		if status < 0 {
			return nil, a.fail(op, a.path, status, object)
		}
		records := unsafe.Slice(infos, int(got))
		for i := range records {
			entries = append(entries, entryOf(&records[i]))
		}
		C.free(unsafe.Pointer(infos))
		C.znippy_listing_free(listing)
		if got == 0 {
			break
		}
	}
	return entries, nil
}

// listBatch is how many records come from C at a time.
const listBatch = 4096

// EachEntry calls a function with every entry, in order of path, until it returns an error or the context ends.
func (a *Archive) EachEntry(ctx context.Context, function func(Entry) error) error {
	for first := uint64(0); ; first += listBatch {
		if err := ctx.Err(); err != nil {
			return &Error{Op: "list", Status: Cancelled, Message: Cancelled.Error(), cause: err}
		}
		entries, err := a.Entries(first, listBatch)
		if err != nil || len(entries) == 0 {
			return err
		}
		for _, entry := range entries {
			if err := function(entry); err != nil {
				return err
			}
		}
	}
}

// Find is the number of the entry with exactly this path, which need not be UTF-8. No link is followed.
func (a *Archive) Find(path string) (uint64, error) {
	const op = "find"
	if !a.acquire() {
		return 0, closed(op)
	}
	defer a.release()
	var index C.uint64_t
	var object *C.znippy_error
	status := C.znippy_reader_find(a.reader, stringPointer(path), C.size_t(len(path)), &index, &object)
	if status < 0 {
		return 0, a.fail(op, path, status, object)
	}
	return uint64(index), nil
}

// ReadAt reads an entry's bytes from an offset, as io.ReaderAt does.
func (a *Archive) ReadAt(index uint64, p []byte, offset int64) (int, error) {
	return a.readAt(index, p, offset, "read", "")
}

// FindData is the first run of bytes at or after offset that is no hole. Both are the entry's size where there is none.
func (a *Archive) FindData(index, offset uint64) (start, end uint64, err error) {
	const op = "find data"
	if !a.acquire() {
		return 0, 0, closed(op)
	}
	defer a.release()
	var from, to C.uint64_t
	var object *C.znippy_error
	if status := C.znippy_reader_find_data(a.reader, C.uint64_t(index), C.uint64_t(offset), &from, &to, &object); status < 0 {
		return 0, 0, a.fail(op, a.path, status, object)
	}
	return uint64(from), uint64(to), nil
}

// ReadEntry is all bytes of an entry. The context is looked at between pieces of a few MiB.
func (a *Archive) ReadEntry(ctx context.Context, index uint64) ([]byte, error) {
	entry, err := a.Entry(index)
	if err != nil {
		return nil, err
	}
	return a.readAll(ctx, &entry)
}

// VerifyEntry checks one entry's bytes against their hashes.
func (a *Archive) VerifyEntry(index uint64) error {
	const op = "verify"
	if !a.acquire() {
		return closed(op)
	}
	defer a.release()
	var object *C.znippy_error
	if status := C.znippy_reader_verify_entry(a.reader, C.uint64_t(index), &object); status < 0 {
		return a.fail(op, a.path, status, object)
	}
	return nil
}

// lookup is the entry with this path, or a directory that entries below it imply. No link is followed. The error is NotFound as it stands
// where there is none.
func (a *Archive) lookup(name string) (Entry, error) {
	const op = "stat"
	if !a.acquire() {
		return Entry{}, closed(op)
	}
	defer a.release()
	var info C.znippy_entry_info
	var listing *C.znippy_listing
	var object *C.znippy_error
	info.struct_size = C.sizeof_znippy_entry_info
	status := C.zgo_lookup(a.reader, stringPointer(name), C.size_t(len(name)), &info, &listing, &object)
	if status == C.ZNIPPY_E_NOT_FOUND && object == nil {
		return Entry{}, NotFound
	}
	if status < 0 {
		return Entry{}, a.fail(op, name, status, object)
	}
	e := bareEntry(&info)
	e.Path = name
	if info.link_target != nil {
		e.LinkTarget = C.GoStringN(info.link_target, C.int(info.link_target_len))
	}
	if listing != nil {
		info.link_target = nil
		C.znippy_listing_free(listing)
	}
	return e, nil
}

// readAt is ReadAt with what an error is to name.
func (a *Archive) readAt(index uint64, p []byte, offset int64, op, path string) (int, error) {
	if offset < 0 {
		return 0, &Error{Op: op, Path: path, Status: InvalidArgument, Message: "the offset is negative"}
	}
	if !a.acquire() {
		return 0, closed(op)
	}
	defer a.release()
	var n C.size_t
	var object *C.znippy_error
	status := C.znippy_reader_read_at(a.reader, C.uint64_t(index), C.uint64_t(offset), bytesPointer(p), C.size_t(len(p)), &n, &object)
	if status < 0 {
		return 0, a.fail(op, path, status, object)
	}
	if int(n) < len(p) {
		return int(n), errEOF
	}
	return int(n), nil
}

// readPiece is what is read between two looks at a context.
const readPiece = 4 << 20

// readAll reads a file whole.
func (a *Archive) readAll(ctx context.Context, e *Entry) ([]byte, error) {
	const op = "read"
	if !e.HasBytes() {
		return []byte{}, nil
	}
	if e.Size > math.MaxInt64/2 || uint64(int(e.Size)) != e.Size {
		return nil, &Error{Op: op, Path: e.Path, Status: LimitExceeded, Message: "the entry doesn't fit into memory"}
	}
	data := make([]byte, 0, minimum(int(e.Size), 64<<20))
	for {
		if err := ctx.Err(); err != nil {
			return nil, &Error{Op: op, Path: e.Path, Status: Cancelled, Message: Cancelled.Error(), cause: err}
		}
		if uint64(len(data)) == e.Size {
			return data, nil
		}
		// Grows as it is filled: what an index says of a size is believed when the bytes are there.
		piece := minimum(int(e.Size)-len(data), readPiece)
		if cap(data)-len(data) < piece {
			data = append(data, make([]byte, piece)...)[:len(data)]
		}
		n, err := a.readAt(e.Index, data[len(data):len(data)+piece], int64(len(data)), op, e.Path)
		data = data[:len(data)+n]
		if n < piece {
			if err == errEOF {
				err = &Error{Op: op, Path: e.Path, Status: Corrupt, Message: "the entry is shorter than its size"}
			}
			return nil, err
		}
	}
}

func minimum(a, b int) int {
	if a < b {
		return a
	}
	return b
}
