package znippy_test

import (
	"context"
	"errors"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"znippy"
)

// noise makes a directory of files that take seconds to pack at a high level.
func noise(t *testing.T, files, size int) string {
	t.Helper()
	dir := t.TempDir()
	random := rand.New(rand.NewSource(2))
	bytes := make([]byte, size)
	for i := 0; i < files; i++ {
		// Compressible, but not quickly.
		for j := range bytes {
			bytes[j] = byte(random.Intn(16)) + 'a'
		}
		check(t, os.WriteFile(filepath.Join(dir, string(rune('a'+i%26))+string(rune('a'+i/26))), bytes, 0o644))
	}
	return dir
}

// promptly is how soon a job ends that would take many seconds more. On an idle machine it is a tenth of a second at most, which is
// what a run with ZNIPPY_TEST_TIMED=1 demands; beside other programs only the order of magnitude can be told.
func promptly() time.Duration {
	if os.Getenv("ZNIPPY_TEST_TIMED") != "" {
		return 100 * time.Millisecond
	}
	return 3 * time.Second
}

// stopped runs a job, ends its context while it is at it, and takes the time from there to the return.
func stopped(t *testing.T, what string, job func(context.Context) error) {
	t.Helper()
	before := runtime.NumGoroutine()
	// Something else may keep the processors from us for a while: the best of some tries counts.
	best := time.Hour
	for try := 0; try < 5 && best > promptly(); try++ {
		ctx, cancel := context.WithCancel(context.Background())
		var end time.Time
		timer := time.AfterFunc(60*time.Millisecond, func() { end = time.Now(); cancel() })
		err := job(ctx)
		took := time.Since(end)
		timer.Stop()
		cancel()
		if err == nil {
			t.Fatalf("%s: was done before it was cancelled", what)
		}
		if !errors.Is(err, context.Canceled) || !errors.Is(err, znippy.Cancelled) {
			t.Fatalf("%s: %v", what, err)
		}
		if took < best {
			best = took
		}
	}
	t.Logf("%s stopped %v after the context ended", what, best)
	if best > promptly() {
		t.Errorf("%s: stopped after %v", what, best)
	}
	if now := runtime.NumGoroutine(); now > before+1 {
		t.Errorf("%s: %d goroutines before, %d after", what, before, now)
	}
}

func TestContextStopsPackingUnpackingAndReading(t *testing.T) {
	dir := noise(t, 40, 1<<20)
	work := t.TempDir()
	name := filepath.Join(work, "test.znippy")
	stopped(t, "pack", func(ctx context.Context) error {
		_, err := znippy.CompressDir(ctx, dir, name, znippy.Level(19))
		return err
	})
	left, err := os.ReadDir(work)
	check(t, err)
	equal(t, "what a cancelled pack leaves behind", len(left), 0)

	_, err = znippy.CompressDir(context.Background(), dir, name, znippy.Level(1))
	check(t, err)
	stopped(t, "unpack", func(ctx context.Context) error {
		return slowly(ctx, func(option znippy.Option) error {
			_, err := znippy.Extract(ctx, name, filepath.Join(work, "out"), option)
			return err
		})
	})
	// Directories may be there, but no file that isn't whole.
	check(t, filepath.Walk(filepath.Join(work, "out"), func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() && info.Size() != 1<<20 {
			t.Errorf("%s has %d bytes", path, info.Size())
		}
		return nil
	}))
	archive := open(t, name, znippy.CacheSize(0))
	stopped(t, "read", func(ctx context.Context) error {
		for {
			for i := uint64(0); i < archive.Len(); i++ {
				if _, err := archive.ReadEntry(ctx, i); err != nil {
					return err
				}
			}
		}
	})
	stopped(t, "verify", func(ctx context.Context) error {
		for {
			if _, err := archive.Verify(ctx); err != nil {
				return err
			}
		}
	})
}

// The last report comes when all is done, and the goroutine that watches the context may not have run since.
func TestContextThatEndsInTheLastReportIsSeen(t *testing.T) {
	name := pack(t, makeTree(t))
	// With such an interval reports tell where phases begin and end, and nothing between.
	rarely := znippy.ProgressInterval(60000)
	reports := 0
	_, err := znippy.Verify(context.Background(), name, rarely, znippy.OnProgress(func(znippy.Progress) error {
		reports++
		return nil
	}))
	check(t, err)
	for try := 0; try < 100; try++ {
		ctx, cancel := context.WithCancel(context.Background())
		left := reports
		_, err := znippy.Verify(ctx, name, rarely, znippy.OnProgress(func(znippy.Progress) error {
			if left--; left == 0 {
				cancel()
			}
			return nil
		}))
		cancel()
		if !errors.Is(err, context.Canceled) || !errors.Is(err, znippy.Cancelled) {
			t.Fatalf("after %d of %d reports: %v", reports-left, reports, err)
		}
	}
}

// slowly runs a job that takes longer than the context has, since its progress function takes its time.
func slowly(ctx context.Context, job func(znippy.Option) error) error {
	return job(znippy.OnProgress(func(p znippy.Progress) error {
		if p.EntriesDone == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Second):
		}
		return nil
	}))
}

func TestContextStopsAWriter(t *testing.T) {
	dir := noise(t, 20, 1<<20)
	out := filepath.Join(t.TempDir(), "x")
	stopped(t, "writer", func(ctx context.Context) error {
		w, err := znippy.Create(out, znippy.WithContext(ctx), znippy.Level(19))
		check(t, err)
		defer w.Close()
		if err := w.AddDir(dir, ""); err != nil {
			return err
		}
		return second(w.Finish())
	})
	gone(t, out)
}
