package znippy

// #include <stdlib.h>
// #include "callbacks.h"
import "C"

import (
	"fmt"
	"runtime"
	"strings"
	"unsafe"
)

// ColumnType is the type of a column's values.
type ColumnType uint32

const (
	Text    ColumnType = C.ZNIPPY_COLUMN_UTF8    // UTF-8
	Int64   ColumnType = C.ZNIPPY_COLUMN_INT64   //
	Float64 ColumnType = C.ZNIPPY_COLUMN_FLOAT64 //
	Binary  ColumnType = C.ZNIPPY_COLUMN_BINARY  // any bytes
)

// Column is a column of the index that a provider fills.
type Column struct {
	Name string // 1 to 255 bytes of UTF-8, not the name of another column
	Type ColumnType
}

// Provider finds values in the bytes of files that are packed; they stand in columns of the archive's index. Each file of a tree is offered
// while its bytes are in memory, save files of over 64 MiB and those that are added one by one.
type Provider struct {
	Name    string // what errors call it
	PkgType int8   // what stands in the column pkg_type of the files that it claims
	Columns []Column

	// Concurrent allows calls of Wants and Extract at the same time.
	Concurrent bool

	// Wants says whether Extract is to look at a file; nil wants all. It is called on any thread.
	Wants func(path string, size uint64) bool

	// Extract looks at all bytes of a file, sets values, and says whether the file is claimed. data and row end with the
	// call. It is called on any thread.
	Extract func(path string, data []byte, row *Row) (bool, error)
}

// WithProvider has packing offer each file to the provider. The first provider that claims a file has it.
func WithProvider(provider Provider) Option {
	return func(s *settings) { s.providers = append(s.providers, provider) }
}

// Row takes the values of one file. What isn't set is null. The first error of a setter fails the call of Extract that the row came
// with, so it need not be looked at.
type Row struct {
	row *C.znippy_row
	err error
}

// SetInt64 sets a value of a column of the type Int64. Columns count from 0.
func (r *Row) SetInt64(column int, v int64) error {
	return r.set(column, func() C.znippy_status {
		return C.znippy_row_set_i64(r.row, C.size_t(column), C.int64_t(v))
	})
}

// SetFloat64 sets a value of a column of the type Float64.
func (r *Row) SetFloat64(column int, v float64) error {
	return r.set(column, func() C.znippy_status {
		return C.znippy_row_set_f64(r.row, C.size_t(column), C.double(v))
	})
}

// SetText sets a value of a column of the type Text.
func (r *Row) SetText(column int, v string) error {
	return r.set(column, func() C.znippy_status {
		status := C.znippy_row_set_bytes(r.row, C.size_t(column), unsafe.Pointer(stringPointer(v)), C.size_t(len(v)))
		runtime.KeepAlive(v)
		return status
	})
}

// SetBinary sets a value of a column of the type Binary.
func (r *Row) SetBinary(column int, v []byte) error {
	return r.set(column, func() C.znippy_status {
		return C.znippy_row_set_bytes(r.row, C.size_t(column), bytesPointer(v), C.size_t(len(v)))
	})
}

// SetNull makes a value null again.
func (r *Row) SetNull(column int) error {
	return r.set(column, func() C.znippy_status { return C.znippy_row_set_null(r.row, C.size_t(column)) })
}

func (r *Row) set(column int, call func() C.znippy_status) error {
	if r.row == nil {
		return &Error{Op: "row", Status: InvalidState, Message: "the row ended with the call of Extract that it came with"}
	}
	if column < 0 {
		column = -1 // far beyond the last one as a size_t
	}
	if status := call(); status < 0 {
		err := &Error{Op: "row", Status: Status(status), Message: fmt.Sprintf("column %d: %s", column, Status(status).Error())}
		if r.err == nil {
			r.err = err
		}
		return err
	}
	return nil
}

// providerHost is what a provider's callbacks find by their handle.
type providerHost struct {
	provider Provider
	*trouble
}

func (c *call) addProvider(provider Provider) error {
	if provider.Extract == nil {
		return &Error{Op: c.op, Status: InvalidArgument, Message: "a provider has no Extract"}
	}
	for _, column := range provider.Columns {
		if strings.IndexByte(column.Name, 0) >= 0 {
			return &Error{Op: c.op, Status: InvalidArgument, Message: "the name of a column contains a NUL byte"}
		}
	}
	var names []byte
	var types []C.uint32_t
	for _, column := range provider.Columns {
		names = append(append(names, column.Name...), 0)
		types = append(types, C.uint32_t(column.Type))
	}
	names, types = append(names, 0), append(types, 0)
	var flags C.uint32_t
	if provider.Concurrent {
		flags = C.ZNIPPY_PROVIDER_CONCURRENT
	}
	name := C.CString(provider.Name)
	defer C.free(unsafe.Pointer(name))
	handle := c.handle(&providerHost{provider, &c.host.trouble})
	var object *C.znippy_error
	status := C.zgo_add_provider(c.options, name, C.int32_t(provider.PkgType), flags, (*C.char)(unsafe.Pointer(&names[0])),
		&types[0], C.size_t(len(provider.Columns)), C.uintptr_t(handle), &object)
	if status < 0 {
		return newError(c.op, "", status, object)
	}
	return nil
}
