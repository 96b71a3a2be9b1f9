package table_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/perdure/perdure/table"
)

func TestParseKey(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]table.Key{
		"row":             {Row: "row"},
		"partition/row":   {Partition: "partition", Row: "row"},
		"a%2Fb":           {Row: "a/b"},
		"p%25/100%25":     {Partition: "p%", Row: "100%"},
		"with space/ünï":  {Partition: "with space", Row: "ünï"},
		"plus+is/itself+": {Partition: "plus+is", Row: "itself+"},
	} {
		if k, err := table.ParseKey(path); err != nil || k != want {
			t.Errorf("%q is %+v, %v, want %+v", path, k, err, want)
		}
	}
	for path, mend := range map[string]string{
		"":                       "empty",
		"p/":                     "empty",
		"/r":                     "partition is empty",
		"a/b/c":                  "%2F",
		"100%":                   "%25",
		"%zz/r":                  "%25",
		"%ff":                    "UTF-8",
		strings.Repeat("/", 1e5): "%2F",
	} {
		if _, err := table.ParseKey(path); !errors.Is(err, table.ErrKey) || !strings.Contains(err.Error(), mend) || len(err.Error()) > 3*table.MaxKey {
			t.Errorf("%.20q: error %v, want ErrKey with %q", path, err, mend)
		}
	}
	if _, err := table.ParseKey(strings.Repeat("x", table.MaxKey)); err != nil {
		t.Errorf("the longest key: %v", err)
	}
	if _, err := table.ParseKey("x/" + strings.Repeat("x", table.MaxKey)); !errors.Is(err, table.ErrTooLarge) {
		t.Errorf("a longer key: %v, want ErrTooLarge", err)
	}
}

func FuzzKey(f *testing.F) {
	f.Add("", "row")
	f.Add("a/b", "100%")
	f.Add("\x00", "%2F")
	f.Fuzz(func(t *testing.T, partition, row string) {
		k := table.Key{Partition: partition, Row: row}
		got, err := table.ParseKey(k.String())
		if err == nil && got != k {
			t.Fatalf("%+v as the path %q is %+v", k, k, got)
		}
		if k, err := table.ParseKey(row); err == nil { // any text: no panic, and one path for one key
			if again, err := table.ParseKey(k.String()); err != nil || again != k {
				t.Fatalf("%q is %+v, its path %+v, %v", row, k, again, err)
			}
		}
	})
}
