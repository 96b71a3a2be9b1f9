package table_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure/table"
)

// Document is a row of the examples.
type Document struct {
	Title   string
	State   string
	Created time.Time
}

var (
	ByCreated = table.Index("byCreated", func(d *Document) time.Time { return d.Created })
	ByState   = table.Index("byState", func(d *Document) string { return d.State })
	Documents = table.Of("documents", ByCreated, ByState)
)

// A function that is called with ctx reads and writes rows; what it wrote is
// committed when it has ended well.
func ExampleTable() {
	app := startApp()
	defer app.stop()

	err := app.Unit(context.Background(), func(ctx context.Context) error {
		if err := Documents.Insert(ctx, "42", &Document{Title: "Plan", State: "new"}); err != nil {
			return err
		}
		return Documents.Update(ctx, "42", func(d *Document) error {
			d.State = "approved"
			return nil
		})
	})
	if err != nil {
		fmt.Println(err)
	}

	err = app.Unit(context.Background(), func(ctx context.Context) error {
		d, err := Documents.Get(ctx, "42")
		if err != nil {
			return err
		}
		fmt.Println(d.Title, d.State)

		_, err = Documents.Get(ctx, "43")
		fmt.Println(errors.Is(err, table.ErrNotFound))
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// Plan approved
	// true
}

// Nothing that a function wrote before it failed is kept.
func ExampleTable_Put() {
	app := startApp()
	defer app.stop()

	err := app.Unit(context.Background(), func(ctx context.Context) error {
		if err := Documents.Put(ctx, "1", &Document{Title: "Draft"}); err != nil {
			return err
		}
		return errors.New("changed my mind")
	})
	fmt.Println(err)

	err = app.Unit(context.Background(), func(ctx context.Context) error {
		_, err := Documents.Get(ctx, "1")
		return err
	})
	fmt.Println(err)
	// Output:
	// changed my mind
	// table "documents": row "1": perdure: not found
}

// The ETag keeps what a person edits from overwriting what was changed meanwhile.
func ExampleTable_PutIf() {
	app := startApp()
	defer app.stop()

	err := app.Unit(context.Background(), func(ctx context.Context) error {
		if err := Documents.Put(ctx, "1", &Document{Title: "First"}); err != nil {
			return err
		}
		row, err := Documents.GetRow(ctx, "1")
		if err != nil {
			return err
		}
		fmt.Println(Documents.PutIf(ctx, "1", row.ETag, &Document{Title: "Second"}))
		fmt.Println(Documents.PutIf(ctx, "1", row.ETag, &Document{Title: "Third"}))
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// table "documents": row "1": has changed
}

// Rows with the path "partition/row" are scanned partition by partition.
func ExampleTable_Scan() {
	app := startApp()
	defer app.stop()

	err := app.Unit(context.Background(), func(ctx context.Context) error {
		for _, key := range []string{"berlin/1", "berlin/2", "cairo/1"} {
			if err := Documents.Put(ctx, key, &Document{Title: "Letter to " + key}); err != nil {
				return err
			}
		}
		for row, err := range Documents.Scan(ctx, "berlin", table.Reverse()) {
			if err != nil {
				return err
			}
			fmt.Println(row.Key, row.Value.Title)
		}
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// berlin/2 Letter to berlin/2
	// berlin/1 Letter to berlin/1
}

// Newest first, page by page.
func ExamplePage() {
	app := startApp()
	defer app.stop()

	err := app.Unit(context.Background(), func(ctx context.Context) error {
		for day := 1; day <= 3; day++ {
			d := &Document{Created: time.Date(2026, 5, day, 0, 0, 0, 0, time.UTC), State: "new"}
			if err := Documents.Put(ctx, fmt.Sprint("doc-", day), d); err != nil {
				return err
			}
		}
		return nil
	})
	for cursor, done := "", err != nil; !done; done = cursor == "" || err != nil {
		err = app.Unit(context.Background(), func(ctx context.Context) error {
			newest := Documents.ScanIndex(ctx, ByCreated.All(), table.Reverse(), table.After(cursor))
			rows, next, err := table.Page(newest, 2)
			for _, row := range rows {
				fmt.Println(row.Key)
			}
			fmt.Println("more:", next != "")
			cursor = next
			return err
		})
	}
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// doc-3
	// doc-2
	// more: true
	// doc-1
	// more: false
}

func ExampleSecondaryIndex_Equal() {
	app := startApp()
	defer app.stop()

	err := app.Unit(context.Background(), func(ctx context.Context) error {
		for key, state := range map[string]string{"a": "new", "b": "approved", "c": "new"} {
			if err := Documents.Put(ctx, key, &Document{State: state}); err != nil {
				return err
			}
		}
		for row, err := range Documents.ScanIndex(ctx, ByState.Equal("new")) {
			if err != nil {
				return err
			}
			fmt.Println(row.Key)
		}
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// a
	// c
}

// What a user sent is made a key by String.
func ExampleKey() {
	fmt.Println(table.Key{Partition: "reports", Row: "2026/05"})
	k, err := table.ParseKey("reports/2026%2F05")
	fmt.Println(k.Row, err)
	// Output:
	// reports/2026%2F05
	// 2026/05 <nil>
}
