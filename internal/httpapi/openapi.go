package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/problem"
)

// document returns the handler that serves the OpenAPI 3.1 document of the routes.
func document(cfg *Config, routes []*route) (http.Handler, error) {
	api := newAPI(cfg)
	for _, rt := range routes {
		if rt.hidden {
			continue
		}
		if err := api.add(rt); err != nil {
			return nil, fmt.Errorf("function %s: OpenAPI document: %w", rt.name, err)
		}
	}
	api.schemas.finish()
	body, err := json.Marshal(api.doc)
	if err != nil {
		return nil, fmt.Errorf("OpenAPI document: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) // the client is gone: nobody is left to tell
	}), nil
}

// api is a document in the making.
type api struct {
	doc     *huma.OpenAPI
	schemas *schemas
	ids     map[string]bool
	openID  string
}

func newAPI(cfg *Config) *api {
	s := newSchemas()
	info := &huma.Info{Title: cfg.Title, Version: cfg.Version, Description: cfg.Description}
	if info.Title == "" {
		info.Title = "API"
	}
	if info.Version == "" {
		info.Version = "0"
	}
	return &api{
		doc: &huma.OpenAPI{
			OpenAPI: "3.1.0", Info: info, Paths: map[string]*huma.PathItem{},
			Components: &huma.Components{
				Schemas: s.registry,
				Responses: map[string]*huma.Response{"Problem": {
					Description: "The request was not carried out.",
					Content: map[string]*huma.MediaType{
						problem.ContentType: {Schema: s.problem()},
					},
				}},
			},
		},
		schemas: s,
		ids:     map[string]bool{},
		openID:  cfg.OpenIDConfiguration,
	}
}

// anyMethod are the methods under which a pattern without one is documented.
var anyMethod = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

func (a *api) add(rt *route) error {
	methods := []string{rt.method}
	if rt.method == "" {
		methods = anyMethod
	}
	path := documentPath(rt.path)
	item := a.doc.Paths[path]
	if item == nil {
		item = &huma.PathItem{}
		a.doc.Paths[path] = item
	}
	for _, method := range methods {
		op, err := a.operation(rt, method)
		if err != nil {
			return err
		}
		if slot := operationSlot(item, method); slot != nil {
			*slot = op
		}
	}
	return nil
}

// documentPath turns a path of http.ServeMux into one of OpenAPI.
func documentPath(path string) string {
	return strings.ReplaceAll(strings.ReplaceAll(path, "{$}", ""), "...}", "}")
}

// operationSlot is where a path item keeps the operation of a method; nil for
// methods that OpenAPI does not know.
func operationSlot(item *huma.PathItem, method string) **huma.Operation {
	return map[string]**huma.Operation{
		http.MethodGet: &item.Get, http.MethodPut: &item.Put, http.MethodPost: &item.Post,
		http.MethodDelete: &item.Delete, http.MethodOptions: &item.Options, http.MethodHead: &item.Head,
		http.MethodPatch: &item.Patch, http.MethodTrace: &item.Trace,
	}[method]
}

func (a *api) operation(rt *route, method string) (*huma.Operation, error) {
	op := &huma.Operation{
		OperationID: a.operationID(rt, method), Summary: rt.summary, Description: rt.description, Tags: rt.tags,
		Responses: map[string]*huma.Response{"default": {Ref: "#/components/responses/Problem"}},
	}
	if op.Summary == "" {
		op.Summary = strings.TrimSpace(method + " " + rt.path)
	}
	documented := map[string]bool{}
	for _, p := range rt.input.Params {
		if p.In == "form" {
			continue
		}
		documented[p.In+" "+p.Name] = true
		if p.In == "header" && slices.Contains([]string{"Accept", "Content-Type", "Authorization"}, http.CanonicalHeaderKey(p.Name)) {
			continue // OpenAPI describes these elsewhere
		}
		schema, err := a.schemas.param(p)
		if err != nil {
			return nil, err
		}
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: p.Name, In: p.In, Required: p.Required, Description: p.Doc, Schema: schema,
		})
	}
	for _, name := range wildcards(rt.path) {
		if !documented["path "+name] { // used by an expression alone
			op.Parameters = append(op.Parameters, &huma.Param{
				Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString},
			})
		}
	}
	if rt.takesIdempotencyKey(method) {
		longest := maxIdempotencyKey
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: idempotencyHeader, In: "header",
			Description: "A request with the same key gets the answer that the first one got, for 24 hours.",
			Schema:      &huma.Schema{Type: huma.TypeString, MaxLength: &longest},
		})
	}
	var err error
	if method != http.MethodGet && method != http.MethodHead {
		if op.RequestBody, err = a.requestBody(rt.input); err != nil {
			return nil, err
		}
	}
	status, answer, err := a.response(rt.output)
	if err != nil {
		return nil, err
	}
	a.secure(op, rt.gate)
	op.Responses[status] = answer
	return op, nil
}

func (rt *route) takesIdempotencyKey(method string) bool {
	safe := method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
	return !safe && !rt.noUnit && (rt.output.Body == nil || !rt.output.Body.Kind.Streams())
}

// operationID makes a unique id from the function's name, or from its pattern:
// "POST /api/approve/{fileId}" is "post-api-approve-fileId".
func (a *api) operationID(rt *route, method string) string {
	base := rt.name
	if rt.name == rt.pattern {
		base = method + " " + rt.path
		base = strings.ToLower(method) + base[len(method):]
	} else if rt.method == "" {
		base = strings.ToLower(method) + " " + base
	}
	words := strings.FieldsFunc(base, func(c rune) bool {
		return c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	})
	id := strings.Join(words, "-")
	for n := 2; a.ids[id]; n++ {
		id = strings.Join(words, "-") + "-" + strconv.Itoa(n)
	}
	a.ids[id] = true
	return id
}

func (a *api) requestBody(in *binding.Input) (*huma.RequestBody, error) {
	content := map[string]*huma.MediaType{}
	form, err := a.schemas.form(in.Params)
	if err != nil {
		return nil, err
	}
	b := in.Body
	switch {
	case b == nil && form == nil:
		return nil, nil
	case b == nil:
		content["application/x-www-form-urlencoded"] = &huma.MediaType{Schema: form}
		content["multipart/form-data"] = &huma.MediaType{Schema: form}
		return &huma.RequestBody{Content: content, Required: len(form.Required) > 0}, nil
	case b.Kind == binding.File:
		if form == nil {
			form = &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}}
		}
		form.Properties[b.Part] = &huma.Schema{
			Type: huma.TypeString, Extensions: map[string]any{"contentMediaType": "application/octet-stream"},
			Description: "The file. Other fields come before it.",
		}
		if !b.Optional {
			form.Required = append(form.Required, b.Part)
		}
		content["multipart/form-data"] = &huma.MediaType{Schema: form}
		content["application/octet-stream"] = &huma.MediaType{Schema: &huma.Schema{}}
	case b.Kind == binding.JSON:
		d := request
		if b.Strict {
			d = strictRequest
		}
		schema, err := a.schemas.of(b.Type, d)
		if err != nil {
			return nil, err
		}
		content["application/json"] = &huma.MediaType{Schema: schema}
	default:
		mediaType := b.MediaType
		if mediaType == "" {
			mediaType = "*/*"
		}
		schema := &huma.Schema{}
		if b.Kind == binding.Text {
			schema.Type = huma.TypeString
		}
		content[mediaType] = &huma.MediaType{Schema: schema}
	}
	return &huma.RequestBody{Content: content, Required: !b.Optional && b.Kind == binding.JSON}, nil
}

// response describes the answer of a function that did not fail.
func (a *api) response(out *binding.Output) (status string, res *huma.Response, err error) {
	code := out.Status
	switch {
	case code != 0:
	case out.Body == nil:
		code = http.StatusNoContent
	default:
		code = http.StatusOK
	}
	res = &huma.Response{Description: http.StatusText(code)}
	if res.Description == "" {
		res.Description = "Done"
	}
	if out.StatusVaries {
		res.Description += " (other statuses are possible)"
	}
	for _, h := range out.Headers {
		if h.Name == "Content-Type" {
			continue
		}
		if res.Headers == nil {
			res.Headers = map[string]*huma.Param{}
		}
		schema, err := a.schemas.text(h.Type, h.List)
		if err != nil {
			return "", nil, err
		}
		res.Headers[h.Name] = &huma.Param{Description: h.Doc, Schema: schema}
	}
	if b := out.Body; b != nil {
		schema := &huma.Schema{}
		switch b.Kind {
		case binding.JSON:
			if schema, err = a.schemas.of(b.Type, response); err != nil {
				return "", nil, err
			}
		case binding.Text, binding.EventStream:
			schema.Type = huma.TypeString
		}
		res.Content = map[string]*huma.MediaType{b.MediaType: {Schema: schema}}
	}
	return strconv.Itoa(code), res, nil
}
