//go:build race

package proxy_test

// raceDetector says that pools forget on purpose.
const raceDetector = true
