// Package canary is Kong's plugin of that name: a part of the requests goes to a new service, and the rest to the one
// that they have always gone to.
package canary

import (
	"fmt"
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/plugin"
)

const name = "canary"

// Kind returns the plugin. Kong has it in its Enterprise edition.
//
// Its settings are Kong's, with its defaults: percentage, or start and duration, during which the part grows from
// nothing to all; steps; upstream_host, upstream_port and upstream_uri, in place of the service's host, port and path;
// upstream_fallback; hash with hash_header and groups; canary_by_header_name, a field that says "always" or "never".
//
// These are this gateway's own:
//
//   - service is the name of the service that is the canary, with its own protocol, times and path, instead of upstream_host,
//     upstream_port and upstream_uri.
//   - canary_by_cookie_name is a cookie that says "always" or "never".
//   - sticky is the name of a cookie that clients are given, and by which each keeps its side: as the part grows, a client
//     goes over once, and not back.
//   - max_error_rate is the percentage of the canary's answers that may be errors (a status from 500, or no answer) within
//     the last window seconds. If there are more, everything goes to the old service for pause seconds, which double each
//     time that the canary fails again soon after.
func Kind() *plugin.Kind {
	zero, one, percent := 0.0, 1.0, &[2]float64{0, 100}
	return &plugin.Kind{
		Name: name, Priority: 20, NoConsumer: true, New: newInstance,
		Schema: plugin.Schema{
			Fields: []plugin.Field{
				{Name: "percentage", Type: plugin.Number, Between: percent},
				{Name: "start", Type: plugin.Number, Above: &zero},
				{Name: "duration", Type: plugin.Number, Default: 3600.0, Above: &zero},
				{Name: "steps", Type: plugin.Number, Default: 1000.0, Above: &one, Check: checkSteps},
				{Name: "hash", Type: plugin.String, Default: "consumer", OneOf: []string{"consumer", "ip", "none", "allow", "deny", "header"}},
				{Name: "hash_header", Type: plugin.String, Check: plugin.CheckHeaderName},
				{Name: "groups", Type: plugin.Array, Elements: &plugin.Field{Type: plugin.String}},
				{Name: "upstream_host", Type: plugin.String},
				{Name: "upstream_port", Type: plugin.Integer, Between: &[2]float64{0, 65535}},
				{Name: "upstream_uri", Type: plugin.String, Check: checkPath},
				{Name: "upstream_fallback", Type: plugin.Boolean, Default: false, Required: true},
				{Name: "canary_by_header_name", Type: plugin.String, Check: plugin.CheckHeaderName},
				{Name: "service", Type: plugin.String},
				{Name: "canary_by_cookie_name", Type: plugin.String, Check: checkCookie},
				{Name: "sticky", Type: plugin.String, Check: checkCookie},
				{Name: "max_error_rate", Type: plugin.Number, Above: &zero, Between: percent},
				{Name: "window", Type: plugin.Number, Default: 60.0, Above: &zero},
				{Name: "pause", Type: plugin.Number, Default: 60.0, Above: &zero},
			},
			Check: check,
		},
	}
}

// maxSteps bounds the buckets; more would say nothing more.
const maxSteps = 1e6

func checkSteps(value any) string {
	if value.(float64) > maxSteps {
		return fmt.Sprintf("is more than %.0f, and need not be: 1000 are a tenth of a percent each", maxSteps)
	}
	return ""
}

func checkPath(value any) string {
	if p := value.(string); !strings.HasPrefix(p, "/") || strings.ContainsAny(p, "?#") {
		return "is no path: it begins with /, and has neither ? nor #"
	}
	return ""
}

func checkCookie(value any) string {
	if plugin.CheckHeaderName(value) != "" {
		return fmt.Sprintf("%.100q is no name of a cookie", value)
	}
	return ""
}

// check says what is wrong between settings.
func check(v plugin.Values) (problems []entity.FieldProblem) {
	add := func(warning bool, field, format string, args ...any) {
		problems = append(problems, entity.FieldProblem{Field: field, Message: fmt.Sprintf(format, args...), Warning: warning})
	}
	_, port := v.Number("upstream_port")
	given := v.String("upstream_host") != "" || port || v.String("upstream_uri") != ""
	switch service := v.String("service") != ""; {
	case service && given:
		add(false, "service", "cannot stand beside upstream_host, upstream_port or upstream_uri: the service has its own host, port and path")
	case !service && !given:
		add(false, "", "does not say where the canary is: set service, the name of a service, or upstream_host")
	}
	hash := v.String("hash")
	groups := hash == "allow" || hash == "deny"
	switch {
	case hash == "header" && v.String("hash_header") == "":
		add(false, "hash_header", "is missing: requests are to be told apart by the header of this name")
	case groups && len(v.Strings("groups")) == 0:
		add(false, "groups", "is missing: hash is %s, so these are the groups of consumers who get the canary, or do not", hash)
	case !groups && len(v.Strings("groups")) > 0:
		add(true, "groups", "has no effect with hash: %s; it is for allow and deny", hash)
	}
	percentage, fixed := v.Number("percentage")
	_, start := v.Number("start")
	switch {
	case groups && (fixed || start):
		add(true, "hash", "is %s: the groups decide, and percentage and start have no effect", hash)
	case fixed && start:
		add(true, "start", "has no effect beside percentage")
	}
	if groups && v.String("sticky") != "" {
		add(false, "sticky", "cannot stand beside hash: %s, with which the groups decide", hash)
	}
	if fixed && percentage > 0 && percentage < 1 {
		steps, _ := v.Number("steps")
		if percentage*steps < 100 {
			add(true, "percentage", "%v%% is less than one of %v steps, which is what it gets; %v of everything would be %v", percentage, steps, percentage, 100*percentage)
		}
	}
	if rate, ok := v.Number("max_error_rate"); ok && rate < 1 {
		add(true, "max_error_rate", "is a percentage: %v is %v of a hundred answers; is %v meant?", rate, rate, 100*rate)
	}
	return problems
}
