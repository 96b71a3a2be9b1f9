package entity

// Service is where requests go: an address, or the name of an upstream.
type Service struct {
	Meta
	Name     string `json:"name"`
	Protocol string `json:"protocol"` // http, https, grpc, grpcs
	Host     string `json:"host"`     // of the address, or the name of an Upstream
	Port     int    `json:"port"`
	Path     string `json:"path"` // put before the request's path; empty is none
	// Retries is how often another attempt follows one that could not be sent.
	Retries int `json:"retries"`
	// The times in milliseconds: to connect; between two writes; between two reads.
	ConnectTimeout int  `json:"connect_timeout"`
	WriteTimeout   int  `json:"write_timeout"`
	ReadTimeout    int  `json:"read_timeout"`
	Enabled        bool `json:"enabled"`
	// ClientCertificate is shown to the upstream server, with https.
	ClientCertificate Ref[Certificate] `json:"client_certificate"`
	TLSVerify         *bool            `json:"tls_verify"`       // nil: the gateway's setting
	TLSVerifyDepth    *int             `json:"tls_verify_depth"` // nil: the gateway's setting
	CACertificates    []string         `json:"ca_certificates"`  // ids
	// Upstream is the one whose name is Host, set by Compile; nil: Host is an address.
	Upstream *Upstream `json:"-"`
	// Trust are the CACertificates, set by Compile.
	Trust []*CACertificate `json:"-"`
}

// NewService returns a service with Kong's defaults.
func NewService() *Service {
	return &Service{
		Protocol: "http", Port: 80, Retries: 5, Enabled: true,
		ConnectTimeout: 60000, WriteTimeout: 60000, ReadTimeout: 60000,
	}
}

// Kind is Services.
func (s *Service) Kind() Kind { return Services }

// Label is the name, or else the host.
func (s *Service) Label() string { return first(s.Name, s.Host, s.ID) }

// TLS reports whether the service is spoken to by TLS.
func (s *Service) TLS() bool { return s.Protocol == "https" || s.Protocol == "grpcs" }

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
