package httpapi_test

import (
	"context"
	"encoding/json"
	"io"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/httpapi"
	"github.com/perdure/perdure/internal/problem"
)

type node struct {
	Name     string           `json:"name" doc:"What it is called"`
	Note     string           `json:"note,omitempty"`
	Children []*node          `json:"children"`
	Sizes    map[string]int64 `json:"sizes"`
	At       time.Time        `json:"at"`
	Sub      struct {
		X int `json:"x"`
	} `json:"sub"`
}

type listIn struct {
	Limit  int           `query:"limit" default:"20" doc:"How many at most"`
	Tags   []string      `query:"tag"`
	Since  *time.Time    `query:"since"`
	Within time.Duration `header:"X-Within,required"`
	Accept string        `header:"Accept"`
	Token  string        `cookie:"token"`
}

type nodeIn struct {
	ID   string `path:"id"`
	Node node   `body:",optional"`
}

type fileIn struct {
	Note string          `form:"note,required"`
	File *binding.Upload `body:""`
}

type formIn struct {
	Name  string `form:"name,required"`
	Count int    `form:"count" default:"3"`
}

type imageOut struct {
	Status int       `status:"200"`
	ETag   string    `header:"ETag" doc:"Of the bytes"`
	Body   io.Reader `body:"image/png"`
}

func noop[In, Out any](context.Context, *In) (*Out, error) { return nil, nil }

func everyKind() []*httpapi.Function {
	return []*httpapi.Function{
		httpapi.New("GET /nodes", noop[listIn, []node], httpapi.Summary("List nodes"), httpapi.Description("All of *them*."), httpapi.Tags("nodes")),
		httpapi.New("PUT /nodes/{id}", noop[nodeIn, node], httpapi.Named("replaceNode")),
		httpapi.New("POST /approve/{id}", approve),
		httpapi.New("POST /files", noop[fileIn, countDoc]),
		httpapi.New("POST /forms", noop[formIn, string]),
		httpapi.New("POST /text", noop[string, struct{}], httpapi.NoUnit()),
		httpapi.New("GET /images/{path...}", noop[struct{}, imageOut]),
		httpapi.New("/any", noop[struct{}, struct{}]),
		httpapi.New("GET /hidden", noop[struct{}, struct{}], httpapi.Hidden()),
		httpapi.New("GET /nodes/{$}", noop[struct{}, binding.Response]),
	}
}

func openAPI(t *testing.T, functions ...*httpapi.Function) []byte {
	t.Helper()
	w := newApp(t, functions...).send("GET", "/openapi.json", "")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %q", w.Code, w.Header().Get("Content-Type"))
	}
	return w.Body.Bytes()
}

// The document is a valid OpenAPI 3.1 document.
func TestOpenAPIIsValid(t *testing.T) {
	t.Parallel()
	doc, err := libopenapi.NewDocument(openAPI(t, everyKind()...))
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(doc)
	if errs != nil {
		t.Fatal(errs)
	}
	if ok, faults := v.ValidateDocument(); !ok {
		for _, f := range faults {
			t.Error(f)
			for _, s := range f.SchemaValidationErrors {
				t.Errorf("  %s: %s", s.Location, s.Reason)
			}
		}
	}
}

// at walks the document by keys.
func at(t *testing.T, doc any, keys ...string) any {
	t.Helper()
	for i, key := range keys {
		m, _ := doc.(map[string]any)
		var ok bool
		if doc, ok = m[key]; !ok {
			t.Fatalf("no %q in the document", keys[:i+1])
		}
	}
	return doc
}

func TestOpenAPIContent(t *testing.T) {
	t.Parallel()
	var doc any
	if err := json.Unmarshal(openAPI(t, everyKind()...), &doc); err != nil {
		t.Fatal(err)
	}
	paths := at(t, doc, "paths").(map[string]any)
	if paths["/hidden"] != nil {
		t.Error("a hidden function is documented")
	}
	for _, method := range []string{"get", "post", "put", "patch", "delete"} {
		at(t, doc, "paths", "/any", method)
	}
	list := at(t, doc, "paths", "/nodes", "get")
	equal(t, "summary", at(t, list, "summary"), "List nodes")
	equal(t, "description", at(t, list, "description"), "All of *them*.")
	equal(t, "tags", at(t, list, "tags"), []any{"nodes"})
	equal(t, "id", at(t, list, "operationId"), "get-nodes")
	equal(t, "id of a named function", at(t, doc, "paths", "/nodes/{id}", "put", "operationId"), "replaceNode")
	params := map[string]map[string]any{}
	for _, p := range at(t, list, "parameters").([]any) {
		m := p.(map[string]any)
		params[m["in"].(string)+" "+m["name"].(string)] = m
	}
	equal(t, "limit", params["query limit"]["schema"], map[string]any{"type": "integer", "format": "int64", "default": 20.0})
	equal(t, "limit's doc", params["query limit"]["description"], "How many at most")
	equal(t, "tag", at(t, params["query tag"], "schema", "type"), "array")
	equal(t, "since", at(t, params["query since"], "schema", "format"), "date-time")
	equal(t, "required", params["header X-Within"]["required"], true)
	equal(t, "duration", at(t, params["header X-Within"], "schema", "type"), "string")
	if params["header Accept"] != nil || params["cookie token"] == nil || params["header Idempotency-Key"] != nil {
		t.Errorf("parameters %v", params)
	}

	equal(t, "required file", at(t, doc, "paths", "/files", "post", "requestBody", "content", "multipart/form-data", "schema", "required"), []any{"note", "file"})
	at(t, doc, "paths", "/files", "post", "requestBody", "content", "application/octet-stream")
	equal(t, "form default", at(t, doc, "paths", "/forms", "post", "requestBody", "content", "application/x-www-form-urlencoded", "schema", "properties", "count", "default"), 3.0)
	at(t, doc, "paths", "/images/{path}", "get", "responses", "200", "content", "image/png")
	at(t, doc, "paths", "/images/{path}", "get", "responses", "200", "headers", "Etag")
	at(t, doc, "paths", "/approve/{id}", "post", "responses", "202", "content", "application/json")
	at(t, doc, "paths", "/any", "post", "responses", "204")
	equal(t, "problem", at(t, doc, "paths", "/any", "post", "responses", "default", "$ref"), "#/components/responses/Problem")
	at(t, doc, "components", "responses", "Problem", "content", "application/problem+json")
	at(t, doc, "components", "schemas", "Problem")

	if hasParam(at(t, doc, "paths", "/text", "post"), "Idempotency-Key") || !hasParam(at(t, doc, "paths", "/approve/{id}", "post"), "Idempotency-Key") {
		t.Error("Idempotency-Key is documented where it is refused, or not where it is taken")
	}
	if !hasParam(at(t, doc, "paths", "/images/{path}", "get"), "path") {
		t.Error("a wildcard without a field is not documented")
	}
}

func hasParam(op any, name string) bool {
	params, _ := op.(map[string]any)["parameters"].([]any)
	return slices.ContainsFunc(params, func(p any) bool { return p.(map[string]any)["name"] == name })
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %#v, want %#v", what, got, want)
	}
}

// The schemas say what the functions do: a request may leave members out and have
// others; an answer has all that are not omitted.
func TestOpenAPIRequired(t *testing.T) {
	t.Parallel()
	type asked struct {
		A string `json:"a"`
	}
	type answered struct {
		A string `json:"a"`
		B string `json:"b,omitempty"`
	}
	var doc any
	if err := json.Unmarshal(openAPI(t, httpapi.New("POST /", noop[asked, answered])), &doc); err != nil {
		t.Fatal(err)
	}
	schemas := at(t, doc, "components", "schemas")
	in, out := at(t, schemas, "Asked").(map[string]any), at(t, schemas, "Answered").(map[string]any)
	if in["required"] != nil || in["additionalProperties"] != nil {
		t.Errorf("request %v", in)
	}
	equal(t, "answer", out["required"], []any{"a"})
}

// Types of one name from different packages have schemas of their own.
func TestOpenAPINames(t *testing.T) {
	t.Parallel()
	type Fault struct {
		City string `json:"city"`
	}
	functions := []*httpapi.Function{
		httpapi.New("POST /a", noop[Fault, struct{}]),
		httpapi.New("POST /b", noop[problem.Fault, struct{}]),
		httpapi.New("POST /c", noop[struct {
			Body struct{ X int } `body:""`
		}, struct{}]),
		httpapi.New("POST /d", noop[struct {
			Body struct{ Y int } `body:""`
		}, struct{}]),
		httpapi.New("POST /e/{id}", noop[struct{}, struct{}]),
		httpapi.New("POST /e/{id}/", noop[struct{}, struct{}]),
	}
	var doc any
	if err := json.Unmarshal(openAPI(t, functions...), &doc); err != nil {
		t.Fatal(err)
	}
	schemas := at(t, doc, "components", "schemas").(map[string]any)
	for _, name := range []string{"Fault", "ProblemFault", "Body", "Body2"} {
		if schemas[name] == nil {
			t.Errorf("no schema %s", name)
		}
	}
	if len(schemas) != 5 { // and Problem
		t.Errorf("schemas %v", schemas)
	}
	if a, b := at(t, doc, "paths", "/e/{id}", "post", "operationId"), at(t, doc, "paths", "/e/{id}/", "post", "operationId"); a == b {
		t.Errorf("two operations have the id %v", a)
	}
}

// A strict body says that there are no other members; events are a stream of text.
func TestOpenAPIOfStrictBodiesAndEvents(t *testing.T) {
	t.Parallel()
	type decision struct {
		Approved bool `json:"approved"`
	}
	type strictIn struct {
		Body decision `body:",strict"`
	}
	var doc any
	err := json.Unmarshal(openAPI(t,
		httpapi.New("POST /decide", noop[strictIn, struct{}]),
		httpapi.New("GET /events", noop[struct{}, eventsOut]),
		httpapi.New("GET /rows", noop[struct{}, writtenOut])), &doc)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "strict", at(t, doc, "components", "schemas", "Decision", "additionalProperties"), false)
	equal(t, "events", at(t, doc, "paths", "/events", "get", "responses", "200", "content", "text/event-stream", "schema", "type"), "string")
	at(t, doc, "paths", "/rows", "get", "responses", "200", "content", "text/csv")
}
