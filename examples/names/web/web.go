// Package web is the page of the names example: plain HTML, CSS and a little JavaScript,
// embedded in the binary.
package web

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed assets
var assets embed.FS

// contentSecurityPolicy lets the page load from its own server alone.
const contentSecurityPolicy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"

// Handler serves the page at "/" and its parts below "/assets/".
func Handler() http.Handler {
	files := http.FileServerFS(assets)
	pages, err := fs.Sub(assets, "assets")
	if err != nil {
		panic(err) // a fault of the build
	}
	index := http.FileServerFS(pages)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentSecurityPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		if r.URL.Path == "/" {
			index.ServeHTTP(w, r)
			return
		}
		files.ServeHTTP(w, r)
	})
}
