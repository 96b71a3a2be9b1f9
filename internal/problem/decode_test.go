package problem_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/problem"
)

func TestDecodeOne(t *testing.T) {
	t.Parallel()
	type value struct {
		Name string `json:"name"`
	}
	for text, want := range map[string]string{
		`{"name":"a"}`: "", ` {"name":"a"}` + "\n": "", `{"name":"a"} {}`: "nothing behind it", `{"name":"a"}x`: "nothing behind it",
		`{"nam":"a"}`: "nam", `{"name":7}`: "name", `{`: "EOF", ``: "EOF",
	} {
		var v value
		err := problem.DecodeOne(strings.NewReader(text), &v)
		if want == "" && (err != nil || v.Name != "a") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %+v, %v; want %q", text, v, err, want)
		}
	}
	for _, text := range []string{`{"name":"` + strings.Repeat("a", 100) + `"}`, `{"name":"a"}` + strings.Repeat(" ", 100)} {
		limited := http.MaxBytesReader(nil, io.NopCloser(strings.NewReader(text)), 50)
		if err := problem.DecodeOne(limited, &value{}); !errors.As(err, new(*http.MaxBytesError)) {
			t.Errorf("%.20q: %v, want a MaxBytesError", text, err)
		}
	}
}
