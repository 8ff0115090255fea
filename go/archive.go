package znippy

// #include <stdlib.h>
// #include "callbacks.h"
import "C"

import (
	"io"
	"os"
	"runtime"
	"runtime/cgo"
	"sync/atomic"
	"unsafe"
)

// Archive is an open archive: an fs.FS, and what can't be said in one. Any number of goroutines may use it at once, and
// Close it beside them.
type Archive struct {
	view   // what it is as a file system
	path   string
	reader *C.znippy_reader
	source *source // nil where the library reads by itself
	recent recent

	// users is the number of calls inside the library, and one more until Close. Who brings it to zero frees the reader.
	users  atomic.Int64
	closed atomic.Bool
}

// Open opens the archive at a path. It takes the same time for any size: the end of the archive is read and checked, the rest when it is
// used. Close frees it.
func Open(path string, options ...Option) (*Archive, error) {
	const op = "open"
	name, _, err := hostPaths(op, path, "")
	if err != nil {
		return nil, err
	}
	defer C.free(unsafe.Pointer(name))
	return open(op, path, options, nil, func(c *call, reader **C.znippy_reader, object **C.znippy_error) C.znippy_status {
		return C.znippy_reader_open(name, c.options, reader, object)
	})
}

// OpenReaderAt opens an archive of size bytes that is read through r, such as an *os.File or a client of a store. The
// calls of r may come at the same time and on any goroutine. r is not closed.
func OpenReaderAt(r io.ReaderAt, size int64, options ...Option) (*Archive, error) {
	const op = "open"
	if size < 0 {
		return nil, &Error{Op: op, Status: InvalidArgument, Message: "an archive has no negative size"}
	}
	s := &source{reader: r}
	return open(op, "", options, s, func(c *call, reader **C.znippy_reader, object **C.znippy_error) C.znippy_status {
		return C.zgo_open_source(C.uintptr_t(cgo.NewHandle(s)), C.uint64_t(size), c.options, reader, object)
	})
}

// OpenFile opens an archive over an open file, which must allow reads at offsets. The descriptor is duplicated; the file
// stays the caller's and may be closed.
func OpenFile(file *os.File, options ...Option) (*Archive, error) {
	connection, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	return open("open", file.Name(), options, nil, func(c *call, reader **C.znippy_reader, object **C.znippy_error) (status C.znippy_status) {
		status = C.ZNIPPY_E_INVALID_ARGUMENT
		connection.Control(func(fd uintptr) {
			status = C.znippy_reader_open_fd(C.intptr_t(fd), c.options, reader, object)
		})
		return status
	})
}

// OpenBytes opens an archive in memory, which is copied.
func OpenBytes(data []byte, options ...Option) (*Archive, error) {
	return open("open", "", options, nil, func(c *call, reader **C.znippy_reader, object **C.znippy_error) C.znippy_status {
		// Memory of Go may not stay with the library beyond the call.
		return C.zgo_open_memory(C.CBytes(data), C.size_t(len(data)), c.options, reader, object)
	})
}

func open(op, path string, options []Option, s *source,
	run func(*call, **C.znippy_reader, **C.znippy_error) C.znippy_status) (*Archive, error) {
	c, err := begin(nil, op, path, options)
	if err != nil {
		return nil, err
	}
	var reader *C.znippy_reader
	var object *C.znippy_error
	stress()
	status := run(c, &reader, &object)
	err = c.finish(status, object)
	a := &Archive{path: path, reader: reader, source: s}
	if err != nil {
		return nil, a.explain(err.(*Error))
	}
	a.view = view{archive: a}
	a.users.Store(1)
	runtime.SetFinalizer(a, (*Archive).Close)
	return a, nil
}

// Close lets go of the archive. Calls that run on other goroutines finish undisturbed, later ones fail with fs.ErrClosed; files that were opened from
// it are closed with it. A second Close does nothing. The error is always nil.
func (a *Archive) Close() error {
	if a.closed.CompareAndSwap(false, true) {
		runtime.SetFinalizer(a, nil)
		a.release()
	}
	return nil
}

// acquire begins a use of the reader; false where it was closed. Each is followed by a release.
func (a *Archive) acquire() bool {
	for {
		users := a.users.Load()
		if users == 0 || a.closed.Load() {
			return false
		}
		if a.users.CompareAndSwap(users, users+1) {
			stress()
			return true
		}
	}
}

func (a *Archive) release() {
	stress()
	if a.users.Add(-1) == 0 {
		C.znippy_reader_free(a.reader)
	}
}

// explain adds to an error what the source said. A panic of the source goes on here.
func (a *Archive) explain(err *Error) error {
	if a.source == nil {
		return err
	}
	if cause := a.source.take(); cause != nil && err.cause == nil && statusOf(cause) == err.Status {
		err.cause = cause
	}
	return err
}

// fail is the error of a function of the reader.
func (a *Archive) fail(op, path string, status C.znippy_status, object *C.znippy_error) error {
	return a.explain(newError(op, path, status, object))
}

// Info is what there is to say of a whole archive; sizes are bytes.
type Info struct {
	FormatVersion uint32
	Size          uint64 // of the archive
	Entries       uint64
	Segments      uint64   // of the index
	Blobs         uint64   //
	PayloadSize   uint64   // of all blobs
	IndexSize     uint64   // everything else
	Digest        [32]byte // BLAKE3 that covers, directly or through other hashes, every byte that matters
}

// Info tells about the archive. No blob is decoded.
func (a *Archive) Info() (Info, error) {
	const op = "info"
	if !a.acquire() {
		return Info{}, closed(op)
	}
	defer a.release()
	info := C.znippy_archive_info{struct_size: C.sizeof_znippy_archive_info}
	var object *C.znippy_error
	if status := C.znippy_reader_info(a.reader, &info, &object); status < 0 {
		return Info{}, a.fail(op, a.path, status, object)
	}
	return Info{
		FormatVersion: uint32(info.format_version),
		Size:          uint64(info.archive_size),
		Entries:       uint64(info.entries),
		Segments:      uint64(info.segments),
		Blobs:         uint64(info.blobs),
		PayloadSize:   uint64(info.payload_size),
		IndexSize:     uint64(info.index_size),
		Digest:        digest(&info.archive_digest),
	}, nil
}

// TreeDigest is equal for equal trees, whatever the options and the version that they were packed with. The whole index is
// read, no blob is decoded.
func (a *Archive) TreeDigest() ([32]byte, error) {
	const op = "digest"
	if !a.acquire() {
		return [32]byte{}, closed(op)
	}
	defer a.release()
	var bytes [32]C.uint8_t
	var object *C.znippy_error
	if status := C.znippy_reader_tree_digest(a.reader, &bytes[0], &object); status < 0 {
		return [32]byte{}, a.fail(op, a.path, status, object)
	}
	return digest(&bytes), nil
}

func digest(bytes *[32]C.uint8_t) [32]byte { return *(*[32]byte)(unsafe.Pointer(bytes)) }

// Metadata is what the archive records about itself under a name, such as "level" or "zstd_version".
func (a *Archive) Metadata(name string) (string, bool) {
	if !a.acquire() {
		return "", false
	}
	defer a.release()
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	var value *C.char
	if status := C.znippy_reader_metadata(a.reader, text, &value); status < 0 || value == nil {
		return "", false
	}
	return C.GoString(value), true
}
