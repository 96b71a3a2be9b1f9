package kongfile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/kongfile"
)

// many is a file with n services, each with a route and a plugin, and n consumers.
func many(n int) []byte {
	var b strings.Builder
	b.WriteString("_format_version: \"3.0\"\nservices:\n")
	for i := range n {
		fmt.Fprintf(&b, "- name: s%d\n  host: h%d.example.com\n  routes:\n  - name: r%d\n    paths: [/p%d, '~/q%d/(\\d+)']\n    hosts: [a%d.example.com]\n  plugins:\n  - {name: rate-limiting, config: {minute: 5}}\n", i, i, i, i, i, i)
	}
	b.WriteString("consumers:\n")
	for i := range n {
		fmt.Fprintf(&b, "- username: u%d\n  keyauth_credentials: [{key: k%d}]\n", i, i)
	}
	return []byte(b.String())
}

func BenchmarkParse(b *testing.B) {
	data := many(10_000)
	b.SetBytes(int64(len(data)))
	b.Run("parse", func(b *testing.B) {
		for b.Loop() {
			if _, problems := kongfile.Parse("kong.yml", data); len(problems) > 0 {
				b.Fatal(problems[0])
			}
		}
	})
	config, _ := kongfile.Parse("kong.yml", data)
	b.Run("compile", func(b *testing.B) {
		for b.Loop() {
			if _, problems := config.Compile(schemas{}); len(problems) > 0 {
				b.Fatal(problems[0])
			}
		}
	})
}

func TestManyProblemsAreFew(t *testing.T) {
	t.Parallel()
	data := strings.ReplaceAll(string(many(600)), "  host:", "  hots:")
	data += "routes:\n" + strings.Repeat("- {paths: [/x], service: s1x}\n", 600)
	config, problems := kongfile.Parse("kong.yml", []byte(data))
	if len(problems) != entity.MaxProblems+1 {
		t.Errorf("%d problems of the file", len(problems))
	}
	if _, problems := config.Compile(nil); len(problems) > entity.MaxProblems+2 || !entity.Failed(problems) {
		t.Errorf("%d problems of the configuration", len(problems))
	}
}
