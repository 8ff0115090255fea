// Command znippy-cache keeps trees of files, such as what builds make, as archives under keys, and gives them back.
//
//	znippy-cache serve -store DIR [-listen ADDRESS] [-limit BYTES]
//	znippy-cache put [-server URL] [-base KEY] [-level N] KEY DIR
//	znippy-cache get [-server URL] [-untrusted] KEY DIR
//
// put packs a directory and uploads it; -base takes what has not changed since an archive of the store from there instead of
// reading and compressing it anew. get makes a directory equal to what was put: of files that are as the archive has
// them nothing is fetched, what the archive doesn't have is deleted.
//
// The server answers
//
//	GET, HEAD /archive/KEY   the archive, with ranges; its digest is the ETag
//	PUT /archive/KEY         takes an archive, which is checked before it replaces the one before, if the header
//	                         Znippy-Digest is there also against that
//	DELETE /archive/KEY
//	GET /browse/KEY/         what is in the archive, for browsers
//	GET /                    what there is, for browsers; as JSON where that is asked for
//
// There is no access control: it listens on the loopback address unless it is told otherwise.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	var wrong usageError
	switch {
	case err == nil:
	case errors.As(err, &wrong):
		fmt.Fprintf(os.Stderr, "znippy-cache: %v\n%s", err, usage)
		os.Exit(2)
	case errors.Is(err, context.Canceled):
		os.Exit(130)
	default:
		fmt.Fprintf(os.Stderr, "znippy-cache: %v\n", err)
		os.Exit(1)
	}
}

const usage = `usage: znippy-cache serve -store DIR [-listen ADDRESS] [-limit BYTES]
       znippy-cache put [-server URL] [-base KEY] [-level N] KEY DIR
       znippy-cache get [-server URL] [-untrusted] KEY DIR
`

type usageError string

func (e usageError) Error() string { return string(e) }

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return usageError("a command is missing")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	parse := func(operands int) error {
		if err := flags.Parse(args[1:]); err != nil {
			return usageError(err.Error())
		}
		if flags.NArg() != operands {
			return usageError(fmt.Sprintf("%s takes %d operands", args[0], operands))
		}
		return nil
	}
	url := func() *string {
		return flags.String("server", environment("ZNIPPY_CACHE_SERVER", "http://127.0.0.1:8417"), "address of the server")
	}
	switch args[0] {
	case "serve":
		dir := flags.String("store", "", "directory of the archives")
		listen := flags.String("listen", "127.0.0.1:8417", "address to listen on")
		limit := flags.String("limit", "0", "most bytes of all archives; 0: no limit; K, M, G and T are powers of 1024")
		if err := parse(0); err != nil {
			return err
		}
		bytes, err := parseSize(*limit)
		if err != nil {
			return usageError(err.Error())
		}
		if *dir == "" {
			return usageError("serve needs -store")
		}
		return serve(ctx, *dir, *listen, bytes, out)
	case "put":
		server, base := url(), flags.String("base", "", "key of an archive to take unchanged files from")
		level := flags.Int("level", 3, "compression level")
		if err := parse(2); err != nil {
			return err
		}
		c := client{server: *server, out: out}
		return c.put(ctx, flags.Arg(0), flags.Arg(1), *base, *level)
	case "get":
		server, untrusted := url(), flags.Bool("untrusted", false, "the store is a stranger's")
		if err := parse(2); err != nil {
			return err
		}
		c := client{server: *server, out: out}
		return c.get(ctx, flags.Arg(0), flags.Arg(1), *untrusted)
	}
	return usageError(fmt.Sprintf("there is no command %q", args[0]))
}

// serve runs the server until the context ends. It says where it listens, since that may be a port that the system chose.
func serve(ctx context.Context, dir, listen string, limit int64, out io.Writer) error {
	store, err := openStore(dir, limit)
	if err != nil {
		return err
	}
	defer store.close()
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening on http://%s, %d archives, %d bytes\n", listener.Addr(), store.len(), store.size())
	server := &http.Server{Handler: newServer(store), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	// What is under way may finish.
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return server.Shutdown(grace)
}

func environment(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func parseSize(text string) (int64, error) {
	digits := strings.TrimRight(strings.ToUpper(text), "KMGT")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || len(text)-len(digits) > 1 {
		return 0, fmt.Errorf("%q is no number of bytes", text)
	}
	if unit := strings.ToUpper(text)[len(digits):]; unit != "" {
		shift := 10 * (1 + strings.Index("KMGT", unit))
		if n<<shift>>shift != n {
			return 0, fmt.Errorf("%q is too much", text)
		}
		n <<= shift
	}
	return n, nil
}
