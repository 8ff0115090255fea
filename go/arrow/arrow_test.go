package arrow_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"znippy"
	"znippy/arrow"
	"znippy/arrow/internal/consume"
)

// files are enough for several segments of the index.
var files = 20000

func TestIndexReachesAnArrowConsumer(t *testing.T) {
	var out bytes.Buffer
	w, err := znippy.NewWriter(&out)
	check(t, err)

	for i := 0; i < files; i++ {
		check(t, w.Add(znippy.Header{Path: fmt.Sprintf("%05d", i)}, []byte(strings.Repeat("x", i%7))))
	}
	_, err = w.Finish()
	check(t, err)
	archive, err := znippy.OpenBytes(out.Bytes())
	check(t, err)
	names, err := consume.Columns(func(out unsafe.Pointer) error { return arrow.ExportSchema(archive, out) })
	check(t, err)
	if len(names) < 20 || names[0] != "relative_path" {
		t.Errorf("columns: %v", names)
	}
	// The stream outlives the archive.
	rows, err := consume.Rows(func(out unsafe.Pointer) error { return arrow.ExportIndex(archive, out) }, func() { archive.Close() })
	check(t, err)
	if len(rows) != files {
		t.Fatalf("%d rows", len(rows))
	}
	for i, row := range rows {
		if row.Path != fmt.Sprintf("%05d", i) || row.Size != uint64(i%7) {
			t.Fatalf("row %d: %+v", i, row)
		}
	}
	if err := arrow.ExportIndex(archive, nil); err == nil {
		t.Error("exported a closed archive")
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
