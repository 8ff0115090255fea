package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain is the program itself where a test starts it as one.
func TestMain(m *testing.M) {
	if os.Getenv("ZNIPPY_CACHE_TEST_PROGRAM") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// program is the command with its arguments, as a process of its own.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	check(t, err)
	command := exec.Command(self, args...)
	command.Env = append(os.Environ(), "ZNIPPY_CACHE_TEST_PROGRAM=1")
	return command
}

// running is a server in a process of its own.
type running struct {
	url     string
	command *exec.Cmd
}

func start(t *testing.T, dir string, args ...string) *running {
	t.Helper()
	command := program(t, append([]string{"serve", "-store", dir, "-listen", "127.0.0.1:0"}, args...)...)
	out, err := command.StdoutPipe()
	check(t, err)
	command.Stderr = os.Stderr
	check(t, command.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	check(t, err)
	s := &running{url: strings.TrimSuffix(strings.Fields(line)[2], ","), command: command}
	t.Cleanup(s.kill)
	return s
}

// kill is what kill -9 does.
func (s *running) kill() {
	if s.command.ProcessState == nil {
		s.command.Process.Kill()
		s.command.Wait()
	}
}

func (s *running) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.try(t, args...)
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return out
}

func (s *running) try(t *testing.T, args ...string) (string, error) {
	command := program(t, append([]string{args[0], "-server", s.url}, args[1:]...)...)
	out, err := command.CombinedOutput()
	return string(out), err
}

func tree(t *testing.T, files int, seed int64) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	random := rand.New(rand.NewSource(seed))
	check(t, os.MkdirAll(dir, 0o755))
	for i := 0; i < files; i++ {
		text := make([]byte, 100+random.Intn(5000))
		random.Read(text)
		name := filepath.Join(dir, fmt.Sprintf("d%02d", i%17), fmt.Sprintf("f%04d", i))
		check(t, os.MkdirAll(filepath.Dir(name), 0o755))
		check(t, os.WriteFile(name, text, 0o644))
		// Not just now, so that a base is believed.
		check(t, os.Chtimes(name, time.Unix(1_600_000_000, 0), time.Unix(1_600_000_000, 0)))
	}
	check(t, os.WriteFile(filepath.Join(dir, "index.txt"), []byte("what is in here\n"), 0o644))
	check(t, os.WriteFile(filepath.Join(dir, "page.html"), []byte("<!DOCTYPE html><title>a page</title><p id=p>from the archive<script>document.title='script ran'</script>"), 0o644))
	return dir
}

func same(t *testing.T, a, b string) {
	t.Helper()
	out, err := exec.Command("diff", "-r", a, b).CombinedOutput()
	if err != nil {
		t.Fatalf("%s", out)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatWasPutIsGot(t *testing.T) {
	server := start(t, t.TempDir())
	dir, out := tree(t, 200, 1), filepath.Join(t.TempDir(), "out")
	server.run(t, "put", "one", dir)
	server.run(t, "get", "one", out)
	same(t, dir, out)

	// A second time nothing is written, and what is too much or changed goes.
	check(t, os.WriteFile(filepath.Join(out, "d00", "too much"), nil, 0o644))
	check(t, os.WriteFile(filepath.Join(out, "index.txt"), []byte("something else"), 0o644))
	said := server.run(t, "get", "one", out)
	if !strings.Contains(said, "0 created, 1 replaced") || !strings.Contains(said, "1 deleted") {
		t.Errorf("said %s", said)
	}
	same(t, dir, out)

	if said := server.run(t, "put", "one", dir); !strings.Contains(said, "there already") {
		t.Errorf("the same archive was sent again: %s", said)
	}
	if said, err := server.try(t, "get", "two", out); err == nil || !strings.Contains(said, "404") {
		t.Errorf("a key that isn't there: %s", said)
	}
	if _, err := server.try(t, "put", "../evil", dir); err == nil {
		t.Error("a key that leads out")
	}
}

func TestPutTakesUnchangedFilesFromTheBase(t *testing.T) {
	server := start(t, t.TempDir())
	dir := tree(t, 200, 2)
	server.run(t, "put", "old", dir)
	check(t, os.WriteFile(filepath.Join(dir, "index.txt"), []byte("changed\n"), 0o644))
	server.run(t, "put", "-base", "old", "new", dir)
	out := filepath.Join(t.TempDir(), "out")
	server.run(t, "get", "new", out)
	same(t, dir, out)
	if said, err := server.try(t, "put", "-base", "none", "newer", dir); err == nil {
		t.Errorf("a base that isn't there: %s", said)
	}
}

func TestBadArchivesAreRefused(t *testing.T) {
	stored := t.TempDir()
	server := start(t, stored)
	server.run(t, "put", "good", tree(t, 50, 3))
	good := get(t, server.url+"/archive/good", nil, 200)
	damaged := append([]byte{}, good...)
	damaged[len(damaged)/2] ^= 1
	for what, c := range map[string]struct {
		body   []byte
		digest string
		status int
	}{
		"damaged":      {damaged, "", 422},
		"cut":          {good[:len(good)-10], "", 422},
		"no archive":   {[]byte("hello"), "", 422},
		"other digest": {good, strings.Repeat("0", 64), 422},
		"good":         {good, "", 201},
	} {
		request, err := http.NewRequest("PUT", server.url+"/archive/k", bytes.NewReader(c.body))
		check(t, err)
		request.Header.Set(digestHeader, c.digest)
		response, err := http.DefaultClient.Do(request)
		check(t, err)
		response.Body.Close()
		if response.StatusCode != c.status {
			t.Errorf("%s: %s", what, response.Status)
		}
		if what != "good" && len(names(t, stored, temporary)) != 0 {
			t.Errorf("%s: left %v", what, names(t, stored, temporary))
		}
	}
	for _, key := range []string{"-x", ".hidden", "a%2Fb", "a@b", strings.Repeat("k", 129)} {
		get(t, server.url+"/archive/"+key, nil, 400)
	}
}

func names(t *testing.T, dir, prefix string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	check(t, err)
	var found []string
	for _, entry := range list {
		if strings.HasPrefix(entry.Name(), prefix) {
			found = append(found, entry.Name())
		}
	}
	return found
}

func get(t *testing.T, url string, header map[string]string, status int) []byte {
	t.Helper()
	request, err := http.NewRequest("GET", url, nil)
	check(t, err)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	check(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	check(t, err)
	if response.StatusCode != status {
		t.Fatalf("%s: %s: %s", url, response.Status, body)
	}
	return body
}

func TestLeastRecentlyUsedGoesFirst(t *testing.T) {
	dir := tree(t, 100, 4)
	stored := t.TempDir()
	server := start(t, stored)
	server.run(t, "put", "size", dir)
	var items []item
	check(t, json.Unmarshal(get(t, server.url+"/", map[string]string{"Accept": "application/json"}, 200), &items))
	server.kill()

	server = start(t, stored, "-limit", fmt.Sprint(items[0].Size*3+1000))
	keys := func() string {
		check(t, json.Unmarshal(get(t, server.url+"/", map[string]string{"Accept": "application/json"}, 200), &items))
		var keys []string
		for _, it := range items {
			keys = append(keys, it.Key)
		}
		return strings.Join(keys, " ")
	}
	pause := func() { time.Sleep(1100 * time.Millisecond) }
	server.run(t, "put", "b", dir)
	pause()
	server.run(t, "put", "c", dir)
	pause()
	get(t, server.url+"/archive/size", map[string]string{"Range": "bytes=0-9"}, 206)
	server.run(t, "put", "d", dir)
	if found := keys(); found != "c d size" {
		t.Errorf("b was not used for longest, and there are %s", found)
	}
	// Uses outlive a kill.
	server.kill()
	pause()
	server = start(t, stored, "-limit", fmt.Sprint(items[0].Size*2+1000))
	if found := keys(); found != "d size" {
		t.Errorf("after a restart with less room: %s", found)
	}
	// What can't fit at all changes nothing.
	if said, err := server.try(t, "put", "big", tree(t, 400, 5)); err == nil || !strings.Contains(said, "413") {
		t.Errorf("an archive over the limit: %s", said)
	}
	if found := keys(); found != "d size" {
		t.Errorf("after it: %s", found)
	}
}

func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed")
	}
	server := start(t, t.TempDir())
	dir := tree(t, 100, 6)
	server.run(t, "put", "one", dir)
	work := t.TempDir()
	do := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(curl, append([]string{"-sS", "--fail-with-body"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("curl %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	whole, parts := filepath.Join(work, "whole"), filepath.Join(work, "parts")
	do("-o", whole, server.url+"/archive/one")
	// An interrupted download goes on where it stopped.
	do("-o", parts, "-r", "0-9999", server.url+"/archive/one")
	do("-o", parts, "-C", "-", server.url+"/archive/one")
	a, err := os.ReadFile(whole)
	check(t, err)
	b, err := os.ReadFile(parts)
	check(t, err)
	if len(a) < 20000 || !bytes.Equal(a, b) {
		t.Errorf("%d and %d bytes", len(a), len(b))
	}
	if head := do("-I", server.url+"/archive/one"); !strings.Contains(head, "Accept-Ranges: bytes") || !strings.Contains(head, "Etag: \"") {
		t.Error(head)
	}
	if status := do("-w", "%{http_code}", "-o", "/dev/null", "-X", "PUT", "--data-binary", "@"+whole, server.url+"/archive/two"); status != "201" {
		t.Error(status)
	}
	if text := do(server.url + "/browse/two/index.txt"); text != "what is in here\n" {
		t.Errorf("%q", text)
	}
	if text := do("-r", "5-6", server.url+"/browse/two/index.txt"); text != "is" {
		t.Errorf("%q", text)
	}
	do("-X", "DELETE", server.url+"/archive/two")
	get(t, server.url+"/archive/two", nil, 404)
}

func TestBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	var browser string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
			break
		}
	}
	if browser == "" {
		t.Skip("no chromium is installed")
	}
	server := start(t, t.TempDir())
	server.run(t, "put", "build-1.2", tree(t, 100, 7))
	profile := t.TempDir()
	look := func(path string) string {
		t.Helper()
		command := exec.Command(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
			"--user-data-dir="+profile, "--virtual-time-budget=2000", "--dump-dom", server.url+path)
		out, err := command.Output()
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return string(out)
	}
	for path, wanted := range map[string][]string{
		"/":                           {`<a href="/browse/build-1.2/">build-1.2</a>`, "<th>digest"},
		"/browse/build-1.2/":          {`<a href="d00/">d00/</a>`, `<a href="index.txt">index.txt</a>`},
		"/browse/build-1.2/index.txt": {"what is in here"},
		"/browse/build-1.2/page.html": {"<title>a page</title>", "from the archive"},
	} {
		page := look(path)
		for _, text := range wanted {
			if !strings.Contains(page, text) {
				t.Errorf("%s lacks %s:\n%s", path, text, page)
			}
		}
	}
}

func rounds(n int) int {
	if testing.Short() {
		return (n + 4) / 5
	}
	return n
}

// A server that is killed while archives come in has the old ones or the new ones when it starts again, whole.
func TestKilledServerLosesNothing(t *testing.T) {
	stored := t.TempDir()
	dirs := []string{tree(t, 300, 8), tree(t, 300, 9)}
	server := start(t, stored)
	server.run(t, "put", "k", dirs[0])
	server.run(t, "put", "other", dirs[1])
	random := rand.New(rand.NewSource(10))
	archives := [][]byte{get(t, server.url+"/archive/k", nil, 200), get(t, server.url+"/archive/other", nil, 200)}
	for round := 0; round < rounds(15); round++ {
		done := make(chan struct{})
		go func(url string) {
			defer close(done)
			for i := 0; ; i++ {
				request, _ := http.NewRequest("PUT", url+"/archive/k", bytes.NewReader(archives[i%2]))
				response, err := http.DefaultClient.Do(request)
				if err != nil {
					return
				}
				response.Body.Close()
			}
		}(server.url)
		time.Sleep(time.Duration(random.Intn(60)) * time.Millisecond)
		server.kill()
		<-done
		server = start(t, stored)
		if left := names(t, stored, temporary); len(left) != 0 {
			t.Fatalf("left %v", left)
		}
		if count := len(names(t, stored, "k@")); count != 1 {
			t.Fatalf("%d archives of one key", count)
		}
		found := get(t, server.url+"/archive/k", nil, 200)
		if !bytes.Equal(found, archives[0]) && !bytes.Equal(found, archives[1]) {
			t.Fatal("neither the old archive nor the new")
		}
		if !bytes.Equal(get(t, server.url+"/archive/other", nil, 200), archives[1]) {
			t.Fatal("an archive that nobody touched is another one")
		}
	}
}

// A client that is killed while it gets leaves a directory that the next get completes.
func TestKilledClientLosesNothing(t *testing.T) {
	server := start(t, t.TempDir())
	dir := tree(t, 3000, 11)
	server.run(t, "put", "k", dir)
	random := rand.New(rand.NewSource(12))
	cut := 0
	for round := 0; round < rounds(10); round++ {
		out := filepath.Join(t.TempDir(), "out")
		command := program(t, "get", "-server", server.url, "k", out)
		check(t, command.Start())
		time.Sleep(time.Duration(random.Intn(300)) * time.Millisecond)
		command.Process.Signal(syscall.SIGKILL)
		if command.Wait() != nil {
			cut++
		}
		server.run(t, "get", "k", out)
		same(t, dir, out)
	}
	t.Logf("%d of %d were killed before they were done", cut, rounds(10))
	// And one that is killed while it puts leaves the old archive.
	other := tree(t, 3000, 13)
	for round := 0; round < rounds(5); round++ {
		command := program(t, "put", "-server", server.url, "k", other)
		check(t, command.Start())
		time.Sleep(time.Duration(random.Intn(100)) * time.Millisecond)
		command.Process.Signal(syscall.SIGKILL)
		done := command.Wait() == nil
		out := filepath.Join(t.TempDir(), "out")
		// What the client had sent may take the old archive's place now, which a get under way says; the next one doesn't meet it.
		if said, err := server.try(t, "get", "k", out); err != nil {
			t.Log(said)
			server.run(t, "get", "k", out)
		}
		if done {
			same(t, other, out)
			break
		}
		if _, err := exec.Command("diff", "-r", dir, out).Output(); err != nil {
			same(t, other, out)
		}
	}
}

func TestServerGoneIsAnErrorAndNothingElse(t *testing.T) {
	server := start(t, t.TempDir())
	dir := tree(t, 100, 14)
	server.run(t, "put", "k", dir)
	server.kill()
	out := filepath.Join(t.TempDir(), "out")
	if said, err := server.try(t, "get", "k", out); err == nil {
		t.Errorf("got from a server that is gone: %s", said)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("it made the directory")
	}
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	if said, err := (&running{url: other.URL}).try(t, "put", "k", dir); err == nil {
		t.Errorf("put to a server of another kind: %s", said)
	}
}

func TestTwoServersDontShareAStore(t *testing.T) {
	stored := t.TempDir()
	start(t, stored)
	out, err := program(t, "serve", "-store", stored, "-listen", "127.0.0.1:0").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "in use") {
		t.Errorf("%s", out)
	}
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"put"}, {"put", "k"}, {"serve"}, {"steal", "k", "d"}, {"get", "-fast", "k", "d"}, {"serve", "-store", "x", "-limit", "2Q"}} {
		command := program(t, args...)
		out, _ := command.CombinedOutput()
		if command.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "usage:") {
			t.Errorf("%v: %d, %s", args, command.ProcessState.ExitCode(), out)
		}
	}
	for text, want := range map[string]int64{"0": 0, "12": 12, "3k": 3 << 10, "2G": 2 << 30} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
}
