// Package deps pins dependencies while the packages that use them are being written.
package deps

import (
	_ "github.com/chromedp/chromedp"
	_ "github.com/cockroachdb/pebble/v2"
	_ "github.com/cockroachdb/pebble/v2/vfs"
	_ "github.com/cockroachdb/pebble/v2/vfs/errorfs"
	_ "github.com/danielgtaylor/huma/v2"
	_ "github.com/gabriel-vasile/mimetype"
	_ "github.com/google/btree"
	_ "github.com/google/uuid"
	_ "github.com/pdfcpu/pdfcpu/pkg/api"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/rwcarlsen/goexif/exif"
	_ "github.com/spf13/cobra"
	_ "go.uber.org/goleak"
	_ "golang.org/x/image/webp"
	_ "golang.org/x/image/tiff"
	_ "golang.org/x/image/bmp"
	_ "golang.org/x/net/html/charset"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/text/encoding"
	_ "golang.org/x/sync/errgroup"
	_ "pgregory.net/rapid"
)
