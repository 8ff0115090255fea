package znippy

// #include "callbacks.h"
import "C"

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"syscall"
)

// Status is the outcome of a call: a stable number. It is an error too, so that errors.Is(err, znippy.Corrupt) tells what
// kind of failure err is. Later versions of the library may have others.
type Status int32

// What docs/ERRORS.md says of each.
const (
	InvalidArgument  Status = C.ZNIPPY_E_INVALID_ARGUMENT
	InvalidState     Status = C.ZNIPPY_E_INVALID_STATE
	Unsupported      Status = C.ZNIPPY_E_UNSUPPORTED
	NoMemory         Status = C.ZNIPPY_E_NO_MEMORY
	Panicked         Status = C.ZNIPPY_E_PANIC
	Busy             Status = C.ZNIPPY_E_BUSY
	Forked           Status = C.ZNIPPY_E_FORKED
	LimitExceeded    Status = C.ZNIPPY_E_LIMIT
	IO               Status = C.ZNIPPY_E_IO
	NotFound         Status = C.ZNIPPY_E_NOT_FOUND
	Exists           Status = C.ZNIPPY_E_EXISTS
	PermissionDenied Status = C.ZNIPPY_E_PERMISSION
	NoSpace          Status = C.ZNIPPY_E_NO_SPACE
	Changed          Status = C.ZNIPPY_E_CHANGED
	NotArchive       Status = C.ZNIPPY_E_NOT_ARCHIVE
	VersionMismatch  Status = C.ZNIPPY_E_VERSION
	Corrupt          Status = C.ZNIPPY_E_CORRUPT
	ChecksumMismatch Status = C.ZNIPPY_E_CHECKSUM
	UnsafePath       Status = C.ZNIPPY_E_UNSAFE_PATH
	Cancelled        Status = C.ZNIPPY_E_CANCELLED
	CallbackFailed   Status = C.ZNIPPY_E_CALLBACK
	Partial          Status = C.ZNIPPY_E_PARTIAL
)

// Error is one sentence about the status.
func (s Status) Error() string { return C.GoString(C.znippy_status_message(C.znippy_status(s))) }

// String is the status's name in C, such as "ZNIPPY_E_CORRUPT".
func (s Status) String() string { return C.GoString(C.znippy_status_name(C.znippy_status(s))) }

// Error is why a call failed.
type Error struct {
	Op       string        // the function, such as "compress"
	Path     string        // the path or entry that it is about, byte for byte, or ""
	Status   Status        // what kind of failure it is
	Errno    syscall.Errno // the system's error number, or 0
	Rule     string        // the stable name of the check that refused something, such as "path.dotdot", or ""
	Message  string        // what happened, for people; names the path
	Failures []*Error      // of a call that ended with Partial: what failed, the first 10,000 of it

	cause error
}

func (e *Error) Error() string {
	text := e.Message
	if e.Op != "" {
		text = "znippy: " + e.Op + ": " + text
	}
	if e.cause != nil && !strings.Contains(text, e.cause.Error()) {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap is the error of the context or the callback that made the call fail, or else the system's error number.
func (e *Error) Unwrap() error {
	if e.cause != nil {
		return e.cause
	}
	if e.Errno != 0 {
		return e.Errno
	}
	return nil
}

// Is matches the status, and the error of package fs or context that means the same.
func (e *Error) Is(target error) bool {
	switch target {
	case fs.ErrNotExist:
		return e.Status == NotFound
	case fs.ErrExist:
		return e.Status == Exists
	case fs.ErrPermission:
		return e.Status == PermissionDenied
	case fs.ErrInvalid:
		return e.Status == InvalidArgument
	case context.Canceled:
		return e.Status == Cancelled && e.cause == nil
	}
	status, ok := target.(Status)
	return ok && status == e.Status
}

// newError takes over an error object of the library, which may be NULL.
func newError(op, path string, status C.znippy_status, object *C.znippy_error) *Error {
	err := describe(object)
	C.znippy_error_free(object)
	if err == nil {
		err = &Error{Status: Status(status), Message: Status(status).Error()}
	}
	err.Op = op
	if err.Path == "" {
		err.Path = path
	}
	return err
}

// describe copies an error object, nil for NULL.
func describe(object *C.znippy_error) *Error {
	if object == nil {
		return nil
	}
	err := &Error{
		Status:  Status(C.znippy_error_status(object)),
		Errno:   syscall.Errno(C.znippy_error_os_code(object)),
		Message: C.GoString(C.znippy_error_message(object)),
		Rule:    C.GoString(C.znippy_error_rule(object)),
	}
	var size C.size_t
	if path := C.znippy_error_path(object, &size); path != nil {
		err.Path = C.GoStringN(path, C.int(size))
	}
	count := C.znippy_error_failure_count(object)
	for i := C.size_t(0); i < count; i++ {
		err.Failures = append(err.Failures, describe(C.znippy_error_failure(object, i)))
	}
	return err
}

// statusOf is the status that stands for the error of a callback.
func statusOf(err error) Status {
	var known *Error
	var status Status
	switch {
	case errors.As(err, &known) && known.Status < 0:
		return known.Status
	case errors.As(err, &status) && status < 0:
		return status
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Cancelled
	}
	return CallbackFailed
}

func closed(op string) *Error {
	return &Error{Op: op, Status: InvalidState, Message: "it is closed", cause: fs.ErrClosed}
}
