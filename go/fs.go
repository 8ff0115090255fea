package znippy

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// view is a directory of an archive as a file system.
type view struct {
	archive *Archive
	dir     string // "" for the root
	links   bool   // links are files of their own and not followed
}

var (
	_ fs.ReadDirFS  = (*Archive)(nil)
	_ fs.ReadFileFS = (*Archive)(nil)
	_ fs.StatFS     = (*Archive)(nil)
	_ fs.SubFS      = (*Archive)(nil)
)

// maxLinks is how many links one name may lead over.
const maxLinks = 40

// Links is the archive as a file system in which no link is followed: a symbolic link is a file of the mode fs.ModeSymlink
// whose bytes are its target. Every entry can be opened in it by its name, so that trees can be copied and compared.
func (a *Archive) Links() fs.FS { return view{archive: a, links: true} }

// Open opens a file or directory, and follows links inside the archive.
func (v view) Open(name string) (fs.File, error) {
	e, err := v.resolve("open", name)
	if err != nil {
		return nil, err
	}
	info := &fileInfo{name: path.Base(name), entry: e, links: v.links}
	if e.Kind == KindDirectory {
		return &directory{archive: v.archive, info: info, path: e.Path, links: v.links}, nil
	}
	return &File{archive: v.archive, info: info}, nil
}

// Stat follows links inside the archive.
func (v view) Stat(name string) (fs.FileInfo, error) {
	e, err := v.resolve("stat", name)
	if err != nil {
		return nil, err
	}
	return &fileInfo{name: path.Base(name), entry: e, links: v.links}, nil
}

// Lstat doesn't follow the link that name itself may be.
func (v view) Lstat(name string) (fs.FileInfo, error) {
	e, err := v.resolveLast("lstat", name, false)
	if err != nil {
		return nil, err
	}
	return &fileInfo{name: path.Base(name), entry: e, links: v.links}, nil
}

// ReadLink is the target of a symbolic link.
func (v view) ReadLink(name string) (string, error) {
	e, err := v.resolveLast("readlink", name, false)
	if err != nil {
		return "", err
	}
	if e.Kind != KindSymlink {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return e.LinkTarget, nil
}

// ReadFile reads a whole file.
func (v view) ReadFile(name string) ([]byte, error) {
	return v.ReadFileContext(context.Background(), name)
}

// ReadFileContext reads a whole file unless the context ends before.
func (v view) ReadFileContext(ctx context.Context, name string) ([]byte, error) {
	e, err := v.resolve("open", name)
	if err != nil {
		return nil, err
	}
	if e.Kind == KindDirectory {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errIsDirectory}
	}
	if e.Kind == KindSymlink {
		return []byte(e.LinkTarget), nil
	}
	data, err := v.archive.readAll(ctx, &e)
	if err != nil {
		return nil, pathError("read", name, err)
	}
	return data, nil
}

// ReadDir lists a directory in order of name.
func (v view) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := v.resolve("open", name)
	if err != nil {
		return nil, err
	}
	if e.Kind != KindDirectory {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errNotDirectory}
	}
	c := children{archive: v.archive, links: v.links}
	list, err := c.all(e.Path)
	if err != nil {
		return nil, pathError("readdir", name, err)
	}
	if !v.links {
		v.archive.recent.keep(e.Path, append([]fs.DirEntry(nil), list...))
	}
	return list, nil
}

// Sub is the directory dir as a file system. Links may lead out of it, into the rest of the archive.
func (v view) Sub(dir string) (fs.FS, error) {
	if !fs.ValidPath(dir) {
		return nil, &fs.PathError{Op: "sub", Path: dir, Err: fs.ErrInvalid}
	}
	if dir == "." {
		return v, nil
	}
	return view{archive: v.archive, dir: path.Join(v.dir, dir), links: v.links}, nil
}

// HiddenEntries is the number of entries that no fs.FS can name, because their paths are not UTF-8. The whole index is read.
func (a *Archive) HiddenEntries() (uint64, error) {
	var hidden uint64
	err := a.EachEntry(context.Background(), func(e Entry) error {
		if !utf8.ValidString(e.Path) {
			hidden++
		}
		return nil
	})
	return hidden, err
}

func (v view) resolve(op, name string) (Entry, error) { return v.resolveLast(op, name, !v.links) }

// resolveLast finds the entry that a name leads to; follow says whether the last component is followed where it is a link.
func (v view) resolveLast(op, name string, follow bool) (Entry, error) {
	if !fs.ValidPath(name) {
		return Entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	whole := v.dir
	if name != "." {
		// Both are clean: nothing has to be joined but the two.
		if whole != "" {
			whole += "/"
		}
		whole += name
	}
	if e, ok := v.archive.recent.find(whole); ok && (e.Kind != KindSymlink || !follow) && !v.archive.closed.Load() {
		return *e, nil
	}
	e, err := v.archive.at(whole)
	switch {
	case err == nil && (e.Kind != KindSymlink || !follow):
		return e, nil
	case err == nil || err == NotFound && !v.links:
		// A link at the end, or somewhere on the way.
		if e, err = v.archive.walk(whole, follow); err == nil {
			return e, nil
		}
	}
	return Entry{}, pathError(op, name, err)
}

// at is what is at exactly this path; "" is the root. NotFound as it stands where there is nothing.
func (a *Archive) at(name string) (Entry, error) {
	if name != "" {
		return a.lookup(name)
	}
	root := Entry{Index: NoIndex, Kind: KindDirectory}
	if !a.acquire() {
		return root, closed("stat")
	}
	a.release()
	if text, ok := a.Metadata("root_mode"); ok {
		if mode, err := strconv.ParseUint(text, 8, 32); err == nil {
			root.Perm, root.HasMode = permOf(uint32(mode)), true
		}
	}
	if text, ok := a.Metadata("root_mtime_ns"); ok {
		if ns, err := strconv.ParseInt(text, 10, 64); err == nil {
			root.ModTime = time.Unix(0, ns)
		}
	}
	return root, nil
}

// walk goes from directory to directory, as a file system does that has links.
func (a *Archive) walk(name string, follow bool) (Entry, error) {
	var at []string // the components so far, none of which is a link
	rest := split(name)
	for links := 0; len(rest) > 0; {
		component := rest[0]
		rest = rest[1:]
		if component == ".." {
			if len(at) == 0 {
				return Entry{}, NotFound // out of the archive
			}
			at = at[:len(at)-1]
			continue
		}
		e, err := a.lookup(path.Join(append(at[:len(at):len(at)], component)...))
		if err != nil {
			return Entry{}, err
		}
		last := len(rest) == 0
		if e.Kind != KindSymlink || last && !follow {
			if last {
				return e, nil
			}
			at = append(at, component)
			continue
		}
		if links++; links > maxLinks || strings.HasPrefix(e.LinkTarget, "/") || e.LinkTarget == "" {
			return Entry{}, NotFound
		}
		rest = append(split(e.LinkTarget), rest...)
	}
	return a.at(strings.Join(at, "/"))
}

// split cuts a path into its components, without those that say nothing.
func split(name string) []string {
	var components []string
	for _, component := range strings.Split(name, "/") {
		if component != "" && component != "." {
			components = append(components, component)
		}
	}
	return components
}

var (
	errIsDirectory  = errors.New("is a directory")
	errNotDirectory = errors.New("not a directory")
)

// pathError is what functions of package fs fail with.
func pathError(op, name string, err error) error {
	if err == NotFound {
		err = &Error{Path: name, Status: NotFound, Message: NotFound.Error()}
	} else if known, ok := err.(*Error); ok {
		known.Op = ""
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// fileInfo is an entry as an fs.FileInfo and an fs.DirEntry.
type fileInfo struct {
	name  string
	entry Entry
	links bool
}

func (i *fileInfo) Name() string               { return i.name }
func (i *fileInfo) Mode() fs.FileMode          { return i.entry.Mode() }
func (i *fileInfo) Type() fs.FileMode          { return i.entry.kindMode() }
func (i *fileInfo) ModTime() time.Time         { return i.entry.ModTime }
func (i *fileInfo) IsDir() bool                { return i.entry.Kind == KindDirectory }
func (i *fileInfo) Sys() any                   { return &i.entry }
func (i *fileInfo) Info() (fs.FileInfo, error) { return i, nil }

func (i *fileInfo) Size() int64 {
	if i.entry.Kind == KindSymlink {
		return int64(len(i.entry.LinkTarget))
	}
	return int64(i.entry.Size)
}

func sortByName(list []fs.DirEntry) {
	less := func(i, j int) bool { return list[i].Name() < list[j].Name() }
	// Only directories without an entry of their own are out of order.
	if !sort.SliceIsSorted(list, less) {
		sort.Slice(list, less)
	}
}
