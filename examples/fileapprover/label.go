package main

import (
	"fmt"
	"path"
	"strings"

	"github.com/gabriel-vasile/mimetype"

	"github.com/perdure/perdure/examples/fileapprover/analysis"
)

// typeOfExtension has the extensions of formats that are recognised by their first bytes.
var typeOfExtension = map[string]string{
	".bmp": "image/bmp", ".gif": "image/gif", ".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".png": "image/png",
	".tif": "image/tiff", ".tiff": "image/tiff", ".webp": "image/webp",
	".pdf": "application/pdf", ".zip": "application/zip",
}

// explainName returns an entry that says so when a file is called what its content is not.
func explainName(name, found string) []analysis.Entry {
	extension := strings.ToLower(path.Ext(name))
	promised, known := typeOfExtension[extension]
	if !known || found == "application/octet-stream" { // the analysis has explained that
		return nil
	}
	// An animated PNG is a PNG, too.
	for m := mimetype.Lookup(found); m != nil; m = m.Parent() {
		if m.Is(promised) {
			return nil
		}
	}
	return []analysis.Entry{{
		Name:   analysis.Explanation,
		Value:  fmt.Sprintf("the name ends in %s, but the content is %s", extension, found),
		Source: analysis.SourceFile,
	}}
}
