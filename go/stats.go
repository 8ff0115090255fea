package znippy

// #include "callbacks.h"
import "C"

import "time"

// Stats says what a call did; sizes are bytes.
type Stats struct {
	Entries            uint64        // entries of every kind
	Files              uint64        // regular files, further names of a file (hard links) not counted
	FilesStored        uint64        // files none of whose bytes are compressed
	FilesCompressed    uint64        // files some or all of whose bytes are compressed
	Directories        uint64        //
	Symlinks           uint64        //
	Hardlinks          uint64        // names beyond the first one of a file
	Specials           uint64        // FIFOs, devices and sockets
	Slices             uint64        // runs of file bytes, the rows of the index
	Blocks             uint64        // what is compressed as one unit
	DuplicateFiles     uint64        // files whose bytes another file of the archive has already
	DuplicateBytes     uint64        // what duplicates did not cost
	Skipped            uint64        // entries left out by option
	Failed             uint64        // entries that failed
	BytesIn            uint64        // original bytes of all files, holes and duplicates included
	BytesOut           uint64        // the archive (packing), or what was written (extraction)
	BytesStored        uint64        // original bytes of blocks that are stored as they are
	BytesCompressedIn  uint64        // original bytes of blocks that are compressed
	BytesCompressedOut uint64        // what the compressed blocks take in the archive
	BytesHoles         uint64        // holes, which take no room
	BytesIndex         uint64        // index, sections, manifest and frame
	Kept               uint64        // entries that extraction left as they stood, by option
	Pruned             uint64        // names that extraction deleted because the archive doesn't have them
	Created            uint64        // names that extraction made, directories included
	Replaced           uint64        // files, links and FIFOs that extraction put in the place of others
	Ratio              float64       // BytesIn / BytesOut; 0 where nothing was written
	Time               time.Duration // by the clock on the wall
}

func newStats() C.znippy_stats {
	return C.znippy_stats{struct_size: C.sizeof_znippy_stats}
}

func statsOf(s *C.znippy_stats) Stats {
	return Stats{
		Entries:            uint64(s.entries),
		Files:              uint64(s.files),
		FilesStored:        uint64(s.files_stored),
		FilesCompressed:    uint64(s.files_compressed),
		Directories:        uint64(s.directories),
		Symlinks:           uint64(s.symlinks),
		Hardlinks:          uint64(s.hardlinks),
		Specials:           uint64(s.specials),
		Slices:             uint64(s.slices),
		Blocks:             uint64(s.blocks),
		DuplicateFiles:     uint64(s.duplicate_files),
		DuplicateBytes:     uint64(s.duplicate_bytes),
		Skipped:            uint64(s.skipped),
		Failed:             uint64(s.failed),
		BytesIn:            uint64(s.bytes_in),
		BytesOut:           uint64(s.bytes_out),
		BytesStored:        uint64(s.bytes_stored),
		BytesCompressedIn:  uint64(s.bytes_compressed_in),
		BytesCompressedOut: uint64(s.bytes_compressed_out),
		BytesHoles:         uint64(s.bytes_holes),
		BytesIndex:         uint64(s.bytes_index),
		Kept:               uint64(s.kept),
		Pruned:             uint64(s.pruned),
		Created:            uint64(s.created),
		Replaced:           uint64(s.replaced),
		Ratio:              float64(s.ratio),
		Time:               time.Duration(float64(s.seconds) * float64(time.Second)),
	}
}
