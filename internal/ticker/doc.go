// Package ticker publishes the ticks of timers: each at its time, and each once.
//
// A timer has one record, which says up to where its ticks are decided. The unit that
// publishes a tick, as a delivery, moves the record, and commits only if nobody else has
// moved it. What becomes of a tick that was published is the matter of package delivery.
//
// Memory knows only up to which time ticks have come; which those are is worked out
// from the record. So nothing is lost when the store fails for a while, and nothing is
// doubled when the outcome of a commit was not heard of.
package ticker
