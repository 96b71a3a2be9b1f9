// Package kongfile reads Kong's declarative configuration, kong.yml, in YAML or JSON: the format that Kong
// without a database loads, and that decK writes. Entities may stand within those they belong to, or refer
// to them by name or id.
package kongfile
