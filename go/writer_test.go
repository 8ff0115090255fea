package znippy_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"znippy"
)

func TestWriterMakesTheSameBytesIntoFileAndStream(t *testing.T) {
	dir := makeTree(t)
	name := filepath.Join(t.TempDir(), "x")
	var stream bytes.Buffer
	file, err := znippy.Create(name)
	check(t, err)
	pipe, err := znippy.NewWriter(&stream, znippy.Threads(1))
	check(t, err)
	for _, w := range []*znippy.Writer{file, pipe} {
		check(t, w.AddDir(dir, "tree"))
		check(t, w.AddFile(filepath.Join(dir, "README"), "one"))
		check(t, w.Add(znippy.Header{Path: "two", Mode: 0o600}, []byte("bytes")))
		check(t, w.AddReader(znippy.Header{Path: "three", NoMode: true}, strings.NewReader("a stream")))
		if err := w.Add(znippy.Header{Path: "two"}, nil); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a path twice: %v", err)
		}
		if err := w.Add(znippy.Header{Path: "../x"}, nil); !errors.Is(err, znippy.UnsafePath) {
			t.Errorf("a path that leads out: %v", err)
		}
		gone(t, name)
		stats, err := w.Finish()
		check(t, err)
		if stats.Files < 300 {
			t.Errorf("%+v", stats)
		}
		if _, err := w.Finish(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("a second Finish: %v", err)
		}
		check(t, w.Close())
		if w == file {
			check(t, os.Rename(name, name+".file"))
		}
	}
	bytesOfFile, err := os.ReadFile(name + ".file")
	check(t, err)
	if !bytes.Equal(bytesOfFile, stream.Bytes()) {
		t.Error("file and stream differ")
	}
}

func TestAttributesOfEntriesAndOfTheRoot(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x")
	w, err := znippy.Create(name)
	check(t, err)
	if err := w.SetXattr("user.x", nil); !errors.Is(err, znippy.InvalidState) {
		t.Errorf("an attribute of nothing: %v", err)
	}
	check(t, w.Add(znippy.Header{Path: "zeros"}, append(make([]byte, 1<<20), "end"...)))
	check(t, w.SetXattr("user.x", []byte("value")))
	check(t, w.SetXattr("user.y", nil))
	check(t, w.Add(znippy.Header{Mode: fs.ModeDir | 0o710}, nil))
	check(t, second(w.Finish()))
	a := open(t, name)
	mode, _ := a.Metadata("root_mode")
	equal(t, "mode of the root", mode, "710")
	start, end, err := a.FindData(0, 0)
	check(t, err)
	equal(t, "start and end", [2]uint64{start, end}, [2]uint64{1 << 20, 1<<20 + 3})
	if _, _, err := a.FindData(1, 0); !errors.Is(err, znippy.InvalidArgument) {
		t.Errorf("data of no entry: %v", err)
	}
}

func TestUnfinishedWriterLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	w, err := znippy.Create(filepath.Join(dir, "x"))
	check(t, err)
	check(t, w.Add(znippy.Header{Path: "a"}, []byte("a")))
	check(t, w.Close())
	check(t, w.Close())
	list, err := os.ReadDir(dir)
	check(t, err)
	equal(t, "left", len(list), 0)
}

func TestAppendAndBase(t *testing.T) {
	dir := makeTree(t)
	name := pack(t, dir)
	w, err := znippy.Append(name)
	check(t, err)
	check(t, w.Add(znippy.Header{Path: "new", Mode: 0o644}, []byte("new")))
	check(t, second(w.Finish()))
	a := open(t, name)
	text, err := a.ReadFile("new")
	check(t, err)
	equal(t, "appended", string(text), "new")
	check(t, second(a.Verify(context.Background())))

	write(t, filepath.Join(dir, "new"), "new")
	based := open(t, pack(t, dir, znippy.Base(a)))
	check(t, second(based.Verify(context.Background())))
	sameTree(t, os.DirFS(dir), based)
	a.Close()
	_, err = znippy.CompressDir(context.Background(), dir, filepath.Join(t.TempDir(), "x"), znippy.Base(a))
	if !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a closed base: %v", err)
	}
}

func TestAddArchive(t *testing.T) {
	dir := makeTree(t)
	a := open(t, pack(t, dir))
	name := filepath.Join(t.TempDir(), "merged")
	w, err := znippy.Create(name)
	check(t, err)
	check(t, w.AddArchive(a, ""))
	check(t, w.AddArchive(a, "again"))
	if err := w.AddArchive(a, ""); !errors.Is(err, fs.ErrExist) {
		t.Errorf("an archive twice: %v", err)
	}
	check(t, a.Close())
	if err := w.AddArchive(a, "closed"); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a closed archive: %v", err)
	}
	stats, err := w.Finish()
	check(t, err)
	if stats.DuplicateBytes == 0 {
		t.Errorf("%+v", stats)
	}
	merged := open(t, name)
	check(t, second(merged.Verify(context.Background())))
	again, err := fs.Sub(merged, "again")
	check(t, err)
	one, err := fs.ReadFile(merged, "README")
	check(t, err)
	two, err := fs.ReadFile(again, "README")
	check(t, err)
	equal(t, "README", string(two), string(one))
}

func TestAddFSCopiesFileSystems(t *testing.T) {
	var out bytes.Buffer
	w, err := znippy.NewWriter(&out)
	check(t, err)
	check(t, w.AddFS(fstest.MapFS{"a/b": {Data: []byte("b"), Mode: 0o640}, "c": {Data: []byte("c")}}, "map"))
	source := open(t, pack(t, makeTree(t)))
	check(t, w.AddFS(source.Links(), "tree"))
	check(t, second(w.Finish()))
	a, err := znippy.OpenBytes(out.Bytes())
	check(t, err)
	defer a.Close()
	text, err := a.ReadFile("map/a/b")
	check(t, err)
	equal(t, "bytes", string(text), "b")
	sub, err := a.Sub("tree")
	check(t, err)
	sameTree(t, withoutRoot{source}, withoutRoot{sub})
}

// withoutRoot has the same root everywhere: an archive's own is not an entry.
type withoutRoot struct{ fs.FS }

func (w withoutRoot) Stat(name string) (fs.FileInfo, error) {
	if name == "." {
		name = "docs"
	}
	return fs.Stat(w.FS, name)
}
