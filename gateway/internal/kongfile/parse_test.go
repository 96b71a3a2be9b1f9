package kongfile_test

import (
	"flag"
	"slices"
	"testing"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/entitytest"
	"github.com/perdure/perdure/gateway/internal/kongfile"
)

var update = flag.Bool("update", false, "write what comes out into testdata")

func TestGolden(t *testing.T) {
	t.Parallel()
	entitytest.Golden(t, "testdata/*.txtar", *update, func(_ *testing.T, files map[string][]byte) (*entity.Config, []entity.Problem) {
		all := &entity.Config{}
		var problems []entity.Problem
		for _, name := range sorted(files) {
			config, found := kongfile.Parse(name, files[name])
			all.Append(config)
			problems = append(problems, found...)
		}
		compiled, found := all.Compile(schemas{})
		problems = append(problems, found...)
		entity.SortProblems(problems)
		if entity.Failed(problems) {
			return nil, problems
		}
		return compiled, problems
	})
}

func sorted(files map[string][]byte) []string {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// schemas knows three plugins, and one setting.
type schemas struct{}

func (schemas) Names() []string { return []string{"jwt", "rate-limiting", "request-termination"} }

func (schemas) Check(name string, config map[string]any) (map[string]any, []entity.FieldProblem) {
	if _, ok := config["minutes"]; ok {
		return nil, []entity.FieldProblem{{Field: "minutes", Message: `there is no setting "minutes"; did you mean "minute"?`}}
	}
	return config, nil
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"_format_version: \"3.0\"\nservices:\n- name: a\n  url: http://b\n  routes:\n  - paths: [/]\n",
		"_format_version: 1.1\nroutes:\n- {paths: ['/a(b']}\n",
		"a: &a [*a]\n", "<<: {a: b}\n", "{\"_format_version\":\"3.0\",\"plugins\":[{\"name\":\"jwt\",\"config\":{\"a\":[1]}}]}",
		"_format_version: \"3.0\"\ncertificates:\n- cert: x\n  key: y\n  snis: [a, {name: b}]\n",
		"_format_version: \"3.0\"\nconsumers:\n- custom_id: 1\n  jwt_secrets: [{key: a}]\n- custom_id: b\n  acls: [{group: g}]\n",
		"_format_version: \"3.0\"\nupstreams:\n- name: u\n  hash_on: header\n  healthchecks: {active: {healthy: {interval: .5}}}\n  targets: [{target: '[::1]:80'}]\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		config, problems := kongfile.Parse("kong.yml", data)
		if entity.Failed(problems) {
			return
		}
		compiled, problems := config.Compile(nil)
		if compiled == nil && !entity.Failed(problems) {
			t.Error("neither a configuration nor an error")
		}
		if changes := entity.Diff(compiled, compiled); len(changes) > 0 {
			t.Errorf("differs from itself: %v", changes)
		}
	})
}
