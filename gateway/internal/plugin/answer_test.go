package plugin_test

import (
	"encoding/json"
	"testing"

	"github.com/perdure/perdure/gateway/internal/plugin"
)

// What is written without the encoder is what the encoder would write.
func TestMarshal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"", `""`},
		{"No credentials found for given 'iss'", `"No credentials found for given 'iss'"`},
		{"<a&b>", `"<a&b>"`},
		{`a \ text`, `"a \\ text"`},
		{`a "quoted" text`, `"a \"quoted\" text"`},
		{"line\nand\x01", `"line\nand\u0001"`},
		{"größer\u2028", `"größer\u2028"`},
		{"\xff", `"\ufffd"`},
	} {
		for want, v := range map[string]any{c.want: c.text, `{"message":` + c.want + `}`: plugin.Message{Message: c.text}} {
			got, err := plugin.Marshal(v)
			if err != nil || string(got) != want || !json.Valid(got) {
				t.Errorf("marshal(%q) = %s, %v, want %s", v, got, err, want)
			}
		}
	}
}
