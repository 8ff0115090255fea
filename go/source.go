package znippy

import "io"

// source is an archive's bytes through an io.ReaderAt: what its callback finds by its handle, until the reader is gone.
type source struct {
	reader io.ReaderAt
	trouble
}
