package kongfile

import (
	"maps"
	"slices"
	"strconv"

	"github.com/perdure/perdure/gateway/internal/document"
	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/internal/suggest"
)

// formats are the versions of the format, the newest first.
var formats = []string{"3.0", "2.1", "1.1"}

// parser reads one file.
type parser struct {
	document.Decoder
	config   *entity.Config
	legacy   bool // a format before 3.0, in which a path says by its characters that it is a regular expression
	defaults map[string]*document.Value
	shared   map[string]*document.Value // settings of plugins that several share (_plugin_configs)
	ids      map[string]int             // how many entities without a name would have each
}

// Parse reads a file. File is what messages call it. The configuration has everything that could be read;
// it is not compiled yet.
func Parse(file string, data []byte) (*entity.Config, []entity.Problem) {
	docs, err := document.Parse(data)
	if err != nil {
		d := document.Decoder{File: file}
		d.Broken(err)
		return &entity.Config{}, d.Problems
	}
	return Read(file, docs)
}

// Read is Parse for what the file's documents hold.
func Read(file string, docs []*document.Value) (*entity.Config, []entity.Problem) {
	p := &parser{
		Decoder: document.Decoder{File: file}, config: &entity.Config{},
		defaults: map[string]*document.Value{}, shared: map[string]*document.Value{}, ids: map[string]int{},
	}
	switch {
	case len(docs) == 0:
		p.Errorf(0, `is empty; a file begins with _format_version: "3.0"`)
	case len(docs) > 1:
		p.Errorf(docs[1].Line, "there is a second document behind ---; one file has one")
	case docs[0].Kind != document.Map:
		p.Errorf(docs[0].Line, `is no map; a file begins with _format_version: "3.0"`)
	default:
		p.file(docs[0])
	}
	entity.SortProblems(p.Problems)
	return p.config, p.Problems
}

// file reads the document of a file.
func (p *parser) file(doc *document.Value) {
	p.version(doc)
	more := document.More{
		"_format_version": func(document.Field) {},
		"_comment":        ignore,
		"_ignore":         ignore,
		"_workspace":      p.workspace,
		"_transform":      p.transform,
		"_info":           func(document.Field) {},
		"_plugin_configs": func(document.Field) {},
	}
	// What other entities refer to within themselves is read before them.
	if f := doc.Get("_info"); f.IsSet() {
		p.info(f)
	}
	if f := doc.Get("_plugin_configs"); f.IsSet() {
		p.pluginConfigs(f)
	}
	for name, read := range p.lists() {
		more[name] = func(f document.Field) { p.each(f.Value, f.Name, read) }
	}
	p.refuse(more)
	p.Struct(doc, &struct{}{}, more, nil, "")
}

func ignore(document.Field) {}

// reader reads one entity; parent is what it stands in, or nil.
type reader func(v *document.Value, in entity.Entity)

// lists are the readers of the kinds that can stand at the top.
func (p *parser) lists() map[string]reader {
	return map[string]reader{
		"services":            p.service,
		"routes":              p.route,
		"consumers":           p.consumer,
		"jwt_secrets":         p.jwt,
		"keyauth_credentials": p.keyAuth,
		"acls":                p.acl,
		"plugins":             p.plugin,
		"upstreams":           p.upstream,
		"targets":             p.target,
		"certificates":        p.certificate,
		"snis":                p.sni,
		"ca_certificates":     p.caCertificate,
	}
}

// refused are Kong's kinds that are not here, and what to do without them.
var refused = map[string]string{
	"basicauth_credentials":    "there is no plugin basic-auth; key-auth, jwt and openid-connect tell consumers apart",
	"hmacauth_credentials":     "there is no plugin hmac-auth; key-auth, jwt and openid-connect tell consumers apart",
	"oauth2_credentials":       "there is no plugin oauth2; the identity provider issues tokens, which openid-connect verifies",
	"oauth2_tokens":            "there is no plugin oauth2; the identity provider issues tokens, which openid-connect verifies",
	"mtls_auth_credentials":    "the plugin mtls-auth finds consumers by what their certificates name: write that into username or custom_id of the consumer",
	"consumer_groups":          "there are no consumer groups; the plugin acl has groups of its own",
	"consumer_group_consumers": "there are no consumer groups; the plugin acl has groups of its own",
	"consumer_group_plugins":   "there are no consumer groups; the plugin acl has groups of its own",
	"groups":                   "there are no consumer groups; the plugin acl has groups of its own",
	"vaults":                   "there are no vaults in this file; write values where they are used",
	"keys":                     "there are no keys; a jwt credential has its public key itself",
	"key_sets":                 "there are no key sets; openid-connect finds the keys of an issuer itself",
	"filter_chains":            "there are no filters in WebAssembly",
	"partials":                 "there are no partials; write the settings into each plugin",
	"licenses":                 "nothing here needs a licence",
	"rbac_roles":               "the Admin API is read only",
	"workspaces":               "there are no workspaces; one gateway has one configuration",
	"custom_entities":          "there are no custom entities",
	"_konnect":                 "this is no control plane of Konnect",
}

// refuse enters the kinds that are not here. An empty list of them says nothing, and is no error.
func (p *parser) refuse(more document.More) {
	for name, reason := range refused {
		more[name] = func(f document.Field) {
			if len(f.Value.Items) > 0 || len(f.Value.Fields) > 0 || f.Value.Kind == document.String {
				p.Errorf(f.Line, "%s: %s", name, reason)
			}
		}
	}
}

// version reads the version of the format.
func (p *parser) version(doc *document.Value) {
	v := doc.Get("_format_version")
	if !v.IsSet() {
		p.Errorf(doc.Line, `_format_version is missing; write _format_version: "3.0"`)
		return
	}
	version := v.Text
	switch {
	case v.Kind == document.Float || v.Kind == document.Int:
		version = strconv.FormatFloat(v.Float, 'f', 1, 64)
		p.Warnf(v.Line, `_format_version is a number, which Kong refuses; write "%s" in quotes`, version)
	case v.Kind != document.String:
		p.Errorf(v.Line, `_format_version must be text; write "3.0"`)
		return
	}
	switch version {
	case formats[0]:
	case formats[1], formats[2]:
		p.legacy = true
		p.Warnf(v.Line, `_format_version %q is old: in "3.0" a path that is a regular expression begins with ~, here it is guessed by its characters`, version)
	default:
		p.Errorf(v.Line, "_format_version %q is not known%s", version, suggest.Hint(version, formats))
	}
}

func (p *parser) workspace(f document.Field) {
	if name, ok := p.Text(f.Value, f.Name); ok && name != "default" {
		p.Warnf(f.Line, "_workspace %q is ignored: one gateway has one configuration", name)
	}
}

func (p *parser) transform(f document.Field) {
	if f.Value.Kind != document.Bool {
		p.Errorf(f.Line, "_transform must be true or false")
	} else if !f.Value.Bool {
		p.Warnf(f.Line, "_transform is ignored: nothing that is read here is transformed")
	}
}

// defaulted are the kinds that decK's _info.defaults can have values for, by its names.
var defaulted = []string{"service", "route", "upstream", "target"}

// info reads what decK says about a file.
func (p *parser) info(v *document.Value) {
	if v.Kind != document.Map {
		p.Errorf(v.Line, "_info must be a map")
		return
	}
	for _, f := range v.Fields {
		switch f.Name {
		case "select_tags", "default_lookup_tags", "consumer_group_policy_overrides":
			if f.Value.IsSet() {
				p.Warnf(f.Line, "_info.%s is ignored: this file is all of the configuration that it names", f.Name)
			}
		case "defaults":
			for _, kind := range f.Value.Fields {
				if !slices.Contains(defaulted, kind.Name) {
					p.Errorf(kind.Line, "_info.defaults has nothing for %q%s", kind.Name, suggest.Hint(kind.Name, defaulted))
					continue
				}
				p.defaults[kind.Name] = kind.Value
			}
		default:
			p.Errorf(f.Line, `there is no field "_info.%s"%s`, f.Name, suggest.Hint(f.Name, []string{"select_tags", "defaults"}))
		}
	}
}

func (p *parser) pluginConfigs(v *document.Value) {
	if v.Kind != document.Map {
		p.Errorf(v.Line, "_plugin_configs must be a map")
		return
	}
	for _, f := range v.Fields {
		if f.Value.Kind != document.Map {
			p.Errorf(f.Line, "_plugin_configs.%s must be a map", f.Name)
			continue
		}
		p.shared[f.Name] = f.Value
	}
}

// each reads the entities of a list.
func (p *parser) each(v *document.Value, name string, read reader) {
	p.eachIn(v, name, read, nil)
}

func (p *parser) eachIn(v *document.Value, name string, read reader, in entity.Entity) {
	if v.Kind != document.List {
		p.Errorf(v.Line, "%s must be a list, and is %s", name, v.Kind)
		return
	}
	outer := p.What
	for i, item := range v.Items {
		if item.Kind != document.Map {
			p.Errorf(item.Line, "%s[%d] must be a map, and is %s", name, i, item.Kind)
			continue
		}
		read(item, in)
		p.What = outer
	}
}

// children reads lists within an entity.
func (p *parser) children(in entity.Entity, of map[string]reader) (more document.More, read func()) {
	more = document.More{"_comment": ignore, "_ignore": ignore}
	p.refuse(more)
	var lists []document.Field
	for name := range of {
		more[name] = func(f document.Field) { lists = append(lists, f) }
	}
	return more, func() {
		for _, f := range lists {
			p.eachIn(f.Value, f.Name, of[f.Name], in)
		}
	}
}

// begin reads the fields of an entity.
func (p *parser) begin(v *document.Value, e entity.Entity, more document.More) map[string]bool {
	p.What = e.Kind().One()
	for _, name := range []string{"instance_name", "name", "username", "custom_id", "target"} {
		if label := v.Get(name); label != nil && label.Kind == document.String && label.Text != "" {
			p.What = e.Kind().One() + " " + strconv.Quote(label.Text)
			break
		}
	}
	m := entity.MetaOf(e)
	m.Source = entity.Source{File: p.File, Line: v.Line, Fields: map[string]int{}}
	given := p.Struct(v, e, more, m.Source.Fields, "")
	maps.DeleteFunc(m.Source.Fields, func(_ string, line int) bool { return line == v.Line })
	return given
}

// identify returns how what stands within an entity refers to it: by its name or id, or by an id that is made
// for it.
func (p *parser) identify(e entity.Entity, name string) string {
	m := entity.MetaOf(e)
	if name != "" {
		return name
	}
	if m.ID == "" {
		id := entity.DeriveID(e, 1)
		p.ids[id]++
		m.ID = entity.DeriveID(e, p.ids[id])
	}
	return m.ID
}
