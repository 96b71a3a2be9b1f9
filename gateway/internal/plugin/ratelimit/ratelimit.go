package ratelimit

import (
	"fmt"
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
)

// name is the plugin's.
const name = "rate-limiting"

// Kind returns the plugin.
func Kind() *plugin.Kind {
	zero := 0.0
	var fields []plugin.Field
	for i := range periods {
		fields = append(fields, plugin.Field{Name: periods[i].setting, Type: plugin.Number, Above: &zero})
	}
	return &plugin.Kind{
		Name: name, Priority: 910, New: newInstance,
		Schema: plugin.Schema{
			Fields: append(fields, []plugin.Field{
				{Name: "limit_by", Type: plugin.String, Default: "consumer", OneOf: []string{"consumer", "credential", "ip", "service", "header", "path"}},
				{Name: "header_name", Type: plugin.String, Check: plugin.CheckHeaderName},
				{Name: "path", Type: plugin.String, Check: checkPath},
				{Name: "policy", Type: plugin.String, Default: "local", OneOf: []string{"local", "cluster", "redis"}},
				{Name: "fault_tolerant", Type: plugin.Boolean, Default: true, Required: true},
				{Name: "hide_client_headers", Type: plugin.Boolean, Default: false, Required: true},
				{Name: "error_code", Type: plugin.Number, Default: 429.0, Above: &zero},
				{Name: "error_message", Type: plugin.String, Default: "API rate limit exceeded"},
				{Name: "sync_rate", Type: plugin.Number, Default: -1.0, Required: true},
				{Name: "redis", Ignored: true}, // there is none, and dumps have its defaults
				{Name: "redis_host", Ignored: true},
				{Name: "redis_port", Ignored: true},
				{Name: "redis_password", Ignored: true},
				{Name: "redis_username", Ignored: true},
				{Name: "redis_ssl", Ignored: true},
				{Name: "redis_ssl_verify", Ignored: true},
				{Name: "redis_server_name", Ignored: true},
				{Name: "redis_timeout", Ignored: true},
				{Name: "redis_database", Ignored: true},
			}...),
			Check: check,
		},
	}
}

func checkPath(value any) string {
	if !strings.HasPrefix(value.(string), "/") {
		return "does not begin with /"
	}
	return ""
}

// check says what is wrong between settings.
func check(v plugin.Values) (problems []entity.FieldProblem) {
	add := func(field, format string, args ...any) {
		problems = append(problems, entity.FieldProblem{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	shorter := -1
	for i := range periods {
		limit, ok := v.Number(periods[i].setting)
		if !ok {
			continue
		}
		if shorter >= 0 {
			if least, _ := v.Number(periods[shorter].setting); limit < least {
				add(periods[i].setting, "%v is lower than the limit for a %s, %v, which it can therefore never reach", limit, periods[shorter].setting, least)
			}
		}
		shorter = i
	}
	if shorter < 0 {
		add("", "has no limit: set at least one of second, minute, hour, day, month, year")
	}
	switch v.String("policy") {
	case "redis":
		add("policy", "redis is not supported: requests are counted in this process; set policy: local")
	case "cluster":
		problems = append(problems, entity.FieldProblem{Field: "policy", Warning: true, Message: "cluster counts like local: in this process alone"})
	}
	if n, _ := v.Number("sync_rate"); n != -1 {
		add("sync_rate", "can only be used with the policy redis")
	}
	if n, _ := v.Number("error_code"); n != float64(int(n)) || n < 100 || n > 599 {
		add("error_code", "%v is no status of HTTP", n)
	}
	switch by := v.String("limit_by"); {
	case by == "header" && v.String("header_name") == "":
		add("header_name", "is missing: limit_by is header")
	case by == "path" && v.String("path") == "":
		add("path", "is missing: limit_by is path")
	}
	return problems
}
