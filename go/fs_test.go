package znippy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"znippy"
)

func TestFileSystemOfAnOwnTree(t *testing.T) {
	archive := open(t, pack(t, makeTree(t), sliced...))
	// Links that lead nowhere can't be opened, as with os.DirFS, so the test of the standard library is for the view without them.
	check(t, fstest.TestFS(archive.Links(), "README", "empty", "docs/hello.txt", "docs-x/between.txt", "a/b/c/d/deep", "big",
		"many/299", "link", "dangling", "same"))
	sub, err := fs.Sub(archive, "a/b/c")
	check(t, err)
	check(t, fstest.TestFS(sub, "d/deep"))
}

func TestFileSystemOfRealTrees(t *testing.T) {
	// Headers, sources of Go, and a package of node. TestFS reads three bytes at a time.
	sources := filepath.Join(runtime.GOROOT(), "src")
	trees := []string{"/usr/include", sources, "/usr/lib/node_modules"}
	if testing.Short() {
		trees = []string{
			"/usr/include/linux", "/usr/include/x86_64-linux-gnu", filepath.Join(sources, "io"), filepath.Join(sources, "net"),
			"/usr/lib/node_modules/npm/lib",
		}
	}
	for _, tree := range trees {
		t.Run(tree, func(t *testing.T) {
			if _, err := os.Stat(tree); err != nil {
				t.Skip(err)
			}
			real, err := filepath.EvalSymlinks(tree)
			check(t, err)
			archive := open(t, pack(t, real))
			check(t, fstest.TestFS(archive.Links(), firstFile(t, archive)))
			sameTree(t, os.DirFS(real), archive)
		})
	}
}

func firstFile(t *testing.T, archive *znippy.Archive) string {
	var found string
	check(t, archive.EachEntry(context.Background(), func(e znippy.Entry) error {
		if found == "" && e.Kind == znippy.KindFile {
			found = e.Path
		}
		return nil
	}))
	return found
}

// sameTree compares names, types, modes, times and bytes, and that links lead to the same.
func sameTree(t *testing.T, want, got fs.FS) {
	t.Helper()
	var entries int
	check(t, fs.WalkDir(want, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		entries++
		a, errA := fs.Stat(want, name)
		b, errB := fs.Stat(got, name)
		if errA != nil || errB != nil {
			if errors.Is(errA, fs.ErrNotExist) && errors.Is(errB, fs.ErrNotExist) {
				return nil
			}
			// A link that leads out of the tree is followed in the one and not in the other.
			if d.Type()&fs.ModeSymlink != 0 && errors.Is(errB, fs.ErrNotExist) {
				return nil
			}
			t.Fatalf("%s: %v and %v", name, errA, errB)
		}
		if a.Mode() != b.Mode() || !a.ModTime().Equal(b.ModTime()) || a.Name() != b.Name() && name != "." {
			t.Fatalf("%s: %v %v, want %v %v", name, b.Mode(), b.ModTime(), a.Mode(), a.ModTime())
		}
		if !a.Mode().IsRegular() {
			return nil
		}
		x, err := fs.ReadFile(want, name)
		if err != nil {
			return err
		}
		y, err := fs.ReadFile(got, name)
		if err != nil {
			return err
		}
		if !bytes.Equal(x, y) {
			t.Fatalf("%s: other bytes", name)
		}
		return nil
	}))
	var found int
	check(t, fs.WalkDir(got, ".", func(string, fs.DirEntry, error) error { found++; return nil }))
	equal(t, "entries", found, entries)
}

func TestLinksAreFollowedInsideTheArchive(t *testing.T) {
	archive := open(t, pack(t, makeTree(t), sliced...))
	for name, want := range map[string]string{
		"link":                      "hello, world\n",
		"docs/up":                   "read me\n",
		"dirlink/c/d/deep":          "deep\n",
		"dirlink2/d/deep":           "deep\n",
		"dirlink/sibling/hello.txt": "hello, world\n",
		"a/b/sibling/up":            "read me\n",
		"same":                      "read me\n",
	} {
		text, err := fs.ReadFile(archive, name)
		check(t, err)
		equal(t, name, string(text), want)
	}
	for _, name := range []string{"dangling", "absolute", "outside", "circle", "circle2", "dangling/x", "README/x", "none/x", "dirlink/none"} {
		if _, err := archive.Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want fs.ErrNotExist", name, err)
		}
	}
	info, err := archive.Stat("dirlink")
	check(t, err)
	equal(t, "the link's target is a directory", info.IsDir(), true)
	info, err = archive.Lstat("dirlink")
	check(t, err)
	equal(t, "the link's own mode", info.Mode().Type(), fs.ModeSymlink)
	target, err := archive.ReadLink("dirlink")
	check(t, err)
	equal(t, "target", target, "a/b")
	if _, err := archive.ReadLink("README"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("target of a file: %v", err)
	}
}

func TestDirectoriesWithoutEntriesAreThere(t *testing.T) {
	var archive bytes.Buffer
	w, err := znippy.NewWriter(&archive)
	check(t, err)
	for _, name := range []string{"a-b", "a/x/one", "a/x/two", "a.txt", "b/c/d/e", "z"} {
		check(t, w.Add(znippy.Header{Path: name, Mode: 0o644}, []byte(name)))
	}
	_, err = w.Finish()
	check(t, err)
	a, err := znippy.OpenBytes(archive.Bytes())
	check(t, err)
	defer a.Close()
	check(t, fstest.TestFS(a, "a-b", "a/x/one", "a/x/two", "a.txt", "b/c/d/e", "z"))
}

func TestNamesThatAreNotUTF8AreHiddenAndCounted(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "good"), "1")
	write(t, filepath.Join(dir, "bad\xff"), "2")
	write(t, filepath.Join(dir, "dir\xfe", "inner"), "3")
	a := open(t, pack(t, dir))
	check(t, fstest.TestFS(a, "good"))
	list, err := a.ReadDir(".")
	check(t, err)
	equal(t, "names", len(list), 1)
	hidden, err := a.HiddenEntries()
	check(t, err)
	equal(t, "hidden", hidden, 3)
	index, err := a.Find("bad\xff")
	check(t, err)
	text, err := a.ReadEntry(context.Background(), index)
	check(t, err)
	equal(t, "bytes", string(text), "2")
}

func TestFilesReadSeekAndWrite(t *testing.T) {
	dir := makeTree(t)
	a := open(t, pack(t, dir, sliced...))
	want, err := os.ReadFile(filepath.Join(dir, "big"))
	check(t, err)
	opened, err := a.Open("big")
	check(t, err)
	file := opened.(*znippy.File)
	for _, at := range []int64{0, 1, 64<<10 - 1, 64 << 10, int64(len(want)) - 1} {
		piece := make([]byte, 100)
		n, err := file.ReadAt(piece, at)
		if n < len(piece) {
			equal(t, "at the end", err == io.EOF, true)
		} else {
			check(t, err)
		}
		equal(t, "bytes", string(piece[:n]), string(want[at:at+int64(n)]))
	}
	_, err = file.Seek(-1000, io.SeekEnd)
	check(t, err)
	var tail bytes.Buffer
	n, err := io.Copy(&tail, file)
	check(t, err)
	equal(t, "length", n, 1000)
	equal(t, "tail", tail.String(), string(want[len(want)-1000:]))
	if _, err := file.Seek(-1, io.SeekStart); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("negative offset: %v", err)
	}
	check(t, file.Close())
	if _, err := file.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

func TestWebServerOverAnArchive(t *testing.T) {
	dir := makeTree(t)
	server := httptest.NewServer(http.FileServer(http.FS(open(t, pack(t, dir)))))
	defer server.Close()
	get := func(path, ranges string) (int, string) {
		request, err := http.NewRequest("GET", server.URL+path, nil)
		check(t, err)
		if ranges != "" {
			request.Header.Set("Range", ranges)
		}
		response, err := http.DefaultClient.Do(request)
		check(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		check(t, err)
		return response.StatusCode, string(body)
	}
	status, body := get("/docs/hello.txt", "bytes=7-11")
	equal(t, "status", status, 206)
	equal(t, "range", body, "world")
	status, body = get("/", "")
	equal(t, "status", status, 200)
	for _, name := range []string{`href="docs/"`, `href="README"`, `href="many/"`} {
		if !strings.Contains(body, name) {
			t.Errorf("the listing has no %s", name)
		}
	}
	status, _ = get("/none", "")
	equal(t, "status", status, 404)
	status, _ = get("/absolute", "")
	equal(t, "status of a link out of the archive", status, 404)
}
