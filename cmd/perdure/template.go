package main

import (
	"embed"
	"fmt"
	"go/format"
	"io/fs"
	"path"
	"strings"
	"text/template"
)

// templates are the files of new apps and functions. A name such as gitignore.tmpl
// stands for .gitignore, which embed would leave out.
//
//go:embed templates
var templates embed.FS

// renderAll returns the files of a folder of templates by name, filled with values.
func renderAll(folder string, values map[string]string) (map[string]string, error) {
	entries, err := fs.ReadDir(templates, path.Join("templates", folder))
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".tmpl")
		text, err := render(path.Join(folder, name), values)
		if err != nil {
			return nil, err
		}
		if name == "gitignore" {
			name = ".gitignore"
		}
		files[name] = text
	}
	return files, nil
}

// render fills a template with values. Go code is formatted.
func render(name string, values map[string]string) (string, error) {
	t, err := template.New("").Option("missingkey=error").ParseFS(templates, path.Join("templates", name+".tmpl"))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := t.ExecuteTemplate(&b, path.Base(name)+".tmpl", values); err != nil {
		return "", err
	}
	if path.Ext(name) != ".go" {
		return b.String(), nil
	}
	code, err := format.Source([]byte(b.String()))
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return string(code), nil
}
