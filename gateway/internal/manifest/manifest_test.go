package manifest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"flag"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/perdure/perdure/gateway/internal/document"
	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/gateway/internal/entitytest"
	"github.com/perdure/perdure/gateway/internal/manifest"
)

var update = flag.Bool("update", false, "write what comes out into testdata")

func TestGolden(t *testing.T) {
	t.Parallel()
	entitytest.Golden(t, "testdata/*.txtar", *update, func(t *testing.T, files map[string][]byte) (*entity.Config, []entity.Problem) {
		cert, key := pair(t)
		var all []manifest.File
		for name, data := range files {
			data = bytes.ReplaceAll(data, []byte("@tls.crt@"), cert)
			data = bytes.ReplaceAll(data, []byte("@tls.key@"), key)
			docs, err := document.Parse(data)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, manifest.File{Name: name, Docs: docs})
		}
		slices.SortFunc(all, func(a, b manifest.File) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) })
		config, problems := manifest.Read(all)
		compiled, found := config.Compile(nil)
		problems = append(problems, found...)
		entity.SortProblems(problems)
		if entity.Failed(problems) {
			return nil, problems
		}
		return compiled, problems
	})
}

// pair makes a certificate with its key, PEM in base64 as Secrets have them.
func pair(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"shop.example.com"}, NotAfter: time.Unix(4e9, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, data []byte) []byte {
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data})
		return []byte(base64.StdEncoding.EncodeToString(text))
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", pkcs8)
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: a, annotations: {konghq.com/plugins: p, konghq.com/rewrite: /$1}}\nspec:\n  rules:\n  - http: {paths: [{path: /a, pathType: Prefix, backend: {service: {name: s, port: {number: 80}}}}]}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: s, annotations: {perdure.dev/url: 'http://127.0.0.1:1'}}\nspec: {ports: [{port: 80}]}\n---\napiVersion: configuration.konghq.com/v1\nkind: KongPlugin\nmetadata: {name: p}\nplugin: jwt\n",
		"apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: a}\nspec: {backend: {serviceName: s, servicePort: 80}}\n---\napiVersion: perdure.dev/v1\nkind: ServiceAddresses\nmetadata: {name: a}\nservices: {s: [http://a, http://b:1]}\n",
		"apiVersion: v1\nkind: Secret\nmetadata: {name: a, labels: {konghq.com/credential: jwt}}\nstringData: {key: a}\n---\napiVersion: configuration.konghq.com/v1\nkind: KongConsumer\nmetadata: {name: c}\nusername: c\ncredentials: [a]\n",
		"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a, labels: {konghq.com/ca-cert: 'true'}}\n  data: {id: x, cert: y}\n",
		"apiVersion: configuration.konghq.com/v1\nkind: KongIngress\nmetadata: {name: a}\nroute: {methods: [GET]}\nupstream: {hash_on: ip, healthchecks: {active: {}}}\nproxy: {path: /}\n",
		"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: a}\nspec:\n  rules:\n  -",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, _ := document.Parse(data)
		config, problems := manifest.Read([]manifest.File{{Name: "a.yaml", Docs: docs}})
		if entity.Failed(problems) {
			return
		}
		if compiled, problems := config.Compile(nil); compiled == nil && !entity.Failed(problems) {
			t.Error("neither a configuration nor an error")
		}
	})
}
