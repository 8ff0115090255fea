package znippy

// #include <stdlib.h>
// #include "callbacks.h"
import "C"

import (
	"context"
	"time"
	"unsafe"
)

// SalvagedIndex says where the names of a salvaged archive come from.
type SalvagedIndex uint32

const (
	IndexLost      SalvagedIndex = C.ZNIPPY_SALVAGE_INDEX_LOST      // there are no names
	IndexWhole     SalvagedIndex = C.ZNIPPY_SALVAGE_INDEX_WHOLE     //
	IndexRecovered SalvagedIndex = C.ZNIPPY_SALVAGE_INDEX_RECOVERED // recovery records made up for what was lost
	IndexPartial   SalvagedIndex = C.ZNIPPY_SALVAGE_INDEX_PARTIAL   // parts of it are lost, and names with them
)

// SalvageReport says what [Salvage] kept and lost; sizes are bytes.
type SalvageReport struct {
	Index           SalvagedIndex
	EntriesKept     uint64 // with their names
	EntriesLost     uint64 // as far as it is known that they were there
	BlocksNameless  uint64 // kept as lost+found/NUMBER
	BlocksUnchecked uint64 // of those, the ones that no known hash covers
	BytesKept       uint64
	BytesLost       uint64 // as far as sizes are known
	Blobs           uint64 // that were looked at
	BlobsDamaged    uint64
	Segments        uint64 // of the index; 0 where the manifest is lost
	SegmentsLost    uint64
	Records         uint64 // recovery records that were found whole
	XattrsLost      uint64 // entries that are kept without their extended attributes
	BytesIn         uint64 // of the damaged archive
	BytesOut        uint64 // of the new one
	Time            time.Duration
}

// Salvage writes what is whole of a damaged archive into a new one, which appears complete under its name or not at all. Where
// something is lost, that happens all the same, the report is there, and the error is of the status [Partial], with what was lost
// as its Failures.
func Salvage(ctx context.Context, damaged, dst string, options ...Option) (SalvageReport, error) {
	const op = "salvage"
	from, to, err := hostPaths(op, damaged, dst)
	if err != nil {
		return SalvageReport{}, err
	}
	defer C.free(unsafe.Pointer(from))
	defer C.free(unsafe.Pointer(to))
	c, err := begin(ctx, op, damaged, options)
	if err != nil {
		return SalvageReport{}, err
	}
	report := C.znippy_salvage_report{struct_size: C.sizeof_znippy_salvage_report}
	var object *C.znippy_error
	stress()
	status := C.znippy_salvage(from, to, c.options, &report, &object)
	if err := c.finish(status, object); err != nil && status != C.ZNIPPY_E_PARTIAL {
		return SalvageReport{}, err
	} else {
		return salvageReportOf(&report), err
	}
}

func salvageReportOf(r *C.znippy_salvage_report) SalvageReport {
	return SalvageReport{
		Index:           SalvagedIndex(r.index),
		EntriesKept:     uint64(r.entries_kept),
		EntriesLost:     uint64(r.entries_lost),
		BlocksNameless:  uint64(r.blocks_nameless),
		BlocksUnchecked: uint64(r.blocks_unchecked),
		BytesKept:       uint64(r.bytes_kept),
		BytesLost:       uint64(r.bytes_lost),
		Blobs:           uint64(r.blobs),
		BlobsDamaged:    uint64(r.blobs_damaged),
		Segments:        uint64(r.segments),
		SegmentsLost:    uint64(r.segments_lost),
		Records:         uint64(r.records),
		XattrsLost:      uint64(r.xattrs_lost),
		BytesIn:         uint64(r.bytes_in),
		BytesOut:        uint64(r.bytes_out),
		Time:            time.Duration(float64(r.seconds) * float64(time.Second)),
	}
}
