package znippy

// #include <stdlib.h>
// #include "callbacks.h"
import "C"

import (
	"context"
	"unsafe"
)

// Extract restores the whole archive src below the directory dst, which is made where it doesn't exist; its parent must exist.
// Nothing is written outside of dst. With [KeepGoing] the statistics count also beside an error that is Partial.
func Extract(ctx context.Context, src, dst string, options ...Option) (Stats, error) {
	const op = "extract"
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
	status := C.znippy_extract_archive(from, to, c.options, &stats, &object)
	return statsUnlessFailed(&stats, status), c.finish(status, object)
}

// Verify checks every byte of the archive against its hash. Nothing is written.
func Verify(ctx context.Context, path string, options ...Option) (Stats, error) {
	archive, err := Open(path, options...)
	if err != nil {
		return Stats{}, err
	}
	defer archive.Close()
	return archive.Verify(ctx, options...)
}

// Extract restores the whole archive below a directory, as the function [Extract] does.
func (a *Archive) Extract(ctx context.Context, dir string, options ...Option) (Stats, error) {
	const op = "extract"
	to, _, err := hostPaths(op, dir, "")
	if err != nil {
		return Stats{}, err
	}
	defer C.free(unsafe.Pointer(to))
	return a.job(ctx, op, options, func(c *call, stats *C.znippy_stats, object **C.znippy_error) C.znippy_status {
		return C.znippy_reader_extract_all(a.reader, to, c.options, stats, object)
	})
}

// ExtractEntry restores one entry to exactly the path dst, whose directory must exist.
func (a *Archive) ExtractEntry(ctx context.Context, index uint64, dst string, options ...Option) error {
	const op = "extract"
	to, _, err := hostPaths(op, dst, "")
	if err != nil {
		return err
	}
	defer C.free(unsafe.Pointer(to))
	_, err = a.job(ctx, op, options, func(c *call, _ *C.znippy_stats, object **C.znippy_error) C.znippy_status {
		return C.znippy_reader_extract(a.reader, C.uint64_t(index), to, c.options, object)
	})
	return err
}

// Verify checks every slice and file against its hash, and the index. Nothing is written.
func (a *Archive) Verify(ctx context.Context, options ...Option) (Stats, error) {
	return a.job(ctx, "verify", options, func(c *call, stats *C.znippy_stats, object **C.znippy_error) C.znippy_status {
		return C.znippy_reader_verify(a.reader, c.options, stats, object)
	})
}

// VerifyQuick checks stored bytes against their hashes without decoding them, at the speed of the disk.
func (a *Archive) VerifyQuick(ctx context.Context, options ...Option) (Stats, error) {
	return a.job(ctx, "verify", options, func(c *call, stats *C.znippy_stats, object **C.znippy_error) C.znippy_status {
		return C.znippy_reader_verify_quick(a.reader, c.options, stats, object)
	})
}

// job is a call of the archive that works for long.
func (a *Archive) job(ctx context.Context, op string, options []Option,
	run func(*call, *C.znippy_stats, **C.znippy_error) C.znippy_status) (Stats, error) {
	if !a.acquire() {
		return Stats{}, closed(op)
	}
	defer a.release()
	c, err := begin(ctx, op, a.path, options)
	if err != nil {
		return Stats{}, err
	}
	stats := newStats()
	var object *C.znippy_error
	stress()
	status := run(c, &stats, &object)
	result := statsUnlessFailed(&stats, status)
	if err := c.finish(status, object); err != nil {
		return result, a.explain(err.(*Error))
	}
	return result, nil
}

// statsUnlessFailed is nothing where the library may not have written them.
func statsUnlessFailed(stats *C.znippy_stats, status C.znippy_status) Stats {
	if status < 0 && status != C.ZNIPPY_E_PARTIAL {
		return Stats{}
	}
	return statsOf(stats)
}
