package znippy_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"znippy"
)

func TestDiffTellsWhatIsMoreLessAndDifferent(t *testing.T) {
	ctx := context.Background()
	dir := makeTree(t)
	before := open(t, pack(t, dir))
	same, err := before.DiffDir(ctx, dir)
	check(t, err)
	if len(same) != 0 {
		t.Fatalf("the tree that it was made of differs: %+v", same)
	}
	write(t, filepath.Join(dir, "README"), "read me again\n")
	check(t, os.Chmod(filepath.Join(dir, "docs.txt"), 0o600))
	check(t, os.Remove(filepath.Join(dir, "empty")))
	check(t, os.Remove(filepath.Join(dir, "link")))
	check(t, os.Symlink("docs.txt", filepath.Join(dir, "link")))
	for i := 0; i < 700; i++ {
		write(t, filepath.Join(dir, "new", fmt.Sprintf("%03d", i)), "new\n")
	}
	after := open(t, pack(t, dir))
	byIndex, err := before.Diff(ctx, after)
	check(t, err)
	byFiles, err := before.DiffDir(ctx, dir)
	check(t, err)
	for _, list := range [][]znippy.Difference{byIndex, byFiles} {
		found := map[string]znippy.Difference{}
		for i, d := range list {
			found[d.Path] = d
			if i > 0 && list[i-1].Path >= d.Path {
				t.Errorf("%q comes before %q", list[i-1].Path, d.Path)
			}
		}
		for path, want := range map[string]znippy.Difference{
			"README":   {Change: znippy.EntryChanged, Differs: znippy.DiffersBytes},
			"docs.txt": {Change: znippy.EntryChanged, Differs: znippy.DiffersMode},
			"empty":    {Change: znippy.EntryRemoved},
			"link":     {Change: znippy.EntryChanged, Differs: znippy.DiffersTarget},
			"new":      {Change: znippy.EntryAdded},
			"new/699":  {Change: znippy.EntryAdded},
		} {
			got, there := found[path]
			if !there || got.Change != want.Change || got.Differs&^znippy.DiffersTime != want.Differs ||
				got.Old.Exists == (want.Change == znippy.EntryAdded) || got.New.Exists == (want.Change == znippy.EntryRemoved) {
				t.Errorf("%s: %+v", path, got)
			}
		}
		if link := found["link"]; link.Old.Target != "docs/hello.txt" || link.New.Target != "docs.txt" {
			t.Errorf("targets: %+v", link)
		}
		if added := found["new/699"]; added.New.Size != 4 || added.New.Kind != znippy.KindFile || added.Old.Exists {
			t.Errorf("an added file: %+v", added)
		}
	}
	timed, err := open(t, pack(t, dir)).Diff(ctx, after, znippy.CompareTimes())
	check(t, err)
	if len(timed) != 0 {
		t.Errorf("the same tree differs: %+v", timed)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := before.Diff(ended, after); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
	closedOne, err := znippy.Open(pack(t, dir))
	check(t, err)
	closedOne.Close()
	if _, err := before.Diff(ctx, closedOne); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a closed archive: %v", err)
	}
}

func TestSalvageKeepsWhatIsWhole(t *testing.T) {
	ctx := context.Background()
	name := pack(t, makeTree(t), append(sliced, znippy.Recovery())...)
	data, err := os.ReadFile(name)
	check(t, err)
	whole := filepath.Join(t.TempDir(), "whole.znippy")
	report, err := znippy.Salvage(ctx, name, whole)
	check(t, err)
	if report.Index != znippy.IndexWhole || report.EntriesLost != 0 || report.EntriesKept == 0 || report.BytesIn != uint64(len(data)) {
		t.Errorf("a whole archive: %+v", report)
	}
	data[len(data)/3] ^= 1
	check(t, os.WriteFile(name, data, 0o644))
	rescued := filepath.Join(t.TempDir(), "rescued.znippy")
	report, err = znippy.Salvage(ctx, name, rescued)
	var lost *znippy.Error
	if !errors.Is(err, znippy.Partial) || !errors.As(err, &lost) || len(lost.Failures) == 0 {
		t.Fatalf("a damaged blob: %v", err)
	}
	if report.BlobsDamaged == 0 || report.EntriesLost == 0 || report.EntriesKept == 0 {
		t.Errorf("a damaged blob: %+v", report)
	}
	check(t, second(znippy.Verify(ctx, rescued)))
	if _, err := znippy.Salvage(ctx, name, rescued); !errors.Is(err, os.ErrExist) {
		t.Errorf("a name that is taken: %v", err)
	}
}
