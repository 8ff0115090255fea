// Package arrow gives the index of an archive to Arrow libraries, as structs of the Arrow C data interface. It needs no
// Arrow library itself: with arrow-go, which is not a dependency of this module, an index becomes a reader of records so:
//
//	var stream cdata.CArrowArrayStream
//	err := arrow.ExportIndex(archive, unsafe.Pointer(&stream))
//	reader, err := cdata.ImportCRecordReader(&stream, nil)
package arrow

import (
	"unsafe"

	"znippy"
	"znippy/internal/bridge"
)

// ExportSchema stores the schema of the index in the struct ArrowSchema at out, whose release function is the caller's to call.
// What it held before is ignored.
func ExportSchema(archive *znippy.Archive, out unsafe.Pointer) error {
	return bridge.ExportSchema(archive, out)
}

// ExportIndex stores a fresh stream over the whole index in the struct ArrowArrayStream at out, whose release function
// is the caller's to call: a batch an index segment, a row a slice. The stream and its batches may outlive the archive.
func ExportIndex(archive *znippy.Archive, out unsafe.Pointer) error {
	return bridge.ExportIndex(archive, out)
}
