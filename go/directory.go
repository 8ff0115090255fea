package znippy

// #include <stdlib.h>
// #include "callbacks.h"
import "C"

import (
	"io"
	"io/fs"
	"sync"
	"unicode/utf8"
	"unsafe"
)

// directory is an open directory.
type directory struct {
	archive  *Archive
	info     *fileInfo
	path     string
	links    bool
	mutex    sync.Mutex
	children *children // nil until something was read
	waiting  []fs.DirEntry
	closed   bool
}

var _ fs.ReadDirFile = (*directory)(nil)

func (d *directory) Stat() (fs.FileInfo, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.closed {
		return nil, &fs.PathError{Op: "stat", Path: d.info.name, Err: fs.ErrClosed}
	}
	return d.info, nil
}

func (d *directory) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.name, Err: errIsDirectory}
}

func (d *directory) Close() error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.closed {
		return &fs.PathError{Op: "close", Path: d.info.name, Err: fs.ErrClosed}
	}
	d.closed, d.children, d.waiting = true, nil, nil
	return nil
}

// ReadDir lists the directory in order of name where all is asked for at once, else in the order of the index.
func (d *directory) ReadDir(n int) ([]fs.DirEntry, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.closed {
		return nil, &fs.PathError{Op: "readdir", Path: d.info.name, Err: fs.ErrClosed}
	}
	if d.children == nil {
		d.children = &children{archive: d.archive, links: d.links}
		if err := d.children.begin(d.path); err != nil {
			d.children = nil
			return nil, pathError("readdir", d.info.name, err)
		}
	}
	for n <= 0 || len(d.waiting) < n {
		more, err := d.children.more()
		if err != nil {
			return nil, pathError("readdir", d.info.name, err)
		}
		if more == nil {
			break
		}
		d.waiting = append(d.waiting, more...)
	}
	list := d.waiting
	if n > 0 {
		if len(list) == 0 {
			return nil, io.EOF
		}
		list = list[:minimum(n, len(list))]
	} else {
		sortByName(list)
	}
	d.waiting = d.waiting[len(list):]
	return list[:len(list):len(list)], nil
}

// children is a walk over what stands right below a directory.
type children struct {
	archive *Archive
	links   bool
	below   string // the directory's path and a slash, or ""
	next    C.uint64_t
	end     C.uint64_t
}

// begin finds where the directory's entries are.
func (c *children) begin(path string) error {
	if path != "" {
		c.below = path + "/"
	}
	if !c.archive.acquire() {
		return closed("readdir")
	}
	defer c.archive.release()
	var count C.uint64_t
	var object *C.znippy_error
	status := C.znippy_reader_find_prefix(c.archive.reader, stringPointer(c.below), C.size_t(len(c.below)), &c.next, &count, &object)
	if status < 0 {
		return c.archive.fail("readdir", path, status, object)
	}
	c.end = c.next + count
	return nil
}

// more is the next batch, nil at the end.
func (c *children) more() ([]fs.DirEntry, error) {
	for c.next < c.end {
		list, err := c.batch()
		if err != nil || len(list) > 0 {
			return list, err
		}
	}
	return nil, nil
}

func (c *children) batch() ([]fs.DirEntry, error) {
	if !c.archive.acquire() {
		return nil, closed("readdir")
	}
	defer c.archive.release()
	var infos *C.znippy_entry_info
	var count, textLen C.size_t
	var text *C.char
	var object *C.znippy_error
	status := C.zgo_children(c.archive.reader, stringPointer(c.below), C.size_t(len(c.below)), &c.next, c.end, listBatch,
		&infos, &count, &text, &textLen, &object)
	if status < 0 {
		return nil, c.archive.fail("readdir", c.below, status, object)
	}
	names := C.GoStringN(text, C.int(textLen))
	C.free(unsafe.Pointer(text))
	defer C.free(unsafe.Pointer(infos))
	list := make([]fs.DirEntry, 0, count)
	room := make([]fileInfo, count)
	records := unsafe.Slice(infos, int(count))
	for i := range records {
		info := &records[i]
		name := names[:info.path_len]
		target := names[info.path_len : info.path_len+info.link_target_len]
		names = names[info.path_len+info.link_target_len:]
		if !utf8.ValidString(name) {
			continue
		}
		room[i] = fileInfo{name: name, entry: bareEntry(info), links: c.links}
		room[i].entry.Path = c.below + name
		room[i].entry.LinkTarget = target
		list = append(list, &room[i])
	}
	return list, nil
}

// all is the whole directory in order of name.
func (c *children) all(path string) ([]fs.DirEntry, error) {
	if err := c.begin(path); err != nil {
		return nil, err
	}
	list := []fs.DirEntry{}
	for {
		more, err := c.more()
		if err != nil {
			return nil, err
		}
		if more == nil {
			sortByName(list)
			return list, nil
		}
		list = append(list, more...)
	}
}
