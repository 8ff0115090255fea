package znippy

// #include "callbacks.h"
import "C"

import (
	"unsafe"

	"znippy/internal/bridge"
)

// Package arrow is beside this one so that programs without Arrow don't see it.
func init() {
	bridge.ExportSchema = func(archive any, out unsafe.Pointer) error {
		return archive.(*Archive).export(func(reader *C.znippy_reader, object **C.znippy_error) C.znippy_status {
			return C.znippy_reader_export_schema(reader, (*C.struct_ArrowSchema)(out), object)
		})
	}
	bridge.ExportIndex = func(archive any, out unsafe.Pointer) error {
		return archive.(*Archive).export(func(reader *C.znippy_reader, object **C.znippy_error) C.znippy_status {
			return C.znippy_reader_export_index(reader, nil, (*C.struct_ArrowArrayStream)(out), object)
		})
	}
}

func (a *Archive) export(run func(*C.znippy_reader, **C.znippy_error) C.znippy_status) error {
	const op = "export"
	if !a.acquire() {
		return closed(op)
	}
	defer a.release()
	var object *C.znippy_error
	if status := run(a.reader, &object); status < 0 {
		return a.fail(op, a.path, status, object)
	}
	return nil
}
