package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// certificateKind is how paths name certificates.
const certificateKind = "certificates"

// selfIssuer signs a certificate with its own key.
const selfIssuer = "Self"

// certificate is a certificate in an answer.
type certificate struct {
	item
	CER    []byte `json:"cer"`
	Policy *struct {
		Issuer struct {
			Name string `json:"name"`
		} `json:"issuer"`
		Key struct {
			Exportable bool `json:"exportable"`
		} `json:"key_props"`
	} `json:"policy"`
}

// pending is a certificate that is being made.
type pending struct {
	CSR    []byte `json:"csr"`
	Status string `json:"status"`
	Detail string `json:"status_details"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

func (p *program) certificatesCommand() *cobra.Command {
	var vault string
	cmd := &cobra.Command{
		Use: "certificates", Aliases: []string{"certs"}, Short: "Administer the vault's certificates and authorities", Args: cobra.NoArgs,
		Long: `Administer the vault's certificates. One that is made with --authority can sign others, when it
was made known as an issuer: "perdure vault issuers set".`,
	}
	ofVault(cmd, &vault)
	cmd.AddCommand(p.certificateCreate(&vault), p.certificateRenew(&vault), p.certificateShow(&vault), p.certificateImport(&vault), p.certificateExport(&vault),
		p.certificateCSR(&vault), p.certificateMerge(&vault), p.certificateRevoke(&vault), p.certificateCRL(&vault), p.certificateOffline(&vault), p.itemUpdate(certificateKind, "certificate", &vault))
	cmd.AddCommand(p.itemCommands(certificateKind, "certificate", &vault)...)
	return cmd
}

func (p *program) certificateCreate(vault *string) *cobra.Command {
	var (
		subject, issuer, kind, curve, content string
		names, addresses                      []string
		days, size, renew                     int
		authority, kept, reuse, exportable    bool
	)
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a certificate, which is renewed by itself", Args: exactly(1),
		Long: `Make a certificate with its policy, by which it is renewed ahead of its end. The issuer is
Self, the name of an authority of the vault ("perdure vault issuers"), or Unknown for one
elsewhere: then csr prints what that has to sign, and merge takes its answer.`,
		Example: `  perdure vault certificates create root --subject 'CN=Example CA' --authority --days 3650
  perdure vault issuers set internal --authority root
  perdure vault certificates create web --dns web.example.com --issuer internal --days 90`,
		RunE: runs(func(ctx context.Context, args []string) error {
			if subject == "" && len(names) > 0 {
				subject = "CN=" + names[0]
			}
			x509props := map[string]any{"subject": subject, "validity_days": days}
			if len(names)+len(addresses) > 0 {
				x509props["sans"] = map[string]any{"dns_names": names, "ipAddresses": addresses}
			}
			if authority {
				x509props["key_usage"] = []string{"keyCertSign", "cRLSign"}
			}
			key := map[string]any{"kty": kind, "exportable": !kept && (!authority || exportable), "reuse_key": reuse}
			if size != 0 {
				key["key_size"] = size
			}
			if curve != "" {
				key["crv"] = curve
			} else if kind == "EC" {
				key["crv"] = "P-256"
			}
			policy := map[string]any{
				"key_props": key, "secret_props": map[string]any{"contentType": "application/" + map[string]string{"pem": "x-pem-file", "pfx": "x-pkcs12"}[content]},
				"x509_props": x509props, "issuer": map[string]any{"name": issuer},
			}
			if renew > 0 {
				policy["lifetime_actions"] = []any{map[string]any{
					"trigger": map[string]any{"days_before_expiry": renew}, "action": map[string]any{"action_type": "AutoRenew"},
				}}
			}
			return p.makeCertificate(ctx, *vault, args[0], map[string]any{"policy": policy})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&subject, "subject", "", `distinguished name, such as "CN=Example CA,O=Example"; default the first --dns`)
	f.StringSliceVar(&names, "dns", nil, "host names; may come several times")
	f.StringSliceVar(&addresses, "ip", nil, "IP addresses; may come several times")
	f.IntVar(&days, "days", 90, "how long it is good")
	f.IntVar(&renew, "renew", 0, "renew it so many days before its end; default after 80 percent of its time")
	f.StringVar(&issuer, "issuer", selfIssuer, "who signs it: Self, Unknown, or an issuer of the vault")
	f.StringVar(&kind, "type", "EC", "type of its key: EC or RSA")
	f.IntVar(&size, "size", 0, "bits of an RSA key")
	f.StringVar(&curve, "curve", "", "curve of an EC key: P-256, P-384, P-521")
	f.StringVar(&content, "content", "pem", "form of its secret, by which programs get it with its key: pem or pfx")
	f.BoolVar(&authority, "authority", false, "let it sign others; its key never leaves the vault")
	f.BoolVar(&kept, "keep-key", false, "let its key never leave the vault: programs have the vault sign with it")
	f.BoolVar(&exportable, "exportable", false, "let the key of an authority be taken out of the vault (certificates offline)")
	f.BoolVar(&reuse, "reuse-key", false, "keep the key when it is renewed")
	return cmd
}

// makeCertificate makes a version of a certificate.
func (p *program) makeCertificate(ctx context.Context, vault, name string, body any) error {
	var made whole[pending]
	if err := p.items(vault).do(ctx, http.MethodPost, at(certificateKind, name, "create"), body, &made); err != nil {
		return err
	}
	if made.V.Error != nil {
		return fmt.Errorf("the certificate %s was not made: %s", name, made.V.Error.Message)
	}
	return p.show(made, func() {
		if made.V.Status == "completed" {
			p.say("The certificate %s was made.", name)
			return
		}
		p.say("The certificate %s is being made: %s", name, made.V.Status)
		if made.V.Detail != "" {
			p.say("%s", made.V.Detail)
		}
		p.hint("perdure vault certificates csr %s prints what an authority elsewhere has to sign.", name)
	})
}

func (p *program) certificateRenew(vault *string) *cobra.Command {
	return &cobra.Command{
		Use: "renew NAME", Short: "Make a new version of a certificate by its policy now", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			var now certificate
			if err := p.items(*vault).do(ctx, http.MethodGet, at(certificateKind, args[0]), nil, &now); err != nil {
				return err
			}
			return p.makeCertificate(ctx, *vault, args[0], struct{}{})
		}),
	}
}

// getCertificate returns a version of a certificate; the current one for no version.
func (p *program) getCertificate(ctx context.Context, vault, name, version string) (c whole[certificate], err error) {
	path := at(certificateKind, name)
	if version != "" {
		path = at(certificateKind, name, version)
	}
	return c, p.items(vault).do(ctx, http.MethodGet, path, nil, &c)
}

func (p *program) certificateShow(vault *string) *cobra.Command {
	var (
		version string
		asPEM   bool
	)
	cmd := &cobra.Command{
		Use: "show NAME", Aliases: []string{"get"}, Short: "Show a certificate, without its key", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			c, err := p.getCertificate(ctx, *vault, args[0], version)
			if err != nil {
				return err
			}
			if asPEM {
				return p.writeOut("", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.V.CER}))
			}
			cert, err := x509.ParseCertificate(c.V.CER)
			if err != nil {
				return fmt.Errorf("read the answer: %w", err)
			}
			return p.show(c, func() { p.certificateFields(&c.V, cert) })
		}),
	}
	cmd.Flags().StringVar(&version, "version", "", "an older version; default the current one")
	cmd.Flags().BoolVar(&asPEM, "pem", false, "print the certificate in PEM alone")
	return cmd
}

func (p *program) certificateFields(c *certificate, cert *x509.Certificate) {
	name, version := c.named()
	issuer, key := "", ""
	if c.Policy != nil {
		issuer, key = c.Policy.Issuer.Name, "stays in the vault"
		if c.Policy.Key.Exportable {
			key = "can be exported"
		}
	}
	var addresses []string
	for _, ip := range cert.IPAddresses {
		addresses = append(addresses, ip.String())
	}
	sum := sha256.Sum256(cert.Raw)
	p.fields("name", name, "version", version, "state", c.state(), "subject", cert.Subject.String(), "signed by", cert.Issuer.String(), "issuer", issuer,
		"host names", strings.Join(cert.DNSNames, ", "), "addresses", strings.Join(addresses, ", "), "authority", yes(cert.IsCA),
		"good from", moment(cert.NotBefore), "good until", moment(cert.NotAfter), "serial", cert.SerialNumber.Text(16), "sha-256", hex.EncodeToString(sum[:]),
		"key", key, "tags", tagText(c.Tags))
}

func (p *program) certificateCSR(vault *string) *cobra.Command {
	return &cobra.Command{
		Use: "csr NAME", Short: "Print the request that an authority elsewhere has to sign, in PEM", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			var waits whole[pending]
			if err := p.items(*vault).do(ctx, http.MethodGet, at(certificateKind, args[0], "pending"), nil, &waits); err != nil {
				return err
			}
			if p.json {
				return p.show(waits, nil)
			}
			if waits.V.Status != "inProgress" || len(waits.V.CSR) == 0 {
				return fmt.Errorf("the certificate %s waits for nobody: %s", args[0], waits.V.Status)
			}
			return p.writeOut("", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: waits.V.CSR}))
		}),
	}
}

func (p *program) certificateMerge(vault *string) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "merge NAME", Short: "Take what an authority elsewhere has signed, in PEM", Args: exactly(1),
		Long: `Take what an authority elsewhere has signed, in PEM from standard input or a file: the
certificate first, then those that vouch for it.`,
		RunE: runs(func(ctx context.Context, args []string) error {
			text, err := p.readIn(file, maxImport)
			if err != nil {
				return err
			}
			var chain []string
			for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
				if block.Type == "CERTIFICATE" {
					chain = append(chain, base64.StdEncoding.EncodeToString(block.Bytes))
				}
			}
			if len(chain) == 0 {
				return &usageError{errors.New("there is no certificate in it, in PEM")}
			}
			var merged whole[certificate]
			if err := p.items(*vault).do(ctx, http.MethodPost, at(certificateKind, args[0], "pending", "merge"), map[string]any{"x5c": chain}, &merged); err != nil {
				return err
			}
			return p.show(merged, func() { p.say("The certificate %s was made.", args[0]) })
		}),
	}
	cmd.Flags().StringVar(&file, "file", "", "read it from there; default standard input")
	return cmd
}

func (p *program) certificateImport(vault *string) *cobra.Command {
	var (
		c        change
		password bool
	)
	cmd := &cobra.Command{
		Use: "import NAME FILE", Short: "Import a certificate with its key, from PEM or PFX", Args: exactly(2),
		RunE: runs(func(ctx context.Context, args []string) error {
			text, err := p.readIn(args[1], maxImport)
			if err != nil {
				return err
			}
			body := map[string]any{"value": string(text)}
			if !bytes.Contains(text, []byte("-----BEGIN")) {
				body["value"] = base64.StdEncoding.EncodeToString(text)
			}
			if password {
				if body["pwd"], err = p.secretFromInput("password"); err != nil {
					return err
				}
			}
			if _, err := c.body(body); err != nil {
				return err
			}
			var made whole[certificate]
			if err := p.items(*vault).do(ctx, http.MethodPost, at(certificateKind, args[0], "import"), body, &made); err != nil {
				return err
			}
			return p.show(made, func() {
				_, version := made.V.named()
				p.say("The certificate %s has a new version: %s", args[0], version)
			})
		}),
	}
	cmd.Flags().BoolVar(&password, "password-stdin", false, "read the password of the file from standard input")
	changeFlags(cmd, &c, false)
	return cmd
}

// reasons are those of RFC 5280, section 5.3.1, for which an authority revokes.
var reasons = []string{"unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded", "cessationOfOperation"}

func (p *program) certificateRevoke(vault *string) *cobra.Command {
	var version, reason string
	cmd := &cobra.Command{
		Use: "revoke NAME", Short: "Revoke a certificate that an authority of the vault has signed", Args: exactly(1),
		RunE: runs(func(ctx context.Context, args []string) error {
			number := -1
			for i, known := range reasons {
				if strings.EqualFold(reason, known) {
					number = i
				}
			}
			if number < 0 {
				return &usageError{fmt.Errorf("--reason %q: want one of %s", reason, strings.Join(reasons, ", "))}
			}
			body := map[string]any{"vault": *vault, "name": args[0], "version": version, "reason": number}
			if err := p.ask(ctx, http.MethodPost, vaultPath+"revocations", nil, body, nil); err != nil {
				return err
			}
			return p.done("The certificate %s was revoked: it is on the list of its authority.", args[0])
		}),
	}
	cmd.Flags().StringVar(&version, "version", "", "an older version; default the current one")
	cmd.Flags().StringVar(&reason, "reason", reasons[0], strings.Join(reasons, ", "))
	return cmd
}

func (p *program) certificateCRL(vault *string) *cobra.Command {
	return &cobra.Command{
		Use: "crl AUTHORITY", Short: "Print the list of what an authority has revoked, in PEM", Args: exactly(1),
		Long: `Print the list of what an authority of the vault has revoked, in PEM. AUTHORITY is the
name of its certificate, and NAME-VERSION an older version of it.`,
		RunE: runs(func(ctx context.Context, args []string) error {
			var list struct {
				CRL []byte `json:"crl"`
			}
			if err := p.ask(ctx, http.MethodGet, vaultPath+"crl", url.Values{"vault": {*vault}, "authority": {args[0]}}, nil, &list); err != nil {
				return err
			}
			text := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list.CRL})
			if p.json {
				return p.show(map[string]string{"crl": string(text)}, nil)
			}
			return p.writeOut("", text)
		}),
	}
}
