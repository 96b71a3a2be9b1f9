package manifest

import (
	"slices"
	"strconv"
	"strings"

	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/internal/suggest"
)

const (
	kong    = "konghq.com/"
	perdure = "perdure.dev/"
)

// known annotations of Kong by the kinds that they are for.
var (
	ofIngress = []string{
		"plugins", "strip-path", "preserve-host", "protocols", "methods", "snis", "regex-priority", "regex-prefix",
		"https-redirect-status-code", "host-aliases", "headers-separator", "path-handling", "request-buffering",
		"response-buffering", "rewrite", "tags", "override",
	}
	ofService = []string{
		"plugins", "protocol", "path", "host-header", "connect-timeout", "read-timeout", "write-timeout", "retries",
		"client-cert", "tls-verify", "tls-verify-depth", "ca-certificates-secrets", "ca-certificates-configmaps",
		"upstream-policy", "tags", "override",
	}
	ofConsumer = []string{"plugins", "tags"}
)

// renamed are older annotations and what they are called today.
var renamed = map[string]string{
	"plugins.konghq.com":                    "plugins",
	"configuration.konghq.com":              "override",
	"config.konghq.com":                     "override",
	"configuration.konghq.com/protocol":     "protocol",
	"configuration.konghq.com/protocols":    "protocols",
	"configuration.konghq.com/client-cert":  "client-cert",
	"configuration.konghq.com/strip-path":   "strip-path",
	"konghq.com/ca-certificates":            "ca-certificates-secrets",
	"ingress.kubernetes.io/rewrite-target":  "rewrite",
	"configuration.konghq.com/override":     "override",
	"configuration.konghq.com/plugins":      "plugins",
	"configuration.konghq.com/host-aliases": "host-aliases",
}

// annotate enters an annotation by today's name.
func (r *reader) annotate(o *object, name, value string, line int) {
	short := name
	if today, old := renamed[name]; old {
		r.Warnf(line, "the annotation %s is old; today it is %s%s", name, kong, today)
		short = today
	} else {
		short = strings.TrimPrefix(name, kong)
	}
	if before, twice := o.annotations[short]; twice {
		r.Errorf(line, "the annotation %s%s is there twice, first in line %d", kong, short, before.line)
		return
	}
	if strings.HasSuffix(name, ".plugin.konghq.com") {
		r.Errorf(line, "the annotation %s is of a controller before 0.2; write a KongPlugin and name it in %splugins", name, kong)
		return
	}
	if strings.HasPrefix(name, kong) {
		r.checkAnnotation(o, short, line)
	}
	if strings.HasPrefix(name, perdure) && name != addressAnnotation && !strings.HasPrefix(name, addressAnnotation+".") {
		r.Errorf(line, "there is no annotation %s%s", name, suggest.Hint(name, []string{addressAnnotation}))
	}
	o.annotations[short] = annotation{value: value, line: line}
}

// checkAnnotation finds misspelt annotations of Kong.
func (r *reader) checkAnnotation(o *object, name string, line int) {
	if strings.HasPrefix(name, "headers.") && name != "headers." {
		name = "headers-separator" // for the same kind
	}
	of := map[string][]string{"Ingress": ofIngress, "Service": ofService, "KongConsumer": ofConsumer}[o.kind]
	if of == nil || slices.Contains(of, name) {
		return
	}
	for _, other := range []struct {
		kind  string
		names []string
	}{{"an Ingress", ofIngress}, {"a Service", ofService}} {
		if slices.Contains(other.names, name) {
			r.Errorf(line, "the annotation %s%s is for %s, and has no effect here", kong, name, other.kind)
			return
		}
	}
	r.Errorf(line, "there is no annotation %s%s%s", kong, name, suggest.Hint(name, of))
}

// annotation returns an annotation by its name.
func (o *object) annotation(name string) (annotation, bool) {
	a, ok := o.annotations[name]
	return a, ok
}

// setting reads an annotation into a field: a bool, an int or a string.
func (r *reader) setting(o *object, name string, into any, m *entity.Source, field string) bool {
	a, ok := o.annotation(name)
	if !ok {
		return false
	}
	m.Fields[field] = a.line
	switch into := into.(type) {
	case *bool:
		value := strings.ToLower(a.value)
		if value != "true" && value != "false" {
			r.Errorf(a.line, "the annotation %s%s is neither \"true\" nor \"false\"", kong, name)
			return false
		}
		*into = value == "true"
	case *int:
		n, err := strconv.Atoi(strings.TrimSpace(a.value))
		if err != nil {
			r.Errorf(a.line, "the annotation %s%s is no whole number: %q", kong, name, a.value)
			return false
		}
		*into = n
	case *string:
		*into = a.value
	case *[]string:
		*into = split(a.value)
	}
	return true
}

// checkAnnotations says which annotations of a Service have no effect, because no Ingress leads to it.
func (r *reader) checkAnnotations(o *object) {
	if r.reached[o] {
		return
	}
	for name, a := range o.annotations {
		if slices.Contains(ofService, name) {
			r.Warnf(a.line, "the annotation %s%s has no effect, since no Ingress leads to this Service", kong, name)
		}
	}
}

// ours reports whether an object is for this gateway by its class.
func (r *reader) ours(o *object) bool {
	class, line, given := "", o.Line, false
	if a, ok := o.annotations["kubernetes.io/ingress.class"]; ok {
		class, line, given = a.value, a.line, true
	}
	if v := o.At("spec", "ingressClassName"); o.kind == "Ingress" && v.IsSet() {
		if text, ok := r.Text(v, "spec.ingressClassName"); ok {
			if given && text != class {
				r.Errorf(v.Line, "spec.ingressClassName is %q, and the annotation kubernetes.io/ingress.class %q", text, class)
			}
			class, line, given = text, v.Line, true
		}
	}
	switch {
	case !given:
		mend := "the annotation kubernetes.io/ingress.class: " + r.class
		if o.kind == "Ingress" {
			mend = "spec.ingressClassName: " + r.class
		}
		r.Warnf(o.Line, "has no class, and is taken for this gateway's; say so by %s", mend)
	case class != r.class:
		if near, ok := suggest.Nearest(class, []string{r.class}); ok {
			r.Errorf(line, "is of the class %q; did you mean %q?", class, near)
			return false
		}
		r.Warnf(line, "is of the class %q, and passed over: this gateway's is %q", class, r.class)
		return false
	}
	return true
}
