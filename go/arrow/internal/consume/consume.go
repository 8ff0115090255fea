// Package consume reads a stream of the Arrow C data interface in C, for the tests of package arrow: test files can't use cgo.
package consume

/*
#cgo pkg-config: znippy
#include <stdlib.h>
#include <string.h>
#include <znippy/arrow_abi.h>

static int next(struct ArrowArrayStream *s, struct ArrowArray *a) { return s->get_next(s, a); }
static int schema(struct ArrowArrayStream *s, struct ArrowSchema *a) { return s->get_schema(s, a); }
static void release_stream(struct ArrowArrayStream *s) { s->release(s); }
static void release_array(struct ArrowArray *a) { if (a->release) a->release(a); }
static void release_schema(struct ArrowSchema *a) { if (a->release) a->release(a); }

static int column(const struct ArrowSchema *schema, const char *name, const char *format) {
    for (int64_t i = 0; i < schema->n_children; i++)
        if (!strcmp(schema->children[i]->name, name)) return strcmp(schema->children[i]->format, format) ? -2 : (int)i;
    return -1;
}
static const char *text(const struct ArrowArray *batch, int column, int64_t row, int32_t *len) {
    const struct ArrowArray *a = batch->children[column];
    const int32_t *offsets = (const int32_t *)a->buffers[1] + a->offset;
    *len = offsets[row + 1] - offsets[row];
    return (const char *)a->buffers[2] + offsets[row];
}
static uint64_t number(const struct ArrowArray *batch, int column, int64_t row) {
    const struct ArrowArray *a = batch->children[column];
    return ((const uint64_t *)a->buffers[1])[a->offset + row];
}
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// Row is what two columns of the index say of a slice.
type Row struct {
	Path string
	Size uint64
}

// Rows has a stream exported, reads it to its end, and releases everything. between is called before the first batch.
func Rows(export func(unsafe.Pointer) error, between func()) ([]Row, error) {
	stream := (*C.struct_ArrowArrayStream)(C.calloc(1, C.sizeof_struct_ArrowArrayStream))
	defer C.free(unsafe.Pointer(stream))
	if err := export(unsafe.Pointer(stream)); err != nil {
		return nil, err
	}
	defer C.release_stream(stream)
	between()
	schema := (*C.struct_ArrowSchema)(C.calloc(1, C.sizeof_struct_ArrowSchema))
	defer C.free(unsafe.Pointer(schema))
	if code := C.schema(stream, schema); code != 0 {
		return nil, fmt.Errorf("get_schema: %d", code)
	}
	defer C.release_schema(schema)
	path, size := C.column(schema, C.CString("relative_path"), C.CString("u")), C.column(schema, C.CString("uncompressed_size"), C.CString("L"))
	if path < 0 || size < 0 {
		return nil, fmt.Errorf("columns: %d, %d", path, size)
	}
	batch := (*C.struct_ArrowArray)(C.calloc(1, C.sizeof_struct_ArrowArray))
	defer C.free(unsafe.Pointer(batch))
	var rows []Row
	for {
		if code := C.next(stream, batch); code != 0 {
			return nil, fmt.Errorf("get_next: %d", code)
		}
		if batch.release == nil {
			return rows, nil
		}
		for i := C.int64_t(0); i < batch.length; i++ {
			var n C.int32_t
			text := C.text(batch, path, i, &n)
			rows = append(rows, Row{C.GoStringN(text, C.int(n)), uint64(C.number(batch, size, i))})
		}
		C.release_array(batch)
	}
}

// Columns are the names in a schema.
func Columns(export func(unsafe.Pointer) error) ([]string, error) {
	schema := (*C.struct_ArrowSchema)(C.calloc(1, C.sizeof_struct_ArrowSchema))
	defer C.free(unsafe.Pointer(schema))
	if err := export(unsafe.Pointer(schema)); err != nil {
		return nil, err
	}
	defer C.release_schema(schema)
	var names []string
	for _, child := range unsafe.Slice(schema.children, int(schema.n_children)) {
		names = append(names, C.GoString(child.name))
	}
	return names, nil
}
