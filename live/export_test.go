package live

import "time"

// WriteTimeout sets how long a client may take to accept a message.
func WriteTimeout(d time.Duration) Option { return func(e *Endpoint) { e.writeTimeout = d } }

// ParsePlace returns the id that is written for one that is read.
func ParsePlace(id string) (again string, ok bool) {
	p, ok := parsePlace(id)
	return p.String(), ok
}

// RowOf decodes a row.
func (e *Endpoint) RowOf(data []byte) any { return e.rowOf(data) }
