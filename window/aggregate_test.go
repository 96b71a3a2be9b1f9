package window_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/perdure/perdure/window"
)

// sale is the event of the tests.
type sale struct {
	Item   string
	Amount int
	Weight float64
}

// aggregated returns the result of an aggregate over sales in several parts, each of which
// is stored and read again on the way.
func aggregated[A any](t interface{ Fatal(...any) }, aggregate window.Aggregate[sale, A], parts ...[]sale) A {
	whole := aggregate()
	for _, part := range parts {
		state := again(t, aggregate, aggregate())
		for i, s := range part {
			if state.Add(s); i == len(part)/2 {
				state = again(t, aggregate, state)
			}
		}
		whole.Merge(again(t, aggregate, state))
	}
	return again(t, aggregate, whole).Result()
}

func again[A any](t interface{ Fatal(...any) }, aggregate window.Aggregate[sale, A], state window.State[sale, A]) window.State[sale, A] {
	data, err := state.AppendBinary([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	read := aggregate()
	if err := read.UnmarshalBinary(data[1:]); err != nil {
		t.Fatal(err)
	}
	return read
}

func amount(s sale) int  { return s.Amount }
func item(s sale) string { return s.Item }

type summary struct {
	Sales   int
	Average float64
	Items   int
}

// Every aggregate comes to the same as a naive computation, in whatever parts the
// events come.
func TestAggregatesBehaveAsNaive(t *testing.T) {
	t.Parallel()
	sales := rapid.Custom(func(t *rapid.T) sale {
		return sale{
			Item:   rapid.StringMatching(`[a-d]{0,2}`).Draw(t, "item"),
			Amount: rapid.IntRange(-5, 20).Draw(t, "amount"),
			Weight: float64(rapid.IntRange(-8, 8).Draw(t, "weight")) / 4,
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SliceOf(sales), 1, 4).Draw(t, "parts")
		all := slices.Concat(parts...)
		if len(all) == 0 {
			return
		}
		check := func(what string, got, want any) {
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
		total, weight, counts := 0, 0.0, map[string]int{}
		for _, s := range all {
			total += s.Amount
			weight += s.Weight
			counts[s.Item]++
		}
		check("count", aggregated(t, window.Count, parts...), len(all))
		check("sum", aggregated(t, window.Sum(amount), parts...), total)
		check("sum of floats", aggregated(t, window.Sum(func(s sale) float64 { return s.Weight }), parts...), weight)
		check("average", aggregated(t, window.Average(amount), parts...), float64(total)/float64(len(all)))
		check("min", aggregated(t, window.Min(amount), parts...), slices.MinFunc(all, func(a, b sale) int { return a.Amount - b.Amount }).Amount)
		check("max", aggregated(t, window.Max(amount), parts...), slices.MaxFunc(all, func(a, b sale) int { return a.Amount - b.Amount }).Amount)
		check("min of strings", aggregated(t, window.Min(item), parts...), slices.Min(slices.Collect(maps.Keys(counts))))
		check("distinct", aggregated(t, window.Distinct(item), parts...), len(counts))
		check("fold", aggregated(t, window.Fold(func() int { return 1 }, func(n int, s sale) int { return max(n, s.Amount) },
			func(a, b int) int { return max(a, b) }), parts...), max(1, slices.MaxFunc(all, func(a, b sale) int { return a.Amount - b.Amount }).Amount))
		check("struct", aggregated(t, window.Struct(
			window.Into(window.Count[sale], func(s *summary, n int) { s.Sales = n }),
			window.Into(window.Average(amount), func(s *summary, a float64) { s.Average = a }),
			window.Into(window.Distinct(item), func(s *summary, n int) { s.Items = n }),
		), parts...), summary{len(all), float64(total) / float64(len(all)), len(counts)})

		top := slices.Clone(all)
		slices.SortFunc(top, func(a, b sale) int {
			return cmp.Or(cmp.Compare(b.Amount, a.Amount), cmp.Compare(text(a), text(b)))
		})
		check("top", aggregated(t, window.Top(3, amount), parts...), top[:min(3, len(top))])

		var frequent []window.Frequency[string]
		for value, n := range counts {
			frequent = append(frequent, window.Frequency[string]{Value: value, Count: n})
		}
		slices.SortFunc(frequent, func(a, b window.Frequency[string]) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value))
		})
		check("most frequent", aggregated(t, window.MostFrequent(3, item), parts...), frequent[:min(3, len(frequent))])
	})
}

func text(s sale) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// Beyond its bound Distinct is an estimate with the error that is documented.
func TestDistinctEstimates(t *testing.T) {
	t.Parallel()
	for _, n := range []int{window.MaxExactDistinct, window.MaxExactDistinct + 1, 5000, 100_000} {
		var parts [3][]sale
		for i := range n {
			parts[i%3] = append(parts[i%3], sale{Item: fmt.Sprint(i)}, sale{Item: fmt.Sprint(i / 2)})
		}
		got := aggregated(t, window.Distinct(item), parts[:]...)
		tolerance := 0.0
		if n > window.MaxExactDistinct {
			tolerance = 5 * 0.0081 * float64(n) // five standard errors
		}
		if math.Abs(float64(got-n)) > tolerance {
			t.Errorf("%d of %d different values counted", got, n)
		}
	}
}

// Beyond its bound MostFrequent finds what is frequent, and says how much its counts may
// be too great.
func TestMostFrequentForgets(t *testing.T) {
	t.Parallel()
	var parts [3][]sale
	for i := range 30_000 {
		parts[i%3] = append(parts[i%3], sale{Item: fmt.Sprint("rare", i)})
		if i%10 < 3 {
			parts[i%3] = append(parts[i%3], sale{Item: fmt.Sprint("often", i%10)})
		}
	}
	found := aggregated(t, window.MostFrequent(3, item), parts[:]...)
	for i, f := range found {
		if f.Value != fmt.Sprint("often", i) || f.Count < 3000 || f.Count-f.Error > 3000 {
			t.Errorf("place %d: %+v, want often%d 3000 times", i, f, i)
		}
	}
}

func TestTopOfWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	state := window.Top(1, func(f float64) float64 { return f })()
	state.Add(math.Inf(1))
	if _, err := state.AppendBinary(nil); err == nil {
		t.Error("an event that JSON cannot hold was kept")
	}
}

// FuzzStates reads damaged states.
func FuzzStates(f *testing.F) {
	sales := []sale{{"a", 1, 2}, {"b", 2, 3}}
	for _, s := range states() {
		for _, one := range sales {
			s.Add(one)
		}
		data, err := s.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte{})
	f.Add([]byte{1, 2, 14, 0, 0, 0, 0x40, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		for i, s := range states() {
			if s.UnmarshalBinary(data) != nil {
				continue
			}
			s.Add(sales[0])
			once, err := s.AppendBinary(nil)
			if err != nil {
				continue
			}
			again := states()[i]
			if err := again.UnmarshalBinary(once); err != nil {
				t.Errorf("aggregate %d does not read what it wrote: %v", i, err)
			}
		}
	})
}

// anyState is a state of any result.
type anyState interface {
	Add(sale)
	AppendBinary([]byte) ([]byte, error)
	UnmarshalBinary([]byte) error
}

func states() []anyState {
	return []anyState{
		window.Count[sale](), window.Sum(amount)(), window.Average(amount)(), window.Min(item)(), window.Max(amount)(),
		window.Distinct(item)(), window.Top(2, amount)(), window.MostFrequent(2, item)(),
		window.Fold(func() int { return 0 }, func(n int, _ sale) int { return n + 1 }, func(a, b int) int { return a + b })(),
		window.Struct(window.Into(window.Count[sale], func(s *summary, n int) { s.Sales = n }))(),
	}
}
