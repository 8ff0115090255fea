package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// remote is an archive on a server as an io.ReaderAt: each read is a request for a range.
type remote struct {
	ctx    context.Context
	url    string
	etag   string
	digest string
	size   int64
	client *http.Client
}

func openRemote(ctx context.Context, url string) (*remote, error) {
	// As many connections are kept as threads may read.
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	transport.DisableCompression = true
	r := &remote{ctx: ctx, url: url, client: &http.Client{Transport: transport}}
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, answer(response)
	}
	r.size, r.etag, r.digest = response.ContentLength, response.Header.Get("ETag"), response.Header.Get(digestHeader)
	if r.size < 0 || r.etag == "" || r.digest == "" {
		return nil, errors.New(url + ": the server is no znippy-cache")
	}
	return r, nil
}

func (r *remote) ReadAt(p []byte, offset int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	request, err := http.NewRequestWithContext(r.ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+int64(len(p))-1))
	// An archive that was replaced meanwhile is not mixed with the one that was opened.
	request.Header.Set("If-Match", r.etag)
	response, err := r.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusPartialContent:
		return io.ReadFull(response.Body, p)
	case http.StatusPreconditionFailed:
		return 0, errors.New(r.url + ": the archive was replaced while it was read")
	}
	return 0, answer(response)
}

// answer is a response that is not what was hoped for.
func answer(response *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
	return fmt.Errorf("%s %s: %s %s", response.Request.Method, response.Request.URL, response.Status, strings.TrimSpace(string(text)))
}
