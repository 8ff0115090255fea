package znippy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"znippy"
)

func TestProgressByFunctionAndByChannel(t *testing.T) {
	dir := makeTree(t)
	var calls int
	var last znippy.Progress
	out := filepath.Join(t.TempDir(), "x")
	_, err := znippy.CompressDir(context.Background(), dir, out, znippy.ProgressInterval(0), znippy.OnProgress(func(p znippy.Progress) error {
		calls++
		last = p
		return nil
	}))
	check(t, err)
	if calls < 3 || last.Phase != znippy.PhaseFinish {
		t.Errorf("%d calls, the last is %+v", calls, last)
	}
	channel := make(chan znippy.Progress, 1000)
	_, err = znippy.Verify(context.Background(), out, znippy.ProgressTo(channel))
	check(t, err)
	if p := <-channel; p.Phase != znippy.PhaseList && p.Phase != znippy.PhaseVerify {
		t.Errorf("first: %+v", p)
	}
	// A channel that nobody reads holds nothing up.
	_, err = znippy.Verify(context.Background(), out, znippy.ProgressTo(make(chan znippy.Progress)))
	check(t, err)
}

var errMine = errors.New("an error of mine")

func TestErrorOfACallbackStopsTheCallAndComesOut(t *testing.T) {
	dir := makeTree(t)
	name := pack(t, dir)
	work := t.TempDir()
	for what, run := range map[string]func() error{
		"progress": func() error {
			_, err := znippy.CompressDir(context.Background(), dir, filepath.Join(work, "p"), znippy.OnProgress(func(znippy.Progress) error { return errMine }))
			return err
		},
		"filter": func() error {
			_, err := znippy.Extract(context.Background(), name, filepath.Join(work, "f"), znippy.Filter(func(znippy.Entry) (bool, error) { return false, errMine }))
			return err
		},
		"provider": func() error {
			_, err := znippy.CompressDir(context.Background(), dir, filepath.Join(work, "v"), znippy.WithProvider(znippy.Provider{
				Name:    "mine",
				Extract: func(string, []byte, *znippy.Row) (bool, error) { return false, errMine },
			}))
			return err
		},
		"writer": func() error {
			w, err := znippy.NewWriter(failing{})
			check(t, err)
			defer w.Close()
			// The first bytes may go out now, or in the end.
			if err := w.Add(znippy.Header{Path: "x"}, []byte("x")); err != nil {
				return err
			}
			return second(w.Finish())
		},
		"reader": func() error {
			w, err := znippy.NewWriter(io.Discard)
			check(t, err)
			defer w.Close()
			return w.AddReader(znippy.Header{Path: "x"}, failing{})
		},
		"source": func() error {
			_, err := znippy.OpenReaderAt(failing{}, 1000)
			return err
		},
	} {
		if err := run(); !errors.Is(err, errMine) {
			t.Errorf("%s: %v", what, err)
		}
	}
	left, err := os.ReadDir(work)
	check(t, err)
	for _, entry := range left {
		if entry.Name() != "f" {
			t.Errorf("%s was left behind", entry.Name())
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error)         { return 0, errMine }
func (failing) Read([]byte) (int, error)          { return 0, errMine }
func (failing) ReadAt([]byte, int64) (int, error) { return 0, errMine }

type panicking struct{}

func (panicking) Write([]byte) (int, error)         { panic("mine") }
func (panicking) Read([]byte) (int, error)          { panic("mine") }
func (panicking) ReadAt([]byte, int64) (int, error) { panic("mine") }

func TestPanicOfACallbackGoesOnInTheCaller(t *testing.T) {
	dir := makeTree(t)
	name := pack(t, dir)
	work := t.TempDir()
	ctx := context.Background()
	for what, run := range map[string]func(){
		"progress": func() {
			znippy.CompressDir(ctx, dir, filepath.Join(work, "p"), znippy.OnProgress(func(znippy.Progress) error { panic("mine") }))
		},
		"filter": func() {
			znippy.Extract(ctx, name, filepath.Join(work, "f"), znippy.Filter(func(znippy.Entry) (bool, error) { panic("mine") }))
		},
		"log": func() {
			znippy.Extract(ctx, name, filepath.Join(work, "l"), znippy.DryRun(), znippy.OnLog(func(znippy.LogLevel, string) { panic("mine") }))
		},
		"provider": func() {
			znippy.CompressDir(ctx, dir, filepath.Join(work, "v"), znippy.WithProvider(znippy.Provider{
				Name: "mine", Concurrent: true,
				Extract: func(string, []byte, *znippy.Row) (bool, error) { panic("mine") },
			}))
		},
		"writer": func() {
			w, err := znippy.NewWriter(panicking{})
			check(t, err)
			defer w.Close()
			w.Add(znippy.Header{Path: "x"}, []byte("x"))
			w.Finish()
		},
		"reader": func() {
			w, err := znippy.NewWriter(io.Discard)
			check(t, err)
			defer w.Close()
			w.AddReader(znippy.Header{Path: "x"}, panicking{})
		},
		"source": func() { znippy.OpenReaderAt(panicking{}, 1000) },
	} {
		func() {
			defer func() {
				if value := recover(); value != "mine" {
					t.Errorf("%s: recovered %v", what, value)
				}
			}()
			run()
			t.Errorf("%s: came back", what)
		}()
	}
	// The package works as before.
	check(t, second(znippy.Verify(ctx, name)))
}

func TestReaderErrorLeavesTheWriterUsable(t *testing.T) {
	var archive bytes.Buffer
	w, err := znippy.NewWriter(&archive)
	check(t, err)
	if err := w.AddReader(znippy.Header{Path: "bad"}, io.MultiReader(strings.NewReader("begins"), failing{})); !errors.Is(err, errMine) {
		t.Fatal(err)
	}
	check(t, w.AddReader(znippy.Header{Path: "good"}, strings.NewReader("bytes")))
	stats, err := w.Finish()
	check(t, err)
	equal(t, "files", stats.Files, 1)
}

func TestProviderInGoFillsColumns(t *testing.T) {
	dir := makeTree(t)
	var calls atomic.Int64
	provider := znippy.Provider{
		Name: "lines", PkgType: 7, Concurrent: true,
		Columns: []znippy.Column{{"lines", znippy.Int64}, {"first", znippy.Text}, {"share", znippy.Float64}, {"raw", znippy.Binary}},
		Wants:   func(path string, size uint64) bool { return strings.HasPrefix(path, "docs") },
		Extract: func(path string, data []byte, row *znippy.Row) (bool, error) {
			calls.Add(1)
			row.SetInt64(0, int64(bytes.Count(data, []byte("\n"))))
			row.SetText(1, strings.TrimSpace(string(data)))
			row.SetFloat64(2, 0.5)
			return true, row.SetBinary(3, data[:2])
		},
	}
	archive := open(t, pack(t, dir, znippy.WithProvider(provider)))
	equal(t, "calls", calls.Load(), 3)
	check(t, second(archive.Verify(context.Background())))
	// A wrong column is an error although Extract doesn't look at it.
	provider.Extract = func(_ string, _ []byte, row *znippy.Row) (bool, error) {
		row.SetInt64(1, 1)
		return true, nil
	}
	_, err := znippy.CompressDir(context.Background(), dir, filepath.Join(t.TempDir(), "x"), znippy.WithProvider(provider))
	if !errors.Is(err, znippy.InvalidArgument) {
		t.Fatalf("wrong type: %v", err)
	}
}

func TestWriterInItsOwnCallbackIsBusy(t *testing.T) {
	var w *znippy.Writer
	var inside error
	w, err := znippy.NewWriter(io.Discard)
	check(t, err)
	defer w.Close()
	check(t, w.AddReader(znippy.Header{Path: "x"}, readerFunc(func([]byte) (int, error) {
		inside = w.Add(znippy.Header{Path: "y"}, nil)
		return 0, io.EOF
	})))
	if !errors.Is(inside, znippy.Busy) {
		t.Fatal(inside)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
