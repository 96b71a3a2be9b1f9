package manifest

import (
	"slices"
	"strconv"
	"strings"

	"github.com/perdure/perdure/gateway/internal/document"
	"github.com/perdure/perdure/gateway/internal/entity"
	"github.com/perdure/perdure/internal/suggest"
)

// File is a file with manifests.
type File struct {
	Name string // as messages call it
	Docs []*document.Value
}

// object is what all manifests have.
type object struct {
	*document.Value
	file      string
	version   string // apiVersion
	kind      string
	namespace string
	name      string
	// annotations are those of Kong and this gateway by today's names, without "konghq.com/", and others in full.
	annotations map[string]annotation
	labels      map[string]string
}

type annotation struct {
	value string
	line  int
}

// key names an object among those of its kind.
func (o *object) key() string { return o.namespace + "/" + o.name }

// describe is what messages call an object.
func (o *object) describe() string { return o.kind + " " + strconv.Quote(o.key()) }

// source is where an object stands.
func (o *object) source() entity.Source {
	return entity.Source{File: o.file, Line: o.Line, Fields: map[string]int{}}
}

// reader collects objects, and problems.
type reader struct {
	document.Decoder
	class   string
	objects map[string]map[string]*object // by kind and key
	order   []*object
	config  *entity.Config

	services     map[string]*entity.Service // by their names
	snis         map[string]string          // the secret that each name has
	certificates map[string]string          // ids by the keys of secrets
	uses         map[*object]*uses          // of plugins
	reached      map[*object]bool           // Services that an Ingress leads to
	first        *object                    // the Ingress with the default backend
	overrides    map[*document.Field]*object
	consumers    map[string]string // names or ids of consumers by the keys of KongConsumers
}

// Class is the class of Ingresses that are read, as with Kong's controller.
const Class = "kong"

// Read makes a configuration of manifests. It is not compiled yet.
func Read(files []File) (*entity.Config, []entity.Problem) {
	r := &reader{
		class: Class, objects: map[string]map[string]*object{}, config: &entity.Config{},
		services: map[string]*entity.Service{}, snis: map[string]string{}, certificates: map[string]string{},
		uses: map[*object]*uses{}, reached: map[*object]bool{}, overrides: map[*document.Field]*object{},
		consumers: map[string]string{},
	}
	for _, f := range files {
		r.File = f.Name
		for _, doc := range f.Docs {
			r.collect(doc)
		}
	}
	r.translate()
	entity.SortProblems(r.Problems)
	// What is used several times is read several times, and says once what is wrong with it.
	return r.config, slices.Compact(r.Problems)
}

// collect enters an object, or those of a List.
func (r *reader) collect(doc *document.Value) {
	r.What = ""
	if doc.Kind != document.Map {
		r.Errorf(doc.Line, "is no manifest: a map with apiVersion and kind")
		return
	}
	kind, version := doc.Get("kind"), doc.Get("apiVersion")
	if !kind.IsSet() || !version.IsSet() {
		r.Errorf(doc.Line, "is no manifest: apiVersion or kind is missing")
		return
	}
	o := &object{Value: doc, file: r.File, labels: map[string]string{}, annotations: map[string]annotation{}}
	var ok1, ok2 bool
	o.kind, ok1 = r.Text(kind, "kind")
	o.version, ok2 = r.Text(version, "apiVersion")
	if !ok1 || !ok2 {
		return
	}
	if o.kind == "List" {
		if items := doc.Get("items"); items.IsSet() {
			for _, item := range items.Items {
				r.collect(item)
			}
		}
		return
	}
	if !r.known(o) {
		return
	}
	r.metadata(o)
	if o.name == "" {
		r.Errorf(doc.Line, "metadata.name is missing")
		return
	}
	of := r.objects[o.kind]
	if of == nil {
		of = map[string]*object{}
		r.objects[o.kind] = of
	}
	if before := of[o.key()]; before != nil {
		r.Errorf(doc.Line, "is there twice, first at %s:%d", before.file, before.Line)
		return
	}
	of[o.key()] = o
	r.order = append(r.order, o)
}

// versions are the kinds that are read with today's and older versions.
var versions = map[string][]string{
	"Ingress":            {"networking.k8s.io/v1", "networking.k8s.io/v1beta1", "extensions/v1beta1"},
	"IngressClass":       {"networking.k8s.io/v1", "networking.k8s.io/v1beta1"},
	"Service":            {"v1"},
	"Secret":             {"v1"},
	"ConfigMap":          {"v1"},
	"Endpoints":          {"v1"},
	"EndpointSlice":      {"discovery.k8s.io/v1", "discovery.k8s.io/v1beta1"},
	"KongPlugin":         {"configuration.konghq.com/v1"},
	"KongClusterPlugin":  {"configuration.konghq.com/v1"},
	"KongConsumer":       {"configuration.konghq.com/v1"},
	"KongCredential":     {"configuration.konghq.com/v1"},
	"KongIngress":        {"configuration.konghq.com/v1"},
	"KongUpstreamPolicy": {"configuration.konghq.com/v1beta1"},
	"ServiceAddresses":   {"perdure.dev/v1"},
}

// clusterWide are the kinds without a namespace.
var clusterWide = []string{"KongClusterPlugin", "IngressClass"}

// elsewhere are kinds of Kong and of the Gateway API that are not read, and what to do instead.
var elsewhere = map[string]string{
	"TCPIngress":             "TCP is not served",
	"UDPIngress":             "UDP is not served",
	"KongConsumerGroup":      "there are no consumer groups; the plugin acl has groups of its own",
	"KongCustomEntity":       "there are no custom entities",
	"KongVault":              "there are no vaults here; write values into Secrets",
	"KongLicense":            "nothing here needs a licence",
	"IngressClassParameters": "say it by annotations of the Ingress",
	"KongServiceFacade":      "name the Service itself",
	"Gateway":                "routes are read from Ingress",
	"GatewayClass":           "routes are read from Ingress",
	"HTTPRoute":              "routes are read from Ingress",
	"GRPCRoute":              "routes are read from Ingress",
	"TCPRoute":               "TCP is not served",
	"TLSRoute":               "TCP is not served",
	"UDPRoute":               "UDP is not served",
}

// known reports whether an object is read. One that is of no concern is passed over; one that is misspelt,
// or cannot be served, is an error.
func (r *reader) known(o *object) bool {
	group, _, _ := strings.Cut(o.version, "/")
	ours := strings.HasSuffix(group, "konghq.com") || group == "perdure.dev"
	allowed, read := versions[o.kind]
	r.What = o.kind
	switch reason, refused := elsewhere[o.kind]; {
	case read && slices.Contains(allowed, o.version):
		if o.version != allowed[0] && o.kind != "EndpointSlice" {
			r.Warnf(o.Get("apiVersion").Line, "apiVersion %q is old; today it is %q", o.version, allowed[0])
		}
		return true
	case refused && (ours || group == "gateway.networking.k8s.io"):
		r.Errorf(o.Line, "is not read: %s", reason)
	case read && (ours || suggestsVersion(o.version, allowed)):
		r.Errorf(o.Get("apiVersion").Line, "apiVersion %q is not that of a %s; write %q", o.version, o.kind, allowed[0])
	case !read:
		var kinds []string
		for kind := range versions {
			kinds = append(kinds, kind)
		}
		slices.Sort(kinds)
		r.What = ""
		if near, ok := suggest.Nearest(o.kind, kinds); ok && !builtIn(o.kind) || ours {
			if !ok {
				near = strings.Join(kinds, ", ")
			}
			r.Errorf(o.Get("kind").Line, "the kind %q is not known; did you mean %s?", o.kind, near)
		}
	}
	return false
}

// suggestsVersion reports whether a version is a misspelt one, rather than one of somebody else's kind
// of the same name (such as Knative's Service).
func suggestsVersion(version string, allowed []string) bool {
	group, _, _ := strings.Cut(version, "/")
	for _, a := range allowed {
		if g, _, _ := strings.Cut(a, "/"); g == group || !strings.Contains(version, "/") {
			return true
		}
	}
	_, near := suggest.Nearest(version, allowed)
	return near
}

// builtIn are kinds of Kubernetes that look like those that are read.
func builtIn(kind string) bool {
	return slices.Contains([]string{"ServiceAccount", "ServiceEntry"}, kind)
}

// meta is metadata.
type meta struct {
	Name        string         `json:"name"`
	Namespace   string         `json:"namespace"`
	Labels      map[string]any `json:"labels"`
	Annotations map[string]any `json:"annotations"`

	GenerateName      string `json:"generateName"`
	SelfLink          string `json:"selfLink"`
	UID               string `json:"uid"`
	ResourceVersion   string `json:"resourceVersion"`
	Generation        int    `json:"generation"`
	CreationTimestamp any    `json:"creationTimestamp"`
	DeletionTimestamp any    `json:"deletionTimestamp"`
	OwnerReferences   any    `json:"ownerReferences"`
	Finalizers        any    `json:"finalizers"`
	ManagedFields     any    `json:"managedFields"`
	ClusterName       string `json:"clusterName"`
}

func (r *reader) metadata(o *object) {
	v := o.Get("metadata")
	if !v.IsSet() {
		return
	}
	var m meta
	r.Struct(v, &m, nil, nil, "metadata")
	o.name, o.namespace = m.Name, m.Namespace
	if o.namespace == "" {
		o.namespace = "default"
	}
	if slices.Contains(clusterWide, o.kind) {
		o.namespace = ""
	}
	r.What = o.describe()
	if labels := v.Get("labels"); labels.IsSet() {
		for _, f := range labels.Fields {
			if text, ok := r.Text(f.Value, "metadata.labels."+f.Name); ok {
				o.labels[f.Name] = text
			}
		}
	}
	if all := v.Get("annotations"); all.IsSet() {
		for _, f := range all.Fields {
			if text, ok := r.Text(f.Value, "metadata.annotations."+f.Name); ok {
				r.annotate(o, f.Name, text, f.Line)
			}
		}
	}
}

// find returns an object by kind and key.
func (r *reader) find(kind, namespace, name string) *object {
	if slices.Contains(clusterWide, kind) {
		namespace = ""
	}
	return r.objects[kind][namespace+"/"+name]
}

// names are those of the objects of a kind in a name space; none when nobody will read them.
func (r *reader) names(kind, namespace string) []string {
	if len(r.Problems) > entity.MaxProblems {
		return nil
	}
	var names []string
	for _, o := range r.objects[kind] {
		if o.namespace == namespace || o.namespace == "" {
			names = append(names, o.name)
		}
	}
	slices.Sort(names)
	return names
}

// each does something for each object of a kind, in the order of the files.
func (r *reader) each(kind string, do func(o *object)) {
	for _, o := range r.order {
		if o.kind == kind {
			r.File, r.What = o.file, o.describe()
			do(o)
		}
	}
}

// within does something with the messages being about an object.
func (r *reader) within(o *object, do func()) {
	file, what := r.File, r.What
	r.File, r.What = o.file, o.describe()
	do()
	r.File, r.What = file, what
}

// translate makes entities of the objects.
func (r *reader) translate() {
	r.each("Secret", r.authority)
	r.each("ConfigMap", r.authority)
	r.each("Ingress", r.ingress)
	r.each("KongConsumer", r.consumer)
	r.each("KongCredential", r.oldCredential)
	r.each("ServiceAddresses", r.checkOverrides)
	r.each("KongPlugin", r.plugin)
	r.each("KongClusterPlugin", r.plugin)
	r.each("Service", r.checkAnnotations)
}

// tags are those that Kong's controller gives an entity.
func (r *reader) tags(o *object) []string {
	tags := []string{"k8s-name:" + o.name}
	if o.namespace != "" {
		tags = append(tags, "k8s-namespace:"+o.namespace)
	}
	tags = append(tags, "k8s-kind:"+o.kind)
	group, version, ok := strings.Cut(o.version, "/")
	if !ok {
		group, version = "", group
	}
	// A tag has no "/": group and version are apart.
	if group != "" {
		tags = append(tags, "k8s-group:"+group)
	}
	tags = append(tags, "k8s-version:"+version)
	if own, ok := o.annotation("tags"); ok {
		for _, tag := range split(own.value) {
			if !slices.Contains(tags, tag) {
				tags = append(tags, tag)
			}
		}
	}
	return tags
}

// split cuts a list at its commas.
func split(list string) []string {
	var parts []string
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}
