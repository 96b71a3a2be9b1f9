package rest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/perdure/perdure/vault/internal/vaulttest"
)

func (s *site) keys(t *testing.T, used *surface) *azkeys.Client {
	t.Helper()
	c, err := azkeys.NewClient(s.url, &credential{}, &azkeys.ClientOptions{ClientOptions: s.clientOptions(used)})
	must(t, err)
	return c
}

// Azure's client of keys can do all that it can; what keys compute is checked by TestSignatures and TestCiphers.
func TestKeysSDK(t *testing.T) {
	t.Parallel()
	v, ctx, used := openVault(t), t.Context(), &surface{}
	c := v.keys(t, used)
	end := vaulttest.Epoch.Add(72 * time.Hour)
	ops := []*azkeys.KeyOperation{to.Ptr(azkeys.KeyOperationSign), to.Ptr(azkeys.KeyOperationVerify)}
	made, err := c.CreateKey(ctx, "ec", azkeys.CreateKeyParameters{
		Kty: to.Ptr(azkeys.KeyTypeEC), Curve: to.Ptr(azkeys.CurveNameP384), KeyOps: ops, Tags: map[string]*string{"team": to.Ptr("shop")},
		KeyAttributes: &azkeys.KeyAttributes{Expires: &end},
	}, nil)
	must(t, err)
	k := made.Key
	if string(*k.KID) != v.url+"/keys/ec/"+k.KID.Version() || *k.Kty != azkeys.KeyTypeEC || *k.Crv != azkeys.CurveNameP384 || len(k.X) != 48 || len(k.Y) != 48 || len(k.KeyOps) != 2 || *made.Tags["team"] != "shop" {
		t.Errorf("made %v", made)
	}
	unix(t, "created", made.Attributes.Created, vaulttest.Epoch)
	unix(t, "exp", made.Attributes.Expires, end)
	if !*made.Attributes.Enabled || *made.Attributes.RecoveryLevel != "Recoverable+Purgeable" || *made.Attributes.RecoverableDays != 90 || *made.Attributes.Exportable {
		t.Errorf("attributes %v", made.Attributes)
	}
	got, err := c.GetKey(ctx, "ec", "", nil)
	must(t, err)
	same, err := c.GetKey(ctx, "ec", k.KID.Version(), nil)
	must(t, err)
	if *got.Key.KID != *k.KID || *same.Key.KID != *k.KID {
		t.Errorf("got %s, %s", *got.Key.KID, *same.Key.KID)
	}
	changed, err := c.UpdateKey(ctx, "ec", k.KID.Version(), azkeys.UpdateKeyParameters{
		KeyOps: ops[:1], Tags: map[string]*string{}, KeyAttributes: &azkeys.KeyAttributes{NotBefore: to.Ptr(vaulttest.Epoch)},
	}, nil)
	must(t, err)
	unix(t, "nbf", changed.Attributes.NotBefore, vaulttest.Epoch)
	if len(changed.Key.KeyOps) != 1 || len(changed.Tags) != 0 {
		t.Errorf("changed %v", changed)
	}
	_, err = c.Verify(ctx, "ec", "", azkeys.VerifyParameters{Algorithm: to.Ptr(azkeys.SignatureAlgorithmES384), Digest: make([]byte, 48), Signature: make([]byte, 96)}, nil)
	if e := wantCode(t, err, 403, "Forbidden"); e != nil && !strings.Contains(e.Error(), "KeyOperationForbidden") {
		t.Errorf("without verify in its key_ops: %v", e)
	}
	_, err = c.UpdateKey(ctx, "ec", "", azkeys.UpdateKeyParameters{KeyAttributes: &azkeys.KeyAttributes{Enabled: to.Ptr(false)}}, nil)
	must(t, err)
	_, err = c.Sign(ctx, "ec", "", azkeys.SignParameters{Algorithm: to.Ptr(azkeys.SignatureAlgorithmES384), Value: make([]byte, 48)}, nil)
	if e := wantCode(t, err, 403, "Forbidden"); e != nil && !strings.Contains(e.Error(), "KeyDisabled") {
		t.Errorf("disabled: %v", e)
	}

	hsm, err := c.ImportKey(ctx, "imported", azkeys.ImportKeyParameters{HSM: to.Ptr(true), Key: &azkeys.JSONWebKey{
		Kty: to.Ptr(azkeys.KeyTypeOct), K: []byte("0123456789abcdef0123456789abcdef"),
	}}, nil)
	must(t, err)
	if *hsm.Key.Kty != azkeys.KeyTypeOctHSM || len(hsm.Key.K) != 0 {
		t.Errorf("imported %v", *hsm.Key.Kty)
	}

	policy, err := c.UpdateKeyRotationPolicy(ctx, "ec", azkeys.KeyRotationPolicy{
		Attributes: &azkeys.KeyRotationPolicyAttributes{ExpiryTime: to.Ptr("P90D")},
		LifetimeActions: []*azkeys.LifetimeAction{
			{Action: &azkeys.LifetimeActionType{Type: to.Ptr(azkeys.KeyRotationPolicyActionRotate)}, Trigger: &azkeys.LifetimeActionTrigger{TimeAfterCreate: to.Ptr("P30D")}},
			{Action: &azkeys.LifetimeActionType{Type: to.Ptr(azkeys.KeyRotationPolicyActionNotify)}, Trigger: &azkeys.LifetimeActionTrigger{TimeBeforeExpiry: to.Ptr("P30D")}},
		},
	}, nil)
	must(t, err)
	read, err := c.GetKeyRotationPolicy(ctx, "ec", nil)
	must(t, err)
	for _, p := range []azkeys.KeyRotationPolicy{policy.KeyRotationPolicy, read.KeyRotationPolicy} {
		if *p.ID != v.url+"/keys/ec/rotationpolicy" || *p.Attributes.ExpiryTime != "P90D" || len(p.LifetimeActions) != 2 || p.Attributes.Updated == nil {
			t.Errorf("policy %v", p)
		}
	}
	_, err = c.UpdateKeyRotationPolicy(ctx, "ec", azkeys.KeyRotationPolicy{Attributes: &azkeys.KeyRotationPolicyAttributes{ExpiryTime: to.Ptr("soon")}}, nil)
	wantCode(t, err, 400, "BadParameter")
	_, err = c.UpdateKey(ctx, "ec", "", azkeys.UpdateKeyParameters{KeyAttributes: &azkeys.KeyAttributes{Enabled: to.Ptr(true)}}, nil)
	must(t, err)
	turned, err := c.RotateKey(ctx, "ec", nil)
	must(t, err)
	if *turned.Key.KID == *k.KID || turned.Key.KID.Name() != "ec" || *turned.Key.Crv != azkeys.CurveNameP384 || turned.Attributes.Expires == nil {
		t.Errorf("rotated %v", turned)
	}

	random, err := c.GetRandomBytes(ctx, azkeys.GetRandomBytesParameters{Count: to.Ptr(int32(37))}, nil)
	must(t, err)
	if len(random.Value) != 37 {
		t.Errorf("%d random bytes", len(random.Value))
	}
	_, err = c.GetKeyAttestation(ctx, "ec", k.KID.Version(), nil)
	wantCode(t, err, 400, "NotSupported")
	_, err = c.Release(ctx, "ec", k.KID.Version(), azkeys.ReleaseParameters{TargetAttestationToken: to.Ptr("x")}, nil)
	wantCode(t, err, 400, "NotSupported")

	for i := range 24 {
		_, err = c.CreateKey(ctx, fmt.Sprintf("k-%02d", i), azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyTypeOct)}, nil)
		must(t, err)
	}
	listed := all(t, 2, c.NewListKeyPropertiesPager(nil), func(p azkeys.ListKeyPropertiesResponse) []*azkeys.KeyProperties { return p.Value })
	if len(listed) != 26 || string(*listed[0].KID) != v.url+"/keys/ec" {
		t.Errorf("%d keys, the first %s", len(listed), *listed[0].KID)
	}
	versions := all(t, 1, c.NewListKeyPropertiesVersionsPager("ec", nil), func(p azkeys.ListKeyPropertiesVersionsResponse) []*azkeys.KeyProperties { return p.Value })
	if len(versions) != 2 || *versions[0].KID != *turned.Key.KID && *versions[1].KID != *turned.Key.KID {
		t.Errorf("%d versions", len(versions))
	}

	backup, err := c.BackupKey(ctx, "ec", nil)
	must(t, err)
	gone, err := c.DeleteKey(ctx, "ec", nil)
	must(t, err)
	unix(t, "scheduledPurgeDate", gone.ScheduledPurgeDate, vaulttest.Epoch.Add(90*24*time.Hour))
	if *gone.RecoveryID != v.url+"/deletedkeys/ec" || *gone.Key.KID != *turned.Key.KID {
		t.Errorf("deleted %v", gone)
	}
	_, err = c.CreateKey(ctx, "ec", azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyTypeEC)}, nil)
	wantCode(t, err, 409, "Conflict")
	_, err = c.Sign(ctx, "ec", "", azkeys.SignParameters{Algorithm: to.Ptr(azkeys.SignatureAlgorithmES384), Value: make([]byte, 48)}, nil)
	wantCode(t, err, 404, "KeyNotFound")
	read2, err := c.GetDeletedKey(ctx, "ec", nil)
	must(t, err)
	trash := all(t, 1, c.NewListDeletedKeyPropertiesPager(nil), func(p azkeys.ListDeletedKeyPropertiesResponse) []*azkeys.DeletedKeyProperties { return p.Value })
	if len(trash) != 1 || *trash[0].RecoveryID != *read2.RecoveryID || string(*trash[0].KID) != v.url+"/keys/ec" {
		t.Errorf("deleted %v", trash)
	}
	recovered, err := c.RecoverDeletedKey(ctx, "ec", nil)
	must(t, err)
	if *recovered.Key.KID != *turned.Key.KID {
		t.Errorf("recovered %s", *recovered.Key.KID)
	}
	_, err = c.DeleteKey(ctx, "ec", nil)
	must(t, err)
	_, err = c.PurgeDeletedKey(ctx, "ec", nil)
	must(t, err)
	_, err = c.GetDeletedKey(ctx, "ec", nil)
	wantCode(t, err, 404, "KeyNotFound")
	restored, err := c.RestoreKey(ctx, azkeys.RestoreKeyParameters{KeyBackup: backup.Value}, nil)
	must(t, err)
	if *restored.Key.KID != *turned.Key.KID {
		t.Errorf("restored %s", *restored.Key.KID)
	}
	_, err = c.CreateKey(ctx, "x", azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyTypeRSA), KeySize: to.Ptr(int32(1024))}, nil)
	wantCode(t, err, 400, "BadParameter")
	_, err = c.RestoreKey(ctx, azkeys.RestoreKeyParameters{KeyBackup: []byte("nothing")}, nil)
	wantCode(t, err, 400, "BadParameter")

	// the rest of the surface, of which other tests say whether it computes right
	in := azkeys.KeyOperationParameters{Algorithm: to.Ptr(azkeys.EncryptionAlgorithmA256GCM), Value: []byte("text"), AdditionalAuthenticatedData: []byte("more")}
	box, err := c.Encrypt(ctx, "imported", "", in, nil)
	must(t, err)
	plain, err := c.Decrypt(ctx, "imported", box.KID.Version(), azkeys.KeyOperationParameters{
		Algorithm: in.Algorithm, Value: box.Result, IV: box.IV, AuthenticationTag: box.AuthenticationTag, AdditionalAuthenticatedData: []byte("more"),
	}, nil)
	must(t, err)
	if string(plain.Result) != "text" {
		t.Errorf("decrypted %q", plain.Result)
	}
	box.AuthenticationTag[0] ^= 1
	_, err = c.Decrypt(ctx, "imported", "", azkeys.KeyOperationParameters{Algorithm: in.Algorithm, Value: box.Result, IV: box.IV, AuthenticationTag: box.AuthenticationTag}, nil)
	wantCode(t, err, 400, "BadParameter")
	in = azkeys.KeyOperationParameters{Algorithm: to.Ptr(azkeys.EncryptionAlgorithmA256KW), Value: make([]byte, 32)}
	wrapped, err := c.WrapKey(ctx, "imported", "", in, nil)
	must(t, err)
	in.Value = wrapped.Result
	unwrapped, err := c.UnwrapKey(ctx, "imported", "", in, nil)
	must(t, err)
	if len(unwrapped.Result) != 32 {
		t.Errorf("unwrapped %d bytes", len(unwrapped.Result))
	}
	used.whole(t, c)
}
