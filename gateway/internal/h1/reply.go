package h1

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Reply is what a server answers. Fields must have none that are for one connection:
// framing and the connection are this package's.
type Reply struct {
	Status int
	Reason []byte
	Fields *Fields
	// Length is the Content-Length, -1 if it is not known. To HEAD, and with 304, it is
	// what it would have been.
	Length int64
}

// appendStatusLine writes the status line.
func appendStatusLine(to []byte, status int, reason []byte) []byte {
	to = append(to, "HTTP/1.1 "...)
	to = strconv.AppendInt(to, int64(status), 10)
	to = append(to, ' ')
	if len(reason) > 0 {
		to = append(to, reason...)
	} else {
		to = append(to, http.StatusText(status)...)
	}
	return append(to, "\r\n"...)
}

// appendDate writes a Date field.
func appendDate(to []byte, now time.Time) []byte {
	second := now.Unix()
	d := dates.Load()
	if d == nil || d.second != second {
		d = &date{second, []byte("Date: " + now.UTC().Format(http.TimeFormat) + "\r\n")}
		dates.Store(d)
	}
	return append(to, d.field...)
}

// date is a Date field: it is the same for all answers of one second.
type date struct {
	second int64
	field  []byte
}

var dates atomic.Pointer[date]
