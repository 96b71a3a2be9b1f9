package manifest

import (
	"maps"
	"slices"
	"strconv"

	"github.com/perdure/perdure/gateway/internal/document"
	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/internal/suggest"
)

func index(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

const credentialLabel = kong + "credential"

// credentials are the types of credentials that there are.
var credentials = []string{"acl", "jwt", "key-auth"}

type consumerFields struct {
	Username       string   `json:"username"`
	CustomID       string   `json:"custom_id"`
	Credentials    []string `json:"credentials"`
	ConsumerGroups []string `json:"consumerGroups"`
	Spec           any      `json:"spec"`
}

// consumer reads a KongConsumer with its credentials.
func (r *reader) consumer(o *object) {
	if !r.ours(o) {
		return
	}
	var k consumerFields
	lines := map[string]int{}
	r.fields(o, "", &k, lines)
	if len(k.ConsumerGroups) > 0 {
		r.Errorf(lines["consumerGroups"], "consumerGroups: there are no consumer groups; the plugin acl has groups of its own")
	}
	c := &entity.Consumer{Username: k.Username, CustomID: k.CustomID}
	c.Source, c.Tags = o.source(), r.tags(o)
	maps.Copy(c.Source.Fields, lines)
	key := k.Username
	if key == "" {
		c.ID = entity.DeriveID(c, 1)
		key = c.ID
	}
	r.consumers[o.key()] = key
	r.config.Consumers = append(r.config.Consumers, c)
	for i, name := range k.Credentials {
		line := lineOf(lines, index("credentials", i), "credentials")
		secret := r.secret(o.namespace, name, line)
		if secret == nil {
			continue
		}
		data := r.secretData(secret)
		r.within(secret, func() {
			kind, ok := r.credentialKind(secret, data)
			if ok {
				r.credential(secret, kind, data, key)
			}
		})
	}
	r.attach(o, func(u *uses) { u.consumers = append(u.consumers, key) })
}

// credentialKind finds the type of a credential: by the label, or by the older field.
func (r *reader) credentialKind(o *object, data map[string]datum) (string, bool) {
	old, isOld := data["kongCredType"]
	delete(data, "kongCredType")
	kind, ok := o.labels[credentialLabel]
	switch {
	case ok:
	case isOld:
		r.Warnf(old.line, "kongCredType is old; today it is the label %s: %s", credentialLabel, old.text)
		kind = old.text
	default:
		r.Errorf(o.Line, "is used as a credential, and its label %s is missing; it is one of %s", credentialLabel, list(credentials))
		return "", false
	}
	return r.knownCredential(kind, old.line, o)
}

// knownCredential checks the type of a credential.
func (r *reader) knownCredential(kind string, line int, o *object) (string, bool) {
	if slices.Contains(credentials, kind) {
		return kind, true
	}
	if line == 0 {
		line = o.Line
		if v := o.At("metadata", "labels", credentialLabel); v != nil {
			line = v.Line
		}
	}
	switch {
	case kind == "mtls-auth":
		r.Errorf(line, "there are no credentials of mtls-auth, which finds consumers by what their certificates name: write that into username or custom_id of the consumer")
	case slices.Contains([]string{"basic-auth", "hmac-auth", "oauth2"}, kind):
		r.Errorf(line, "there is no plugin %q, so there are no credentials of it; there is %s", kind, list(credentials))
	default:
		r.Errorf(line, "%q is no type of a credential%s", kind, suggest.Hint(kind, credentials))
	}
	return "", false
}

func list(names []string) string {
	text := ""
	for i, n := range names {
		if i > 0 {
			text += ", "
		}
		text += n
	}
	return text
}

// credential makes a credential of the data of a Secret.
func (r *reader) credential(o *object, kind string, data map[string]datum, consumer string) {
	ref := entity.RefTo[entity.Consumer](consumer)
	var known map[string]*string
	source, tags := o.source(), r.tags(o)
	for field, d := range data {
		source.Fields[field] = d.line
	}
	switch {
	case !bad(data):
	case kind == "acl":
		return
	default: // the consumer has a credential, whatever it is
		c := &entity.KeyAuth{Consumer: ref, Key: o.key()}
		c.Source, c.Tags = source, tags
		r.config.KeyAuths = append(r.config.KeyAuths, c)
		return
	}
	switch kind {
	case "jwt":
		c := entity.NewJWTCredential()
		c.Consumer, c.Source, c.Tags = ref, source, tags
		known = map[string]*string{"key": &c.Key, "secret": &c.Secret, "algorithm": &c.Algorithm, "rsa_public_key": &c.RSAPublicKey}
		r.config.JWTs = append(r.config.JWTs, c)
	case "key-auth":
		c := &entity.KeyAuth{Consumer: ref}
		c.Source, c.Tags = source, tags
		known = map[string]*string{"key": &c.Key}
		if ttl, ok := data["ttl"]; ok {
			r.Errorf(ttl.line, "ttl cannot be kept, since a manifest does not say when it began; remove the credential when it ends")
			delete(data, "ttl")
		}
		r.config.KeyAuths = append(r.config.KeyAuths, c)
	case "acl":
		c := &entity.ACLGroup{Consumer: ref}
		c.Source, c.Tags = source, tags
		known = map[string]*string{"group": &c.Group}
		r.config.ACLs = append(r.config.ACLs, c)
	}
	for _, field := range slices.Sorted(maps.Keys(data)) {
		into, ok := known[field]
		if !ok {
			r.Errorf(data[field].line, "a credential of type %s has no field %q%s", kind, field, suggest.Hint(field, slices.Sorted(maps.Keys(known))))
			continue
		}
		*into = data[field].text
	}
}

// oldCredential reads a KongCredential, which controllers before 2.0 had.
func (r *reader) oldCredential(o *object) {
	var k struct {
		Type        string         `json:"type"`
		ConsumerRef string         `json:"consumerRef"`
		Config      map[string]any `json:"config"`
	}
	lines := map[string]int{}
	r.fields(o, "", &k, lines)
	r.Warnf(o.Line, "a KongCredential is old; today it is a Secret with the label %s: %s, which the KongConsumer names in credentials", credentialLabel, k.Type)
	consumer, ok := r.consumers[o.namespace+"/"+k.ConsumerRef]
	if !ok {
		r.Errorf(lineOf(lines, "consumerRef"), "there is no KongConsumer %q%s", k.ConsumerRef, suggest.Hint(k.ConsumerRef, r.names("KongConsumer", o.namespace)))
		return
	}
	kind, ok := r.knownCredential(k.Type, lines["type"], o)
	if !ok {
		return
	}
	data := map[string]datum{}
	if v := o.Get("config"); v.IsSet() {
		for _, f := range v.Fields {
			if f.Value.Kind == document.String {
				data[f.Name] = datum{text: f.Value.Text, line: f.Line}
			} else {
				r.Errorf(f.Line, "config.%s must be text", f.Name)
				data[f.Name] = datum{line: f.Line, bad: true}
			}
		}
	}
	r.credential(o, kind, data, consumer)
}
