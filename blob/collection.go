package blob

import (
	"context"
	"fmt"
	"net/url"
	"reflect"

	"github.com/perdure/perdure/internal/resource"
)

var _ resource.Collection = (*ContainerRef)(nil)

// BindCollection fills fields of type []Info with the blobs whose names have a prefix.
// What is found is not validated at commit.
func (c *ContainerRef) BindCollection(field reflect.Type) (resource.List, error) {
	if field != reflect.TypeFor[[]Info]() {
		return nil, fmt.Errorf("container %q fills a field of type []blob.Info, not %v", c.name, field)
	}
	return func(ctx context.Context, key string, limit int) (reflect.Value, error) {
		prefix, err := url.PathUnescape(key)
		if err != nil {
			return reflect.Value{}, fmt.Errorf("%w: prefix %q", ErrName, key)
		}
		found := []Info{}
		for info, err := range c.List(ctx, Prefix(prefix), Limit(limit)) {
			if err != nil {
				return reflect.Value{}, err
			}
			found = append(found, info)
		}
		return reflect.ValueOf(found), nil
	}, nil
}
