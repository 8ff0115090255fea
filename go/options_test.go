package znippy_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Every option of the header has a function here, so that none is forgotten when one is added.
func TestEveryOptionHasAFunction(t *testing.T) {
	header, err := os.ReadFile("../include/znippy.h")
	if err != nil {
		t.Skip(err)
	}
	source, err := os.ReadFile("options.go")
	check(t, err)
	progress, err := os.ReadFile("progress.go")
	check(t, err)
	text := string(source) + string(progress)
	for _, match := range regexp.MustCompile(`#define ZNIPPY_OPT_(\w+) (\d+)`).FindAllStringSubmatch(string(header), -1) {
		name := "C.ZNIPPY_OPT_" + match[1]
		number, _ := strconv.Atoi(match[2])
		count := strings.Count(text, name+",")
		if count == 0 && !elsewhere[match[1]] {
			t.Errorf("option %d, %s, is not used", number, name)
		}
	}
}

// Options for what the package doesn't do: whole entries in the library's memory, comparing.
var elsewhere = map[string]bool{"MAX_ENTRY_SIZE": true, "DIFF_MTIME": true}
