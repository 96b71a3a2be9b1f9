package rest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/perdure/perdure/vault/internal/vaulttest"
)

func (s *site) secrets(t *testing.T, used *surface, who *credential) *azsecrets.Client {
	t.Helper()
	c, err := azsecrets.NewClient(s.url, who, &azsecrets.ClientOptions{ClientOptions: s.clientOptions(used)})
	must(t, err)
	return c
}

// Azure's client of secrets can do all that it can, with the challenge checked.
func TestSecretsSDK(t *testing.T) {
	t.Parallel()
	v, ctx, used, who := openVault(t), t.Context(), &surface{}, &credential{}
	c := v.secrets(t, used, who)
	end := vaulttest.Epoch.Add(72 * time.Hour)
	set, err := c.SetSecret(ctx, "db-password", azsecrets.SetSecretParameters{
		Value: to.Ptr("hunter2 ü"), ContentType: to.Ptr("text/plain"), Tags: map[string]*string{"team": to.Ptr("shop")},
		SecretAttributes: &azsecrets.SecretAttributes{Expires: &end, NotBefore: to.Ptr(vaulttest.Epoch)},
	}, nil)
	must(t, err)
	if len(who.asked) != 1 || who.asked[0].TenantID != "tenant" || !slices.Equal(who.asked[0].Scopes, []string{v.host + "/.default"}) {
		t.Errorf("a token was asked for %+v", who.asked)
	}
	if string(*set.ID) != v.url+"/secrets/db-password/"+set.ID.Version() || len(set.ID.Version()) != 32 || *set.Value != "hunter2 ü" || *set.ContentType != "text/plain" || *set.Tags["team"] != "shop" {
		t.Errorf("set %s %v", *set.ID, set)
	}
	a := set.Attributes
	unix(t, "created", a.Created, vaulttest.Epoch)
	unix(t, "updated", a.Updated, vaulttest.Epoch)
	unix(t, "exp", a.Expires, end)
	unix(t, "nbf", a.NotBefore, vaulttest.Epoch)
	if !*a.Enabled || *a.RecoveryLevel != "Recoverable+Purgeable" || *a.RecoverableDays != 90 {
		t.Errorf("attributes %v %v %v", *a.Enabled, *a.RecoveryLevel, *a.RecoverableDays)
	}

	v.world.Clock.Advance(time.Hour)
	second, err := c.SetSecret(ctx, "db-password", azsecrets.SetSecretParameters{Value: to.Ptr("hunter3")}, nil)
	must(t, err)
	if *second.PreviousVersion != set.ID.Version() {
		t.Errorf("previous version %s", *second.PreviousVersion)
	}
	got, err := c.GetSecret(ctx, "db-password", "", nil)
	must(t, err)
	if *got.Value != "hunter3" || *got.ID != *second.ID {
		t.Errorf("current version %s %s", *got.ID, *got.Value)
	}
	got, err = c.GetSecret(ctx, "db-password", set.ID.Version(), nil)
	must(t, err)
	if *got.Value != "hunter2 ü" {
		t.Errorf("old version %s", *got.Value)
	}

	changed, err := c.UpdateSecretProperties(ctx, "db-password", second.ID.Version(), azsecrets.UpdateSecretPropertiesParameters{
		ContentType: to.Ptr("password"), Tags: map[string]*string{"a": to.Ptr("b")}, SecretAttributes: &azsecrets.SecretAttributes{Enabled: to.Ptr(false), Expires: &end},
	}, nil)
	must(t, err)
	unix(t, "exp", changed.Attributes.Expires, end)
	if *changed.Attributes.Enabled || *changed.ContentType != "password" || *changed.Tags["a"] != "b" || changed.Value != nil {
		t.Errorf("updated %v", changed)
	}
	_, err = c.GetSecret(ctx, "db-password", "", nil)
	if e := wantCode(t, err, 403, "Forbidden"); e != nil && !strings.Contains(e.Error(), "SecretDisabled") {
		t.Errorf("disabled: %v", e)
	}
	_, err = c.UpdateSecretProperties(ctx, "db-password", "", azsecrets.UpdateSecretPropertiesParameters{SecretAttributes: &azsecrets.SecretAttributes{Enabled: to.Ptr(true)}}, nil)
	must(t, err)

	for i := range 29 {
		_, err = c.SetSecret(ctx, fmt.Sprintf("s-%02d", i), azsecrets.SetSecretParameters{Value: to.Ptr("x")}, nil)
		must(t, err)
	}
	listed := all(t, 2, c.NewListSecretPropertiesPager(nil), func(p azsecrets.ListSecretPropertiesResponse) []*azsecrets.SecretProperties { return p.Value })
	if len(listed) != 30 || string(*listed[0].ID) != v.url+"/secrets/db-password" || *listed[0].ContentType != "password" || *listed[29].Attributes.Enabled != true {
		t.Errorf("%d secrets, the first %s", len(listed), *listed[0].ID)
	}
	versions := all(t, 1, c.NewListSecretPropertiesVersionsPager("db-password", nil), func(p azsecrets.ListSecretPropertiesVersionsResponse) []*azsecrets.SecretProperties { return p.Value })
	if len(versions) != 2 || *versions[0].ID != *second.ID && *versions[1].ID != *second.ID {
		t.Errorf("%d versions", len(versions))
	}

	backup, err := c.BackupSecret(ctx, "db-password", nil)
	must(t, err)
	if strings.Contains(string(backup.Value), "hunter") {
		t.Error("the backup can be read")
	}
	_, err = c.RestoreSecret(ctx, azsecrets.RestoreSecretParameters{SecretBackup: backup.Value}, nil)
	wantCode(t, err, 409, "Conflict")
	deleted, err := c.DeleteSecret(ctx, "db-password", nil)
	must(t, err)
	unix(t, "deletedDate", deleted.DeletedDate, vaulttest.Epoch.Add(time.Hour))
	unix(t, "scheduledPurgeDate", deleted.ScheduledPurgeDate, vaulttest.Epoch.Add(time.Hour+90*24*time.Hour))
	if *deleted.RecoveryID != v.url+"/deletedsecrets/db-password" || *deleted.ID != *second.ID {
		t.Errorf("deleted %s %s", *deleted.RecoveryID, *deleted.ID)
	}
	_, err = c.GetSecret(ctx, "db-password", "", nil)
	wantCode(t, err, 404, "SecretNotFound")
	_, err = c.SetSecret(ctx, "db-password", azsecrets.SetSecretParameters{Value: to.Ptr("x")}, nil)
	if e := wantCode(t, err, 409, "Conflict"); e != nil && !strings.Contains(e.Error(), "ObjectIsDeletedButRecoverable") {
		t.Errorf("a deleted one's name: %v", e)
	}
	gone, err := c.GetDeletedSecret(ctx, "db-password", nil)
	must(t, err)
	if *gone.RecoveryID != *deleted.RecoveryID || *gone.Tags["a"] != "b" {
		t.Errorf("deleted %v", gone)
	}
	for i := range 26 {
		_, err = c.DeleteSecret(ctx, fmt.Sprintf("s-%02d", i), nil)
		must(t, err)
	}
	trash := all(t, 2, c.NewListDeletedSecretPropertiesPager(nil), func(p azsecrets.ListDeletedSecretPropertiesResponse) []*azsecrets.DeletedSecretProperties {
		return p.Value
	})
	if len(trash) != 27 || string(*trash[0].ID) != v.url+"/secrets/db-password" || *trash[0].RecoveryID != *deleted.RecoveryID || trash[0].DeletedDate == nil {
		t.Errorf("%d deleted, the first %v", len(trash), trash[0])
	}
	recovered, err := c.RecoverDeletedSecret(ctx, "db-password", nil)
	must(t, err)
	if *recovered.ID != *second.ID {
		t.Errorf("recovered %s", *recovered.ID)
	}
	_, err = c.DeleteSecret(ctx, "db-password", nil)
	must(t, err)
	_, err = c.PurgeDeletedSecret(ctx, "db-password", nil)
	must(t, err)
	_, err = c.PurgeDeletedSecret(ctx, "db-password", nil)
	wantCode(t, err, 404, "SecretNotFound")
	restored, err := c.RestoreSecret(ctx, azsecrets.RestoreSecretParameters{SecretBackup: backup.Value}, nil)
	must(t, err)
	if *restored.ID != *second.ID {
		t.Errorf("restored %s", *restored.ID)
	}
	got, err = c.GetSecret(ctx, "db-password", set.ID.Version(), nil)
	must(t, err)
	if *got.Value != "hunter2 ü" {
		t.Errorf("restored old version: %s", *got.Value)
	}
	for _, bad := range []struct {
		name, value string
		status      int
		code        string
	}{{"a_b", "x", 400, "BadParameter"}, {"large", strings.Repeat("hunter", 5000), 400, "BadParameter"}, {"larger", strings.Repeat("hunter", 50000), 413, "RequestEntityTooLarge"}} {
		_, err = c.SetSecret(ctx, bad.name, azsecrets.SetSecretParameters{Value: &bad.value}, nil)
		if e := wantCode(t, err, bad.status, bad.code); e != nil && strings.Contains(e.Error(), "hunter") {
			t.Errorf("%v", e)
		}
	}
	used.whole(t, c)
	if strings.Contains(v.log.String(), "hunter") {
		t.Error("the log has the value")
	}
}

// Vaults are apart.
func TestVaultsByHost(t *testing.T) {
	t.Parallel()
	v, ctx := openVault(t), t.Context()
	one := v.secrets(t, &surface{}, &credential{})
	_, err := one.SetSecret(ctx, "it", azsecrets.SetSecretParameters{Value: to.Ptr("x")}, nil)
	must(t, err)
	at := *v.site
	at.url = strings.Replace(v.url, "one.", "two.", 1)
	_, err = at.secrets(t, &surface{}, &credential{}).GetSecret(ctx, "it", "", nil)
	wantCode(t, err, 404, "SecretNotFound")
}
