package control

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Tables are the tables of an app.
type Tables interface {
	// Tables returns the names of all tables, in order.
	Tables() []string
	// Row returns a row, or nil.
	Row(ctx context.Context, table, partition, row string) (*Row, error)
	// Rows visits the rows of a selection until visit returns false.
	Rows(ctx context.Context, q RowQuery, visit func(row Row, cursor string) bool) error
}

// RowQuery chooses rows of a table.
type RowQuery struct {
	Table string
	// Partition, unless nil, is the only one.
	Partition *string
	// Prefix begins the names of the rows; it needs Partition.
	Prefix string
	// Cursor goes on after an earlier page.
	Cursor string
}

// Row is a row of a table.
type Row struct {
	Partition string          `json:"partition"`
	Row       string          `json:"row"`
	Written   time.Time       `json:"written"`
	Expires   time.Time       `json:"expires,omitzero"`
	Value     json.RawMessage `json:"value"`
}

// Table is a table of the app.
type Table struct {
	Name string `json:"name"`
}

func (s *server) routeTables() {
	s.handle("GET tables", func(r *http.Request) (any, error) {
		if err := readQuery(r).done(); err != nil {
			return nil, err
		}
		page := Page[Table]{Items: []Table{}}
		for _, name := range s.Tables.Tables() {
			page.Items = append(page.Items, Table{name})
		}
		return page, nil
	})
	s.handle("GET tables/{table}/rows", s.scanRows)
	s.handle("GET tables/{table}/row", s.getRow)
}

func (s *server) getRow(r *http.Request) (any, error) {
	q := readQuery(r)
	partition, name := q.text("partition"), q.text("row")
	if err := q.done(); err != nil {
		return nil, err
	}
	row, err := s.Tables.Row(r.Context(), named(r, "table"), partition, name)
	if err != nil {
		return nil, err
	}
	if row == nil {
		return nil, missing("row", name)
	}
	return row, nil
}

func (s *server) scanRows(r *http.Request) (any, error) {
	in := readQuery(r)
	q := RowQuery{Table: named(r, "table"), Prefix: in.text("prefix"), Cursor: in.text("cursor")}
	if given := in.all("partition"); len(given) > 0 {
		q.Partition = &given[0]
	}
	limit := in.limit()
	if q.Prefix != "" && q.Partition == nil {
		in.fault("prefix", "rows are in order inside a partition: give the partition, too, which may be empty")
	}
	if err := in.done(); err != nil {
		return nil, err
	}
	var (
		page = Page[Row]{Items: []Row{}}
		last string
		size int
	)
	err := s.Tables.Rows(r.Context(), q, func(row Row, cursor string) bool {
		if len(page.Items) == limit || size >= maxPageBytes {
			page.Next = last
			return false
		}
		page.Items = append(page.Items, row)
		size += len(row.Value)
		last = cursor
		return true
	})
	return page, err
}
