//go:build race

package pebble_test

// raceEnabled: Pebble checks its invariants in such a build, which makes each
// opening of a folder many times slower.
const raceEnabled = true
