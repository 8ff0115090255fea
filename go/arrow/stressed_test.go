//go:build znippy_gcstress

package arrow_test

// Each file costs several collections.
func init() { files = 300 }
