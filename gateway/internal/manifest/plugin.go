package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/perdure/perdure/gateway/internal/document"
	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/internal/suggest"
)

// uses are the entities that name a plugin by the annotation konghq.com/plugins.
type uses struct{ routes, services, consumers []string }

// attach enters the use of the plugins that an object names.
func (r *reader) attach(o *object, use func(*uses)) {
	a, ok := o.annotation("plugins")
	if !ok {
		return
	}
	for _, name := range split(a.value) {
		namespace := o.namespace
		if before, after, ok := strings.Cut(name, ":"); ok {
			namespace, name = strings.TrimSpace(before), strings.TrimSpace(after)
		}
		p := r.find("KongPlugin", namespace, name)
		if p == nil {
			p = r.find("KongClusterPlugin", "", name)
		}
		if p == nil {
			names := slices.Concat(r.names("KongPlugin", namespace), r.names("KongClusterPlugin", ""))
			r.Errorf(a.line, "there is no KongPlugin %q in the namespace %q%s", name, namespace, suggest.Hint(name, names))
			continue
		}
		if r.uses[p] == nil {
			r.uses[p] = &uses{}
		}
		use(r.uses[p])
	}
}

type pluginFields struct {
	Plugin        string         `json:"plugin"`
	Config        map[string]any `json:"config"`
	ConfigFrom    *configSource  `json:"configFrom"`
	ConfigPatches []configPatch  `json:"configPatches"`
	ConsumerRef   string         `json:"consumerRef"`
	Disabled      bool           `json:"disabled"`
	Protocols     []string       `json:"protocols"`
	InstanceName  string         `json:"instance_name"`
	RunOn         string         `json:"run_on"`
	Ordering      any            `json:"ordering"`
}

type configSource struct {
	SecretKeyRef struct {
		Name      string `json:"name"`
		Key       string `json:"key"`
		Namespace string `json:"namespace"`
	} `json:"secretKeyRef"`
}

type configPatch struct {
	Path      string       `json:"path"`
	ValueFrom configSource `json:"valueFrom"`
}

// plugin reads a KongPlugin or a KongClusterPlugin, for each that uses it.
func (r *reader) plugin(o *object) {
	var k pluginFields
	lines := map[string]int{}
	r.fields(o, "", &k, lines)
	if k.Plugin == "" {
		r.Errorf(o.Line, "plugin is missing: the name of Kong's plugin, such as jwt")
		return
	}
	if k.Ordering != nil {
		r.Errorf(lines["ordering"], "ordering is of Kong Enterprise, and is not here")
	}
	p := entity.NewPlugin()
	p.Name, p.Enabled, p.InstanceName = k.Plugin, !k.Disabled, k.InstanceName
	p.Source, p.Tags = o.source(), r.tags(o)
	for field, line := range lines {
		if field == "plugin" {
			field = "name"
		}
		p.Source.Fields[field] = line
	}
	if len(k.Protocols) > 0 {
		p.Protocols = k.Protocols
	}
	if k.Config != nil {
		p.Config = k.Config
	}
	r.configFrom(o, &k, p, lines)

	used := r.uses[o]
	if used == nil {
		used = &uses{}
	}
	if k.ConsumerRef != "" {
		r.Warnf(lines["consumerRef"], "consumerRef is old; today the KongConsumer has the annotation %splugins: %s", kong, o.name)
		if key, ok := r.consumers[o.namespace+"/"+k.ConsumerRef]; ok {
			used.consumers = append(used.consumers, key)
		} else {
			r.Errorf(lines["consumerRef"], "there is no KongConsumer %q%s", k.ConsumerRef, suggest.Hint(k.ConsumerRef, r.names("KongConsumer", o.namespace)))
		}
	}
	everywhere := r.everywhere(o)
	if !everywhere && len(used.routes)+len(used.services)+len(used.consumers) == 0 {
		r.Warnf(o.Line, "is used nowhere; an Ingress, a Service or a KongConsumer uses it by the annotation %splugins: %s", kong, o.name)
		return
	}
	r.place(p, used, everywhere)
}

// everywhere reports whether a plugin is for every request.
func (r *reader) everywhere(o *object) bool {
	switch value, ok := o.labels["global"]; {
	case !ok:
		return false
	case value != "true":
		r.Warnf(o.Line, "the label global is %q, and has an effect only with \"true\"", value)
		return false
	case o.kind == "KongPlugin":
		r.Warnf(o.Line, "a KongPlugin with the label global is old; today it is a KongClusterPlugin")
		return true
	}
	return r.ours(o)
}

// place adds a plugin for all that use it: if consumers do as well as routes or services, for each of those with
// each consumer, as Kong's controller does.
func (r *reader) place(p *entity.Plugin, used *uses, everywhere bool) {
	consumers := used.consumers
	alone := len(used.routes)+len(used.services) == 0
	if len(consumers) == 0 {
		consumers = []string{""}
		alone = false
	}
	add := func(route, service, consumer string) {
		one := *p
		one.Route = entity.RefTo[entity.Route](route)
		one.Service = entity.RefTo[entity.Service](service)
		one.Consumer = entity.RefTo[entity.Consumer](consumer)
		if one.InstanceName != "" && !one.Global() {
			sum := sha256.Sum256([]byte(route + "\x00" + service + "\x00" + consumer))
			one.InstanceName += "-" + hex.EncodeToString(sum[:])[:9] // it is there once
		}
		r.config.Plugins = append(r.config.Plugins, &one)
	}
	for _, consumer := range consumers {
		for _, route := range used.routes {
			add(route, "", consumer)
		}
		for _, service := range used.services {
			add("", service, consumer)
		}
		if alone {
			add("", "", consumer)
		}
	}
	if everywhere {
		add("", "", "")
	}
}

// configFrom adds the settings that are in Secrets.
func (r *reader) configFrom(o *object, k *pluginFields, p *entity.Plugin, lines map[string]int) {
	if k.ConfigFrom != nil {
		if k.Config != nil || k.ConfigPatches != nil {
			r.Errorf(lines["configFrom"], "configFrom cannot stand beside config or configPatches")
			return
		}
		if v := r.secretValue(o, k.ConfigFrom, lines["configFrom"]); v != nil {
			if v.Kind != document.Map {
				r.Errorf(lines["configFrom"], "configFrom: the Secret's value is no map")
				return
			}
			p.Config = v.PlainMap()
		}
	}
	for i, patch := range k.ConfigPatches {
		line := lineOf(lines, index("configPatches", i), "configPatches")
		v := r.secretValue(o, &patch.ValueFrom, line)
		if v == nil {
			continue
		}
		if !strings.HasPrefix(patch.Path, "/") || !put(p.Config, strings.Split(patch.Path[1:], "/"), v.Plain()) {
			r.Errorf(line, "%s.path %q leads nowhere: it is /NAME, or /NAME/NAME within a map", index("configPatches", i), patch.Path)
		}
	}
}

// put sets a value by the parts of a JSON pointer (RFC 6901) through maps, and makes those that are missing.
func put(config map[string]any, path []string, value any) bool {
	name := strings.NewReplacer("~1", "/", "~0", "~").Replace(path[0])
	if name == "" {
		return false
	}
	if len(path) == 1 {
		config[name] = value
		return true
	}
	next, ok := config[name].(map[string]any)
	if !ok {
		if config[name] != nil {
			return false
		}
		next = map[string]any{}
		config[name] = next
	}
	return put(next, path[1:], value)
}

// secretValue reads what a reference to a Secret leads to, YAML or JSON.
func (r *reader) secretValue(o *object, from *configSource, line int) *document.Value {
	ref := from.SecretKeyRef
	namespace := o.namespace
	if namespace == "" || ref.Namespace != "" {
		namespace = ref.Namespace
	}
	if ref.Name == "" || ref.Key == "" || namespace == "" {
		r.Errorf(line, "secretKeyRef needs name and key, and of a KongClusterPlugin namespace")
		return nil
	}
	secret := r.secret(namespace, ref.Name, line)
	if secret == nil {
		return nil
	}
	d, ok := r.secretData(secret)[ref.Key]
	if !ok {
		r.Errorf(line, "the Secret %q has no %q", ref.Name, ref.Key)
		return nil
	}
	if d.bad {
		return nil
	}
	docs, err := document.Parse([]byte(d.text))
	if err != nil || len(docs) != 1 {
		r.within(secret, func() { r.Errorf(d.line, "%s is neither YAML nor JSON", ref.Key) })
		return nil
	}
	return docs[0]
}
