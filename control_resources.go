package perdure

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"

	"github.com/perdure/perdure/internal/control"
	"github.com/perdure/perdure/internal/records"
	"github.com/perdure/perdure/internal/unit"
)

// resourcesOf returns the names of the resources of a kind, in order.
func resourcesOf(p *parts, kind string) []string {
	var names []string
	for name, one := range p.resources {
		if one.ResourceKind() == kind {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// unit runs fn in a unit of work.
func (r *running) unit(ctx context.Context, fn func(u *unit.Unit) error) error {
	return unit.Run(ctx, r.env, r.committer, unitAttempts, func(ctx context.Context) error {
		u, err := unit.From(ctx)
		if err != nil {
			return err
		}
		return fn(u)
	})
}

// known refuses the name of a resource that the app has not.
func known(kind string, names []string, name string) error {
	if slices.Contains(names, name) {
		return nil
	}
	return NewProblem(http.StatusNotFound, fmt.Sprintf("there is no %s %q", kind, name))
}

// controlledTables are the app's tables as they are managed.
type controlledTables struct {
	r     *running
	names []string
}

// Tables implements control.Tables.
func (c controlledTables) Tables() []string { return c.names }

// Row implements control.Tables.
func (c controlledTables) Row(ctx context.Context, table, partition, row string) (found *control.Row, err error) {
	if err := known("table", c.names, table); err != nil {
		return nil, err
	}
	err = c.r.unit(ctx, func(u *unit.Unit) error {
		k := records.RowKey{Table: table, Partition: partition, Row: row}
		stored, err := records.GetRow(u, k)
		if stored = stored.Live(u.Now()); stored != nil {
			found = controlledRow(k, stored)
		}
		return err
	})
	return found, err
}

func controlledRow(k records.RowKey, row *records.Row) *control.Row {
	return &control.Row{Partition: k.Partition, Row: k.Row, Written: row.Written, Expires: row.Expires, Value: slices.Clone(row.Data)}
}

// Rows implements control.Tables.
func (c controlledTables) Rows(ctx context.Context, q control.RowQuery, visit func(control.Row, string) bool) error {
	if err := known("table", c.names, q.Table); err != nil {
		return err
	}
	scan := records.RowScan{Table: q.Table, Partition: q.Partition, Prefix: q.Prefix}
	if q.Cursor != "" {
		var err error
		if scan.After, err = base64.RawURLEncoding.DecodeString(q.Cursor); err != nil {
			return records.ErrCursor
		}
	}
	return c.r.unit(ctx, func(u *unit.Unit) error {
		return records.ScanRows(u, scan, func(k records.RowKey, row *records.Row, cursor []byte) bool {
			return visit(*controlledRow(k, row), base64.RawURLEncoding.EncodeToString(cursor))
		})
	})
}

// controlledBlobs are the app's containers as they are managed.
type controlledBlobs struct {
	r     *running
	names []string
}

// Containers implements control.Blobs.
func (c controlledBlobs) Containers() []string { return c.names }

// Blob implements control.Blobs.
func (c controlledBlobs) Blob(ctx context.Context, container, name string) (found *control.Blob, err error) {
	if err := known("container", c.names, container); err != nil {
		return nil, err
	}
	err = c.r.unit(ctx, func(u *unit.Unit) error {
		b, err := records.GetBlob(u, records.BlobKey{Container: container, Name: name})
		if err == nil && b != nil {
			found = controlledBlob(name, b)
		}
		return err
	})
	return found, err
}

func controlledBlob(name string, b *records.Blob) *control.Blob {
	return &control.Blob{Name: name, Size: b.Size, ContentType: b.ContentType, Created: b.Created, Metadata: b.Metadata}
}

// Blobs implements control.Blobs.
func (c controlledBlobs) Blobs(ctx context.Context, container, prefix, after string, visit func(control.Blob) bool) error {
	if err := known("container", c.names, container); err != nil {
		return err
	}
	return c.r.unit(ctx, func(u *unit.Unit) error {
		return records.ScanBlobs(u, records.BlobScan{Container: container, Prefix: prefix, After: after},
			func(name string, b *records.Blob) bool { return visit(*controlledBlob(name, b)) })
	})
}
