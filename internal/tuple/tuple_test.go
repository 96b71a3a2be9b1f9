package tuple_test

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/perdure/perdure/internal/tuple"
)

// Pinned: these bytes are in users' stores.
func TestEncodingsAreFixed(t *testing.T) {
	t.Parallel()
	when := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for name, c := range map[string]struct{ got, want []byte }{
		"string":       {tuple.AppendString(nil, "a\x00b"), []byte("a\x00\xffb\x00\x01")},
		"empty string": {tuple.AppendString(nil, ""), []byte("\x00\x01")},
		"prefix":       {tuple.AppendStringPrefix(nil, "a\x00"), []byte("a\x00\xff")},
		"bytes":        {tuple.AppendBytes(nil, []byte{0xff}), []byte("\xff\x00\x01")},
		"uint64":       {tuple.AppendUint64(nil, 258), []byte("\x00\x00\x00\x00\x00\x00\x01\x02")},
		"int64":        {tuple.AppendInt64(nil, -1), []byte("\x7f\xff\xff\xff\xff\xff\xff\xff")},
		"float64":      {tuple.AppendFloat64(nil, 1), []byte("\xbf\xf0\x00\x00\x00\x00\x00\x00")},
		"minus zero":   {tuple.AppendFloat64(nil, math.Copysign(0, -1)), []byte("\x80\x00\x00\x00\x00\x00\x00\x00")},
		"time":         {tuple.AppendTime(nil, when), []byte("\x80\x00\x00\x00\x69\x57\x35\xa5\x00\x00\x00\x06")},
		"bool":         {tuple.AppendBool(nil, true), []byte{1}},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s: %q, want %q", name, c.got, c.want)
		}
	}
}

// element is a tuple of one value of every kind.
type element struct {
	s  string
	b  []byte
	i  int64
	u  uint64
	f  float64
	t  time.Time
	ok bool
}

func (e element) encode() []byte {
	key := tuple.AppendString(nil, e.s)
	key = tuple.AppendInt64(key, e.i)
	key = tuple.AppendTime(key, e.t)
	key = tuple.AppendBytes(key, e.b)
	key = tuple.AppendBool(key, e.ok)
	key = tuple.AppendFloat64(key, e.f)
	return tuple.AppendUint64(key, e.u)
}

// compare is what the order of encodings must equal.
func (e element) compare(o element) int {
	return cmp.Or(
		strings.Compare(e.s, o.s),
		cmp.Compare(e.i, o.i),
		e.t.Compare(o.t),
		bytes.Compare(e.b, o.b),
		compareBool(e.ok, o.ok),
		compareFloat(e.f, o.f),
		cmp.Compare(e.u, o.u),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// compareFloat orders NaN last; cmp.Compare orders it first.
func compareFloat(a, b float64) int {
	if math.IsNaN(a) || math.IsNaN(b) {
		return compareBool(math.IsNaN(a), math.IsNaN(b))
	}
	return cmp.Compare(a, b)
}

func (e element) equal(o element) bool { return e.compare(o) == 0 }

// newElement keeps seconds in the range in which time.Time itself compares.
func newElement(s string, b []byte, i int64, u uint64, f float64, sec int64, nanos uint32, ok bool) element {
	return element{s, b, i, u, f, time.Unix(sec>>2, int64(nanos%1e9)).UTC(), ok}
}

func check(t interface {
	Helper()
	Fatalf(string, ...any)
}, x, y element) {
	t.Helper()
	kx, ky := x.encode(), y.encode()
	if got, want := bytes.Compare(kx, ky), x.compare(y); got != want {
		t.Fatalf("encodings of %+v and %+v compare as %d, want %d", x, y, got, want)
	}
	d := tuple.Decode(kx)
	got := element{s: d.String(), i: d.Int64(), t: d.Time(), b: d.Bytes(), ok: d.Bool(), f: d.Float64(), u: d.Uint64()}
	if err := d.End(); err != nil {
		t.Fatalf("decode of %+v: %v", x, err)
	}
	if !got.equal(x) {
		t.Fatalf("round trip of %+v gave %+v", x, got)
	}
}

func FuzzOrderAndRoundTrip(f *testing.F) {
	f.Add("", "a", []byte{}, []byte{0}, int64(0), int64(-1), 0.0, math.Inf(-1), uint32(0), uint32(1), false)
	f.Add("a\x00", "a", []byte{0, 0xff}, []byte{0, 1}, int64(math.MinInt64), int64(math.MaxInt64), math.NaN(), math.Inf(1), uint32(7), uint32(7), true)
	f.Add("a\xff", "a\x01", []byte("x"), []byte("x\x00"), int64(5), int64(5), -1.5, 1.5, uint32(999999999), uint32(3), true)
	f.Fuzz(func(t *testing.T, s1, s2 string, b1, b2 []byte, i1, i2 int64, f1, f2 float64, n1, n2 uint32, ok bool) {
		x := newElement(s1, b1, i1, uint64(i2), f1, i1, n1, ok)
		check(t, x, newElement(s2, b2, i2, uint64(i1), f2, i2, n2, !ok))
		// Equal up to the last: each element decides in its turn.
		check(t, x, newElement(s1, b2, i1, uint64(i2), f1, i1, n1, ok))
		check(t, x, newElement(s1, b1, i1, uint64(i2), f2, i1, n1, ok))
		check(t, x, newElement(s1, b1, i1, uint64(i2), f1, i1, n2, ok))
		check(t, x, newElement(s1, b1, i1, uint64(i1), f1, i1, n1, ok))
		check(t, x, x)
	})
}

// Few distinct values, so that many elements are equal and the later decide.
func TestOrderIsTheOrderOfValues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune{0, 1, 'a', 0x7f, 0xff}), 0, 4, -1)
		number := rapid.SampledFrom([]int64{math.MinInt64, -2, -1, 0, 1, math.MaxInt64})
		float := rapid.SampledFrom([]float64{math.Inf(-1), -1, math.Copysign(0, -1), 0, 5e-324, math.Inf(1), math.NaN()})
		draw := func() element {
			return newElement(text.Draw(t, "s"), []byte(text.Draw(t, "b")), number.Draw(t, "i"), uint64(number.Draw(t, "u")),
				float.Draw(t, "f"), number.Draw(t, "sec"), rapid.Uint32Range(0, 2).Draw(t, "ns"), rapid.Bool().Draw(t, "ok"))
		}
		check(t, draw(), draw())
	})
}

func FuzzDecodeNeverPanics(f *testing.F) {
	f.Add([]byte{}, []byte{0, 1, 2})
	f.Add([]byte("\x00\xff\x00"), []byte{0})
	f.Add(newElement("a", nil, 1, 2, 3, 4, 5, true).encode(), []byte{0, 3, 4, 1, 5, 6})
	f.Fuzz(func(t *testing.T, key, kinds []byte) {
		d := tuple.Decode(key)
		again := []byte{}
		for _, kind := range kinds {
			switch kind % 7 {
			case 0:
				again = tuple.AppendString(again, d.String())
			case 1:
				again = tuple.AppendBytes(again, d.Bytes())
			case 2:
				again = tuple.AppendUint64(again, d.Uint64())
			case 3:
				again = tuple.AppendInt64(again, d.Int64())
			case 4:
				again = tuple.AppendTime(again, d.Time())
			case 5:
				again = tuple.AppendBool(again, d.Bool())
			case 6:
				d.Float64() // several encodings of NaN are read, one is written
				return
			}
		}
		if d.Err() == nil && !bytes.Equal(append(again, d.Rest()...), key) {
			t.Fatalf("%q decodes and encodes as %q", key, again)
		}
	})
}

func TestMalformedEncodings(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func() *tuple.Decoder{
		"no end":        func() *tuple.Decoder { d := tuple.Decode([]byte("abc")); _ = d.String(); return d },
		"half an end":   func() *tuple.Decoder { d := tuple.Decode([]byte("abc\x00")); _ = d.String(); return d },
		"bad escape":    func() *tuple.Decoder { d := tuple.Decode([]byte("a\x00\x02b\x00\x01")); _ = d.String(); return d },
		"short number":  func() *tuple.Decoder { d := tuple.Decode([]byte("1234567")); d.Int64(); return d },
		"short time":    func() *tuple.Decoder { d := tuple.Decode([]byte("12345678901")); d.Time(); return d },
		"nanoseconds":   func() *tuple.Decoder { d := tuple.Decode(bytes.Repeat([]byte{0xf0}, 12)); d.Time(); return d },
		"bool":          func() *tuple.Decoder { d := tuple.Decode([]byte{2}); d.Bool(); return d },
		"bytes left":    func() *tuple.Decoder { d := tuple.Decode([]byte{1, 1}); d.Bool(); return d },
		"after a fault": func() *tuple.Decoder { d := tuple.Decode([]byte{2, 1}); d.Bool(); d.Bool(); return d },
	} {
		if err := read().End(); !errors.Is(err, tuple.ErrMalformed) {
			t.Errorf("%s: error %v, want ErrMalformed", name, err)
		}
	}
}

func TestAfterEndsAPrefix(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string][]byte{
		"":         nil,
		"\xff\xff": nil,
		"a":        []byte("b"),
		"a\xff":    []byte("b"),
		"a\x00":    []byte("a\x01"),
	} {
		if got := tuple.After([]byte(prefix)); !bytes.Equal(got, want) {
			t.Errorf("After(%q) = %q, want %q", prefix, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		bytesOf := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0xfe, 0xff}), 0, 4)
		prefix, key := bytesOf.Draw(t, "prefix"), bytesOf.Draw(t, "key")
		before := slices.Clone(prefix)
		end := tuple.After(prefix)
		inside := bytes.Compare(key, prefix) >= 0 && (end == nil || bytes.Compare(key, end) < 0)
		if inside != bytes.HasPrefix(key, prefix) {
			t.Fatalf("key %q, prefix %q, end %q: inside is %v", key, prefix, end, inside)
		}
		if !bytes.Equal(prefix, before) {
			t.Fatal("After changed its argument")
		}
	})
}

// The first elements are a prefix of the whole, and of nothing else.
func TestFirstElementsArePrefixOfTheirTuplesOnly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune{0, 1, 'a', 0xff}), 0, 3, -1)
		a, b, c := text.Draw(t, "a"), text.Draw(t, "b"), text.Draw(t, "c")
		key := tuple.AppendString(tuple.AppendString(nil, a), c)
		if got := bytes.HasPrefix(key, tuple.AppendString(nil, b)); got != (a == b) {
			t.Fatalf("tuple (%q, %q) has prefix (%q): %v", a, c, b, got)
		}
		if got := bytes.HasPrefix(key, tuple.AppendStringPrefix(nil, b)); got != strings.HasPrefix(a, b) {
			t.Fatalf("tuple (%q, %q) begins with %q: %v", a, c, b, got)
		}
	})
}
