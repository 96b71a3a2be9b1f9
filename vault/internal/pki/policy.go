package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure/vault/internal/model"
)

// The names of issuers that are not made by anyone, compared without case.
const (
	IssuerSelf    = "Self"    // the certificate's own key signs
	IssuerUnknown = "Unknown" // somebody outside signs the request
)

// The actions in a certificate's life.
const (
	ActionRenew = "AutoRenew"
	ActionEmail = "EmailContacts"
)

// The content types of a certificate's secret.
const (
	TypePFX = "application/x-pkcs12"
	TypePEM = "application/x-pem-file"
)

// MaxMonths bounds how long a certificate is good.
const MaxMonths = 600

// Complete returns a copy of a policy with what Azure Key Vault sets where nothing is said: RSA of 2048 bits that can be
// exported, PKCS #12, a year, digitalSignature (and keyEncipherment, for RSA), servers and clients, and AutoRenew (EmailContacts
// when somebody outside signs) after 80 percent of the time. An authority has no extended key usages, and signs
// revocation lists.
func Complete(p *model.Policy) *model.Policy {
	c := *p
	if c.Key == (model.KeyProperties{}) {
		c.Key.Exportable = true
	}
	if c.Key.Type == "" {
		c.Key.Type = "RSA"
	}
	switch kind, _ := strings.CutSuffix(c.Key.Type, "-HSM"); {
	case kind == "RSA" && c.Key.Size == 0:
		c.Key.Size = 2048
	case kind == "EC" && c.Key.Curve == "":
		c.Key.Curve = "P-256"
	case kind == "OKP" && c.Key.Curve == "":
		c.Key.Curve = "Ed25519"
	}
	if c.Secret.ContentType == "" {
		c.Secret.ContentType = TypePFX
	}
	switch {
	case c.Issuer.Name == "" || strings.EqualFold(c.Issuer.Name, IssuerSelf):
		c.Issuer.Name = IssuerSelf
	case strings.EqualFold(c.Issuer.Name, IssuerUnknown):
		c.Issuer.Name = IssuerUnknown
	}
	x := &c.X509
	if x.ValidityMonths == 0 && x.ValidityDays == 0 {
		x.ValidityMonths = 12
	}
	if x.KeyUsage == nil {
		x.KeyUsage = []string{"digitalSignature"}
		if strings.HasPrefix(c.Key.Type, "RSA") { // the others encrypt no keys (RFC 5480, RFC 8410)
			x.KeyUsage = append(x.KeyUsage, "keyEncipherment")
		}
	}
	if IsAuthority(&c) {
		if !slices.Contains(x.KeyUsage, "cRLSign") {
			x.KeyUsage = append(slices.Clone(x.KeyUsage), "cRLSign")
		}
	} else if x.ExtKeyUsage == nil {
		x.ExtKeyUsage = []string{"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"}
	}
	if c.Lifetime == nil {
		action := ActionRenew
		if c.Issuer.Name == IssuerUnknown {
			action = ActionEmail
		}
		c.Lifetime = []model.CertificateAction{{Action: action, LifetimePercentage: 80}}
	}
	return &c
}

// IsAuthority reports whether a policy is for an authority: its key usages have "keyCertSign".
func IsAuthority(p *model.Policy) bool { return slices.Contains(p.X509.KeyUsage, "keyCertSign") }

// Check reports what is wrong with a policy that Complete has returned, as a *model.FieldError.
func Check(p *model.Policy) error {
	if err := checkKeyProperties(&p.Key); err != nil {
		return err
	}
	if t := p.Secret.ContentType; t != TypePFX && t != TypePEM {
		return invalid("policy.secret_props.contentType", "%.80q: want %q or %q", t, TypePFX, TypePEM)
	}
	if n := p.Issuer.Name; n != IssuerSelf && n != IssuerUnknown && model.CheckName(n) != nil {
		return invalid("policy.issuer.name", "%.128q: want Self, Unknown or the name of an issuer", n)
	}
	if len(p.Issuer.Type) > 128 {
		return invalid("policy.issuer.cty", "at most 128 characters")
	}
	if _, err := contentOf(p); err != nil {
		return err
	}
	days, err := checkValidity(&p.X509)
	if err != nil {
		return err
	}
	return checkLifetime(p.Lifetime, days)
}

func checkKeyProperties(k *model.KeyProperties) error {
	kind, _ := strings.CutSuffix(k.Type, "-HSM")
	curves := map[string]int{"P-256": 256, "P-384": 384, "P-521": 521}
	switch kind {
	case "RSA":
		if k.Size != 2048 && k.Size != 3072 && k.Size != 4096 {
			return invalid("policy.key_props.key_size", "%d: want 2048, 3072 or 4096", k.Size)
		}
		if k.Curve != "" {
			return invalid("policy.key_props.crv", "an RSA key has no curve")
		}
	case "EC":
		size, ok := curves[k.Curve]
		if !ok {
			return invalid("policy.key_props.crv", "%.20q: want P-256, P-384 or P-521", k.Curve)
		}
		if k.Size != 0 && k.Size != size {
			return invalid("policy.key_props.key_size", "%d: %s has %d bits", k.Size, k.Curve, size)
		}
	case "OKP":
		if k.Curve != "Ed25519" {
			return invalid("policy.key_props.crv", "%.20q: want Ed25519", k.Curve)
		}
	default:
		return invalid("policy.key_props.kty", "%.20q: want RSA, EC or OKP", k.Type)
	}
	return nil
}

// checkValidity returns the validity in days for the bounds of actions, as Azure counts them: 27 for a month.
func checkValidity(x *model.X509Properties) (days int, err error) {
	switch {
	case x.ValidityMonths != 0 && x.ValidityDays != 0:
		return 0, invalid("policy.x509_props.validity_days", "give months or days, not both")
	case x.ValidityMonths < 0 || x.ValidityMonths > MaxMonths:
		return 0, invalid("policy.x509_props.validity_months", "%d: want 1 to %d", x.ValidityMonths, MaxMonths)
	case x.ValidityDays < 0 || x.ValidityDays > MaxMonths*30:
		return 0, invalid("policy.x509_props.validity_days", "%d: want 1 to %d", x.ValidityDays, MaxMonths*30)
	}
	return x.ValidityMonths*27 + x.ValidityDays, nil
}

func checkLifetime(actions []model.CertificateAction, days int) error {
	if len(actions) > 8 {
		return invalid("policy.lifetime_actions", "at most 8")
	}
	renews := 0
	for _, a := range actions {
		switch a.Action {
		case ActionRenew:
			if renews++; renews > 1 {
				return invalid("policy.lifetime_actions", "a certificate is renewed at one time only")
			}
		case ActionEmail:
		default:
			return invalid("policy.lifetime_actions.action.action_type", "%.40q: want AutoRenew or EmailContacts", a.Action)
		}
		switch {
		case (a.LifetimePercentage == 0) == (a.DaysBeforeExpiry == 0):
			return invalid("policy.lifetime_actions.trigger", "give lifetime_percentage or days_before_expiry, one of both")
		case a.LifetimePercentage < 0 || a.LifetimePercentage > 99:
			return invalid("policy.lifetime_actions.trigger.lifetime_percentage", "%d: want 1 to 99", a.LifetimePercentage)
		case a.DaysBeforeExpiry < 0 || a.DaysBeforeExpiry > days:
			return invalid("policy.lifetime_actions.trigger.days_before_expiry", "%d: want 1 to %d with this validity", a.DaysBeforeExpiry, days)
		}
	}
	return nil
}

// Due returns when an action of a certificate's life is to be done.
func Due(a model.CertificateAction, notBefore, notAfter time.Time) time.Time {
	if a.DaysBeforeExpiry > 0 {
		return notAfter.AddDate(0, 0, -a.DaysBeforeExpiry)
	}
	return notBefore.Add(notAfter.Sub(notBefore) / 100 * time.Duration(a.LifetimePercentage))
}

// validUntil is the end of a certificate that is good from a time on, in whole seconds. A month ends on the day that the
// month it ends in has: 31 January and a month is the last of February.
func validUntil(x *model.X509Properties, from time.Time) time.Time {
	if x.ValidityDays > 0 {
		return from.AddDate(0, 0, x.ValidityDays)
	}
	to := from.AddDate(0, x.ValidityMonths, 0)
	if to.Day() != from.Day() {
		to = to.AddDate(0, 0, -to.Day())
	}
	return to
}

// content is what a certificate or a request says, whoever signs it.
type content struct {
	subject   []byte // DER
	altNames  *pkix.Extension
	usage     x509.KeyUsage
	extUsage  []asn1.ObjectIdentifier
	authority bool
}

func contentOf(p *model.Policy) (*content, error) {
	x := &p.X509
	name, err := ParseName(x.Subject)
	if err != nil {
		return nil, invalid("policy.x509_props.subject", "%v", err)
	}
	c := &content{authority: IsAuthority(p)}
	if c.altNames, err = altNames(x, len(name) == 0); err != nil {
		return nil, err
	}
	switch {
	case len(name) == 0 && c.authority:
		return nil, invalid("policy.x509_props.subject", "an authority needs a subject such as CN=Example CA")
	case len(name) == 0 && c.altNames == nil:
		return nil, invalid("policy.x509_props.subject", "want a subject such as CN=example.com, or alternative names")
	}
	if c.subject, err = asn1.Marshal(name); err != nil {
		return nil, invalid("policy.x509_props.subject", "%v", err)
	}
	if c.usage, err = parseUsage(x.KeyUsage); err != nil {
		return nil, err
	}
	c.extUsage, err = parseExtUsage(x.ExtKeyUsage)
	return c, err
}

// PolicyOf is the policy of a certificate that was made elsewhere: what it says itself, with issuer Unknown, as nobody
// here can make the next one.
func PolicyOf(cert *x509.Certificate, exportable bool, contentType string) *model.Policy {
	p := &model.Policy{
		Key:    model.KeyProperties{Exportable: exportable},
		Secret: model.SecretProperties{ContentType: contentType},
		Issuer: model.IssuerReference{Name: IssuerUnknown},
	}
	p.Key.Type, p.Key.Size, p.Key.Curve = kindOf(cert.PublicKey)
	p.X509.Subject, _ = FormatName(cert.RawSubject) // what cannot be written is left out
	setAltNames(&p.X509, cert)
	p.X509.KeyUsage = usageNames(cert.KeyUsage)
	for _, oid := range extUsagesOf(cert.Extensions) {
		p.X509.ExtKeyUsage = append(p.X509.ExtKeyUsage, oid.String())
	}
	p.X509.ValidityMonths = max(1, min(MaxMonths, int(cert.NotAfter.Sub(cert.NotBefore).Hours()/24/30)))
	p.Lifetime = []model.CertificateAction{{Action: ActionEmail, LifetimePercentage: 80}}
	return p
}

func kindOf(public crypto.PublicKey) (kty string, size int, curve string) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return "RSA", k.N.BitLen(), ""
	case *ecdsa.PublicKey:
		return "EC", 0, k.Curve.Params().Name
	case ed25519.PublicKey:
		return "OKP", 0, "Ed25519"
	}
	return "", 0, ""
}
