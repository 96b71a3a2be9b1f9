package table_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/perdure/perdure/table"
)

func TestBatches(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.run(t, func(ctx context.Context) error {
		err := files.PutAll(ctx,
			table.Entry[File]{Key: "1", Value: &File{Name: "one"}},
			table.Entry[File]{Key: "p/2", Value: &File{Name: "two"}},
			table.Entry[File]{Key: "1", Value: &File{Name: "last"}},
		)
		if err != nil {
			return err
		}
		rows, err := files.GetAll(ctx, "p/2", "absent", "1")
		if err != nil {
			return err
		}
		if len(rows) != 3 || rows[0].Name != "two" || rows[1] != nil || rows[2].Name != "last" {
			t.Errorf("the rows are %+v", rows)
		}
		return nil
	})
	a.run(t, func(ctx context.Context) error {
		n, err := files.DeleteAll(ctx, "1", "absent", "1", "p/2")
		if n != 2 {
			t.Errorf("%d rows were deleted, want 2", n)
		}
		return err
	})
	a.run(t, func(ctx context.Context) error {
		wantPaths(t, "after", files.ScanAll(ctx), "")
		return nil
	})
}

func TestBatchesEndAtTheFirstError(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	keys := make([]string, table.MaxBatch+1)
	entries := make([]table.Entry[File], table.MaxBatch+1)
	a.run(t, func(ctx context.Context) error {
		for name, c := range map[string]struct {
			got, want error
		}{
			"put, bad key":    {files.PutAll(ctx, table.Entry[File]{Key: "/", Value: &File{}}), table.ErrKey},
			"put, too many":   {files.PutAll(ctx, entries...), table.ErrTooLarge},
			"get, bad key":    {second(files.GetAll(ctx, "1", "/")), table.ErrKey},
			"get, too many":   {second(files.GetAll(ctx, keys...)), table.ErrTooLarge},
			"delete, bad key": {second(files.DeleteAll(ctx, "1", "/")), table.ErrKey},
			"delete, many":    {second(files.DeleteAll(ctx, keys...)), table.ErrTooLarge},
		} {
			if !errors.Is(c.got, c.want) || !strings.Contains(c.got.Error(), `table "files"`) {
				t.Errorf("%s: %v, want %v", name, c.got, c.want)
			}
		}
		return nil
	})
}

func second[T any](_ T, err error) error { return err }

// What GetAll did not find is validated.
func TestGetAllIsValidated(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	err := a.try(func(ctx context.Context) error {
		if _, err := files.GetAll(ctx, "1", "2"); err != nil {
			return err
		}
		a.run(t, func(ctx context.Context) error { return files.Put(ctx, "2", &File{}) })
		return files.Put(ctx, "out", &File{})
	})
	if err == nil {
		t.Error("a unit committed on what another has changed")
	}
}
