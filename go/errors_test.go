package znippy_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"znippy"
)

func TestErrorsAreThoseThatGoKnows(t *testing.T) {
	ctx := context.Background()
	dir := makeTree(t)
	archive := pack(t, dir)
	_, missing := znippy.Open(filepath.Join(dir, "none"))
	_, exists := znippy.CompressDir(ctx, dir, archive)
	_, notArchive := znippy.Open(filepath.Join(dir, "README"))
	_, badOption := znippy.CompressDir(ctx, dir, archive+"2", znippy.Level(99))
	_, badName := znippy.CompressDir(ctx, dir, "a\x00b")
	_, noOption := znippy.CompressDir(ctx, dir, archive+"2", znippy.Set("colour", 1))
	_, notDir := znippy.Extract(ctx, archive, filepath.Join(dir, "README", "x"))
	for name, c := range map[string]struct {
		err    error
		target error
		status znippy.Status
	}{
		"missing":    {missing, fs.ErrNotExist, znippy.NotFound},
		"exists":     {exists, fs.ErrExist, znippy.Exists},
		"notArchive": {notArchive, znippy.NotArchive, znippy.NotArchive},
		"badOption":  {badOption, fs.ErrInvalid, znippy.InvalidArgument},
		"badName":    {badName, fs.ErrInvalid, znippy.InvalidArgument},
		"noOption":   {noOption, znippy.Unsupported, znippy.Unsupported},
		"notDir":     {notDir, syscall.ENOTDIR, znippy.IO},
	} {
		var known *znippy.Error
		if !errors.As(c.err, &known) {
			t.Errorf("%s: %v is no *Error", name, c.err)
			continue
		}
		if !errors.Is(c.err, c.target) || !errors.Is(c.err, c.status) || known.Status != c.status {
			t.Errorf("%s: %v (%v) is not %v", name, c.err, known.Status, c.target)
		}
		if errors.Is(c.err, znippy.Corrupt) || errors.Is(c.err, context.Canceled) {
			t.Errorf("%s: %v is everything", name, c.err)
		}
	}
	var known *znippy.Error
	errors.As(missing, &known)
	equal(t, "errno", known.Errno, syscall.ENOENT)
	equal(t, "path", known.Path, filepath.Join(dir, "none"))
	if !strings.Contains(missing.Error(), "none") || strings.Count(missing.Error(), "none") != 1 {
		t.Errorf("the message names its path not once: %v", missing)
	}
	errors.As(notArchive, &known)
	if known.Rule == "" {
		t.Errorf("no rule in %v", notArchive)
	}
}

func TestErrorsOfFileSystemsArePathErrors(t *testing.T) {
	a := open(t, pack(t, makeTree(t)))
	_, err := a.Open("none")
	var path *fs.PathError
	if !errors.As(err, &path) || path.Op != "open" || path.Path != "none" {
		t.Fatalf("%#v", err)
	}
	equal(t, "text", err.Error(), "open none: "+znippy.NotFound.Error())
	a.Close()
	for what, err := range map[string]error{
		"open": second(a.Open("README")), "stat": second(a.Stat(".")), "list": second(a.ReadDir(".")), "read": second(a.ReadFile("README")),
		"entries": second(a.Entries(0, 1)), "info": second(a.Info()), "verify": second(a.Verify(context.Background())),
	} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
	equal(t, "length", a.Len(), 0)
	check(t, a.Close())
}

func second[T any](_ T, err error) error { return err }

func TestPermissionDenied(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a"), "a")
	check(t, os.Chmod(filepath.Join(dir, "a"), 0))
	_, err := znippy.CompressDir(context.Background(), dir, filepath.Join(t.TempDir(), "x"))
	if !errors.Is(err, fs.ErrPermission) {
		t.Fatal(err)
	}
}

func TestDamageIsReportedAndTheRestIsRestored(t *testing.T) {
	dir := makeTree(t)
	name := pack(t, dir, sliced...)
	bytes, err := os.ReadFile(name)
	check(t, err)
	bytes[1000] ^= 1
	check(t, os.WriteFile(name, bytes, 0o644))
	_, err = znippy.Verify(context.Background(), name)
	if !errors.Is(err, znippy.ChecksumMismatch) && !errors.Is(err, znippy.Corrupt) {
		t.Fatalf("verify: %v", err)
	}
	stats, err := znippy.Extract(context.Background(), name, filepath.Join(t.TempDir(), "out"), znippy.KeepGoing())
	var known *znippy.Error
	if !errors.As(err, &known) || known.Status != znippy.Partial || len(known.Failures) == 0 {
		t.Fatalf("extract: %v", err)
	}
	if stats.Failed != uint64(len(known.Failures)) || stats.Files == 0 || known.Failures[0].Path == "" {
		t.Fatalf("%+v, %d failures", stats, len(known.Failures))
	}
}

func TestContextThatEndedIsNoticedBeforehand(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dir := makeTree(t)
	out := filepath.Join(t.TempDir(), "x")
	_, err := znippy.CompressDir(ctx, dir, out)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	expired, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel()
	_, err = znippy.CompressDir(expired, dir, out)
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	gone(t, out)
}

func gone(t *testing.T, name string) {
	t.Helper()
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s is there: %v", name, err)
	}
}
