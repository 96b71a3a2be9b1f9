// Package networks reads lists of addresses and networks in settings.
package networks

import (
	"errors"
	"fmt"
	"net/netip"
)

// Trusted reads the addresses and networks of proxies that are trusted, such as "10.0.0.0/8" and "192.0.2.7". Field is the name of
// the setting in errors; one that is wrong is left out.
func Trusted(field string, all []string) ([]netip.Prefix, error) {
	var found []netip.Prefix
	var errs []error
	for _, text := range all {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			addr, addrErr := netip.ParseAddr(text)
			if addrErr != nil {
				errs = append(errs, fmt.Errorf("%s: %q: want an address such as 192.0.2.7, or a network such as 10.0.0.0/8", field, text))
				continue
			}
			prefix = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		}
		if prefix.Bits() == 0 {
			errs = append(errs, fmt.Errorf("%s: %q is everybody, who could then say to be anybody", field, text))
		}
		found = append(found, prefix.Masked())
	}
	return found, errors.Join(errs...)
}
