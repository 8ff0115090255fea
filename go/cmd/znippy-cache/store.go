package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"znippy"
)

// store keeps archives as files KEY@DIGEST.znippy of one directory. An archive is written beside them, checked, synced and then
// renamed, so that a kill at any moment leaves the old one or the new. The time of last use is the file's modification time.
type store struct {
	dir   string
	lock  *os.File
	limit int64 // 0: none

	mutex sync.Mutex
	items map[string]item
	total int64
}

// item is an archive of the store.
type item struct {
	Key    string    `json:"key"`
	Digest string    `json:"digest"` // of the archive, in hex
	Size   int64     `json:"size"`
	Used   time.Time `json:"used"`
}

const (
	suffix    = ".znippy"
	temporary = ".incoming-"
)

var (
	validKey = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}$`)
	fileName = regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9._+-]{0,127})@([0-9a-f]{64})\.znippy$`)

	errKey = errors.New("a key has 1 to 128 letters, digits and . _ + -, and begins with none of the last three but _")
)

// openStore takes over a directory: what a killed server left unfinished is deleted, and what isn't an archive is left out.
func openStore(dir string, limit int64) (*store, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("%s is in use by another server", dir)
	}
	s := &store{dir: dir, lock: lock, limit: limit, items: map[string]item{}}
	if err := s.scan(); err != nil {
		lock.Close()
		return nil, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.evict("")
	return s, nil
}

func (s *store) close() { s.lock.Close() }

func (s *store) scan() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(s.dir, entry.Name())
		if strings.HasPrefix(entry.Name(), temporary) {
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		}
		match := fileName.FindStringSubmatch(entry.Name())
		info, err := entry.Info()
		if match == nil || err != nil || !info.Mode().IsRegular() {
			continue
		}
		if digest, err := digestOf(path); err != nil || digest != match[2] {
			fmt.Fprintf(os.Stderr, "znippy-cache: left out: %s is damaged: %v\n", path, err)
			continue
		}
		found := item{Key: match[1], Digest: match[2], Size: info.Size(), Used: info.ModTime()}
		// A kill between putting an archive and deleting the one before leaves both: the later one is it.
		if other, ok := s.items[found.Key]; ok {
			if found.Used.Before(other.Used) {
				found, other = other, found
			}
			if err := os.Remove(s.path(other)); err != nil {
				return err
			}
		}
		s.items[found.Key] = found
	}
	for _, it := range s.items {
		s.total += it.Size
	}
	return nil
}

// digestOf opens an archive, which checks its end, and tells its digest.
func digestOf(path string) (string, error) {
	archive, err := znippy.Open(path)
	if err != nil {
		return "", err
	}
	defer archive.Close()
	info, err := archive.Info()
	return hex.EncodeToString(info.Digest[:]), err
}

func (s *store) path(it item) string { return filepath.Join(s.dir, it.Key+"@"+it.Digest+suffix) }

// find opens the archive of a key and counts that as a use. The file stays whole while it is open, whatever happens to the key.
func (s *store) find(key string) (item, *os.File, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	it, ok := s.items[key]
	if !ok {
		return item{}, nil, fs.ErrNotExist
	}
	file, err := os.Open(s.path(it))
	if err != nil {
		return item{}, nil, err
	}
	// Ranges of one archive come by the thousand; to the second is good enough for who goes first.
	if now := time.Now(); now.Sub(it.Used) > time.Second {
		it.Used = now
		s.items[key] = it
		os.Chtimes(file.Name(), now, now)
	}
	return it, file, nil
}

// put takes an archive from r. wanted is its digest, or "" where only the archive itself says it.
func (s *store) put(ctx context.Context, key, wanted string, r io.Reader) (item, error) {
	if !validKey.MatchString(key) {
		return item{}, errKey
	}
	file, err := os.CreateTemp(s.dir, temporary)
	if err != nil {
		return item{}, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if s.limit > 0 {
		r = io.LimitReader(r, s.limit+1)
	}
	size, err := io.Copy(file, r)
	if err != nil {
		return item{}, err
	}
	if s.limit > 0 && size > s.limit {
		return item{}, &znippy.Error{Status: znippy.LimitExceeded, Message: "the archive is bigger than the store may be"}
	}
	digest, err := s.check(ctx, file.Name(), wanted)
	if err != nil {
		return item{}, err
	}
	if err := file.Sync(); err != nil {
		return item{}, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	it := item{Key: key, Digest: digest, Size: size, Used: time.Now()}
	os.Chtimes(file.Name(), it.Used, it.Used)
	if err := os.Rename(file.Name(), s.path(it)); err != nil {
		return item{}, err
	}
	if err := s.sync(); err != nil {
		return item{}, err
	}
	if old, ok := s.items[key]; ok {
		s.total -= old.Size
		if old.Digest != digest {
			os.Remove(s.path(old))
		}
	}
	s.items[key] = it
	s.total += size
	s.evict(key)
	return it, nil
}

// check reads every byte of an archive that came in.
func (s *store) check(ctx context.Context, path, wanted string) (string, error) {
	archive, err := znippy.Open(path)
	if err != nil {
		return "", err
	}
	defer archive.Close()
	info, err := archive.Info()
	if err != nil {
		return "", err
	}
	digest := hex.EncodeToString(info.Digest[:])
	if wanted != "" && wanted != digest {
		return "", &znippy.Error{Status: znippy.ChecksumMismatch, Message: "the archive's digest is " + digest + ", not " + wanted}
	}
	_, err = archive.VerifyQuick(ctx)
	return digest, err
}

// remove forgets a key; false where it isn't there.
func (s *store) remove(key string) (bool, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	it, ok := s.items[key]
	if !ok {
		return false, nil
	}
	return true, s.drop(it)
}

func (s *store) drop(it item) error {
	if err := os.Remove(s.path(it)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	delete(s.items, it.Key)
	s.total -= it.Size
	return s.sync()
}

// evict deletes what was not used for longest until the rest fits, but never the key that was just put.
func (s *store) evict(put string) {
	if s.limit == 0 || s.total <= s.limit {
		return
	}
	for _, it := range s.sorted() {
		if s.total <= s.limit {
			return
		}
		if it.Key != put {
			if err := s.drop(it); err != nil {
				fmt.Fprintf(os.Stderr, "znippy-cache: can't delete: %v\n", err)
			}
		}
	}
}

// sync makes renames and deletions last.
func (s *store) sync() error {
	dir, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// sorted are the archives, those first that were not used for longest.
func (s *store) sorted() []item {
	items := make([]item, 0, len(s.items))
	for _, it := range s.items {
		items = append(items, it)
	}
	sort.Slice(items, func(i, j int) bool {
		if !items[i].Used.Equal(items[j].Used) {
			return items[i].Used.Before(items[j].Used)
		}
		return items[i].Key < items[j].Key
	})
	return items
}

func (s *store) list() []item {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	items := s.sorted()
	sort.Slice(items, func(i, j int) bool { return items[i].Key < items[j].Key })
	return items
}

func (s *store) len() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return len(s.items)
}

func (s *store) size() int64 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.total
}
