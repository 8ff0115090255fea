package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"znippy"
)

type client struct {
	server string
	out    io.Writer
}

func (c *client) url(key string) string { return strings.TrimRight(c.server, "/") + "/archive/" + key }

// put packs a directory and uploads it, unless the server has the same archive.
func (c *client) put(ctx context.Context, key, dir, base string, level int) error {
	if !validKey.MatchString(key) {
		return errKey
	}
	temp, err := os.MkdirTemp("", "znippy-cache-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	options := []znippy.Option{znippy.Level(level)}
	if base != "" {
		archive, err := c.open(ctx, base)
		if err != nil {
			return fmt.Errorf("base %s: %w", base, err)
		}
		defer archive.Close()
		options = append(options, znippy.Base(archive))
	}
	name := filepath.Join(temp, "archive")
	stats, err := znippy.CompressDir(ctx, dir, name, options...)
	if err != nil {
		return err
	}
	digest, err := digestOf(name)
	if err != nil {
		return err
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	sent := "sent"
	if c.has(ctx, key, digest) {
		sent = "there already"
	} else if err := c.upload(ctx, key, digest, file, int64(stats.BytesOut)); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s: %d files, %d bytes, %d bytes %s\n", key, stats.Files, stats.BytesIn, stats.BytesOut, sent)
	return nil
}

func (c *client) has(ctx context.Context, key, digest string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, c.url(key), nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK && response.Header.Get(digestHeader) == digest
}

func (c *client) upload(ctx context.Context, key, digest string, body io.Reader, size int64) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, c.url(key), io.NopCloser(body))
	if err != nil {
		return err
	}
	request.ContentLength = size
	request.Header.Set(digestHeader, digest)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		return answer(response)
	}
	return nil
}

// get makes a directory equal to an archive of the server. Only what the directory lacks is fetched.
func (c *client) get(ctx context.Context, key, dir string, untrusted bool) error {
	archive, err := c.open(ctx, key)
	if err != nil {
		return err
	}
	defer archive.Close()
	options := []znippy.Option{znippy.SkipUnchanged(), znippy.Prune()}
	if untrusted {
		options = append(options, znippy.Untrusted())
	}
	stats, err := archive.Extract(ctx, dir, options...)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s: %d created, %d replaced, %d kept, %d deleted\n", key, stats.Created, stats.Replaced, stats.Kept, stats.Pruned)
	return nil
}

// open opens an archive of the server, and checks that it is the one that the server says it is.
func (c *client) open(ctx context.Context, key string) (*znippy.Archive, error) {
	if !validKey.MatchString(key) {
		return nil, errKey
	}
	remote, err := openRemote(ctx, c.url(key))
	if err != nil {
		return nil, err
	}
	archive, err := znippy.OpenReaderAt(remote, remote.size)
	if err != nil {
		return nil, err
	}
	info, err := archive.Info()
	if err == nil {
		if digest := hex.EncodeToString(info.Digest[:]); digest != remote.digest {
			err = fmt.Errorf("%s: the archive's digest is %s, the server says %s", key, digest, remote.digest)
		}
	}
	if err != nil {
		archive.Close()
		return nil, err
	}
	return archive, nil
}
