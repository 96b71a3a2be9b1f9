package management

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/perdure/perdure/identity/internal/directory"
)

func logEndpoints() []endpoint {
	list := parameters(pages, marks, fields, []string{"sort", "q", "search"})
	return []endpoint{
		{method: http.MethodGet, path: "logs", permissions: []string{"read:logs"}, query: list, run: listLogs},
		{method: http.MethodGet, path: "logs/{id}", permissions: []string{"read:logs"}, query: fields, run: readLog},
		{method: http.MethodGet, path: "users/{id}/logs", permissions: []string{"read:logs", "read:logs_users"}, query: parameters(pages, []string{"sort"}), run: listUserLogs},
	}
}

// listLogs lists the audit log. By pages, the newest entry is the first. With from, the id of an
// entry, and take, what came after that entry follows, the oldest first, as an array: who
// copies the log goes on with the last id.
func listLogs(ctx context.Context, c *call) (*answer, error) {
	p, err := c.paging()
	if err != nil {
		return nil, err
	}
	f := directory.AuditFilter{Paging: p.Paging}
	if err := c.logQuery(&f); err != nil {
		return nil, err
	}
	if p.Take > 0 {
		return c.logsAfter(ctx, p, f)
	}
	l, err := c.env.AuditLog(ctx, f)
	if err != nil {
		return nil, err
	}
	return answerList(c, "logs", p, l, shapeLog)
}

func (c *call) logsAfter(ctx context.Context, p paging, f directory.AuditFilter) (*answer, error) {
	filter, err := c.fieldFilter()
	if err != nil {
		return nil, err
	}
	mark := p.From
	f.Oldest, f.Paging = true, directory.Paging{Take: directory.MaxPerPage}
	if mark != "" {
		e, err := c.env.AuditEntryByID(ctx, mark)
		if errors.Is(err, directory.ErrNotFound) {
			return nil, invalidQuery("from is not the id of an entry")
		}
		if err != nil {
			return nil, err
		}
		f.From = e.Time
	}
	items := []any{}
	for {
		l, err := c.env.AuditLog(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, e := range l.Items {
			if e.ID > mark && len(items) < p.Take { // others of the same moment come before it
				items = append(items, filter.apply(shapeLog(e)))
			}
		}
		if len(items) == p.Take || l.Next == "" {
			return ok(items)
		}
		f.Paging.From = l.Next
	}
}

func readLog(ctx context.Context, c *call) (*answer, error) {
	f, err := c.fieldFilter()
	if err != nil {
		return nil, err
	}
	e, err := c.env.AuditEntryByID(ctx, c.args["id"])
	if err != nil {
		return nil, err
	}
	return ok(f.apply(shapeLog(e)))
}

func listUserLogs(ctx context.Context, c *call) (*answer, error) {
	p, err := c.paging()
	if err != nil {
		return nil, err
	}
	f := directory.AuditFilter{Paging: p.Paging}
	if err := c.logQuery(&f); err != nil {
		return nil, err
	}
	f.Target = c.args["id"]
	l, err := c.env.AuditLog(ctx, f)
	if err != nil {
		return nil, err
	}
	return answerList(c, "logs", p, l, shapeLog)
}

// logTerm is a condition of a query of the log.
var logTerm = regexp.MustCompile(`^(type|user_id|details\.actor|details\.target):("[^"\\]*"|[^"\\\s]+)$`)

// logQuery reads the order and the query: conditions with AND between them, such as
// type:login.failed AND user_id:"perdure|1".
func (c *call) logQuery(f *directory.AuditFilter) error {
	switch sort := c.query.Get("sort"); sort {
	case "", "date:-1":
	case "date:1":
		f.Oldest = true
	default:
		return invalidQuery("sort must be date:1 or date:-1, not %q", sort)
	}
	q := strings.TrimSpace(c.query.Get("q"))
	if q == "" {
		q = strings.TrimSpace(c.query.Get("search"))
	}
	if q == "" {
		return nil
	}
	for term := range strings.SplitSeq(q, " AND ") {
		m := logTerm.FindStringSubmatch(strings.TrimSpace(term))
		if m == nil {
			return invalidQuery("q has conditions such as type:login, user_id:\"perdure|1\", details.actor:command, with AND between them, not %q", term)
		}
		value := strings.Trim(m[2], `"`)
		switch m[1] {
		case "type":
			f.Types = append(f.Types, value)
		case "details.actor":
			f.Actor = value
		default:
			f.Target = value
		}
	}
	return nil
}
