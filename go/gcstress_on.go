//go:build znippy_gcstress

package znippy

import "runtime"

func stress() { runtime.GC() }
