package znippy_test

import (
	"context"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"znippy"
)

// makeTree makes a directory that has a little of everything.
func makeTree(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	big := make([]byte, 300<<10)
	rand.New(rand.NewSource(1)).Read(big)
	files := map[string]string{
		"README":             "read me\n",
		"empty":              "",
		"docs/hello.txt":     "hello, world\n",
		"docs-x/between.txt": "sorts between docs and docs/hello.txt\n",
		"docs.txt":           "and so does this\n",
		"a/b/c/d/deep":       "deep\n",
		"big":                string(big),
	}
	for i := 0; i < 300; i++ {
		files[fmt.Sprintf("many/%03d", i)] = fmt.Sprintf("file number %d\n", i)
	}
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	for name, target := range map[string]string{
		"link":        "docs/hello.txt",
		"docs/up":     "../README",
		"dirlink":     "a/b",
		"dangling":    "nowhere",
		"absolute":    "/etc/passwd",
		"outside":     "../../outside",
		"circle":      "circle2",
		"circle2":     "circle",
		"dirlink2":    "dirlink/c",
		"a/b/sibling": "../../docs",
	} {
		check(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	check(t, os.Link(filepath.Join(dir, "README"), filepath.Join(dir, "same")))
	check(t, os.Mkdir(filepath.Join(dir, "emptydir"), 0o750))
	check(t, os.Chmod(filepath.Join(dir, "README"), 0o640))
	check(t, os.Chtimes(filepath.Join(dir, "README"), time.Unix(1, 5), time.Unix(1_000_000_000, 123456789)))
	return dir
}

func write(t testing.TB, name, text string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(name), 0o755))
	check(t, os.WriteFile(name, []byte(text), 0o644))
}

// pack packs a directory into an archive that lives as long as the test.
func pack(t testing.TB, dir string, options ...znippy.Option) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "test.znippy")
	_, err := znippy.CompressDir(context.Background(), dir, name, options...)
	check(t, err)
	return name
}

// sliced has files of several slices, and blocks of several files, in small trees.
var sliced = []znippy.Option{znippy.SmallFile(16 << 10), znippy.BlockSize(64 << 10), znippy.SliceSize(64 << 10)}

func open(t testing.TB, name string, options ...znippy.Option) *znippy.Archive {
	t.Helper()
	archive, err := znippy.Open(name, options...)
	check(t, err)
	t.Cleanup(func() { archive.Close() })
	return archive
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}
