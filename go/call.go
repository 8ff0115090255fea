package znippy

// #include <stdlib.h>
// #include "callbacks.h"
import "C"

import (
	"context"
	"runtime/cgo"
	"sync"
	"unsafe"
)

// call is a call of the library, or a writer's calls from its first to its last: options, the context's token, and what the
// callbacks have to say. It ends with finish.
type call struct {
	op      string
	path    string
	ctx     context.Context
	options *C.znippy_options // NULL where nothing is set
	token   *C.znippy_cancel  // NULL where nobody can cancel
	host    host
	handles []cgo.Handle
	base    *Archive
	watched chan struct{} // closed to end the goroutine that waits for the context
	gone    chan struct{} // closed by that goroutine
}

// host is what callbacks find by their handle.
type host struct {
	call     *call
	progress func(Progress) error
	log      func(LogLevel, string)
	filter   func(Entry) (bool, error)
	trouble
}

// trouble keeps the first error and the first panic of callbacks until the call that they stopped is back in Go.
type trouble struct {
	mutex    sync.Mutex
	err      error
	panicked bool
	panic    any
}

func (t *trouble) fail(err error) C.znippy_status {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.err == nil {
		t.err = err
	}
	return C.znippy_status(statusOf(err))
}

func (t *trouble) keepPanic(value any) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if !t.panicked {
		t.panicked, t.panic = true, value
	}
}

// take gives out the error. A panic goes on here.
func (t *trouble) take() error {
	t.mutex.Lock()
	err, panicked, value := t.err, t.panicked, t.panic
	t.err, t.panicked, t.panic = nil, false, nil
	t.mutex.Unlock()
	if panicked {
		panic(value)
	}
	return err
}

// begin makes what a call needs of its options. Where it fails there is nothing to finish.
func begin(ctx context.Context, op, path string, options []Option) (*call, error) {
	var s settings
	for _, option := range options {
		if option != nil {
			option(&s)
		}
	}
	if ctx == nil {
		ctx = s.ctx
	}
	if ctx == nil {
		ctx = context.Background()
	}
	c := &call{op: op, path: path, ctx: ctx}
	if s.err != nil {
		return nil, s.err
	}
	if err := ctx.Err(); err != nil {
		return nil, &Error{Op: op, Path: path, Status: Cancelled, Message: "cancelled before it began", cause: err}
	}
	c.host = host{call: c, progress: s.progress, log: s.log, filter: s.filter}
	if err := c.set(&s); err != nil {
		c.free()
		return nil, err
	}
	if c.token != nil && ctx.Done() != nil {
		c.watched, c.gone = make(chan struct{}), make(chan struct{})
		go func(done <-chan struct{}, token *C.znippy_cancel) {
			defer close(c.gone)
			select {
			case <-done:
				C.znippy_cancel_trigger(token)
			case <-c.watched:
			}
		}(ctx.Done(), c.token)
	}
	return c, nil
}

func (c *call) set(s *settings) error {
	callbacks := s.progress != nil || s.log != nil || s.filter != nil || len(s.providers) > 0
	cancellable := c.ctx.Done() != nil || callbacks
	if !cancellable && len(s.values) == 0 && s.base == nil {
		return nil
	}
	noMemory := &Error{Op: c.op, Status: NoMemory, Message: NoMemory.Error()}
	if c.options = C.znippy_options_new(); c.options == nil {
		return noMemory
	}
	if cancellable {
		if c.token = C.znippy_cancel_new(); c.token == nil {
			return noMemory
		}
		C.znippy_options_set_cancel(c.options, c.token)
	}
	for _, v := range s.values {
		if err := c.setValue(v); err != nil {
			return err
		}
	}
	if s.progress != nil || s.log != nil || s.filter != nil {
		handle := C.uintptr_t(c.handle(&c.host))
		if s.progress != nil {
			C.zgo_set_progress(c.options, handle)
		}
		if s.log != nil {
			C.zgo_set_log(c.options, handle)
		}
		if s.filter != nil {
			C.zgo_set_filter(c.options, handle)
		}
	}
	for _, provider := range s.providers {
		if err := c.addProvider(provider); err != nil {
			return err
		}
	}
	if s.base != nil {
		if !s.base.acquire() {
			return closed(c.op)
		}
		c.base = s.base
		var object *C.znippy_error
		if status := C.znippy_options_set_base(c.options, s.base.reader, &object); status < 0 {
			return newError(c.op, "", status, object)
		}
	}
	return nil
}

func (c *call) setValue(v value) error {
	var object *C.znippy_error
	var status C.znippy_status
	if v.bytes == nil {
		status = C.znippy_options_set_i64(c.options, v.key, C.int64_t(v.number), &object)
	} else {
		status = C.znippy_options_set_bytes(c.options, v.key, bytesPointer(v.bytes), C.size_t(len(v.bytes)), &object)
	}
	if status < 0 {
		return newError(c.op, "", status, object)
	}
	return nil
}

// handle makes a handle that lives as long as the call.
func (c *call) handle(v any) cgo.Handle {
	handle := cgo.NewHandle(v)
	c.handles = append(c.handles, handle)
	return handle
}

// stop ends what runs, for callbacks that can't say so by their result.
func (c *call) stop() { C.znippy_cancel_trigger(c.token) }

// result is the error of one of the library's functions. A panic of a callback goes on here.
func (c *call) result(status C.znippy_status, object *C.znippy_error) error {
	stress()
	cause := c.host.take()
	if status >= 0 {
		C.znippy_error_free(object)
		return nil
	}
	err := newError(c.op, c.path, status, object)
	if err.Status == Cancelled && cause == nil {
		cause = c.ctx.Err()
	}
	err.cause = cause
	return err
}

// finish is result for the last function of the call.
func (c *call) finish(status C.znippy_status, object *C.znippy_error) error {
	defer c.free()
	return c.result(status, object)
}

// free ends the call; a second time does nothing.
func (c *call) free() {
	if c.watched != nil {
		close(c.watched)
		<-c.gone
		c.watched = nil
	}
	C.znippy_options_free(c.options)
	C.znippy_cancel_free(c.token)
	c.options, c.token = nil, nil
	for _, handle := range c.handles {
		handle.Delete()
	}
	c.handles = nil
	if c.base != nil {
		c.base.release()
		c.base = nil
	}
}

// bytesPointer is where the bytes are, NULL for none. They stay where they are while a call has them as an argument.
func bytesPointer(b []byte) unsafe.Pointer {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Pointer(&b[0])
}

// stringPointer is bytesPointer for a string.
func stringPointer(s string) *C.char {
	if s == "" {
		return nil
	}
	return (*C.char)(*(*unsafe.Pointer)(unsafe.Pointer(&s)))
}
