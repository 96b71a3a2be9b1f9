package gateway

import (
	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/h1"
	"github.com/perdure/perdure/gateway/internal/plugin"
	"github.com/perdure/perdure/gateway/internal/proxy"
)

// What plugins are made of. A plugin is a value of Plugin: a name, a priority among Kong's, the settings that it has, and New,
// which makes an instance for each place of the configuration that names it. An instance has one or more of the methods of Access,
// HeaderFilter and Log. It is registered by Config.Plugins.
type (
	// Plugin is a kind of plugin: its name, priority, settings, and how an instance is made. It is a struct with the fields
	// Name string; Priority int, where higher comes first (jwt has 1450, rate-limiting 910); Schema Schema; NoConsumer bool; and
	// New func(Setup) (any, error).
	Plugin = plugin.Kind
	// Schema is the settings that a plugin has.
	Schema = plugin.Schema
	// Field is a setting: Name, Type, Default, Required, OneOf, Elements, Fields, Check and others.
	Field = plugin.Field
	// Values are settings as an instance gets them: checked, and defaults filled in.
	Values = plugin.Values
	// Setup is what an instance is made of: Values, the Clock, a Log.
	Setup = plugin.Setup
	// FieldProblem is what a Schema's Check finds between settings.
	FieldProblem = entity.FieldProblem
	// Access is implemented by instances that decide about requests: Access(x *Exchange).
	Access = proxy.Access
	// HeaderFilter is implemented by instances that change the heads of responses: HeaderFilter(x *Exchange).
	HeaderFilter = proxy.HeaderFilter
	// Log is implemented by instances that are told of what has ended: Log(x *Exchange).
	Log = proxy.Log
	// Exchange is a request with its answer, as a plugin sees it: Request, Response, Target, Client, Answer, Note and others. It
	// is not valid after the method has returned.
	Exchange = proxy.Exchange
	// Fields are header fields: Get, Set, Add, Del, All.
	Fields = h1.Fields
)

// The types of settings.
const (
	String  = plugin.String
	Number  = plugin.Number
	Integer = plugin.Integer
	Boolean = plugin.Boolean
	Array   = plugin.Array
	Set     = plugin.Set
	Record  = plugin.Record
)

// Refuse notes why a plugin refuses a request, for explain and the access log; the answer is given by Exchange.Answer. Who is the
// plugin's name, and there must be no secret in the reason.
func Refuse(x *Exchange, who, reason string) { plugin.Refuse(x, who, reason) }

// AnswerError answers with a message and the id of the request, in the form that the client accepts: JSON, HTML, XML or plain text.
func AnswerError(x *Exchange, status int, message string) { plugin.Error(x, status, message) }

// ConsumerOf returns the name of the consumer that was found to be asking, "" if none is known.
func ConsumerOf(x *Exchange) string {
	if c := plugin.Consumer(x); c != nil {
		return c.Label()
	}
	return ""
}
