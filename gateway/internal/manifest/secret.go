package manifest

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"github.com/perdure/perdure/gateway/internal/document"
	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/internal/suggest"
)

// datum is a value of a Secret or a ConfigMap.
type datum struct {
	text string
	line int
	bad  bool // there is a problem with it, which has been reported
}

// bad reports whether a value cannot be read: what is missing then is a mere consequence.
func bad(data map[string]datum) bool {
	for _, d := range data {
		if d.bad {
			return true
		}
	}
	return false
}

// secretData reads the values of a Secret or a ConfigMap.
func (r *reader) secretData(o *object) map[string]datum {
	data := map[string]datum{}
	r.within(o, func() {
		more := document.More{
			"data":       func(f document.Field) { r.data(f, o.kind == "Secret", data) },
			"stringData": func(f document.Field) { r.data(f, false, data) },
			"binaryData": func(document.Field) {},
		}
		for _, name := range []string{"apiVersion", "kind", "metadata", "type", "immutable"} {
			more[name] = func(document.Field) {}
		}
		r.Struct(o.Value, &struct{}{}, more, nil, "")
	})
	return data
}

func (r *reader) data(f document.Field, encoded bool, into map[string]datum) {
	if f.Value.Kind != document.Map {
		r.Errorf(f.Line, "%s must be a map", f.Name)
		return
	}
	for _, entry := range f.Value.Fields {
		text, ok := r.Text(entry.Value, f.Name+"."+entry.Name)
		if !ok {
			into[entry.Name] = datum{line: entry.Line, bad: true}
			continue
		}
		if encoded {
			raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
			if err != nil {
				r.Errorf(entry.Line, "data.%s is no base64; put plain text under stringData", entry.Name)
				into[entry.Name] = datum{line: entry.Line, bad: true}
				continue
			}
			if text = string(raw); !utf8.Valid(raw) {
				r.Errorf(entry.Line, "data.%s is no text", entry.Name)
				into[entry.Name] = datum{line: entry.Line, bad: true}
				continue
			}
			r.Text(&document.Value{Kind: document.String, Line: entry.Line, Text: text}, "data."+entry.Name)
		}
		if f.Name == "data" && into[entry.Name].text != "" {
			continue // stringData counts before data, as in Kubernetes
		}
		into[entry.Name] = datum{text: text, line: entry.Line}
	}
}

// secret finds a Secret, or says that it is not there.
func (r *reader) secret(namespace, name string, line int) *object {
	o := r.find("Secret", namespace, name)
	if o == nil {
		r.Errorf(line, "there is no Secret %q in the namespace %q%s", name, namespace, suggest.Hint(name, r.names("Secret", namespace)))
	}
	return o
}

// tls reads the certificates of an Ingress.
func (r *reader) tls(o *object, list []ingressTLS, lines map[string]int) {
	for i, t := range list {
		line := lineOf(lines, index("spec.tls", i), "spec.tls")
		if t.SecretName == "" {
			r.Warnf(line, "%s has no secretName, and no effect: names without a certificate of their own have the gateway's", index("spec.tls", i))
			continue
		}
		if len(t.Hosts) == 0 {
			r.Warnf(line, "%s has no hosts, and no effect: they are the names that the certificate is for", index("spec.tls", i))
			continue
		}
		id := r.certificate(o.namespace, t.SecretName, line)
		if id == "" {
			continue
		}
		for j, host := range t.Hosts {
			at := lineOf(lines, index(index("spec.tls", i)+".hosts", j), index("spec.tls", i))
			if other, taken := r.snis[host]; taken {
				if other != id {
					r.Errorf(at, "%q has another certificate already", host)
				}
				continue
			}
			r.snis[host] = id
			sni := &entity.SNI{Name: host, Certificate: entity.RefTo[entity.Certificate](id)}
			sni.Source = entity.Source{File: o.file, Line: at}
			r.config.SNIs = append(r.config.SNIs, sni)
		}
	}
}

// certificate returns the id of the certificate in a Secret, empty if there is none, which has been reported.
func (r *reader) certificate(namespace, name string, line int) string {
	o := r.secret(namespace, name, line)
	if o == nil {
		return ""
	}
	if id, done := r.certificates[o.key()]; done {
		return id
	}
	r.certificates[o.key()] = ""
	data := r.secretData(o)
	if data["tls.crt"].bad || data["tls.key"].bad {
		return ""
	}
	for _, field := range []string{"tls.crt", "tls.key"} {
		if data[field].text == "" {
			r.within(o, func() { r.Errorf(o.Line, "%s is missing: this is the Secret of a certificate", field) })
			return ""
		}
	}
	c := &entity.Certificate{Cert: data["tls.crt"].text, Key: data["tls.key"].text}
	c.Source = o.source()
	c.Source.Fields["cert"], c.Source.Fields["key"] = data["tls.crt"].line, data["tls.key"].line
	c.Tags = r.tags(o)
	c.ID = entity.DeriveID(&entity.Certificate{Cert: o.key()}, 1)
	r.config.Certificates = append(r.config.Certificates, c)
	r.certificates[o.key()] = c.ID
	return c.ID
}

// authority reads a Secret or a ConfigMap with an authority's certificate.
func (r *reader) authority(o *object) {
	if o.labels["konghq.com/ca-cert"] != "true" {
		return
	}
	data := r.secretData(o)
	if bad(data) {
		return
	}
	cert := data["cert"]
	if cert.text == "" {
		cert = data["ca.crt"]
	}
	if cert.text == "" || data["id"].text == "" {
		r.Errorf(o.Line, "needs id (a UUID) and cert, since it has the label konghq.com/ca-cert")
		return
	}
	c := &entity.CACertificate{Cert: cert.text}
	c.ID, c.Source, c.Tags = data["id"].text, o.source(), r.tags(o)
	c.Source.Fields["cert"], c.Source.Fields["id"] = cert.line, data["id"].line
	r.config.CACertificates = append(r.config.CACertificates, c)
}
