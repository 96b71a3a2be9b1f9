package certificates_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure/vault/internal/model"
	"github.com/perdure/perdure/vault/internal/pki"
)

const day = 24 * time.Hour

func days(n int, actions ...model.CertificateAction) func(*model.Policy) {
	return func(p *model.Policy) { p.X509.ValidityDays, p.Lifetime = n, actions }
}

func renew(percent int) model.CertificateAction {
	return model.CertificateAction{Action: pki.ActionRenew, LifetimePercentage: percent}
}

func email(before int) model.CertificateAction {
	return model.CertificateAction{Action: pki.ActionEmail, DaysBeforeExpiry: before}
}

func (w *world) due(t *testing.T, want int) {
	t.Helper()
	n, more, err := w.RenewDue(ctx)
	if err != nil || n != want || more {
		t.Errorf("%d done, want %d; more %v, %v", n, want, more, err)
	}
}

func TestRenewal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.SetContacts(ctx, model.Operator, model.DefaultVault, []model.Contact{{Email: "a@b.example"}}); err != nil {
		t.Fatal(err)
	}
	first := w.create(t, "a", policy("CN=a", days(100, renew(80), email(50))))
	if _, err := w.Update(ctx, model.Operator, cert("a"), model.Change{Tags: map[string]string{"k": "v"}}); err != nil {
		t.Fatal(err)
	}
	w.due(t, 0)
	w.Clock.Advance(50 * day)
	w.due(t, 1)
	w.due(t, 0)
	if got := w.told(); !slices.Equal(got, []string{"a ends 1"}) {
		t.Error(got)
	}
	w.Clock.Advance(30*day - time.Hour)
	w.due(t, 0)
	w.Clock.Advance(time.Hour)
	w.Guard.Done()
	w.due(t, 1)
	done := w.Guard.Done()
	next := w.get(t, "a")
	if next.Version == first.Version || !next.Expires.After(first.Expires.Add(79*day)) || next.Tags["k"] != "v" {
		t.Errorf("%+v", next)
	}
	if len(done) == 0 || done[len(done)-1].Op != model.OpCreate || done[len(done)-1].Version != next.Version || done[len(done)-1].Detail != "by its policy" {
		t.Errorf("%+v", done)
	}
	w.due(t, 0)
	w.Clock.Advance(50 * day)
	w.due(t, 1) // the next one's contacts
	w.told()
	// A policy that is set later counts from then on.
	if _, err := w.SetPolicy(ctx, model.Operator, cert("a"), policy("CN=a", days(100, renew(40)))); err != nil {
		t.Fatal(err)
	}
	w.due(t, 0)
	w.Clock.Advance(time.Hour)
	w.due(t, 1)
	if again := w.get(t, "a"); again.Version == next.Version {
		t.Error("not renewed")
	}
	// What is switched off, or deleted, is not renewed.
	off, yes := false, true
	if _, err := w.Update(ctx, model.Operator, cert("a"), model.Change{Enabled: &off}); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(40 * day)
	version := w.get(t, "a").Version
	w.due(t, 1)
	w.due(t, 0)
	if w.get(t, "a").Version != version {
		t.Error("renewed though it is disabled")
	}
	if _, err := w.Update(ctx, model.Operator, cert("a"), model.Change{Enabled: &yes}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Delete(ctx, model.Operator, cert("a")); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(day)
	w.due(t, 0)
	if _, err := w.Recover(ctx, model.Operator, cert("a")); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Hour)
	w.due(t, 1)
	if w.get(t, "a").Version == version {
		t.Error("not renewed after it was recovered")
	}
}

// Somebody outside must sign: the request is there, and its key is kept.
func TestRenewalFromOutside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca := w.outside(t)
	op := w.begin(t, "a", policy("CN=a", issuer("Unknown"), days(100, renew(80))))
	at := pki.Profile{Issue: pki.Issue{Now: w.Now()}, ValidityDays: 100}
	first, err := w.Merge(ctx, model.Operator, cert("a"), [][]byte{sign(t, ca, op.CSR, at)}, model.Change{})
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(80 * day)
	w.due(t, 1)
	w.due(t, 0)
	if got := w.told(); !slices.Equal(got, []string{"a waits 0"}) {
		t.Error(got)
	}
	op, err = w.Pending(ctx, model.Operator, cert("a"))
	if err != nil || op.Status != "inProgress" || w.get(t, "a").Version != first.Version {
		t.Fatalf("%+v %v", op, err)
	}
	at.Now = w.Now()
	if _, err = w.Merge(ctx, model.Operator, cert("a"), [][]byte{sign(t, ca, op.CSR, at)}, model.Change{}); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(81 * day)
	w.due(t, 1)
}

// What cannot be renewed is tried again, its contacts are told once, and others do not wait for it.
func TestRenewalThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "ca", policy("CN=CA", authority))
	w.signer(t, "ca")
	w.create(t, "a", policy("CN=a", issuer("ca"), days(100, renew(80))))
	first := w.create(t, "b", policy("CN=b", days(100, renew(80)))).Version
	if _, err := w.DeleteIssuer(ctx, model.Operator, model.DefaultVault, "ca"); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(80 * day)
	if n, more, err := w.RenewDue(ctx); n != 1 || more || field(err) != "policy.issuer.name" {
		t.Errorf("%d, %v, %v", n, more, err)
	}
	if w.get(t, "b").Version == first {
		t.Error("b is not renewed")
	}
	if got := w.told(); !slices.Equal(got, []string{"a failed 0"}) {
		t.Error(got)
	}
	if op, err := w.Pending(ctx, model.Operator, cert("a")); err != nil || op.Status != "failed" || op.Error == "" {
		t.Errorf("%+v %v", op, err)
	}
	w.due(t, 0)
	w.Clock.Advance(time.Hour)
	if _, _, err := w.RenewDue(ctx); err == nil || len(w.told()) != 0 {
		t.Errorf("the second time: %v", err)
	}
	w.signer(t, "ca")
	w.Clock.Advance(time.Hour)
	w.due(t, 1)
}

// Of several who find a certificate due one renews it.
func TestRenewalByOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(t, "a", policy("CN=a", days(100, renew(80))))
	w.Clock.Advance(80 * day)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, _, err := w.RenewDue(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if versions, err := w.Versions(ctx, model.Operator, cert("a"), model.Page{}); err != nil || len(versions.Items) != 2 {
		t.Errorf("%d versions, %v", len(versions.Items), err)
	}
}

func TestRenewalIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 25 {
		w.create(t, fmt.Sprintf("a%02d", i), policy("CN=a", days(10, renew(50))))
	}
	w.Clock.Advance(6 * day)
	if n, more, err := w.RenewDue(ctx); n != 20 || !more || err != nil {
		t.Errorf("%d, %v, %v", n, more, err)
	}
	w.due(t, 5)
	w.due(t, 0)
}
