package binding_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/binding"
	"github.com/perdure/perdure/internal/failure"
	"github.com/perdure/perdure/internal/resource"
	"github.com/perdure/perdure/internal/unit"
)

// put stores rows of the fixture.
func (fx *fixture) put(rows map[string]row) {
	for key, r := range rows {
		fx.metadata.rows[key] = reflect.ValueOf(r)
	}
}

// written lists what the fixture's table holds, as "key=owner".
func (fx *fixture) written() []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(fx.metadata.rows)) {
		all = append(all, key+"="+fx.metadata.rows[key].Interface().(row).Owner)
	}
	return all
}

// store writes Out for a request and returns the error.
func store[In, Out any](t *testing.T, fx *fixture, trig binding.Trigger, req *binding.Request, out *Out) error {
	t.Helper()
	in, plan := plans[In, Out](t, fx, trig)
	arg, err := in.Decode(t.Context(), req)
	if err == nil {
		err = in.Load(t.Context(), req, arg)
	}
	if err != nil {
		t.Fatal(err)
	}
	return plan.Store(t.Context(), req, arg, reflect.ValueOf(out))
}

// Bound fields are loaded in the order in which their keys need each other.
func TestKeysOfBoundFields(t *testing.T) {
	t.Parallel()
	fx := newFixture()
	fx.put(map[string]row{"file": {Owner: "ada"}, "ada": {Owner: "root"}, "root": {Owner: "top"}, "nobody": {}})
	type chain struct {
		Third  row  `bind:"metadata/{in.Second.owner}"`
		Second *row `bind:"metadata/{meta.owner},optional"`
		Meta   row  `bind:"metadata/{id}"`
	}
	in, err := decode[chain](t, fx, post("id"), pathRequest("id", "file"))
	if err != nil || in.Meta.Owner != "ada" || in.Second.Owner != "root" || in.Third.Owner != "top" {
		t.Errorf("got %+v, %v", in, err)
	}
	type two struct {
		Second *row `bind:"metadata/{meta.owner},optional"`
		Meta   row  `bind:"metadata/{id}"`
	}
	twice, err := decode[two](t, fx, post("id"), pathRequest("id", "nobody"))
	if err != nil || twice.Second != nil {
		t.Errorf("a key without a value: %+v, %v, want no row", twice, err)
	}
	if _, err := decode[chain](t, fx, post("id"), pathRequest("id", "nobody")); err == nil {
		t.Error("a needed row was found by a key without a value")
	} else if p, _ := failure.Problem(err, ""); p.Status != 404 {
		t.Errorf("got %v, want 404", err)
	}
	type out struct {
		Row *row `bind:"metadata/{meta.owner}/copy"`
	}
	req := binding.NewRequest(httptest.NewRecorder(), pathRequest("id", "file"), 0)
	if err := store[two](t, fx, post("id"), req, &out{&row{Owner: "x"}}); err != nil || !slices.Contains(fx.written(), "ada/copy=x") {
		t.Errorf("written %q, %v", fx.written(), err)
	}
}

func TestBoundCollections(t *testing.T) {
	t.Parallel()
	fx := newFixture()
	fx.put(map[string]row{"a/1": {Owner: "1"}, "a/2": {Owner: "2"}, "a/3": {Owner: "3"}, "b/1": {Owner: "4"}})
	type in struct {
		All   []row `bind:"metadata/{id}/*"`
		Few   []row `bind:"metadata/{id}/*,limit=2"`
		Whole []row `bind:"metadata/*"`
		Some  []row `bind:"metadata/{id}/2*"`
	}
	got, err := decode[in](t, fx, post("id"), pathRequest("id", "a"))
	if err != nil || len(got.All) != 3 || len(got.Few) != 2 || len(got.Whole) != 4 || len(got.Some) != 1 || got.Some[0].Owner != "2" {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err = decode[in](t, fx, post("id"), pathRequest("id", "none"))
	if err != nil || got.All == nil || len(got.All) != 0 {
		t.Errorf("nothing found: %+v, %v, want an empty slice", got, err)
	}
}

func TestItems(t *testing.T) {
	t.Parallel()
	type out struct {
		Rows     []row          `bind:"metadata/{id}/{item.owner}"`
		Pointers []*row         `bind:"metadata/p/{item.size}"`
		ByKey    map[string]row `bind:"metadata"`
		Below    map[string]row `bind:"metadata/{id}/{key}/{item.owner}"`
		Fresh    []row          `bind:"metadata/new/{new-id}"`
		Names    []string       `bind:"names"`
	}
	fx := newFixture()
	req := binding.NewRequest(httptest.NewRecorder(), pathRequest("id", "x"), 0)
	err := store[struct{}](t, fx, post("id"), req, &out{
		Rows:     []row{{Owner: "a"}, {Owner: "b"}},
		Pointers: []*row{{Owner: "c", Size: 7}, nil},
		ByKey:    map[string]row{"k/1": {Owner: "d"}},
		Below:    map[string]row{"k": {Owner: "e"}},
		Names:    []string{"one", "two"},
	})
	want := []string{"k%2F1=d", "p/7=c", "x/a=a", "x/b=b", "x/k/e=e"}
	if err != nil || !slices.Equal(fx.written(), want) {
		t.Errorf("written %q, %v, want %q", fx.written(), err, want)
	}
	if got := fx.names.rows[""].String(); got != "two" {
		t.Errorf("the queue got %q last", got)
	}
	if err := store[struct{}](t, fx, post("id"), req, &out{Rows: []row{{}}}); err == nil || !strings.Contains(err.Error(), "{item.owner} is needed") {
		t.Errorf("an element without a key: %v", err)
	} else if p, hidden := failure.Problem(err, ""); !hidden || p.Status != 500 {
		t.Errorf("it is the caller's fault: %v", p)
	}
}

// The names of {new-id} are the same in each run of an event or request, differ between
// elements, and between events.
func TestNewIDs(t *testing.T) {
	t.Parallel()
	type out struct {
		One  *row  `bind:"metadata/one/{new-id}"`
		Many []row `bind:"metadata/many/{new-id}"`
	}
	ids := func(req *binding.Request) []string {
		fx := newFixture()
		if err := store[struct{}](t, fx, binding.Trigger{Function: "f"}, req, &out{&row{}, []row{{}, {}}}); err != nil {
			t.Fatal(err)
		}
		written := fx.written()
		if len(written) != 3 {
			t.Errorf("written %q, want 3 rows", written)
		}
		return written
	}
	event := func(source string) *binding.Request { return binding.NewEvent(nil, nil, nil).From(source, nil) }
	once := ids(event("a"))
	if again := ids(event("a")); !slices.Equal(once, again) {
		t.Errorf("run again, an event names %q instead of %q", again, once)
	}
	if other := ids(event("b")); slices.Equal(once, other) {
		t.Errorf("two events both name %q", other)
	}
	req := binding.NewRequest(httptest.NewRecorder(), newRequest("POST", "/", "", ""), 0)
	once = ids(req)
	if again := ids(req); !slices.Equal(once, again) {
		t.Errorf("run again, a request names %q instead of %q", again, once)
	}
	if other := ids(binding.NewRequest(httptest.NewRecorder(), newRequest("POST", "/", "", ""), 0)); slices.Equal(once, other) {
		t.Errorf("two requests both name %q", other)
	}
}

func TestNow(t *testing.T) {
	t.Parallel()
	type in struct {
		Row *row `bind:"metadata/{now},optional"`
	}
	fx := newFixture()
	fx.put(map[string]row{"2026-03-04T11:00:00.500000000Z": {Owner: "now"}})
	plan, err := binding.CompileInput(reflect.TypeFor[in](), binding.Trigger{Function: "f"}, fx.env)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 4, 12, 0, 0, 500_000_000, time.FixedZone("", 3600))
	u := unit.New(&unit.Env{Now: func() time.Time { return at }})
	defer u.Discarded()
	ctx := unit.With(t.Context(), u)
	req := binding.NewEvent(nil, nil, nil)
	v, err := plan.Decode(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.Load(ctx, req, v); err != nil {
		t.Fatal(err)
	}
	if got := v.Interface().(*in); got.Row == nil || got.Row.Owner != "now" {
		t.Errorf("got %+v", got.Row)
	}
}

func TestHeadersOfEvents(t *testing.T) {
	t.Parallel()
	type in struct {
		Trace string   `header:"TraceParent"`
		Tags  []string `header:"tags"`
		Meta  *row     `bind:"metadata/{header.traceparent},optional"`
	}
	fx := newFixture()
	fx.put(map[string]row{"00-1": {Owner: "ada"}})
	plan, err := binding.CompileInput(reflect.TypeFor[in](), binding.Trigger{Function: "f"}, fx.env)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		headers map[string]string
		want    in
	}{
		{map[string]string{"traceparent": "00-1", "Tags": "a, b"}, in{"00-1", []string{"a", "b"}, &row{Owner: "ada"}}},
		{nil, in{}},
	} {
		req := binding.NewEvent(nil, nil, nil).From("e", test.headers)
		v, err := plan.Decode(t.Context(), req)
		if err == nil && test.headers != nil {
			err = plan.Load(t.Context(), req, v)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Interface().(*in); !reflect.DeepEqual(*got, test.want) {
			t.Errorf("got %+v, want %+v", *got, test.want)
		}
	}
}

func TestStrictBody(t *testing.T) {
	t.Parallel()
	type decision struct {
		Approved *bool  `json:"approved"`
		Comment  string `json:"comment"`
	}
	type in struct {
		Body *decision `body:",optional,strict"`
	}
	for body, want := range map[string]string{
		``:                                  "",
		`{}`:                                "",
		`{"approved":false,"comment":"no"}`: "",
		`{"approve":false}`:                 `body "approve": is not known; did you mean "approved"?`,
		`{"something":false}`:               `body "something": is not known`,
		`{"approved":"no"}`:                 `body "approved": must be true or false`,
	} {
		_, err := decode[in](t, newFixture(), post(), newRequest("POST", "/", "application/json", body))
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", body, err)
		case want != "":
			wantProblem(t, err, 400, want)
		}
	}
}

func TestBindMistakes(t *testing.T) {
	t.Parallel()
	fx := newFixture()
	fx.env.Resources["plain"] = plain{fx.names}
	for name, test := range map[string]struct {
		in   any
		want string
	}{
		"circle": {struct {
			A *row `bind:"metadata/{b.owner}"`
			B *row `bind:"metadata/{in.A.owner}"`
		}{}, "function approve: field A: its key is made of the field itself"},
		"itself": {struct {
			A *row `bind:"metadata/{a.owner}"`
		}{}, "field A: its key is made of the field itself"},
		"no such member": {struct {
			A *row `bind:"metadata/{b.ownr}"`
			B *row `bind:"metadata/x"`
		}{}, `field A: expression {b.ownr}: binding_test.row has no field "ownr"; did you mean "owner"?`},
		"no such field": {struct {
			Meta *row `bind:"metadata/x"`
			A    *row `bind:"metadata/{mta.owner}"`
		}{}, `no source named "mta"; did you mean "meta"?`},
		"several without a star": {struct {
			Rows []row `bind:"metadata/x"`
		}{}, `a slice takes several, by a key that ends in "*"`},
		"several of another type": {struct {
			Rows []string `bind:"metadata/*"`
		}{}, `field Rows: bind:"metadata/*": table "metadata" has fields`},
		"several of what has none": {struct {
			Rows []string `bind:"plain/*"`
		}{}, `of a queue several cannot be bound`},
		"limit of zero": {struct {
			Rows []row `bind:"metadata/*,limit=0"`
		}{}, `limit=0: want 1 to 1000`},
		"limit of one": {struct {
			Row row `bind:"metadata/x,limit=3"`
		}{}, `limit is for a slice whose key ends in "*"`},
		"optional collection": {struct {
			Rows []row `bind:"metadata/*,optional"`
		}{}, `is never absent, only empty; drop optional`},
		"strict text": {struct {
			Body string `body:",strict"`
		}{}, `strict is for JSON`},
		"item of an input": {struct {
			Row row `bind:"metadata/{item.owner}"`
		}{}, `only a slice or a map of Out`},
		"misspelt everywhere": {struct {
			Row row `bind:"metadata/{newid}"`
		}{}, `did you mean "new-id"?`},
	} {
		_, err := binding.CompileInput(reflect.TypeOf(test.in), post(), fx.env)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v\nwant %s", name, err, test.want)
		}
	}
	in, err := binding.CompileInput(reflect.TypeFor[struct{}](), post("id"), fx.env)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		out  any
		want string
	}{
		"same key for all": {struct {
			Rows []row `bind:"metadata/{id}"`
		}{}, `field Rows: each element has the same key; use {item.…} or {new-id} in it`},
		"same key for a map": {struct {
			Rows map[string]row `bind:"metadata/{id}"`
		}{}, `field Rows: each element has the same key; use {key}`},
		"no key": {struct {
			Rows []row `bind:"metadata"`
		}{}, `bind:"metadata" has no key; write bind:"metadata/{item.…}"`},
		"no such member": {struct {
			Rows []row `bind:"metadata/{item.ownr}"`
		}{}, `did you mean "owner"?`},
		"elements of another type": {struct {
			Rows []string `bind:"metadata/{item}"`
		}{}, `table "metadata" has fields of type binding_test.row, not string`},
		"map by number": {struct {
			Rows map[int]row `bind:"metadata/{key}"`
		}{}, `not map[int]binding_test.row`},
		"item of one": {struct {
			Row row `bind:"metadata/{item.owner}"`
		}{}, `only a slice or a map of Out`},
		"limit": {struct {
			Row row `bind:"metadata/x,limit=3"`
		}{}, `limit is for inputs`},
	} {
		_, err := binding.CompileOutput(reflect.TypeOf(test.out), in, fx.env)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v\nwant %s", name, err, test.want)
		}
	}
}

// plain is a resource of which several cannot be bound.
type plain struct{ resource.Resource }

// pathRequest returns a request with one value in its path.
func pathRequest(name, value string) *http.Request {
	r := newRequest("POST", "/", "", "")
	r.SetPathValue(name, value)
	return r
}
