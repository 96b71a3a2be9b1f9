package rest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha1" //nolint:gosec // x5t is made with it
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azcertificates"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/perdure/perdure/vault/internal/vaulttest"
)

func (s *site) certificates(t *testing.T, used *surface) *azcertificates.Client {
	t.Helper()
	c, err := azcertificates.NewClient(s.url, &credential{}, &azcertificates.ClientOptions{ClientOptions: s.clientOptions(used)})
	must(t, err)
	return c
}

// ec is a policy with a key that is made in no time.
func ec(issuer, subject string, change ...func(*azcertificates.CertificatePolicy)) *azcertificates.CertificatePolicy {
	p := &azcertificates.CertificatePolicy{
		IssuerParameters:          &azcertificates.IssuerParameters{Name: &issuer},
		KeyProperties:             &azcertificates.KeyProperties{KeyType: to.Ptr(azcertificates.KeyTypeEC), Curve: to.Ptr(azcertificates.CurveNameP256)},
		X509CertificateProperties: &azcertificates.X509CertificateProperties{Subject: &subject},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func authority(p *azcertificates.CertificatePolicy) {
	p.X509CertificateProperties.KeyUsage = []*azcertificates.KeyUsageType{to.Ptr(azcertificates.KeyUsageTypeKeyCertSign), to.Ptr(azcertificates.KeyUsageTypeCRLSign)}
}

func dnsNames(names ...string) func(*azcertificates.CertificatePolicy) {
	return func(p *azcertificates.CertificatePolicy) {
		p.X509CertificateProperties.SubjectAlternativeNames = &azcertificates.SubjectAlternativeNames{DNSNames: to.SliceOfPtrs(names...)}
	}
}

func asPEM(p *azcertificates.CertificatePolicy) {
	p.SecretProperties = &azcertificates.SecretProperties{ContentType: to.Ptr("application/x-pem-file")}
}

// create makes a certificate and waits for it as users do.
func create(t *testing.T, c *azcertificates.Client, name string, p *azcertificates.CertificatePolicy) azcertificates.Certificate {
	t.Helper()
	begun, err := c.CreateCertificate(t.Context(), name, azcertificates.CreateCertificateParameters{CertificatePolicy: p}, nil)
	must(t, err)
	op, err := c.GetCertificateOperation(t.Context(), name, nil)
	must(t, err)
	if *op.Status != "completed" || *op.RequestID != *begun.RequestID {
		t.Fatalf("%s: status %s, %v", name, *op.Status, op.Error)
	}
	target, err := url.Parse(*op.Target)
	must(t, err)
	got, err := c.GetCertificate(t.Context(), path.Base(target.Path), "", nil)
	must(t, err)
	return got.Certificate
}

// parse reads a certificate of an answer, and checks the thumbprint.
func parse(t *testing.T, c azcertificates.Certificate) *x509.Certificate {
	t.Helper()
	parsed, err := x509.ParseCertificate(c.CER)
	must(t, err)
	if sum := sha1.Sum(c.CER); !bytes.Equal(c.X509Thumbprint, sum[:]) { //nolint:gosec // see the import
		t.Errorf("thumbprint %x, want %x", c.X509Thumbprint, sum)
	}
	return parsed
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// A certificate has a key and a secret of its name and version, for the other clients.
func TestCertificateParts(t *testing.T) {
	t.Parallel()
	v, ctx := openVault(t), t.Context()
	c, k, s := v.certificates(t, &surface{}), v.keys(t, &surface{}), v.secrets(t, &surface{}, &credential{})
	pfx, text := create(t, c, "pfx", ec("Self", "CN=pfx")), create(t, c, "text", ec("Self", "CN=text", asPEM))
	if pfx.ID.Version() != pfx.KID.Version() || pfx.ID.Version() != pfx.SID.Version() || string(*pfx.KID) != v.url+"/keys/pfx/"+pfx.ID.Version() || *pfx.ContentType != "application/x-pkcs12" {
		t.Errorf("ids %s %s %s, %s", *pfx.ID, *pfx.KID, *pfx.SID, *pfx.ContentType)
	}
	digest := sha256.Sum256([]byte("hello"))
	signed, err := k.Sign(ctx, "pfx", pfx.KID.Version(), azkeys.SignParameters{Algorithm: to.Ptr(azkeys.SignatureAlgorithmES256), Value: digest[:]}, nil)
	must(t, err)
	must(t, verify(parse(t, pfx).PublicKey, "ES256", digest[:], signed.Result))
	key, err := k.GetKey(ctx, "pfx", "", nil)
	must(t, err)
	if !*key.Managed || *key.Key.KID != azkeys.ID(*pfx.KID) {
		t.Errorf("key %s, managed %v", *key.Key.KID, *key.Managed)
	}

	secret, err := s.GetSecret(ctx, "pfx", "", nil)
	must(t, err)
	if !*secret.Managed || string(*secret.KID) != string(*pfx.KID) || *secret.ContentType != "application/x-pkcs12" {
		t.Errorf("secret %v", secret.KID)
	}
	der, err := base64.StdEncoding.DecodeString(*secret.Value)
	must(t, err)
	private, leaf, err := pkcs12.Decode(der, "")
	must(t, err)
	if !bytes.Equal(leaf.Raw, pfx.CER) || !private.(*ecdsa.PrivateKey).PublicKey.Equal(leaf.PublicKey) {
		t.Error("the secret has another certificate or key")
	}
	secret, err = s.GetSecret(ctx, "text", text.SID.Version(), nil)
	must(t, err)
	if !strings.Contains(*secret.Value, string(certPEM(text.CER))) || !strings.Contains(*secret.Value, "PRIVATE KEY") {
		t.Error("the secret in PEM has not both")
	}

	_, err = k.DeleteKey(ctx, "pfx", nil)
	if e := wantCode(t, err, 403, "Forbidden"); e != nil && !strings.Contains(e.Error(), "KeyManagedByKeyVault") {
		t.Error(e)
	}
	_, err = s.DeleteSecret(ctx, "pfx", nil)
	if e := wantCode(t, err, 403, "Forbidden"); e != nil && !strings.Contains(e.Error(), "SecretManagedByKeyVault") {
		t.Error(e)
	}
	own := create(t, c, "own", ec("Self", "CN=own", func(p *azcertificates.CertificatePolicy) { p.KeyProperties.Exportable = to.Ptr(false) }))
	secret, err = s.GetSecret(ctx, "own", own.SID.Version(), nil)
	must(t, err)
	if strings.Contains(*secret.Value, "PRIVATE KEY") {
		t.Error("a key that cannot be exported is in the secret")
	}
}

// Azure's client of certificates can do all that it can.
func TestCertificatesSDK(t *testing.T) {
	t.Parallel()
	v, ctx, used := openVault(t), t.Context(), &surface{}
	c := v.certificates(t, used)
	first := create(t, c, "web", ec("Self", "CN=web.example.com,O=Shop", dnsNames("web.example.com"), func(p *azcertificates.CertificatePolicy) {
		p.X509CertificateProperties.ValidityInMonths = to.Ptr(int32(6))
		p.LifetimeActions = []*azcertificates.LifetimeAction{{
			Action:  &azcertificates.LifetimeActionType{ActionType: to.Ptr(azcertificates.CertificatePolicyActionEmailContacts)},
			Trigger: &azcertificates.LifetimeActionTrigger{DaysBeforeExpiry: to.Ptr(int32(20))},
		}}
	}))
	if a := first.Attributes; *a.RecoveryLevel != "Recoverable+Purgeable" || *a.RecoverableDays != 90 || !*a.Enabled {
		t.Errorf("attributes %v", a)
	}
	policy, err := c.GetCertificatePolicy(ctx, "web", nil)
	must(t, err)
	if string(*policy.ID) != v.url+"/certificates/web/policy" || *policy.X509CertificateProperties.Subject != "CN=web.example.com,O=Shop" || *policy.X509CertificateProperties.ValidityInMonths != 6 ||
		*policy.X509CertificateProperties.SubjectAlternativeNames.DNSNames[0] != "web.example.com" || *policy.KeyProperties.KeyType != azcertificates.KeyTypeEC ||
		*policy.LifetimeActions[0].Trigger.DaysBeforeExpiry != 20 || !*policy.KeyProperties.Exportable || policy.Attributes.Created == nil {
		t.Errorf("policy %v", policy.CertificatePolicy)
	}
	patched, err := c.UpdateCertificatePolicy(ctx, "web", azcertificates.CertificatePolicy{
		KeyProperties: &azcertificates.KeyProperties{Exportable: to.Ptr(true), KeyType: to.Ptr(azcertificates.KeyTypeEC), Curve: to.Ptr(azcertificates.CurveNameP384), ReuseKey: to.Ptr(false)},
	}, nil)
	must(t, err)
	if *patched.KeyProperties.Curve != azcertificates.CurveNameP384 || *patched.X509CertificateProperties.ValidityInMonths != 6 || *patched.LifetimeActions[0].Trigger.DaysBeforeExpiry != 20 {
		t.Errorf("patched %v", patched.CertificatePolicy)
	}
	again, err := c.CreateCertificate(ctx, "web", azcertificates.CreateCertificateParameters{}, nil) // by the policy that is there
	must(t, err)
	if *again.Status != "completed" {
		t.Errorf("again: %s", *again.Status)
	}
	second, err := c.GetCertificate(ctx, "web", "", nil)
	must(t, err)
	old, err := c.GetCertificate(ctx, "web", first.ID.Version(), nil)
	must(t, err)
	if *second.ID == *first.ID || *old.ID != *first.ID || !bytes.Equal(old.CER, first.CER) {
		t.Errorf("versions %s, %s", *second.ID, *old.ID)
	}
	changed, err := c.UpdateCertificate(ctx, "web", second.ID.Version(), azcertificates.UpdateCertificateParameters{
		Tags: map[string]*string{"team": to.Ptr("shop")}, CertificateAttributes: &azcertificates.CertificateAttributes{Enabled: to.Ptr(false)},
	}, nil)
	must(t, err)
	if *changed.Tags["team"] != "shop" || *changed.Attributes.Enabled {
		t.Errorf("changed %v", changed)
	}
	_, err = c.UpdateCertificate(ctx, "web", "", azcertificates.UpdateCertificateParameters{CertificateAttributes: &azcertificates.CertificateAttributes{Enabled: to.Ptr(true)}}, nil)
	must(t, err)

	importing(t, c)
	for i := range 24 {
		create(t, c, fmt.Sprintf("z-%02d", i), ec("Self", "CN=z"))
	}
	listed := all(t, 2, c.NewListCertificatePropertiesPager(nil), func(p azcertificates.ListCertificatePropertiesResponse) []*azcertificates.CertificateProperties {
		return p.Value
	})
	if len(listed) != 27 || string(*listed[2].ID) != v.url+"/certificates/web" || !bytes.Equal(listed[2].X509Thumbprint, second.X509Thumbprint) || *listed[2].Tags["team"] != "shop" {
		t.Errorf("%d certificates", len(listed))
	}
	versions := all(t, 1, c.NewListCertificatePropertiesVersionsPager("web", nil), func(p azcertificates.ListCertificatePropertiesVersionsResponse) []*azcertificates.CertificateProperties {
		return p.Value
	})
	if len(versions) != 2 || !slices.ContainsFunc(versions, func(p *azcertificates.CertificateProperties) bool { return *p.ID == *first.ID }) {
		t.Errorf("%d versions", len(versions))
	}

	backup, err := c.BackupCertificate(ctx, "web", nil)
	must(t, err)
	gone, err := c.DeleteCertificate(ctx, "web", nil)
	must(t, err)
	unix(t, "deletedDate", gone.DeletedDate, vaulttest.Epoch)
	if *gone.RecoveryID != v.url+"/deletedcertificates/web" || gone.Policy == nil || gone.ScheduledPurgeDate == nil {
		t.Errorf("deleted %v", gone)
	}
	_, err = c.CreateCertificate(ctx, "web", azcertificates.CreateCertificateParameters{CertificatePolicy: ec("Self", "CN=x")}, nil)
	if e := wantCode(t, err, 409, "Conflict"); e != nil && !strings.Contains(e.Error(), "ObjectIsDeletedButRecoverable") {
		t.Error(e)
	}
	read, err := c.GetDeletedCertificate(ctx, "web", nil)
	must(t, err)
	trash := all(t, 1, c.NewListDeletedCertificatePropertiesPager(nil), func(p azcertificates.ListDeletedCertificatePropertiesResponse) []*azcertificates.DeletedCertificateProperties {
		return p.Value
	})
	if len(trash) != 1 || *trash[0].RecoveryID != *read.RecoveryID {
		t.Errorf("deleted %v", trash)
	}
	recovered, err := c.RecoverDeletedCertificate(ctx, "web", nil)
	must(t, err)
	if *recovered.ID != *second.ID {
		t.Errorf("recovered %s", *recovered.ID)
	}
	_, err = c.DeleteCertificate(ctx, "web", nil)
	must(t, err)
	_, err = c.PurgeDeletedCertificate(ctx, "web", nil)
	must(t, err)
	_, err = c.GetDeletedCertificate(ctx, "web", nil)
	wantCode(t, err, 404, "CertificateNotFound")
	restored, err := c.RestoreCertificate(ctx, azcertificates.RestoreCertificateParameters{CertificateBackup: backup.Value}, nil)
	must(t, err)
	if *restored.ID != *second.ID || !bytes.Equal(restored.CER, second.CER) {
		t.Errorf("restored %s", *restored.ID)
	}

	issuers(t, v.site, c)
	contacts(t, v.site, c)
	outside(t, c)
	used.whole(t, c)
}

// outside uses the operations of TestMerge, for the count of the surface.
func outside(t *testing.T, c *azcertificates.Client) {
	t.Helper()
	_, err := c.CreateCertificate(t.Context(), "outside", azcertificates.CreateCertificateParameters{CertificatePolicy: ec("Unknown", "CN=outside")}, nil)
	must(t, err)
	_, err = c.MergeCertificate(t.Context(), "outside", azcertificates.MergeCertificateParameters{X509Certificates: [][]byte{[]byte("nothing")}}, nil)
	wantCode(t, err, 400, "BadParameter")
	_, err = c.UpdateCertificateOperation(t.Context(), "outside", azcertificates.UpdateCertificateOperationParameter{CancellationRequested: to.Ptr(true)}, nil)
	must(t, err)
	_, err = c.DeleteCertificateOperation(t.Context(), "outside", nil)
	must(t, err)
}

// importing imports what was made elsewhere, in both forms.
func importing(t *testing.T, c *azcertificates.Client) {
	t.Helper()
	made, _ := certify(t, "imported.example.com")
	leaf, err := x509.ParseCertificate(made.Certificate[0])
	must(t, err)
	pfx, err := pkcs12.Modern.Encode(made.PrivateKey, leaf, nil, "hunter2")
	must(t, err)
	value := base64.StdEncoding.EncodeToString(pfx)
	_, err = c.ImportCertificate(t.Context(), "imported", azcertificates.ImportCertificateParameters{Base64EncodedCertificate: &value, Password: to.Ptr("hunter3")}, nil)
	if e := wantCode(t, err, 400, "BadParameter"); e != nil && strings.Contains(e.Error(), "hunter3") {
		t.Error(e)
	}
	imported, err := c.ImportCertificate(t.Context(), "imported", azcertificates.ImportCertificateParameters{
		Base64EncodedCertificate: &value, Password: to.Ptr("hunter2"), Tags: map[string]*string{"from": to.Ptr("elsewhere")},
	}, nil)
	must(t, err)
	if !bytes.Equal(imported.CER, leaf.Raw) || *imported.ContentType != "application/x-pkcs12" || *imported.Tags["from"] != "elsewhere" {
		t.Errorf("imported %v", imported)
	}
	key, err := x509.MarshalPKCS8PrivateKey(made.PrivateKey)
	must(t, err)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})) + string(certPEM(leaf.Raw))
	imported, err = c.ImportCertificate(t.Context(), "imported-pem", azcertificates.ImportCertificateParameters{
		Base64EncodedCertificate: &text,
		CertificatePolicy:        &azcertificates.CertificatePolicy{SecretProperties: &azcertificates.SecretProperties{ContentType: to.Ptr("application/x-pem-file")}},
	}, nil)
	must(t, err)
	if !bytes.Equal(imported.CER, leaf.Raw) || *imported.ContentType != "application/x-pem-file" {
		t.Errorf("imported %v", imported)
	}
}

func issuers(t *testing.T, s *site, c *azcertificates.Client) {
	t.Helper()
	ctx := t.Context()
	_, err := c.GetIssuer(ctx, "house", nil)
	wantCode(t, err, 404, "CertificateIssuerNotFound")
	set, err := c.SetIssuer(ctx, "house", azcertificates.SetIssuerParameters{
		Provider: to.Ptr("Perdure"), Credentials: &azcertificates.IssuerCredentials{AccountID: to.Ptr("imported"), Password: to.Ptr("hunter2")},
		Attributes: &azcertificates.IssuerAttributes{Enabled: to.Ptr(true)},
		OrganizationDetails: &azcertificates.OrganizationDetails{
			ID: to.Ptr("shop"), AdminContacts: []*azcertificates.AdministratorContact{{Email: to.Ptr("ann@example.com"), FirstName: to.Ptr("Ann")}},
		},
	}, nil)
	must(t, err)
	got, err := c.GetIssuer(ctx, "house", nil)
	must(t, err)
	for _, i := range []azcertificates.Issuer{set.Issuer, got.Issuer} {
		if *i.ID != s.url+"/certificates/issuers/house" || *i.Provider != "Perdure" || *i.Credentials.AccountID != "imported" || i.Credentials.Password != nil ||
			*i.OrganizationDetails.AdminContacts[0].Email != "ann@example.com" || !*i.Attributes.Enabled || i.Attributes.Created == nil {
			t.Errorf("issuer %v", i)
		}
	}
	changed, err := c.UpdateIssuer(ctx, "house", azcertificates.UpdateIssuerParameters{Attributes: &azcertificates.IssuerAttributes{Enabled: to.Ptr(false)}}, nil)
	must(t, err)
	if *changed.Attributes.Enabled || *changed.Provider != "Perdure" || *changed.OrganizationDetails.ID != "shop" {
		t.Errorf("changed %v", changed)
	}
	_, err = c.UpdateIssuer(ctx, "nobody", azcertificates.UpdateIssuerParameters{Provider: to.Ptr("Perdure")}, nil)
	wantCode(t, err, 404, "CertificateIssuerNotFound")
	listed := all(t, 1, c.NewListIssuerPropertiesPager(nil), func(p azcertificates.ListIssuerPropertiesResponse) []*azcertificates.IssuerProperties { return p.Value })
	if len(listed) != 1 || *listed[0].ID != *set.ID || *listed[0].Provider != "Perdure" {
		t.Errorf("issuers %v", listed)
	}
	gone, err := c.DeleteIssuer(ctx, "house", nil)
	must(t, err)
	if *gone.ID != *set.ID {
		t.Errorf("deleted %v", gone)
	}
}

func contacts(t *testing.T, s *site, c *azcertificates.Client) {
	t.Helper()
	ctx := t.Context()
	_, err := c.GetContacts(ctx, nil)
	wantCode(t, err, 404, "ContactsNotFound")
	_, err = c.SetContacts(ctx, azcertificates.Contacts{ContactList: []*azcertificates.Contact{{Email: to.Ptr("ann@example.com"), Name: to.Ptr("Ann"), Phone: to.Ptr("1")}}}, nil)
	must(t, err)
	got, err := c.GetContacts(ctx, nil)
	must(t, err)
	if *got.ID != s.url+"/certificates/contacts" || len(got.ContactList) != 1 || *got.ContactList[0].Email != "ann@example.com" || *got.ContactList[0].Phone != "1" {
		t.Errorf("contacts %v", got)
	}
	gone, err := c.DeleteContacts(ctx, nil)
	must(t, err)
	if len(gone.ContactList) != 1 {
		t.Errorf("deleted %v", gone)
	}
	_, err = c.DeleteContacts(ctx, nil)
	wantCode(t, err, 404, "ContactsNotFound")
}
