package control

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/perdure/perdure/internal/problem"
)

// query reads the parameters of a request and collects what is wrong with them.
type query struct {
	values url.Values
	known  []string
	faults []problem.Fault
}

func readQuery(r *http.Request) *query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	q := &query{values: values}
	if err != nil {
		q.fault("", "it is not well-formed")
	}
	return q
}

func (q *query) fault(name, detail string) {
	q.faults = append(q.faults, problem.Fault{In: "query", Name: name, Detail: detail})
}

// all returns a parameter that may be given several times.
func (q *query) all(name string) []string {
	q.known = append(q.known, name)
	return q.values[name]
}

// text returns a parameter; empty without it.
func (q *query) text(name string) string {
	all := q.all(name)
	if len(all) > 1 {
		q.fault(name, "it is given twice")
	}
	return q.values.Get(name)
}

// flag returns a parameter that is true or false.
func (q *query) flag(name string) bool {
	text := q.text(name)
	if text == "" {
		return false
	}
	v, err := strconv.ParseBool(text)
	if err != nil {
		q.fault(name, "want true or false")
	}
	return v
}

// number returns a parameter from 0 to most; zero without it.
func (q *query) number(name string, most int) int {
	text := q.text(name)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		q.fault(name, fmt.Sprintf("want a number from 0 to %d", most))
	}
	return n
}

// time returns a parameter that is a time as RFC 3339 writes it; zero without it.
func (q *query) time(name string) time.Time {
	text := q.text(name)
	if text == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		q.fault(name, "want a time such as 2026-03-04T12:00:00Z")
	}
	return t
}

// duration returns a parameter that is a duration; zero without it.
func (q *query) duration(name string) time.Duration {
	text := q.text(name)
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		q.fault(name, "want a duration such as 90s or 1h30m")
	}
	return d
}

// limit returns the length of a page.
func (q *query) limit() int {
	if n := q.number("limit", MaxPage); n > 0 {
		return n
	}
	return DefaultPage
}

// done reports everything that is wrong, parameters that nobody asked for among it.
func (q *query) done() error {
	for name := range q.values {
		if !slices.Contains(q.known, name) {
			q.fault(name, "there is no such parameter here")
		}
	}
	if len(q.faults) == 0 {
		return nil
	}
	return problem.Invalid(q.faults...)
}
