package znippy

// #include "callbacks.h"
import "C"

import (
	"errors"
	"io"
	"runtime/cgo"
	"unsafe"
)

// These are called by callbacks.c. No panic may leave them, since there are frames of the library above: it is kept, the
// library is told to stop, and the call that began it all goes on with it.

//export znippyGoProgress
func znippyGoProgress(handle C.uintptr_t, p *C.znippy_progress) (stop C.int32_t) {
	h := cgo.Handle(handle).Value().(*host)
	defer h.caught(func() { stop = 1 })
	stress()
	if err := h.progress(progressOf(p)); err != nil {
		h.fail(err)
		return 1
	}
	// The goroutine that triggers the token may be late: who saw the end of the context here finds the job stopped.
	if h.call.ctx.Err() != nil {
		return 1
	}
	return 0
}

//export znippyGoLog
func znippyGoLog(handle C.uintptr_t, level C.int32_t, message *C.char, size C.size_t) {
	h := cgo.Handle(handle).Value().(*host)
	defer h.caught(h.call.stop)
	stress()
	h.log(LogLevel(level), C.GoStringN(message, C.int(size)))
}

//export znippyGoFilter
func znippyGoFilter(handle C.uintptr_t, info *C.znippy_entry_info) (answer C.int32_t) {
	h := cgo.Handle(handle).Value().(*host)
	defer h.caught(func() { answer = C.ZNIPPY_E_CALLBACK })
	stress()
	take, err := h.filter(entryOf(info))
	switch {
	case err != nil:
		return h.fail(err)
	case take:
		return 1
	}
	return 0
}

//export znippyGoReadAt
func znippyGoReadAt(handle C.uintptr_t, offset C.uint64_t, buffer unsafe.Pointer, size C.size_t) (n C.int64_t) {
	s := cgo.Handle(handle).Value().(*source)
	defer s.caught(func() { n = C.ZNIPPY_E_CALLBACK })
	stress()
	got, err := s.reader.ReadAt(unsafe.Slice((*byte)(buffer), int(size)), int64(offset))
	if got > 0 {
		return C.int64_t(got)
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return C.int64_t(s.fail(err))
}

//export znippyGoRelease
func znippyGoRelease(handle C.uintptr_t) { cgo.Handle(handle).Delete() }

//export znippyGoWrite
func znippyGoWrite(handle C.uintptr_t, data unsafe.Pointer, size C.size_t) (n C.int64_t) {
	s := cgo.Handle(handle).Value().(*sink)
	defer s.caught(func() { n = C.ZNIPPY_E_CALLBACK })
	stress()
	written, err := s.writer.Write(unsafe.Slice((*byte)(data), int(size)))
	if err == nil && written < int(size) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return C.int64_t(s.fail(err))
	}
	return C.int64_t(written)
}

//export znippyGoRead
func znippyGoRead(handle C.uintptr_t, buffer unsafe.Pointer, size C.size_t) (n C.int64_t) {
	s := cgo.Handle(handle).Value().(*stream)
	defer s.caught(func() { n = C.ZNIPPY_E_CALLBACK })
	stress()
	// A reader may return nothing and no error, but not for ever.
	for tries := 0; tries < 100; tries++ {
		got, err := s.reader.Read(unsafe.Slice((*byte)(buffer), int(size)))
		if got > 0 {
			return C.int64_t(got)
		}
		if errors.Is(err, io.EOF) {
			return 0
		}
		if err != nil {
			return C.int64_t(s.fail(err))
		}
	}
	return C.int64_t(s.fail(io.ErrNoProgress))
}

//export znippyGoWants
func znippyGoWants(handle C.uintptr_t, path *C.char, size C.size_t, fileSize C.uint64_t) (answer C.int32_t) {
	p := cgo.Handle(handle).Value().(*providerHost)
	defer p.caught(func() { answer = C.ZNIPPY_E_CALLBACK })
	stress()
	if p.provider.Wants == nil || p.provider.Wants(C.GoStringN(path, C.int(size)), uint64(fileSize)) {
		return 1
	}
	return 0
}

//export znippyGoExtract
func znippyGoExtract(handle C.uintptr_t, path *C.char, size C.size_t, data *C.uint8_t, dataSize C.size_t, row *C.znippy_row) (answer C.int32_t) {
	p := cgo.Handle(handle).Value().(*providerHost)
	defer p.caught(func() { answer = C.ZNIPPY_E_CALLBACK })
	stress()
	var bytes []byte
	if dataSize > 0 {
		bytes = unsafe.Slice((*byte)(unsafe.Pointer(data)), int(dataSize))
	}
	r := &Row{row: row}
	claims, err := p.provider.Extract(C.GoStringN(path, C.int(size)), bytes, r)
	r.row = nil
	if err == nil {
		err = r.err
	}
	switch {
	case err != nil:
		return p.fail(err)
	case claims:
		return 1
	}
	return 0
}

// caught, deferred, keeps a panic and has the library stop.
func (t *trouble) caught(stop func()) {
	if value := recover(); value != nil {
		t.keepPanic(value)
		stop()
	}
}
