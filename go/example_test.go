package znippy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strings"

	"znippy"
)

// exampleTree is a directory with a README and a greeting, which the caller removes.
func exampleTree() string {
	dir, err := os.MkdirTemp("", "znippy-example")
	if err != nil {
		log.Fatal(err)
	}
	os.MkdirAll(filepath.Join(dir, "project/docs"), 0o755)
	os.WriteFile(filepath.Join(dir, "project/README"), []byte("read me\n"), 0o644)
	os.WriteFile(filepath.Join(dir, "project/docs/hello.txt"), []byte("hello, world\n"), 0o644)
	return dir
}

func Example() {
	dir := exampleTree()
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "project.znippy")
	stats, err := znippy.CompressDir(context.Background(), filepath.Join(dir, "project"), name, znippy.Level(9))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stats.Files, "files")

	archive, err := znippy.Open(name)
	if err != nil {
		log.Fatal(err)
	}
	defer archive.Close()
	text, err := fs.ReadFile(archive, "docs/hello.txt")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(text))
	// Output:
	// 2 files
	// hello, world
}

func ExampleExtract() {
	dir := exampleTree()
	defer os.RemoveAll(dir)
	ctx := context.Background()
	name, out := filepath.Join(dir, "project.znippy"), filepath.Join(dir, "out")
	if _, err := znippy.CompressDir(ctx, filepath.Join(dir, "project"), name); err != nil {
		log.Fatal(err)
	}
	// Only what changed is touched, what is too much is deleted.
	for i := 0; i < 2; i++ {
		stats, err := znippy.Extract(ctx, name, out, znippy.SkipUnchanged(), znippy.Prune())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(stats.Created, "created,", stats.Kept, "kept")
	}
	// Output:
	// 3 created, 0 kept
	// 0 created, 2 kept
}

func ExampleNewWriter() {
	var buffer bytes.Buffer // any io.Writer: a pipe, an upload
	w, err := znippy.NewWriter(&buffer)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	if err := w.Add(znippy.Header{Path: "notes/a", Mode: 0o644}, []byte("a note")); err != nil {
		log.Fatal(err)
	}
	if err := w.AddReader(znippy.Header{Path: "notes/b", Mode: 0o644}, strings.NewReader("from a stream")); err != nil {
		log.Fatal(err)
	}
	if _, err := w.Finish(); err != nil {
		log.Fatal(err)
	}
	archive, err := znippy.OpenReaderAt(bytes.NewReader(buffer.Bytes()), int64(buffer.Len()))
	if err != nil {
		log.Fatal(err)
	}
	defer archive.Close()
	file, err := archive.Open("notes/b")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	io.Copy(os.Stdout, file)
	// Output: from a stream
}

func ExampleOpen_missing() {
	_, err := znippy.Open("/nowhere/x.znippy")
	fmt.Println(errors.Is(err, fs.ErrNotExist), errors.Is(err, znippy.NotFound))
	// Output: true true
}

func ExampleArchive_EachEntry() {
	dir := exampleTree()
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "project.znippy")
	if _, err := znippy.CompressDir(context.Background(), filepath.Join(dir, "project"), name); err != nil {
		log.Fatal(err)
	}
	archive, err := znippy.Open(name)
	if err != nil {
		log.Fatal(err)
	}
	defer archive.Close()
	archive.EachEntry(context.Background(), func(e znippy.Entry) error {
		fmt.Println(e.Path, e.Size)
		return nil
	})
	// Output:
	// README 8
	// docs 0
	// docs/hello.txt 13
}

func ExampleOnProgress() {
	dir := exampleTree()
	defer os.RemoveAll(dir)
	var phases []string
	_, err := znippy.CompressDir(context.Background(), filepath.Join(dir, "project"), filepath.Join(dir, "x.znippy"),
		znippy.OnProgress(func(p znippy.Progress) error {
			if phase := p.Phase.String(); len(phases) == 0 || phases[len(phases)-1] != phase {
				phases = append(phases, phase)
			}
			return nil // an error would stop the packing
		}))
	fmt.Println(phases, err)
	// Output: [scan pack finish] <nil>
}
