package h1

import (
	"iter"
	"slices"
)

// Fields are the fields of a head, in their order. Names are compared without
// regard to case, and passed on as they were written. The zero value has none.
//
// What is returned as a []byte is valid until the exchange ends.
type Fields struct {
	list  []Field
	arena []byte // the bytes of fields that were set, not parsed
}

// Field is one field line.
type Field struct {
	Name, Value []byte
	known       known
}

// known are the fields that this package gives a meaning to.
type known uint8

const (
	unknown known = iota
	knownHost
	knownContentLength
	knownTransferEncoding
	knownConnection
	knownExpect
	knownUpgrade
	knownDate
	knownHopByHop // any other field that is for one connection alone
)

// identify finds out which of the known fields a name is.
func identify[T []byte | string](name T) known {
	switch len(name) {
	case 2:
		if equalFold(name, "te") {
			return knownHopByHop
		}
	case 4:
		switch {
		case equalFold(name, "host"):
			return knownHost
		case equalFold(name, "date"):
			return knownDate
		}
	case 6:
		if equalFold(name, "expect") {
			return knownExpect
		}
	case 7:
		switch {
		case equalFold(name, "upgrade"):
			return knownUpgrade
		case equalFold(name, "trailer"):
			return knownHopByHop
		}
	case 10:
		switch {
		case equalFold(name, "connection"):
			return knownConnection
		case equalFold(name, "keep-alive"):
			return knownHopByHop
		}
	case 14:
		if equalFold(name, "content-length") {
			return knownContentLength
		}
	case 16:
		if equalFold(name, "proxy-connection") {
			return knownHopByHop
		}
	case 17:
		if equalFold(name, "transfer-encoding") {
			return knownTransferEncoding
		}
	case 18:
		if equalFold(name, "proxy-authenticate") {
			return knownHopByHop
		}
	case 19:
		if equalFold(name, "proxy-authorization") {
			return knownHopByHop
		}
	}
	return unknown
}

// Reset removes all fields. What was returned before is no longer valid.
func (f *Fields) Reset() {
	f.list = f.list[:0]
	f.arena = f.arena[:0]
}

// Len returns the number of field lines.
func (f *Fields) Len() int { return len(f.list) }

// At returns the field line of that index.
func (f *Fields) At(i int) Field { return f.list[i] }

// All goes through the field lines in their order.
func (f *Fields) All() iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		for i := range f.list {
			if !yield(f.list[i].Name, f.list[i].Value) {
				return
			}
		}
	}
}

func (f *Fields) index(name string) int {
	for i := range f.list {
		if equalFold(f.list[i].Name, name) {
			return i
		}
	}
	return -1
}

// Has reports whether there is a field of that name.
func (f *Fields) Has(name string) bool { return f.index(name) >= 0 }

// Count returns how many field lines have the name.
func (f *Fields) Count(name string) (n int) {
	for i := range f.list {
		if equalFold(f.list[i].Name, name) {
			n++
		}
	}
	return n
}

// Peek returns the value of the first field line of that name, nil without one. It
// is valid until the exchange ends.
func (f *Fields) Peek(name string) []byte {
	if i := f.index(name); i >= 0 {
		return f.list[i].Value
	}
	return nil
}

// Get returns a copy of the value of the first field line of that name, "" without
// one.
func (f *Fields) Get(name string) string { return string(f.Peek(name)) }

// Values returns copies of the values of all field lines of that name.
func (f *Fields) Values(name string) (values []string) {
	for i := range f.list {
		if equalFold(f.list[i].Name, name) {
			values = append(values, string(f.list[i].Value))
		}
	}
	return values
}

// Add adds a field line. A control character in the value becomes a space, so that no
// value can end its line; a name that is not a token is not added.
func (f *Fields) Add(name, value string) { add(f, name, value) }

// AddBytes is Add for a value in bytes. It copies the value.
func (f *Fields) AddBytes(name string, value []byte) { add(f, name, value) }

func add[V []byte | string](f *Fields, name string, value V) {
	if !isToken(name) {
		return
	}
	f.list = append(f.list, Field{Name: f.keep(name), Value: keepValue(f, value), known: identify(name)})
}

// Set replaces all field lines of that name by one, as Add adds it.
func (f *Fields) Set(name, value string) {
	i := f.index(name)
	if i < 0 {
		f.Add(name, value)
		return
	}
	f.list[i].Value = keepValue(f, value)
	rest := f.list[i+1:]
	f.list = f.list[:i+1+len(without(rest, name))]
}

// Del removes all field lines of that name.
func (f *Fields) Del(name string) { f.list = without(f.list, name) }

func without(list []Field, name string) []Field {
	return slices.DeleteFunc(list, func(l Field) bool { return equalFold(l.Name, name) })
}

// DeleteFunc removes the field lines for which del returns true.
func (f *Fields) DeleteFunc(del func(name, value []byte) bool) {
	f.list = slices.DeleteFunc(f.list, func(l Field) bool { return del(l.Name, l.Value) })
}

func (f *Fields) keep(s string) []byte {
	start := len(f.arena)
	f.arena = append(f.arena, s...)
	return f.arena[start:len(f.arena):len(f.arena)]
}

func keepValue[V []byte | string](f *Fields, s V) []byte {
	start := len(f.arena)
	f.arena = append(f.arena, s...)
	kept := f.arena[start:len(f.arena):len(f.arena)]
	for i, c := range kept {
		if class[c]&classValue == 0 {
			kept[i] = ' '
		}
	}
	return trim(kept)
}

// RemoveHopByHop removes the fields that are for one connection alone (RFC 9110
// section 7.6.1): those named by Connection, and those that always are, framing with
// them. Host stays.
func (f *Fields) RemoveHopByHop() {
	// Names first: the list is compacted afterwards.
	var named []byte
	more := false
	for i := range f.list {
		if f.list[i].known == knownConnection {
			more = more || named != nil
			named = f.list[i].Value
		}
	}
	plain := !more && (named == nil || equalFold(named, "keep-alive") || equalFold(named, "close"))
	if !plain {
		f.removeNamed()
	}
	kept := f.list[:0]
	for i := range f.list {
		switch f.list[i].known {
		case knownConnection, knownContentLength, knownTransferEncoding, knownUpgrade, knownExpect, knownHopByHop:
		default:
			if len(kept) != i {
				kept = append(kept, f.list[i])
			} else {
				kept = kept[:i+1]
			}
		}
	}
	f.list = kept
}

// removeNamed removes what Connection names.
func (f *Fields) removeNamed() {
	for i := range f.list {
		if f.list[i].known != knownConnection {
			continue
		}
		for list := f.list[i].Value; len(list) > 0; {
			var name []byte
			name, list = nextElement(list)
			for j := range f.list {
				if f.list[j].known == unknown && equalFold(f.list[j].Name, name) {
					f.list[j].known = knownHopByHop
				}
			}
		}
	}
}

// RemoveHost removes Host, which has been read.
func (f *Fields) RemoveHost() {
	f.list = slices.DeleteFunc(f.list, func(l Field) bool { return l.known == knownHost })
}

func (f *Fields) dated() bool {
	for i := range f.list {
		if f.list[i].known == knownDate {
			return true
		}
	}
	return false
}

// append writes the field lines, each with its CRLF.
func (f *Fields) append(to []byte) []byte {
	for i := range f.list {
		to = append(to, f.list[i].Name...)
		to = append(to, ": "...)
		to = append(to, f.list[i].Value...)
		to = append(to, "\r\n"...)
	}
	return to
}
