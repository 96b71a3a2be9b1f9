// Package vault_test asks of the vault of a real app, in a process of its own, what the issue of a vault is: that nothing that was
// acknowledged is lost, and nothing half, wherever it dies; and that what is secret is readable nowhere.
package vault_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/failpoint"
)

// killsEnv says how often the app is killed: make crash sets it.
const killsEnv = "VAULT_KILLS"

// heavy is how many versions the items have that are purged and restored again and again.
const heavy = 80

// TestKill kills the app at random moments while everything is done to its vault: values are set, keys and certificates made,
// items deleted, recovered, purged with many versions, backed up and restored, the master key rotated, rights given and taken, and
// functions use it all. After each death all is as it was acknowledged.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("no processes are killed in a short run")
	}
	t.Parallel()
	kills := 10
	if text := os.Getenv(killsEnv); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil || kills < 1 {
			t.Fatalf("%s %q: want a number from 1 on", killsEnv, text)
		}
	}
	w := newWorld(t)
	from := time.Now()
	must(t, w.start())
	l := newLoad(w)
	l.prepare()
	for kill := range kills {
		began := time.Now()
		var done sync.WaitGroup
		if kill%3 == 2 { // at a certain point of the program
			point, nth := points[mathrand.N(len(points))], 1+mathrand.N(200)
			w.Kill()
			if err := w.start(fmt.Sprintf("%s=%s:%d", failpoint.Env, point, nth)); err == nil {
				l.run(&done)
			}
			must(t, w.Died(t.Context()))
		} else {
			l.run(&done)
			<-time.After(time.Duration(mathrand.N(400)) * time.Millisecond)
			w.Kill()
		}
		done.Wait()
		must(t, w.start())
		l.check(began.Add(-2 * time.Second))
		if t.Failed() {
			t.Fatalf("after kill %d", kill+1)
		}
	}
	t.Logf("%d kills in %v, %d operations acknowledged, %d not answered, %d entries of the audit log", kills, time.Since(from).Round(time.Second), sum(w.ledger.acked), sum(w.ledger.unknown), len(w.ledger.seen))
}

// points are where every operation passes.
var points = []failpoint.Point{failpoint.CommitterGathered, failpoint.CommitterCommitted, failpoint.UnitSealed, failpoint.UnitCommitted}

func sum(all map[deed]int) (n int) {
	for _, one := range all {
		n += one
	}
	return n
}

// load is what is done to the vault.
type load struct {
	*world
	items  []*item
	grants []*grant
	master master
	jobs   jobs
}

func newLoad(w *world) *load {
	l := &load{world: w}
	for n := range 4 {
		l.items = append(l.items,
			&item{world: w, kind: "secrets", name: fmt.Sprintf("secret-%d", n), most: 8},
			&item{world: w, kind: "keys", name: fmt.Sprintf("key-%d", n), most: 5})
	}
	for n := range 2 {
		l.items = append(l.items,
			&item{world: w, kind: "certificates", name: fmt.Sprintf("certificate-%d", n), most: 4},
			&item{world: w, kind: "secrets", name: fmt.Sprintf("heavy-%d", n), most: heavy})
		l.grants = append(l.grants, &grant{world: w, name: fmt.Sprintf("granted-%d", n)})
	}
	l.items = append(l.items, &item{world: w, kind: "secrets", name: "shared", most: 400, stays: true})
	l.jobs.world = w
	l.master.world = w
	return l
}

// prepare makes what is there from the start.
func (l *load) prepare() {
	l.t.Helper()
	signer := &item{world: l.world, kind: "keys", name: "signer", most: 1}
	var done sync.WaitGroup
	for _, i := range append(l.items, signer) {
		done.Go(func() {
			n := 1
			if i.most == heavy {
				n = heavy
			}
			for range n {
				i.add()
			}
			i.save(i.kind + "/" + i.name)
		})
	}
	for _, g := range l.grants {
		done.Go(func() {
			if a := g.operate("PUT", "/items/default/secrets/"+g.name+"?"+apiVersion, map[string]string{"value": g.name}); !a.ok() {
				l.t.Error(a.String())
			}
			for range 2 { // what is wrong with it is said there
				if !g.step() {
					return
				}
			}
		})
	}
	done.Wait()
	l.check(time.Now().Add(-time.Minute))
	if l.t.Failed() {
		l.t.FailNow()
	}
}

// run does everything until the app is dead.
func (l *load) run(done *sync.WaitGroup) {
	var steps []func() bool
	for _, i := range l.items {
		steps = append(steps, i.step)
	}
	for _, g := range l.grants {
		steps = append(steps, g.step)
	}
	steps = append(steps, l.master.step, l.jobs.step)
	for _, step := range steps {
		done.Go(func() {
			for step() && !l.t.Failed() {
				runtime.Gosched()
			}
		})
	}
}

// check looks at everything.
func (l *load) check(since time.Time) {
	l.t.Helper()
	var done sync.WaitGroup
	for _, i := range l.items {
		done.Go(i.check)
	}
	for _, g := range l.grants {
		done.Go(g.check)
	}
	done.Go(l.master.check)
	done.Wait()
	if !l.t.Failed() {
		l.jobs.check(l.items[len(l.items)-1])
		l.wantAudit(since)
	}
}

// grant is a right of the app to read one secret, which is given and taken.
type grant struct {
	*world
	name    string
	id      string // empty: it is not given
	last    string // the id that it had: it is made of what the grant says
	unknown bool   // nobody answered
}

func (g *grant) step() bool {
	var a answer
	if g.id == "" {
		a = g.operate("POST", "/grants", map[string]string{"vault": "default", "member": "self", "set": "secrets-user", "name": g.name})
	} else {
		a = g.operate("DELETE", "/grants/"+g.id, nil)
	}
	var out struct {
		Grant struct{ ID string } `json:"grant"`
	}
	op := "grant"
	if g.id != "" {
		op = "revoke"
	}
	switch {
	case a.err != nil:
		g.unknown = true
		if g.last != "" {
			g.ledger.note(deed{op, "grants", g.last}, &a)
		}
		return false
	case a.status == 503:
		return true
	case !a.ok():
		g.t.Errorf("right on %s: %v", g.name, a.String())
		return false
	}
	a.into(g.t, &out)
	g.last = out.Grant.ID
	g.ledger.note(deed{op, "grants", g.last}, &a)
	if g.id == "" {
		g.id = g.last
	} else {
		g.id = ""
	}
	return true
}

// check reads the secret as the app.
func (g *grant) check() {
	g.t.Helper()
	a := g.ask("GET", "/read/"+g.name, nil)
	var out struct {
		Value   string
		Allowed bool
	}
	if a.into(g.t, &out); !a.ok() {
		g.t.Errorf("read %s: %v", g.name, a.String())
		return
	}
	if out.Allowed != (g.id != "") && !g.unknown || out.Allowed && out.Value != g.name {
		g.t.Errorf("the app may read %s: %t %q; acknowledged is the grant %q", g.name, out.Allowed, out.Value, g.id)
	}
	listed := g.operate("GET", "/grants?member=self", nil)
	var grants struct {
		Items []struct{ ID, Name string }
	}
	if listed.into(g.t, &grants); !listed.ok() {
		g.t.Errorf("grants: %v", listed.String())
	}
	id := ""
	for _, one := range grants.Items {
		if one.Name == g.name {
			id = one.ID
		}
	}
	if (id != "") != out.Allowed {
		g.t.Errorf("the app may read %s: %t; listed is the grant %q", g.name, out.Allowed, id)
	}
	g.id, g.unknown = id, false
}

// master is the master key, which is rotated.
type master struct {
	*world
	id      string
	unknown bool
}

func (m *master) step() bool {
	a := m.operate("POST", "/master/rotations", nil)
	switch {
	case a.err != nil:
		m.unknown = true
		return false
	case !a.ok():
		m.t.Errorf("rotate the master key: %v", a.String())
		return false
	}
	var out struct{ ID string }
	a.into(m.t, &out)
	m.id = out.ID
	return true
}

// check compares the key in the file with the one that opens the folder. A change that was broken off before its key was in the
// file leaves a second one, which nobody has, until the next change.
func (m *master) check() {
	m.t.Helper()
	a := m.operate("GET", "/master", nil)
	var out struct {
		Path    string
		Masters []string
	}
	if a.into(m.t, &out); !a.ok() || len(out.Masters) == 0 || len(out.Masters) > 2 {
		m.t.Errorf("master keys: %v", a.String())
		return
	}
	text, err := os.ReadFile(out.Path)
	if err != nil {
		m.t.Error(err)
		return
	}
	opens := out.Masters[0]
	if parts := strings.Split(string(text), "."); len(parts) != 3 || parts[1] != opens {
		m.t.Errorf("the key in the file is not %s, which opens the folder", opens)
	}
	if m.id != "" && !m.unknown && m.id != opens {
		m.t.Errorf("the master key is %s; acknowledged is %s", opens, m.id)
	}
	m.id, m.unknown = opens, false
}

// jobs are what functions do with the vault.
type jobs struct {
	*world
	sent []string // acknowledged
}

func (j *jobs) step() bool {
	id := rand.Text()
	a := j.ask("POST", "/jobs", map[string]string{"id": id})
	switch {
	case a.err != nil:
		return false
	case a.status == 503:
	case !a.ok():
		j.t.Errorf("job: %v", a.String())
		return false
	default:
		j.sent = append(j.sent, id)
	}
	<-time.After(2 * time.Millisecond)
	return true
}

// stateOf says what the app knows of a job that is not done.
func (j *jobs) stateOf(id string) string {
	var all []string
	for _, path := range []string{"instances/" + id, "deadletters"} {
		a := j.control("GET", path, nil)
		all = append(all, a.String())
	}
	return strings.Join(all, " ")
}

// check waits until all jobs are done, each with a value that the secret has had.
func (j *jobs) check(shared *item) {
	j.t.Helper()
	values := map[string]bool{}
	for _, v := range shared.now.versions {
		sum := sha256.Sum256([]byte(v.content))
		values[hex.EncodeToString(sum[:])] = true
	}
	j.until(func() string {
		a := j.ask("GET", "/uses", nil)
		var uses struct {
			Queue, Activity map[string]struct{ Digest, Version string }
		}
		if a.into(j.t, &uses); !a.ok() {
			j.t.Fatal(a.String())
		}
		for _, id := range j.sent {
			use, ok := uses.Queue[id]
			if _, signed := uses.Activity[id]; !ok || !signed {
				return "job " + id + " is not done: " + j.stateOf(id)
			}
			if !values[use.Digest] {
				j.t.Fatalf("job %s was given a value that the secret has never had", id)
			}
		}
		return ""
	})
	j.sent = nil
}
