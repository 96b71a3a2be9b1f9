package replay_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/perdure/perdure/internal/history"
	"github.com/perdure/perdure/internal/replay"
)

// TestPool runs many machines on one pool, of which some end well, some fail and some
// are closed while they wait. TestMain sees that no goroutine is left.
func TestPool(t *testing.T) {
	t.Parallel()
	var pool replay.Pool
	for i := range 1000 {
		m := pool.New("code", fmt.Sprint(i), func(m *replay.Machine, _ []byte) ([]byte, error) {
			m.Wait(m.Await("e"))
			switch i % 5 {
			case 0:
				panic("oh no")
			case 1:
				runtime.Goexit()
			case 2:
				m.Wait(m.Await("never"))
			}
			return []byte(m.Instance), nil
		})
		if _, _, err := m.Turn(epoch, []history.Event{started()}, nil); err != nil {
			t.Fatal(err)
		}
		recorded, _, err := m.Turn(epoch, []history.Event{{Kind: history.EventRaised, Name: "e"}}, nil)
		var panicked *replay.Panic
		switch {
		case i%5 < 2 != errors.As(err, &panicked):
			t.Fatalf("machine %d: %v", i, err)
		case i%5 > 2 && string(recorded[1].Data) != fmt.Sprint(i):
			t.Fatalf("machine %d recorded %v", i, recorded)
		case i == 500:
			pool.Close()
		}
		m.Close()
	}
}
