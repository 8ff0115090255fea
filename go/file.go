package znippy

import (
	"io"
	"io/fs"
	"sync"
)

// File is an open file of an archive. Reading, seeking and closing it from several goroutines is safe; ReadAt runs beside
// everything.
type File struct {
	archive *Archive
	info    *fileInfo
	mutex   sync.Mutex // of what follows
	offset  int64
	closed  bool
	ahead   []byte // bytes from aheadAt on, for reads of a few bytes each
	aheadAt int64
}

// readAhead is how many bytes are read for a Read of fewer.
const readAhead = 32 << 10

var (
	_ fs.File           = (*File)(nil)
	_ io.ReadSeekCloser = (*File)(nil)
	_ io.ReaderAt       = (*File)(nil)
	_ io.WriterTo       = (*File)(nil)
)

// errEOF is io.EOF by a name that readAt and readAll share.
var errEOF = io.EOF

// Stat describes the file.
func (f *File) Stat() (fs.FileInfo, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.closed {
		return nil, f.error("stat", fs.ErrClosed)
	}
	return f.info, nil
}

// Close closes the file. The archive stays open.
func (f *File) Close() error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.closed {
		return f.error("close", fs.ErrClosed)
	}
	f.closed, f.ahead = true, nil
	return nil
}

// Read reads the bytes that follow those that were read before.
func (f *File) Read(p []byte) (int, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.closed {
		return 0, f.error("read", fs.ErrClosed)
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := f.next(p)
	f.offset += int64(n)
	if n > 0 && err == errEOF {
		err = nil
	}
	return n, err
}

// next reads at the offset. A short read is served from bytes that were read ahead.
func (f *File) next(p []byte) (int, error) {
	if len(p) >= readAhead {
		return f.at(p, f.offset)
	}
	if skip := f.offset - f.aheadAt; skip < 0 || skip >= int64(len(f.ahead)) {
		left := f.info.Size() - f.offset
		if left <= int64(len(p)) {
			return f.at(p, f.offset)
		}
		if left > readAhead {
			left = readAhead
		}
		if int64(cap(f.ahead)) < left {
			f.ahead = make([]byte, left)
		}
		n, err := f.at(f.ahead[:left], f.offset)
		if f.ahead, f.aheadAt = f.ahead[:n], f.offset; n == 0 {
			return 0, err
		}
	}
	return copy(p, f.ahead[f.offset-f.aheadAt:]), nil
}

// ReadAt reads bytes at an offset.
func (f *File) ReadAt(p []byte, offset int64) (int, error) {
	f.mutex.Lock()
	closed := f.closed
	f.mutex.Unlock()
	if closed {
		return 0, f.error("read", fs.ErrClosed)
	}
	return f.at(p, offset)
}

// Seek sets where the next Read begins.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.closed {
		return 0, f.error("seek", fs.ErrClosed)
	}
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += f.offset
	case io.SeekEnd:
		offset += f.info.Size()
	default:
		return 0, f.error("seek", fs.ErrInvalid)
	}
	if offset < 0 {
		return 0, f.error("seek", fs.ErrInvalid)
	}
	f.offset = offset
	return offset, nil
}

// pieces are what WriteTo carries bytes in.
var pieces = sync.Pool{New: func() any { return new([1 << 20]byte) }}

// WriteTo writes what is left of the file, in pieces of up to 1 MiB.
func (f *File) WriteTo(w io.Writer) (int64, error) {
	piece := pieces.Get().(*[1 << 20]byte)
	defer pieces.Put(piece)
	var written int64
	for {
		n, err := f.Read(piece[:])
		if n > 0 {
			wrote, err := w.Write(piece[:n])
			written += int64(wrote)
			if err == nil && wrote < n {
				err = io.ErrShortWrite
			}
			if err != nil {
				return written, err
			}
		}
		if err == io.EOF {
			return written, nil
		}
		if err != nil {
			return written, err
		}
	}
}

func (f *File) at(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, f.error("read", fs.ErrInvalid)
	}
	if offset >= f.info.Size() {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	e := &f.info.entry
	if e.Kind == KindSymlink {
		n := copy(p, e.LinkTarget[offset:])
		if n < len(p) {
			return n, io.EOF
		}
		return n, nil
	}
	n, err := f.archive.readAt(e.Index, p, offset, "", e.Path)
	if err != nil && err != errEOF {
		return n, f.error("read", err)
	}
	return n, err
}

func (f *File) error(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.info.name, Err: err}
}
