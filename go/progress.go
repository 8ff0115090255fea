package znippy

// #include "callbacks.h"
import "C"

// Phase is what a job is at.
type Phase uint32

const (
	PhaseScan    Phase = C.ZNIPPY_PHASE_SCAN    // names are collected
	PhasePack    Phase = C.ZNIPPY_PHASE_PACK    // files are read, compressed and written
	PhaseFinish  Phase = C.ZNIPPY_PHASE_FINISH  // the index is written, the archive synced and renamed
	PhaseList    Phase = C.ZNIPPY_PHASE_LIST    // the index is read
	PhaseExtract Phase = C.ZNIPPY_PHASE_EXTRACT // entries are restored
	PhaseVerify  Phase = C.ZNIPPY_PHASE_VERIFY  // bytes are checked against their hashes
	PhaseCompare Phase = C.ZNIPPY_PHASE_COMPARE // archives and trees are compared
)

func (p Phase) String() string {
	names := [...]string{"", "scan", "pack", "finish", "list", "extract", "verify", "compare"}
	if int(p) < len(names) {
		return names[p]
	}
	return "work"
}

// Unknown is a total that is not known, or not yet.
const Unknown uint64 = C.ZNIPPY_UNKNOWN

// Progress says how far a job is.
type Progress struct {
	Phase        Phase
	EntriesDone  uint64 // dealt with in this phase
	EntriesTotal uint64 // of this phase, or Unknown
	BytesDone    uint64 // original bytes dealt with in this phase
	BytesTotal   uint64 // original bytes of this phase, or Unknown
	Path         string // an entry that is being dealt with, or ""
}

// OnProgress has a function called at the start and the end of each phase and about twenty times a second between them
// (see [ProgressInterval]). An error that it returns stops the call, which fails with it.
func OnProgress(function func(Progress) error) Option {
	return func(s *settings) { s.progress = function }
}

// ProgressTo sends progress to a channel. What would block is left out, so give the channel room for one at least; the end of a phase may be
// among what is left out. The channel is not closed.
func ProgressTo(channel chan<- Progress) Option {
	return OnProgress(func(p Progress) error {
		select {
		case channel <- p:
		default:
		}
		return nil
	})
}

func progressOf(p *C.znippy_progress) Progress {
	progress := Progress{
		Phase:        Phase(p.phase),
		EntriesDone:  uint64(p.entries_done),
		EntriesTotal: uint64(p.entries_total),
		BytesDone:    uint64(p.bytes_done),
		BytesTotal:   uint64(p.bytes_total),
	}
	if p.path != nil {
		progress.Path = C.GoStringN(p.path, C.int(p.path_len))
	}
	return progress
}
