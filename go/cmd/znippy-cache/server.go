package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"znippy"
)

// digestHeader carries an archive's digest in hex, in requests and responses.
const digestHeader = "Znippy-Digest"

type server struct{ store *store }

func newServer(store *store) http.Handler {
	s := &server{store}
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.index)
	mux.HandleFunc("/archive/", s.archive)
	mux.HandleFunc("/browse/", s.browse)
	return mux
}

func (s *server) archive(w http.ResponseWriter, r *http.Request) {
	key := strings.TrimPrefix(r.URL.Path, "/archive/")
	if !validKey.MatchString(key) {
		http.Error(w, errKey.Error(), http.StatusBadRequest)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		it, file, err := s.store.find(key)
		if err != nil {
			fail(w, err)
			return
		}
		defer file.Close()
		w.Header().Set("ETag", `"`+it.Digest+`"`)
		w.Header().Set(digestHeader, it.Digest)
		w.Header().Set("Content-Type", "application/octet-stream")
		// No time of modification: the digest says it better, and the file's is that of its last use.
		http.ServeContent(w, r, "", time.Time{}, file)
	case http.MethodPut:
		it, err := s.store.put(r.Context(), key, strings.ToLower(r.Header.Get(digestHeader)), r.Body)
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("ETag", `"`+it.Digest+`"`)
		w.Header().Set(digestHeader, it.Digest)
		w.WriteHeader(http.StatusCreated)
	case http.MethodDelete:
		found, err := s.store.remove(key)
		switch {
		case err != nil:
			fail(w, err)
		case !found:
			fail(w, fs.ErrNotExist)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	default:
		w.Header().Set("Allow", "GET, HEAD, PUT, DELETE")
		http.Error(w, "the method is not allowed", http.StatusMethodNotAllowed)
	}
}

// browse shows what is in an archive. It is opened for each request, which takes a fraction of a millisecond.
func (s *server) browse(w http.ResponseWriter, r *http.Request) {
	key, _, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/browse/"), "/")
	if !validKey.MatchString(key) {
		http.Error(w, errKey.Error(), http.StatusBadRequest)
		return
	}
	if !ok {
		http.Redirect(w, r, "/browse/"+key+"/", http.StatusMovedPermanently)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the method is not allowed", http.StatusMethodNotAllowed)
		return
	}
	_, file, err := s.store.find(key)
	if err != nil {
		fail(w, err)
		return
	}
	defer file.Close()
	archive, err := znippy.OpenFile(file)
	if err != nil {
		fail(w, err)
		return
	}
	defer archive.Close()
	// Scripts in the pages of an archive may not act as this server.
	w.Header().Set("Content-Security-Policy", "sandbox")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.StripPrefix("/browse/"+key, http.FileServer(http.FS(archive))).ServeHTTP(w, r)
}

var page = template.Must(template.New("index").Parse(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>znippy-cache</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2em; max-width: 60em }
td, th { text-align: left; padding: 0 1em 0 0; vertical-align: top }
td.number { text-align: right; font-variant-numeric: tabular-nums }
code { font-size: 80% }
</style>
<h1>Archives</h1>
{{if .}}<table>
<tr><th>key<th>bytes<th>last used<th>digest
{{range .}}<tr><td><a href="/browse/{{.Key}}/">{{.Key}}</a><td class="number">{{.Size}}<td>{{.Used.UTC.Format "2006-01-02 15:04:05"}}<td><a href="/archive/{{.Key}}"><code>{{slice .Digest 0 16}}…</code></a>
{{end}}</table>{{else}}<p>None yet.{{end}}
`))

func (s *server) index(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(s.store.list())
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := page.Execute(w, s.store.list()); err != nil {
		fmt.Fprintln(w, err)
	}
}

// fail answers with what an error is to a client.
func fail(w http.ResponseWriter, err error) {
	code := http.StatusInternalServerError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		code, err = http.StatusNotFound, errors.New("there is no archive of this key")
	case errors.Is(err, errKey):
		code = http.StatusBadRequest
	case errors.Is(err, znippy.LimitExceeded):
		code = http.StatusRequestEntityTooLarge
	case errors.Is(err, znippy.NotArchive), errors.Is(err, znippy.Corrupt), errors.Is(err, znippy.ChecksumMismatch),
		errors.Is(err, znippy.VersionMismatch), errors.Is(err, znippy.Unsupported):
		code = http.StatusUnprocessableEntity
	case errors.Is(err, znippy.NoSpace):
		code = http.StatusInsufficientStorage
	}
	http.Error(w, err.Error(), code)
}
