// Command measure is the Go side of scripts/bench-go.sh: it reads every file of an archive by fs.WalkDir and ReadFile, and lists all
// entries, as benches/read_all.c does in C.
package main

import (
	"fmt"
	"io/fs"
	"log"
	"os"
	"time"

	"znippy"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: measure ARCHIVE")
	}
	start := time.Now()
	files, bytes := readAll(open())
	fmt.Printf("Go read %.4f s, %d files, %d bytes\n", time.Since(start).Seconds(), files, bytes)

	start = time.Now()
	entries := list(open())
	took := time.Since(start)
	fmt.Printf("Go list %.4f s, %d entries, %.3f us each\n", took.Seconds(), entries, took.Seconds()*1e6/float64(entries))

	start = time.Now()
	entries = walk(open())
	took = time.Since(start)
	fmt.Printf("Go walk %.4f s, %d entries, %.3f us each\n", took.Seconds(), entries, took.Seconds()*1e6/float64(entries))
}

func open() *znippy.Archive {
	archive, err := znippy.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	return archive
}

func readAll(archive *znippy.Archive) (files int, bytes int64) {
	defer archive.Close()
	err := fs.WalkDir(archive, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := archive.ReadFile(name)
		files++
		bytes += int64(len(data))
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	return files, bytes
}

func list(archive *znippy.Archive) uint64 {
	defer archive.Close()
	var count uint64
	for {
		entries, err := archive.Entries(count, 4096)
		if err != nil {
			log.Fatal(err)
		}
		if len(entries) == 0 {
			return count
		}
		count += uint64(len(entries))
	}
}

func walk(archive *znippy.Archive) (count uint64) {
	defer archive.Close()
	err := fs.WalkDir(archive, ".", func(_ string, _ fs.DirEntry, err error) error {
		count++
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	return count
}
