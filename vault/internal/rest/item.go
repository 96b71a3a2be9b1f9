package rest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/perdure/perdure/vault/internal/model"
)

// attributesShape is how attributes are written.
type attributesShape struct {
	Enabled         bool   `json:"enabled"`
	NotBefore       *int64 `json:"nbf,omitempty"`
	Expires         *int64 `json:"exp,omitempty"`
	Created         *int64 `json:"created,omitempty"`
	Updated         *int64 `json:"updated,omitempty"`
	RecoveryLevel   string `json:"recoveryLevel,omitempty"`
	RecoverableDays int    `json:"recoverableDays,omitempty"`
	Exportable      *bool  `json:"exportable,omitempty"` // of keys
}

// seconds is a time as the wire has it; nil for none.
func seconds(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	s := t.Unix()
	return &s
}

// attributes writes the attributes of a version.
func (c *call) attributes(a *model.Attributes) *attributesShape {
	days := c.RecoverableDays(c.vault)
	return &attributesShape{
		Enabled: a.Enabled, NotBefore: seconds(a.NotBefore), Expires: seconds(a.Expires), Created: seconds(a.Created), Updated: seconds(a.Updated),
		RecoveryLevel: recoveryLevel(days, c.PurgeProtected(c.vault)), RecoverableDays: days,
	}
}

// recoveryLevel is Azure's name for what becomes of deleted items: they are customized when fewer days than usual are left
// to recover them.
func recoveryLevel(days int, protected bool) string {
	level := "Recoverable"
	if days < 90 {
		level = "CustomizedRecoverable"
	}
	if !protected {
		level += "+Purgeable"
	}
	return level
}

// attributesBody are attributes that a request sets. What is null is left as it is, as what is not there.
type attributesBody struct {
	Enabled    *bool    `json:"enabled"`
	NotBefore  *instant `json:"nbf"`
	Expires    *instant `json:"exp"`
	Exportable bool     `json:"exportable"`
}

// change is what a request changes.
func (b *attributesBody) change(contentType *string, tags map[string]string) model.Change {
	c := model.Change{ContentType: contentType, Tags: tags}
	if b == nil {
		return c
	}
	c.Enabled = b.Enabled
	if b.NotBefore != nil {
		c.NotBefore = &b.NotBefore.Time
	}
	if b.Expires != nil {
		c.Expires = &b.Expires.Time
	}
	return c
}

// deletionShape is what the bundle of a deleted item has beside.
type deletionShape struct {
	RecoveryID         string `json:"recoveryId"`
	DeletedDate        int64  `json:"deletedDate"`
	ScheduledPurgeDate int64  `json:"scheduledPurgeDate"`
}

func (c *call) deletion(id model.ID, d model.Deletion) *deletionShape {
	return &deletionShape{
		RecoveryID:  c.base + "/deleted" + string(id.Kind) + "/" + id.Name,
		DeletedDate: d.At.Unix(), ScheduledPurgeDate: d.PurgeAt.Unix(),
	}
}

// valueShape is an answer that is a few bytes, and the body of restore.
type valueShape struct {
	Value octets `json:"value"`
}

// listShape is a page of a list.
type listShape struct {
	Value    []any   `json:"value"`
	NextLink *string `json:"nextLink"`
}

// page is which part of a list is asked for.
func (c *call) page() (model.Page, error) {
	var p model.Page
	if all := c.query["maxresults"]; len(all) > 0 {
		n, err := strconv.Atoi(all[0])
		if err != nil || len(all) > 1 || n < 1 || n > model.PageSize {
			return p, badParameter("The maxresults must be 1 to %d.", model.PageSize)
		}
		p.Max = n
	}
	if all := c.query["$skiptoken"]; len(all) > 0 {
		if len(all) > 1 || len(all[0]) > 2048 {
			return p, badParameter("The $skiptoken is not one of a nextLink.")
		}
		p.Cursor = all[0]
	}
	return p, nil
}

// list writes a page; the link to the next one is to the host that was asked.
func list[T any](c *call, all model.List[T], shape func(T) any) *listShape {
	s := &listShape{Value: []any{}}
	for _, one := range all.Items {
		s.Value = append(s.Value, shape(one))
	}
	if all.Next != "" {
		link := c.base + c.request.URL.EscapedPath() + "?api-version=" + url.QueryEscape(c.query.Get("api-version")) + "&$skiptoken=" + url.QueryEscape(all.Next)
		if most := c.query.Get("maxresults"); most != "" {
			link += "&maxresults=" + url.QueryEscape(most)
		}
		s.NextLink = &link
	}
	return s
}

// shapes are how the items of a kind are written. The deletion is nil unless the item is deleted.
type shapes[T any] struct {
	id func(v T) model.ID
	// bundle is a whole version.
	bundle func(c *call, v T, d *deletionShape) any
	// got is the answer to get; nil for the bundle.
	got func(c *call, v T) any
	// item is a version in a list, under an id with or without a version.
	item func(c *call, v T, id string, d *deletionShape) any
}

// itemEndpoints are those that every kind has.
func itemEndpoints[T any](kind model.Kind, what string, s Items[T], as shapes[T]) []endpoint {
	path := string(kind)
	named := func(v T) model.ID {
		id := as.id(v)
		id.Version = ""
		return id
	}
	deleted := func(c *call, d *model.Deleted[T], err error) (*answer, error) {
		if err != nil {
			return nil, err
		}
		return ok(as.bundle(c, d.Item, c.deletion(as.id(d.Item), d.Deletion)), nil)
	}
	bundle := func(c *call, v T, err error) (*answer, error) {
		if err != nil {
			return nil, err
		}
		return ok(as.bundle(c, v, nil), nil)
	}
	get := func(c *call) (*answer, error) {
		v, err := s.Get(c.context(), c.by, c.id(kind))
		if err != nil || as.got == nil {
			return bundle(c, v, err)
		}
		return ok(as.got(c, v), nil)
	}
	all := []endpoint{
		{method: "GET", path: path, verb: "list", run: func(c *call) (*answer, error) {
			p, err := c.page()
			if err != nil {
				return nil, err
			}
			l, err := s.List(c.context(), c.by, c.vault, p)
			return ok(list(c, l, func(v T) any { return as.item(c, v, c.url(named(v)), nil) }), err)
		}},
		{method: "GET", path: path + "/{name}/versions", verb: "list", run: func(c *call) (*answer, error) {
			p, err := c.page()
			if err != nil {
				return nil, err
			}
			l, err := s.Versions(c.context(), c.by, c.id(kind), p)
			return ok(list(c, l, func(v T) any { return as.item(c, v, c.url(as.id(v)), nil) }), err)
		}},
		{method: "GET", path: path + "/{name}", verb: "get", run: get},
		{method: "GET", path: path + "/{name}/{version}", verb: "get", run: get},
		{method: "DELETE", path: path + "/{name}", verb: "delete", run: func(c *call) (*answer, error) {
			d, err := s.Delete(c.context(), c.by, c.id(kind))
			return deleted(c, d, err)
		}},
		{method: "GET", path: "deleted" + path, verb: "list", run: func(c *call) (*answer, error) {
			p, err := c.page()
			if err != nil {
				return nil, err
			}
			l, err := s.ListDeleted(c.context(), c.by, c.vault, p)
			return ok(list(c, l, func(d model.Deleted[T]) any {
				return as.item(c, d.Item, c.url(named(d.Item)), c.deletion(as.id(d.Item), d.Deletion))
			}), err)
		}},
		{method: "GET", path: "deleted" + path + "/{name}", verb: "get", run: func(c *call) (*answer, error) {
			d, err := s.GetDeleted(c.context(), c.by, c.id(kind))
			return deleted(c, d, err)
		}},
		{method: "POST", path: "deleted" + path + "/{name}/recover", verb: "recover", run: func(c *call) (*answer, error) {
			v, err := s.Recover(c.context(), c.by, c.id(kind))
			return bundle(c, v, err)
		}},
		{method: "DELETE", path: "deleted" + path + "/{name}", verb: "purge", run: func(c *call) (*answer, error) {
			if err := s.Purge(c.context(), c.by, c.id(kind)); err != nil {
				return nil, err
			}
			return &answer{status: http.StatusNoContent}, nil
		}},
		{method: "POST", path: path + "/{name}/backup", verb: "backup", run: func(c *call) (*answer, error) {
			blob, err := s.Backup(c.context(), c.by, c.id(kind))
			return ok(valueShape{blob}, err)
		}},
		{method: "POST", path: path + "/restore", verb: "restore", body: maxRestore, run: func(c *call) (*answer, error) {
			var in valueShape
			if err := c.decode(&in); err != nil {
				return nil, err
			}
			if len(in.Value) == 0 {
				return nil, required("value")
			}
			v, err := s.Restore(c.context(), c.by, c.vault, in.Value)
			return bundle(c, v, err)
		}},
	}
	for i := range all {
		all[i].what = what
	}
	return all
}

// updateEndpoints are the two paths of one update: with a version, and without for the current one.
func updateEndpoints(kind model.Kind, what string, run func(c *call) (*answer, error)) []endpoint {
	one := endpoint{method: "PATCH", path: string(kind) + "/{name}", body: maxBody, what: what, verb: "update", run: run}
	other := one
	other.path += "/{version}"
	return slices.Clip([]endpoint{one, other})
}

// required is the answer when a property is missing.
func required(property string) error {
	return badParameter("Property %s is required.", property)
}
