package znippy_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"runtime"
	"testing"

	"znippy"
)

// A call from Go into C costs as much as describing an entry does, so lists come many entries at a time.
func TestListsCrossIntoCInBatches(t *testing.T) {
	var out bytes.Buffer
	w, err := znippy.NewWriter(&out)
	check(t, err)
	files := 10000
	if stressed {
		files = 50
	}
	for i := 0; i < files; i++ {
		check(t, w.Add(znippy.Header{Path: fmt.Sprintf("%d/%05d", i%10, i)}, []byte("x")))
	}
	check(t, second(w.Finish()))
	a, err := znippy.OpenBytes(out.Bytes())
	check(t, err)
	defer a.Close()
	for _, c := range []struct {
		what string
		run  func()
		most int64
	}{
		{"a list of 10,000 entries", func() { check(t, second(a.Entries(0, files))) }, 3*10000/4096 + 10},
		{"a directory of 1,000", func() { check(t, second(a.ReadDir("3"))) }, 10},
		{"a walk over 11 directories", func() {
			check(t, fs.WalkDir(a, ".", func(_ string, _ fs.DirEntry, err error) error { return err }))
		}, 11 * 10},
		{"reading all files of a directory that was listed", func() {
			entries, err := a.ReadDir("4")
			check(t, err)
			for _, entry := range entries {
				check(t, second(a.ReadFile("4/"+entry.Name())))
			}
		}, int64(files/10) + 10},
		{"the stat of a file", func() { check(t, second(a.Stat("3/00003"))) }, 2},
		{"a small file whole", func() { check(t, second(a.ReadFile("3/00003"))) }, 4},
	} {
		before := runtime.NumCgoCall()
		c.run()
		crossings := runtime.NumCgoCall() - before
		t.Logf("%s: %d crossings", c.what, crossings)
		if crossings > c.most {
			t.Errorf("%s: %d crossings, more than %d", c.what, crossings, c.most)
		}
	}
}
