package binding_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/binding"
)

func injectCaller(_ context.Context, r *http.Request) (reflect.Value, error) {
	name := r.Header.Get("Authorization")
	if name == "" {
		return reflect.Value{}, errors.New("nobody")
	}
	return reflect.ValueOf(caller{Name: name}), nil
}

func post(path ...string) binding.Trigger {
	return binding.Trigger{Function: "approve", HTTP: true, Path: path}
}

type order struct {
	ID    string         `json:"id"`
	Tags  map[string]int `json:"tags"`
	Lines []int          `json:"lines"`
	Any   any            `json:"any"`
}

func TestInputMistakes(t *testing.T) {
	t.Parallel()
	get := binding.Trigger{Function: "approve", HTTP: true, NoBody: "a GET request has none"}
	event := binding.Trigger{Function: "approve", Path: []string{"name"}}
	for name, tt := range map[string]struct {
		in   any
		trig binding.Trigger
		want string
	}{
		"misspelt resource": {struct {
			Meta row `bind:"metdata/{fileId}"`
		}{}, post("fileId"), `function approve: field Meta: no resource named "metdata"; did you mean "metadata"?`},
		"misspelt tag": {struct {
			ID string `pth:"fileId" doc:"a file"`
		}{}, post("fileId"), `function approve: field ID: has the tag pth; did you mean path?`},
		"unknown resource": {struct {
			Meta row `bind:"elsewhere/{fileId}"`
		}{}, post("fileId"), `no resource named "elsewhere"; there is metadata, names`},
		"no key": {struct {
			Meta row `bind:"metadata"`
		}{}, post(), `bind:"metadata" has no key; write bind:"metadata/{…}"`},
		"wrong type": {struct {
			Meta string `bind:"metadata/{fileId}"`
		}{}, post("fileId"), `field Meta: bind:"metadata/{fileId}": table "metadata" has fields of type binding_test.row, not string`},
		"optional without pointer": {struct {
			Meta row `bind:"metadata/{fileId},optional"`
		}{}, post("fileId"), `field Meta: is optional, so it must be a pointer: *binding_test.row`},
		"misspelt name": {struct {
			Meta row `bind:"metadata/{fileid}"`
		}{}, post("fileId"), `expression {fileid}: no parameter has this name; did you mean "fileId"?`},
		"open brace": {struct {
			Meta row `bind:"metadata/{fileId"`
		}{}, post("fileId"), `a "{" without its "}"`},
		"empty expression": {struct {
			Meta row `bind:"metadata/{}"`
		}{}, post("fileId"), `expression {} has an empty name`},
		"unknown source": {struct {
			Meta row `bind:"metadata/{quer.id}"`
		}{}, post(), `no source named "quer"; did you mean "query"?`},
		"query without field": {struct {
			Meta row `bind:"metadata/{query.id}"`
		}{}, post(), `expression {query.id}: In has no field with the tag query:"id"`},
		"ambiguous": {struct {
			A    string `query:"id"`
			B    string `header:"id"`
			Meta row    `bind:"metadata/{id}"`
		}{}, post(), `is both a query and a header parameter; write {query.id} or {header.id}`},
		"list in a key": {struct {
			A    []string `query:"id"`
			Meta row      `bind:"metadata/{id}"`
		}{}, post(), `is a list; a key needs one value`},
		"no body": {struct {
			Meta row `bind:"metadata/{body.id}"`
		}{}, post(), `expression {body.id}: In has no JSON body`},
		"no such member": {struct {
			Body order `body:""`
			Meta row   `bind:"metadata/{body.Id2}"`
		}{}, post(), `has no field "Id2"; did you mean "id"?`},
		"member without text": {struct {
			Body order `body:""`
			Meta row   `bind:"metadata/{body.lines}"`
		}{}, post(), `type []int cannot be part of a key`},
		"member of anything": {struct {
			Body order `body:""`
			Meta row   `bind:"metadata/{body.any.x}"`
		}{}, post(), `type interface {} has no members`},
		"input from Out": {struct {
			Meta row `bind:"metadata/{out.ID}"`
		}{}, post(), `an input cannot depend on Out`},
		"path name": {struct {
			ID string `path:"fileID"`
		}{}, post("fileId"), `function approve: field ID: the pattern has no {fileID}; did you mean "fileId"?`},
		"no name": {struct {
			ID string `query:""`
		}{}, post(), `tag query needs the parameter's name, such as query:"name"`},
		"untagged": {struct {
			ID    string `query:"id"`
			Other string
		}{}, post(), `field Other: has no tag; give it one of path, query, header, cookie, body, form, bind, or bind:"-"`},
		"two tags": {struct {
			ID string `query:"id" header:"id"`
		}{}, post(), `field ID: has the tags query and header; a field is bound once`},
		"unexported": {struct {
			id string `query:"id"`
		}{}, post(), `field id: is not exported`},
		"unknown option": {struct {
			ID string `query:"id,requird"`
		}{}, post(), `tag query has the option "requird"; known here: required`},
		"type of a parameter": {struct {
			ID chan int `query:"id"`
		}{}, post(), `type chan int cannot be read from the query; use string, bool`},
		"bytes as parameter": {struct {
			ID []byte `query:"id"`
		}{}, post(), `type []uint8 cannot be read from the query`},
		"slice in the path": {struct {
			ID []string `path:"id"`
		}{}, post("id"), `cannot be read from the path`},
		"twice": {struct {
			A string `header:"X-A"`
			B string `header:"x-a"`
		}{}, post(), `reads header "x-a", which another field reads already`},
		"bad default": {struct {
			N int `query:"n" default:"many"`
		}{}, post(), `field N: default "many" must be an integer`},
		"required default": {struct {
			N int `query:"n,required" default:"1"`
		}{}, post(), `its default is never used`},
		"pointer default": {struct {
			N *int `query:"n" default:"1"`
		}{}, post(), `is never nil`},
		"list default": {struct {
			N []int `query:"n" default:"1"`
		}{}, post(), `a list has no default`},
		"percent in the name": {struct {
			ID string `path:"id"`
		}{}, binding.Trigger{Function: "POST /%d", HTTP: true}, "function POST /%d: field ID: the pattern has no {id}; there is none"},
		"body of GET": {struct {
			Body order `body:""`
		}{}, get, `there is no body to read: a GET request has none`},
		"whole body of GET": {order{}, get, `function approve: there is no body to read: a GET request has none`},
		"form of GET": {struct {
			N int `form:"n"`
		}{}, get, `there is no form to read: a GET request has none`},
		"two bodies": {struct {
			A order `body:""`
			B order `body:""`
		}{}, post(), `the body is read by another field already`},
		"form and body": {struct {
			A order `body:""`
			N int   `form:"n"`
		}{}, post(), `a form field ("n") and a body cannot both be read`},
		"file in a form": {struct {
			F *binding.Upload `form:"photo"`
		}{}, post(), `a streamed file is a body; use body:"photo" with the type *binding.Upload`},
		"JSON with media type": {struct {
			B order `body:"text/csv"`
		}{}, post(), `names a media type, but the body is JSON`},
		"no media type": {struct {
			B []byte `body:"csv"`
		}{}, post(), `tag body:"csv" is not a media type`},
		"reader": {struct {
			B *bytes.Buffer `body:""`
		}{}, post(), `type *bytes.Buffer cannot be made from a body; use io.Reader`},
		"no JSON": {struct {
			B func() `body:""`
		}{}, post(), `type func() has no JSON form`},
		"query of an event": {struct {
			N int `query:"n"`
		}{}, event, `tag query works on HTTP functions only`},
		"stream of an event": {struct {
			N io.Reader `body:""`
		}{}, event, `type io.Reader works on HTTP functions only`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := binding.CompileInput(reflect.TypeOf(tt.in), tt.trig, newFixture().env)
			wantError(t, err, tt.want)
		})
	}
}

func TestOutputMistakes(t *testing.T) {
	t.Parallel()
	event := binding.Trigger{Function: "approve"}
	for name, tt := range map[string]struct {
		out  any
		trig binding.Trigger
		want string
	}{
		"status type": {struct {
			S string `status:"202"`
		}{}, post(), `function approve: field S: type string cannot be a status; use int`},
		"status value": {struct {
			S int `status:"99"`
		}{}, post(), `tag status:"99" is not a status from 200 to 599`},
		"two statuses": {struct {
			A int `status:"200"`
			B int `status:"201"`
		}{}, post(), `field B: the status is set by another field already`},
		"header name": {struct {
			H string `header:""`
		}{}, post(), `tag header needs the header's name`},
		"header type": {struct {
			H order `header:"X"`
		}{}, post(), `cannot be sent as a header`},
		"header of the server": {struct {
			H string `header:"content-length"`
		}{}, post(), `header Content-Length is set by the server`},
		"header twice": {struct {
			A string `header:"x-a"`
			B string `header:"X-A"`
		}{}, post(), `header X-A is set by another field already`},
		"two bodies": {struct {
			A order `body:""`
			B order `body:""`
		}{}, post(), `the body is written from another field already`},
		"upload": {struct {
			A *binding.Upload `body:""`
		}{}, post(), `is for requests; answer with io.Reader`},
		"optional body": {struct {
			A *order `body:",optional"`
		}{}, post(), `answer with a nil pointer`},
		"optional bind": {struct {
			M *row `bind:"metadata/{id},optional"`
		}{}, post("id"), `a nil pointer is not written`},
		"untagged": {struct {
			S int `status:"200"`
			X int
		}{}, post(), `field X: has no tag; give it one of status, header, body, bind, or bind:"-"`},
		"unknown member of Out": {struct {
			B order `body:""`
			M *row  `bind:"metadata/{out.B.nr}"`
		}{}, post(), `has no field "nr"`},
		"resource": {struct {
			M *row `bind:"metadat/{id}"`
		}{}, post("id"), `field M: no resource named "metadat"; did you mean "metadata"?`},
		"type": {struct {
			M *order `bind:"metadata/{id}"`
		}{}, post("id"), `table "metadata" has fields of type binding_test.row`},
		"event with a body": {order{}, event, `an answer has a body on HTTP functions only; write it to a resource with bind`},
		"event with a status": {struct {
			S int `status:"200"`
		}{}, event, `tag status works on HTTP functions only`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := newFixture().env
			in, err := binding.CompileInput(reflect.TypeFor[struct{}](), tt.trig, env)
			if err != nil {
				t.Fatal(err)
			}
			_, err = binding.CompileOutput(reflect.TypeOf(tt.out), in, env)
			wantError(t, err, tt.want)
		})
	}
}

// All mistakes of a function are reported at once.
func TestMistakesAreJoined(t *testing.T) {
	t.Parallel()
	type in struct {
		A string `path:"a"`
		B row    `bind:"nothing/{a}"`
	}
	_, err := binding.CompileInput(reflect.TypeFor[in](), post(), newFixture().env)
	wantError(t, err, "field A:")
	wantError(t, err, "field B:")
}

func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got error %v\nwant one with %s", err, text)
	}
}
