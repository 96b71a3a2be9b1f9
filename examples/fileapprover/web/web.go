// Package web is the file approver's page: plain HTML, CSS and a little
// JavaScript, embedded in the binary. It speaks to the HTTP interface below
// /api/ of the server it came from and to nothing else.
package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
)

//go:embed assets
var assets embed.FS

// contentSecurityPolicy lets the page load from its own server alone: a script
// that gets into it by way of a file name or a comment is not run.
const contentSecurityPolicy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"

// page is one embedded file, ready to be served.
type page struct {
	body        []byte
	contentType string
	etag        string
}

// Handler serves the page at "/" and its parts below "/assets/". Everything
// else is not found.
func Handler() http.Handler {
	pages, err := load()
	if err != nil {
		panic(fmt.Sprintf("web: embedded assets: %v", err)) // a fault of the build, not of a request
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := pages[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		p.serve(w, r)
	})
}

func (p page) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", p.contentType)
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	// Kept by browsers but asked for each time: after a new version is started
	// no page runs half old, half new.
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", p.etag)
	if r.Header.Get("If-None-Match") == p.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", fmt.Sprint(len(p.body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(p.body) // the browser has gone: nobody is left to tell
	}
}

// load returns the pages by URL path.
func load() (map[string]page, error) {
	pages := map[string]page{}
	err := fs.WalkDir(assets, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := assets.ReadFile(name)
		if err != nil {
			return err
		}
		contentType := contentTypes[path.Ext(name)]
		if contentType == "" {
			return fmt.Errorf("no content type for %q", name)
		}
		sum := sha256.Sum256(body)
		p := page{body: body, contentType: contentType, etag: `"` + hex.EncodeToString(sum[:16]) + `"`}
		if name == "assets/index.html" {
			pages["/"] = p
		} else {
			pages["/"+name] = p
		}
		return nil
	})
	return pages, err
}

// contentTypes are given here, not by the machine's own tables: these differ.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}
