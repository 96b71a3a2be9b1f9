package authority_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/pgidentity/authority"
)

// roles are those of identities and leases that PostgreSQL has.
func (d *database) roles(t *testing.T) []string {
	t.Helper()
	return d.cluster.Query(t, "postgres", "SELECT rolname::text FROM pg_roles WHERE pg_has_role(rolname, 'perdure_identities', 'MEMBER') AND NOT rolsuper AND rolname <> 'perdure_identities' ORDER BY 1")
}

func (d *database) lease(t *testing.T, instance string, until time.Duration) *authority.Lease {
	t.Helper()
	l, err := d.Lease(t.Context(), d.request(instance, until))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (d *database) request(instance string, until time.Duration) authority.LeaseRequest {
	return authority.LeaseRequest{
		Server: server, Database: "orders", Access: authority.Writer, Instance: instance, Identity: "id-of-app", Until: d.clock.Now().Add(until),
	}
}

func (d *database) leased(t *testing.T, l *authority.Lease) *login {
	t.Helper()
	key := newKey(t)
	issued, err := d.IssueLeased(t.Context(), server, l.ID, requestFor(t, key))
	if err != nil {
		t.Fatal(err)
	}
	return &login{issued, key}
}

// sweep sweeps, which must do a number of things.
func (d *database) sweep(t *testing.T, want int) {
	t.Helper()
	if n, err := d.Sweep(t.Context()); n != want || err != nil {
		t.Errorf("swept %d, %v; want %d", n, err, want)
	}
}

func testLeases(t *testing.T, d *database) {
	short, long := d.lease(t, "", time.Minute), d.lease(t, "instance-1", time.Hour)
	conn := d.leased(t, short).must(t, d, "orders")
	try(t, conn, "INSERT INTO items (name) VALUES ('leased')", true)
	try(t, conn, "CREATE TABLE mine (id int)", false)
	of := d.leased(t, long)
	other := of.must(t, d, "orders")
	if left := of.NotAfter.Sub(d.clock.Now()); left > authority.DefaultTTL {
		t.Errorf("a certificate for %v", left)
	}
	if end := d.leased(t, short).NotAfter; end.After(short.Until) {
		t.Errorf("a certificate until %v of a lease until %v", end, short.Until)
	}
	d.sweep(t, 0)
	d.clock.Advance(time.Minute)
	if _, err := d.IssueLeased(t.Context(), server, short.ID, requestFor(t, newKey(t))); !errors.Is(err, authority.ErrForbidden) {
		t.Errorf("a certificate of a lease that has ended: %v", err)
	}
	d.sweep(t, 1)
	if _, err := conn.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("its session goes on")
	}
	if got := d.roles(t); len(got) != 1 || got[0] != long.Role {
		t.Errorf("roles %q", got)
	}
	try(t, other, "SELECT 1", true)
	if err := d.EndInstance(t.Context(), "instance-2"); err != nil {
		t.Error(err)
	}
	if err := d.EndInstance(t.Context(), "instance-1"); err != nil {
		t.Error(err)
	}
	if _, err := other.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("the session of an instance that has ended goes on")
	}
	if _, err := of.connect(t, d, "orders"); !hasCode(err, "28000") {
		t.Errorf("after its end: %v", err)
	}
	all, err := d.Leases(t.Context(), server)
	if err != nil || len(all) != 0 || len(d.roles(t)) != 0 {
		t.Errorf("left: %v %q %v", all, d.roles(t), err)
	}
	if n := d.noted(authority.NotedLeaseEnd); n != 2 {
		t.Errorf("%d ends noted", n)
	}
	// One that an operator ends.
	l := d.lease(t, "", time.Hour)
	if err := d.EndLease(t.Context(), server, l.ID); err != nil || len(d.roles(t)) != 0 {
		t.Errorf("%v, roles %q", err, d.roles(t))
	}
	if err := d.EndLease(t.Context(), server, l.ID); !errors.Is(err, authority.ErrNotFound) {
		t.Errorf("again: %v", err)
	}
}

func TestLeaseBounds(t *testing.T) {
	t.Parallel()
	d := &database{world: newWorld(t)}
	if _, err := d.Add(t.Context(), authority.Server{Name: server, Host: "localhost", Databases: databases}); err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*authority.LeaseRequest){
		"until":      func(r *authority.LeaseRequest) { r.Until = d.clock.Now() },
		"until ":     func(r *authority.LeaseRequest) { r.Until = d.clock.Now().AddDate(1, 0, 0) },
		"database":   func(r *authority.LeaseRequest) { r.Database = "template1" },
		"access":     func(r *authority.LeaseRequest) { r.Access = "superuser" },
		"instance":   func(r *authority.LeaseRequest) { r.Instance = strings.Repeat("x", 300) },
		"schemas[0]": func(r *authority.LeaseRequest) { r.Schemas = []string{`x"; DROP`} },
	} {
		r := d.request("", time.Hour)
		change(&r)
		var wrong *authority.FieldError
		if _, err := d.Lease(t.Context(), r); !errors.As(err, &wrong) || wrong.Field != strings.TrimSpace(field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	r := d.request("", time.Hour)
	r.Server = "none"
	if _, err := d.Lease(t.Context(), r); !errors.Is(err, authority.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// testCrashes breaks each change of a role off between its steps, starts anew, and sweeps: what was asked for is done or
// undone, and PostgreSQL has no role that is not in the store.
func testCrashes(t *testing.T, d *database) {
	crash := errors.New("the process was killed")
	for _, one := range []struct {
		step string
		do   func() error
		left int // roles at the end
	}{
		{"lease noted", func() error { _, err := d.Lease(t.Context(), d.request("i", time.Hour)); return err }, 0},
		{"lease made", func() error { _, err := d.Lease(t.Context(), d.request("i", time.Hour)); return err }, 0},
		{"lease dropped", func() error {
			l, err := d.Lease(t.Context(), d.request("i", time.Hour))
			if err != nil {
				return err
			}
			return d.EndLease(t.Context(), server, l.ID)
		}, 0},
		{"grant noted", d.granting(t), 1},
		{"grant made", d.granting(t), 1},
		{"revoke noted", d.revoking(t), 0},
		{"role dropped", d.revoking(t), 0},
	} {
		d.SetFault(func(step string) error {
			if step == one.step {
				return crash
			}
			return nil
		})
		if err := one.do(); !errors.Is(err, crash) {
			t.Fatalf("%s: %v", one.step, err)
		}
		d.restart(t)
		for _, role := range d.roles(t) { // each is known
			all, err := d.Leases(t.Context(), server)
			known := fmt.Sprint(all)
			for _, l := range all {
				known += l.Role
			}
			rights, err2 := d.Members(t.Context(), server)
			for _, m := range rights {
				known += m.Role
			}
			if err != nil || err2 != nil || !strings.Contains(known, role) {
				t.Errorf("%s: role %q is in no row: %v %v", one.step, role, err, err2)
			}
		}
		d.clock.Advance(authority.MakeTime) // until then it could be being made
		d.sweep(t, 1)
		d.sweep(t, 0)
		if got := d.roles(t); len(got) != one.left {
			t.Errorf("%s: roles %q, want %d", one.step, got, one.left)
		}
		all, err := d.Leases(t.Context(), server)
		if err != nil || len(all) > 0 {
			t.Errorf("%s: leases %v %v", one.step, all, err)
		}
		if rights, err := d.Members(t.Context(), server); err != nil || len(rights) != one.left {
			t.Errorf("%s: members %v %v", one.step, rights, err)
		}
	}
}

func (d *database) granting(t *testing.T) func() error {
	return func() error {
		_, err := d.Grant(t.Context(), server, "id-of-app", "app", authority.Grant{Database: "orders", Access: authority.Reader})
		return err
	}
}

func (d *database) revoking(t *testing.T) func() error {
	return func() error {
		if err := d.granting(t)(); err != nil {
			return err
		}
		_, err := d.Revoke(t.Context(), server, "id-of-app", "")
		return err
	}
}

// testUnreachable has a database server that does not answer: what is to end stays noted.
func testUnreachable(t *testing.T, d *database) {
	l := d.lease(t, "instance", time.Hour)
	d.grant(t, "app", authority.Reader)
	gone := d.server
	gone.Admin = "host=/nowhere user=postgres"
	if _, err := d.Change(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if err := d.EndInstance(t.Context(), "instance"); !errors.Is(err, authority.ErrDatabase) {
		t.Errorf("%v", err)
	}
	if _, err := d.Revoke(t.Context(), server, "id-of-app", ""); !errors.Is(err, authority.ErrDatabase) {
		t.Errorf("%v", err)
	}
	if _, err := d.IssueLeased(t.Context(), server, l.ID, requestFor(t, newKey(t))); !errors.Is(err, authority.ErrForbidden) {
		t.Errorf("a certificate of a lease that is ending: %v", err)
	}
	if _, err := d.Issue(t.Context(), server, "id-of-app", requestFor(t, newKey(t))); !errors.Is(err, authority.ErrForbidden) {
		t.Errorf("a certificate of one who lost the rights: %v", err)
	}
	if n, err := d.Sweep(t.Context()); n != 0 || !errors.Is(err, authority.ErrDatabase) {
		t.Errorf("swept %d, %v", n, err)
	}
	if _, err := d.Change(t.Context(), d.server); err != nil {
		t.Fatal(err)
	}
	d.sweep(t, 2)
	if got := d.roles(t); len(got) != 0 {
		t.Errorf("roles %q", got)
	}
}

// A table that a migration makes while somebody is given rights is theirs to read once the migration's role has ended.
func testTablesOfMigrations(t *testing.T, d *database) {
	r := d.request("", time.Hour)
	r.Access = authority.DDL
	l, err := d.Lease(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	conn := d.leased(t, l).must(t, d, "orders")
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "CREATE TABLE migrated (id int)"); err != nil {
		t.Fatal(err)
	}
	d.grant(t, "report", authority.Reader)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.EndLease(t.Context(), server, l.ID); err != nil {
		t.Fatal(err)
	}
	reader := d.login(t, "report").must(t, d, "orders")
	try(t, reader, "SELECT * FROM migrated", true)
	try(t, reader, "INSERT INTO migrated VALUES (1)", false)
	d.cluster.Exec(t, "orders", "DROP TABLE migrated")
}
