package entity

// Plugin is a plugin with its settings, for everything or for what it refers to.
type Plugin struct {
	Meta
	Name         string        `json:"name"`
	InstanceName string        `json:"instance_name"`
	Route        Ref[Route]    `json:"route"`
	Service      Ref[Service]  `json:"service"`
	Consumer     Ref[Consumer] `json:"consumer"`
	// Config is as the plugin's schema has it: Compile fills the defaults in.
	Config    map[string]any `json:"config"`
	Protocols []string       `json:"protocols"`
	Enabled   bool           `json:"enabled"`
}

// NewPlugin returns a plugin with Kong's defaults.
func NewPlugin() *Plugin {
	return &Plugin{Protocols: []string{"grpc", "grpcs", "http", "https"}, Enabled: true, Config: map[string]any{}}
}

// Kind is Plugins.
func (p *Plugin) Kind() Kind { return Plugins }

// Label is the plugin's name, with that of the instance if it has one.
func (p *Plugin) Label() string {
	if p.InstanceName != "" {
		return p.Name + "/" + p.InstanceName
	}
	return first(p.Name, p.ID)
}

// Global reports whether the plugin is for every request.
func (p *Plugin) Global() bool { return !p.Route.Set() && !p.Service.Set() && !p.Consumer.Set() }

// Schemas knows the plugins and what may be in their settings.
type Schemas interface {
	// Names are the plugins that there are.
	Names() []string
	// Check returns the settings of a plugin with the defaults filled in, and what is wrong with those given.
	// The map it is given it does not change. It is called with one of the Names alone.
	Check(name string, config map[string]any) (normalized map[string]any, problems []FieldProblem)
}

// FieldProblem is what is wrong with a setting.
type FieldProblem struct {
	// Field is the setting with dots between the levels and indices in brackets: "add.headers[0]".
	Field string
	// Message says what is wrong and what would be right.
	Message string
	// Warning: it works, but perhaps not as meant.
	Warning bool
}
