package main

import (
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// watched are the endings of files that an app is built from.
var watched = []string{".go", ".mod", ".sum", ".html", ".css", ".js", ".tmpl", ".sql", ".json"}

// unwatched are folders that have nothing an app is built from.
var unwatched = []string{"node_modules", "testdata", "perdure-data", "vendor"}

var seed = maphash.MakeSeed()

// look returns a number that is another one after a watched file in a folder was changed,
// added or removed.
func look(root string) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	_ = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // it went away while it was looked at
		case d.IsDir():
			if name != root && (strings.HasPrefix(d.Name(), ".") || slices.Contains(unwatched, d.Name()) || isData(name)) {
				return fs.SkipDir
			}
			return nil
		case !slices.Contains(watched, filepath.Ext(name)) || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		if info, err := d.Info(); err == nil {
			fmt.Fprintln(&h, name, info.Size(), info.ModTime().UnixNano())
		}
		return nil
	})
	return h.Sum64()
}

// isData reports whether a folder is the data folder of an app, which changes all the
// time.
func isData(name string) bool {
	_, err := os.Lstat(filepath.Join(name, "running.journal"))
	return err == nil
}
