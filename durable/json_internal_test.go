package durable

import (
	"encoding/json"
	"math"
	"testing"
	"unicode/utf8"
)

// What the short ways of encoding and decoding accept is what encoding/json makes of it.
func FuzzShortJSON(f *testing.F) {
	for _, seed := range []string{"", "a", `"a"`, `"a\"`, "\"\xff\"", `"<"`, "0", "-0", "-7", "01", "1e3", "123456789012345678", "1234567890123456789", "null", " 1", "é", `"é"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b := []byte(text)
		same(t, b, plainString)
		same(t, b, plainInt)
		if !utf8.ValidString(text) {
			return
		}
		encodesAs(t, text)
	})
}

func same[T comparable](t *testing.T, b []byte, short func([]byte) (T, bool)) {
	t.Helper()
	got, ok := short(b)
	if !ok {
		return
	}
	var want T
	if err := json.Unmarshal(b, &want); err != nil || got != want {
		t.Fatalf("%q: got %v, want %v, %v", b, got, want, err)
	}
}

func encodesAs[T comparable](t *testing.T, v T) {
	t.Helper()
	got, err := encode(v)
	want, wantErr := json.Marshal(v)
	if string(got) != string(want) || err != nil || wantErr != nil {
		t.Fatalf("%v: got %s, %v, want %s, %v", v, got, err, want, wantErr)
	}
	if back, err := decode[T](got); back != v || err != nil {
		t.Fatalf("%v came back as %v, %v", v, back, err)
	}
}

func TestNumbersSurvive(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, -1, 10, -10, math.MaxInt, math.MinInt, 999999999999999999, 1000000000000000000} {
		encodesAs(t, n)
	}
}
