package pki

import (
	"crypto/x509/pkix"
	"encoding/asn1"
)

// ReadExtensions reads what is read of the extensions of certificates and requests from outside.
func ReadExtensions(value []byte) {
	for _, id := range []asn1.ObjectIdentifier{oidAltName, oidKeyUsage, oidExtKeyUsage, oidBasicConstraints} {
		e := []pkix.Extension{{Id: id, Value: value}}
		upns(e)
		usageOf(e)
		extUsagesOf(e)
	}
}
