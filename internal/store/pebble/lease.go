package pebble

import (
	"context"
	"encoding/binary"
	"time"

	engine "github.com/cockroachdb/pebble/v2"
)

// AcquireLease implements store.Store. It waits its turn among the commits, so
// no group under way can count on the epoch it ends.
func (s *Store) AcquireLease(ctx context.Context, name, owner string, ttl time.Duration) (uint64, error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.end()
	epoch, err := s.leases.Next(name, owner, ttl)
	if err != nil {
		return 0, err
	}
	batch := s.db.NewBatch()
	if err := batch.Set(leaseKey(name), binary.BigEndian.AppendUint64(nil, epoch), engine.Sync); err != nil {
		return 0, err
	}
	if err := s.sync(batch); err != nil {
		return 0, err
	}
	s.leases.Grant(name, owner, epoch, ttl)
	return epoch, nil
}

func leaseKey(name string) []byte {
	return append(append(make([]byte, 0, len(leasePrefix)+len(name)), leasePrefix...), name...)
}

// RenewLease implements store.Store. It writes nothing: a lease ends with the
// process that holds the folder.
func (s *Store) RenewLease(_ context.Context, name string, epoch uint64, ttl time.Duration) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.calls.Leave()
	return s.leases.Renew(name, epoch, ttl)
}

// ReleaseLease implements store.Store.
func (s *Store) ReleaseLease(_ context.Context, name string, epoch uint64) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.calls.Leave()
	s.leases.Release(name, epoch)
	return nil
}
