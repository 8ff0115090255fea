package znippy

// #include <stdlib.h>
// #include "callbacks.h"
import "C"

import (
	"context"
	"strings"
	"unsafe"
)

// CompressDir packs the directory src into the archive dst, which appears complete under its name or not at all, and may not exist
// unless [Overwrite] says so. Its bytes don't depend on the number of threads, the time or the host.
func CompressDir(ctx context.Context, src, dst string, options ...Option) (Stats, error) {
	const op = "compress"
	from, to, err := hostPaths(op, src, dst)
	if err != nil {
		return Stats{}, err
	}
	defer C.free(unsafe.Pointer(from))
	defer C.free(unsafe.Pointer(to))
	c, err := begin(ctx, op, src, options)
	if err != nil {
		return Stats{}, err
	}
	stats := newStats()
	var object *C.znippy_error
	stress()
	status := C.znippy_compress_dir(from, to, c.options, &stats, &object)
	if err := c.finish(status, object); err != nil {
		return Stats{}, err
	}
	return statsOf(&stats), nil
}

// hostPaths makes C strings, which the caller frees.
func hostPaths(op, a, b string) (*C.char, *C.char, error) {
	for _, path := range []string{a, b} {
		if strings.IndexByte(path, 0) >= 0 {
			return nil, nil, &Error{Op: op, Path: path, Status: InvalidArgument, Message: "the path contains a NUL byte"}
		}
	}
	return C.CString(a), C.CString(b), nil
}
