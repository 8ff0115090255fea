package znippy

// #include <stdlib.h>
// #include "callbacks.h"
import "C"

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime"
	"runtime/cgo"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// Writer makes an archive of trees, files, bytes and streams, on all cores. It takes one call at a time; one that comes in
// between fails with Busy. Finish ends the archive, Close without Finish leaves nothing behind.
type Writer struct {
	mutex  sync.Mutex
	writer *C.znippy_writer // NULL once closed
	call   *call
}

// sink and stream are what their callbacks find by their handles.
type sink struct {
	writer io.Writer
	*trouble
}

type stream struct {
	reader io.Reader
	*trouble
}

// Header says what is recorded of an entry.
type Header struct {
	Path       string      // in the archive: relative, with slashes, need not be UTF-8
	Mode       fs.FileMode // type and permissions
	NoMode     bool        // the permissions are not recorded
	ModTime    time.Time   // not recorded where it is zero
	LinkTarget string      // of a symbolic link; of a hard link the path of a file that was added before
	Hardlink   bool        // the entry is a further name of the file LinkTarget
	Rdev       uint64      // number of a device
	Owner      *Owner      // not recorded where it is nil
}

// Owner is a numeric user and group.
type Owner struct{ UID, GID uint32 }

// FileInfoHeader is the header of what info describes. link is the target where it is a symbolic link.
func FileInfoHeader(path string, info fs.FileInfo, link string) Header {
	return Header{Path: path, Mode: info.Mode(), ModTime: info.ModTime(), LinkTarget: link}
}

// Create begins an archive that stands under the name path once it is finished.
func Create(path string, options ...Option) (*Writer, error) {
	return newWriter("create", path, options, func(c *call, name *C.char, writer **C.znippy_writer, object **C.znippy_error) C.znippy_status {
		return C.znippy_writer_create(name, c.options, writer, object)
	})
}

// Append opens an archive to add to it. The old one stands until Finish puts the result in its place.
func Append(path string, options ...Option) (*Writer, error) {
	return newWriter("append", path, options, func(c *call, name *C.char, writer **C.znippy_writer, object **C.znippy_error) C.znippy_status {
		return C.znippy_writer_append(name, c.options, writer, object)
	})
}

// NewWriter begins an archive whose bytes go to w from the first to the last. w is called inside calls of the Writer, with at most 1 MiB
// at a time, and is not closed.
func NewWriter(w io.Writer, options ...Option) (*Writer, error) {
	return newWriter("create", "", options, func(c *call, _ *C.char, writer **C.znippy_writer, object **C.znippy_error) C.znippy_status {
		handle := c.handle(&sink{w, &c.host.trouble})
		return C.zgo_create_sink(C.uintptr_t(handle), c.options, writer, object)
	})
}

func newWriter(op, path string, options []Option,
	run func(*call, *C.char, **C.znippy_writer, **C.znippy_error) C.znippy_status) (*Writer, error) {
	name, _, err := hostPaths(op, path, "")
	if err != nil {
		return nil, err
	}
	defer C.free(unsafe.Pointer(name))
	c, err := begin(nil, op, path, options)
	if err != nil {
		return nil, err
	}
	var writer *C.znippy_writer
	var object *C.znippy_error
	stress()
	status := run(c, name, &writer, &object)
	if status < 0 {
		return nil, c.finish(status, object)
	}
	w := &Writer{writer: writer, call: c}
	runtime.SetFinalizer(w, (*Writer).Close)
	return w, c.result(status, object)
}

// AddDir adds everything below the directory dir, with prefix and a slash in front of each path; the directory itself becomes
// the entry prefix. With prefix "" its mode and time are those of the archive's root.
func (w *Writer) AddDir(dir, prefix string) error {
	name, _, err := hostPaths("add", dir, "")
	if err != nil {
		return err
	}
	defer C.free(unsafe.Pointer(name))
	return w.do("add", dir, func(object **C.znippy_error) C.znippy_status {
		return C.znippy_writer_add_tree(w.writer, name, stringPointer(prefix), C.size_t(len(prefix)), object)
	})
}

// AddArchive adds all entries of an archive, with prefix and a slash in front of each path; what is recorded of its root becomes the
// entry prefix. Its blobs are copied as they are; what is there already is not stored again. So archives are merged: [Create] one or
// [Append] to one, and add others.
func (w *Writer) AddArchive(archive *Archive, prefix string) error {
	if !archive.acquire() {
		return closed("add")
	}
	defer archive.release()
	return w.do("add", prefix, func(object **C.znippy_error) C.znippy_status {
		return C.znippy_writer_add_archive(w.writer, archive.reader, stringPointer(prefix), C.size_t(len(prefix)), object)
	})
}

// AddFile adds the regular file src as path, with its mode and time.
func (w *Writer) AddFile(src, path string) error {
	name, _, err := hostPaths("add", src, "")
	if err != nil {
		return err
	}
	defer C.free(unsafe.Pointer(name))
	return w.do("add", src, func(object **C.znippy_error) C.znippy_status {
		return C.znippy_writer_add_file(w.writer, name, stringPointer(path), C.size_t(len(path)), object)
	})
}

// Add adds an entry with these bytes, or without bytes one of any kind. A directory with an empty path is the archive's own root:
// its mode and time are recorded, and it is no entry.
func (w *Writer) Add(header Header, data []byte) error {
	info, err := header.record()
	if err != nil {
		return err
	}
	return w.do("add", header.Path, func(object **C.znippy_error) C.znippy_status {
		return C.zgo_add_buffer(w.writer, &info, stringPointer(header.Path), C.size_t(len(header.Path)),
			stringPointer(header.LinkTarget), C.size_t(len(header.LinkTarget)), bytesPointer(data), C.size_t(len(data)), object)
	})
}

// SetXattr gives what the last call added, which was Add or AddReader, an extended attribute.
func (w *Writer) SetXattr(name string, value []byte) error {
	return w.do("set xattr", name, func(object **C.znippy_error) C.znippy_status {
		return C.znippy_writer_set_xattr(w.writer, stringPointer(name), C.size_t(len(name)), bytesPointer(value),
			C.size_t(len(value)), object)
	})
}

// AddReader adds a file of what r gives up to its end. An error of r leaves the Writer usable and nothing of the entry.
func (w *Writer) AddReader(header Header, r io.Reader) error {
	info, err := header.record()
	if err != nil {
		return err
	}
	return w.do("add", header.Path, func(object **C.znippy_error) C.znippy_status {
		handle := cgo.NewHandle(&stream{r, &w.call.host.trouble})
		defer handle.Delete()
		return C.zgo_add_stream(w.writer, &info, stringPointer(header.Path), C.size_t(len(header.Path)), C.uintptr_t(handle), object)
	})
}

// AddFS adds every file and directory of a file system, with prefix and a slash in front of each path.
func (w *Writer) AddFS(fsys fs.FS, prefix string) error {
	return fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name == "." {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		header := FileInfoHeader(path.Join(prefix, name), info, "")
		switch {
		case info.IsDir():
			return w.Add(header, nil)
		case info.Mode()&fs.ModeSymlink != 0:
			linked, ok := fsys.(interface{ ReadLink(string) (string, error) })
			if !ok {
				return &Error{Op: "add", Path: name, Status: Unsupported, Message: name + " is a link, which this file system doesn't read"}
			}
			if header.LinkTarget, err = linked.ReadLink(name); err != nil {
				return err
			}
			return w.Add(header, nil)
		case !info.Mode().IsRegular():
			return w.Add(header, nil)
		}
		file, err := fsys.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		return w.AddReader(header, file)
	})
}

// Finish writes what is left and the index, and gives the archive its name. The Writer is closed afterwards, also where this fails.
func (w *Writer) Finish() (Stats, error) {
	stats := newStats()
	err := w.do("finish", "", func(object **C.znippy_error) C.znippy_status {
		return C.znippy_writer_finish(w.writer, &stats, object)
	})
	if known, ok := err.(*Error); ok && known.Status == Busy {
		return Stats{}, err
	}
	w.Close()
	if err != nil {
		return Stats{}, err
	}
	return statsOf(&stats), nil
}

// Close frees the Writer. One that isn't finished leaves nothing behind. A second Close does nothing. Inside a callback of
// the Writer it fails with Busy.
func (w *Writer) Close() error {
	if !w.mutex.TryLock() {
		return busy("close")
	}
	defer w.mutex.Unlock()
	if w.writer != nil {
		runtime.SetFinalizer(w, nil)
		stress()
		C.znippy_writer_free(w.writer)
		w.writer = nil
		w.call.free()
	}
	return nil
}

// do is one call of the writer.
func (w *Writer) do(op, path string, run func(**C.znippy_error) C.znippy_status) error {
	if !w.mutex.TryLock() {
		return busy(op)
	}
	defer w.mutex.Unlock()
	if w.writer == nil {
		return closed(op)
	}
	w.call.op, w.call.path = op, path
	var object *C.znippy_error
	stress()
	status := run(&object)
	return w.call.result(status, object)
}

func busy(op string) error {
	return &Error{Op: op, Status: Busy, Message: "the writer is in another call"}
}

func (h *Header) record() (C.znippy_entry_info, error) {
	info := C.znippy_entry_info{struct_size: C.sizeof_znippy_entry_info}
	switch kind := h.Mode.Type(); {
	case h.Hardlink:
		info.kind = C.ZNIPPY_KIND_HARDLINK
	case kind == 0:
		info.kind = C.ZNIPPY_KIND_FILE
	case kind == fs.ModeDir:
		info.kind = C.ZNIPPY_KIND_DIRECTORY
	case kind == fs.ModeSymlink:
		info.kind = C.ZNIPPY_KIND_SYMLINK
	case kind == fs.ModeNamedPipe:
		info.kind = C.ZNIPPY_KIND_FIFO
	case kind == fs.ModeSocket:
		info.kind = C.ZNIPPY_KIND_SOCKET
	case kind == fs.ModeDevice:
		info.kind = C.ZNIPPY_KIND_BLOCK_DEVICE
	case kind == fs.ModeDevice|fs.ModeCharDevice:
		info.kind = C.ZNIPPY_KIND_CHAR_DEVICE
	default:
		return info, &Error{Op: "add", Path: h.Path, Status: Unsupported, Message: fmt.Sprintf("%s: no archive has entries of the mode %s", h.Path, h.Mode)}
	}
	if strings.IndexByte(h.LinkTarget, 0) >= 0 {
		return info, &Error{Op: "add", Path: h.Path, Status: InvalidArgument, Message: h.Path + ": the link's target contains a NUL byte"}
	}
	if !h.NoMode {
		info.mode = C.uint32_t(h.Mode.Perm())
		for bit, at := range map[fs.FileMode]C.uint32_t{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
			if h.Mode&bit != 0 {
				info.mode |= at
			}
		}
		info.flags |= C.ZNIPPY_ENTRY_HAS_MODE
	}
	if !h.ModTime.IsZero() {
		info.mtime_ns = C.int64_t(h.ModTime.UnixNano())
		info.flags |= C.ZNIPPY_ENTRY_HAS_MTIME
	}
	if h.Owner != nil {
		info.uid, info.gid = C.uint32_t(h.Owner.UID), C.uint32_t(h.Owner.GID)
		info.flags |= C.ZNIPPY_ENTRY_HAS_UID | C.ZNIPPY_ENTRY_HAS_GID
	}
	if h.Mode&fs.ModeDevice != 0 {
		info.rdev = C.uint64_t(h.Rdev)
		info.flags |= C.ZNIPPY_ENTRY_HAS_RDEV
	}
	return info, nil
}
