//go:build race

package main

// raceEnabled: Pebble checks its invariants in such a build, which makes each start
// many times slower.
const raceEnabled = true
