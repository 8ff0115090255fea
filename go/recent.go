package znippy

import (
	"io/fs"
	"sort"
	"strings"
	"sync/atomic"
)

// recent remembers the directories that were listed last, so that who walks over an archive and opens what it finds needs no
// look-up a file. Lists don't change, since archives don't.
type recent struct {
	lists atomic.Pointer[[]*recentList]
}

type recentList struct {
	path string // of the directory, "" for the root
	list []fs.DirEntry
	next atomic.Int64 // behind the entry that was found last
}

const (
	recentLists   = 16      // as deep as most trees are
	recentEntries = 1 << 14 // in all lists, some 300 bytes each
)

// keep takes the list of a directory, in order of name, which nobody else may change.
func (r *recent) keep(path string, list []fs.DirEntry) {
	kept := make([]*recentList, 0, recentLists)
	kept = append(kept, &recentList{path: path, list: list})
	entries := len(list)
	if entries > recentEntries {
		return
	}
	before := r.lists.Load()
	if before != nil {
		for _, known := range *before {
			entries += len(known.list)
			if len(kept) == recentLists || entries > recentEntries {
				break
			}
			if known.path != path {
				kept = append(kept, known)
			}
		}
	}
	// Of two lists at the same time, one may be forgotten.
	r.lists.CompareAndSwap(before, &kept)
}

// find is the entry with this path, where it is in one of the lists.
func (r *recent) find(path string) (*Entry, bool) {
	lists := r.lists.Load()
	if lists == nil {
		return nil, false
	}
	dir, name := "", path
	if slash := strings.LastIndexByte(path, '/'); slash >= 0 {
		dir, name = path[:slash], path[slash+1:]
	}
	for _, known := range *lists {
		if known.path == dir {
			return known.find(name)
		}
	}
	return nil, false
}

func (l *recentList) find(name string) (*Entry, bool) {
	at := int(l.next.Load())
	if at >= len(l.list) || l.list[at].Name() != name {
		at = sort.Search(len(l.list), func(i int) bool { return l.list[i].Name() >= name })
		if at == len(l.list) || l.list[at].Name() != name {
			return nil, false
		}
	}
	l.next.Store(int64(at + 1))
	return &l.list[at].(*fileInfo).entry, true
}
