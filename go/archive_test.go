package znippy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"

	"znippy"
)

func TestRoundTrip(t *testing.T) {
	dir := makeTree(t)
	name := pack(t, dir, sliced...)
	out := filepath.Join(t.TempDir(), "out")
	stats, err := znippy.Extract(context.Background(), name, out)
	check(t, err)
	if stats.Files < 300 || stats.Symlinks != 10 || stats.Hardlinks != 1 {
		t.Errorf("%+v", stats)
	}
	again := pack(t, out, sliced...)
	a, err := os.ReadFile(name)
	check(t, err)
	b, err := os.ReadFile(again)
	check(t, err)
	if !bytes.Equal(a, b) {
		t.Error("the archive of what was unpacked is another one")
	}
	// A second time nothing is touched.
	stats, err = znippy.Extract(context.Background(), name, out, znippy.SkipUnchanged(), znippy.Prune())
	check(t, err)
	if stats.Created+stats.Replaced+stats.Pruned != 0 || stats.Kept == 0 {
		t.Errorf("%+v", stats)
	}
}

func TestArchiveThroughReaderAtAndFromMemory(t *testing.T) {
	dir := makeTree(t)
	name := pack(t, dir, sliced...)
	data, err := os.ReadFile(name)
	check(t, err)
	file, err := os.Open(name)
	check(t, err)
	defer file.Close()
	byFile, err := znippy.OpenReaderAt(file, int64(len(data)))
	check(t, err)
	defer byFile.Close()
	byDescriptor, err := znippy.OpenFile(file)
	check(t, err)
	defer byDescriptor.Close()
	byMemory, err := znippy.OpenBytes(data)
	check(t, err)
	defer byMemory.Close()
	want := open(t, name)
	digest, err := want.TreeDigest()
	check(t, err)
	for _, a := range []*znippy.Archive{byFile, byMemory, byDescriptor} {
		sameTree(t, want.Links(), a.Links())
		found, err := a.TreeDigest()
		check(t, err)
		equal(t, "digest", found, digest)
		check(t, second(a.Verify(context.Background())))
		out := filepath.Join(t.TempDir(), "out")
		check(t, second(a.Extract(context.Background(), out)))
		sameTree(t, os.DirFS(out), a)
	}
	info, err := want.Info()
	check(t, err)
	equal(t, "size", info.Size, uint64(len(data)))
	equal(t, "entries", info.Entries, want.Len())
	level, _ := want.Metadata("level")
	equal(t, "level", level, "3")
}

func TestEntriesComeInBatchesWithEverything(t *testing.T) {
	var archive bytes.Buffer
	w, err := znippy.NewWriter(&archive)
	check(t, err)
	files := 3000
	if stressed {
		files = 100
	}
	for i := 0; i < files; i++ {
		check(t, w.Add(znippy.Header{Path: fmt.Sprintf("%05d", i), Mode: 0o600, Owner: &znippy.Owner{UID: 3, GID: 4}}, []byte(strconv.Itoa(i))))
	}
	check(t, w.Add(znippy.Header{Path: "link", Mode: fs.ModeSymlink | 0o777, LinkTarget: "00000"}, nil))
	check(t, w.Add(znippy.Header{Path: "dev", Mode: fs.ModeDevice | fs.ModeCharDevice | 0o600, Rdev: 259}, nil))
	check(t, w.Add(znippy.Header{Path: "same", Hardlink: true, LinkTarget: "00001", Mode: 0o600}, nil))
	check(t, second(w.Finish()))
	a, err := znippy.OpenBytes(archive.Bytes())
	check(t, err)
	defer a.Close()
	entries, err := a.Entries(0, 10000)
	check(t, err)
	equal(t, "entries", len(entries), files+3)
	for i, e := range entries {
		equal(t, "index", e.Index, uint64(i))
	}
	e := entries[files-1]
	if last := strconv.Itoa(files - 1); e.Path != fmt.Sprintf("%05d", files-1) || e.Size != uint64(len(last)) || e.Perm != 0o600 || !e.HasUID || e.UID != 3 || e.GID != 4 || !e.HasHash || !e.ModTime.IsZero() {
		t.Errorf("%+v", e)
	}
	index, err := a.Find("link")
	check(t, err)
	link, err := a.Entry(index)
	check(t, err)
	equal(t, "target", link.LinkTarget, "00000")
	dev, err := a.Lstat("dev")
	check(t, err)
	equal(t, "mode", dev.Mode(), fs.ModeDevice|fs.ModeCharDevice|0o600)
	equal(t, "rdev", dev.Sys().(*znippy.Entry).Rdev, 259)
	text, err := a.ReadFile("same")
	check(t, err)
	equal(t, "hard link", string(text), "1")
	if _, err := a.Entry(5000); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("beyond the end: %v", err)
	}
}

func TestManyGoroutinesReadOneArchive(t *testing.T) {
	dir := makeTree(t)
	a := open(t, pack(t, dir, sliced...), znippy.CacheSize(1<<20))
	big, err := os.ReadFile(filepath.Join(dir, "big"))
	check(t, err)
	rounds := 50
	if stressed {
		rounds = 1
	}
	var group sync.WaitGroup
	for g := 0; g < 100; g++ {
		group.Add(1)
		go func(g int) {
			defer group.Done()
			random := rand.New(rand.NewSource(int64(g)))
			for i := 0; i < rounds; i++ {
				n := random.Intn(300)
				text, err := a.ReadFile(fmt.Sprintf("many/%03d", n))
				if err != nil || string(text) != fmt.Sprintf("file number %d\n", n) {
					t.Errorf("%q, %v", text, err)
					return
				}
				at := random.Intn(len(big) - 1000)
				file, err := a.Open("big")
				if err != nil {
					t.Error(err)
					return
				}
				piece := make([]byte, 1000)
				if _, err := file.(*znippy.File).ReadAt(piece, int64(at)); err != nil || !bytes.Equal(piece, big[at:at+1000]) {
					t.Errorf("at %d: %v", at, err)
					return
				}
				file.Close()
				if list, err := a.ReadDir("many"); err != nil || len(list) != 300 {
					t.Errorf("%d names, %v", len(list), err)
					return
				}
			}
		}(g)
	}
	group.Wait()
}

func TestCloseBesideReaders(t *testing.T) {
	name := pack(t, makeTree(t), sliced...)
	for round := 0; round < 10; round++ {
		a, err := znippy.Open(name)
		check(t, err)
		var group sync.WaitGroup
		started := make(chan struct{}, 20)
		for g := 0; g < 20; g++ {
			group.Add(1)
			go func() {
				defer group.Done()
				for i := 0; ; i++ {
					_, err := a.ReadFile("docs/hello.txt")
					if i == 0 {
						started <- struct{}{}
					}
					if errors.Is(err, fs.ErrClosed) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			}()
		}
		for g := 0; g < 20; g++ {
			<-started
		}
		go a.Close()
		check(t, a.Close())
		group.Wait()
	}
}

// What C has allocated shows in the size of the process only: a leak of 1 KiB an archive would be 4 to 10 MiB here.
func TestOpenAndCloseLeaveNoMemory(t *testing.T) {
	name := pack(t, makeTree(t), sliced...)
	round := func(n int) {
		for i := 0; i < n; i++ {
			a, err := znippy.Open(name)
			check(t, err)
			check(t, second(a.ReadFile("README")))
			check(t, second(a.ReadDir(".")))
			_, err = a.Open("none")
			if err == nil {
				t.Fatal("opened what isn't there")
			}
			check(t, a.Close())
		}
		// What Go's own heap has freed counts as given back.
		debug.FreeOSMemory()
	}
	rounds := 10000
	switch {
	case stressed:
		rounds = 100
	case testing.Short():
		rounds = 4000
	}
	// As often as it takes until Go's heap has the size that it stays at.
	round(rounds)
	before := resident(t)
	round(rounds)
	grown := resident(t) - before
	t.Logf("%d times: %d KiB before, %d KiB more after", rounds, before, grown)
	// Threads and their heaps come and go with 1 MiB or so.
	if grown > 2048 {
		t.Errorf("%d KiB more after %d archives", grown, rounds)
	}
}

// resident is the memory of this process in KiB.
func resident(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	check(t, err)
	return kib
}

func TestLostArchivesAndWritersAreFreed(t *testing.T) {
	name := pack(t, makeTree(t))
	descriptors := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(list)
	}
	before := descriptors()
	for i := 0; i < 100; i++ {
		check(t, second(znippy.Open(name)))
		check(t, second(znippy.Create(filepath.Join(t.TempDir(), "x"))))
	}
	for i := 0; i < 100 && descriptors() > before+5; i++ {
		runtime.GC()
		runtime.Gosched()
	}
	if now := descriptors(); now > before+5 {
		t.Errorf("%d descriptors before, %d after", before, now)
	}
}
