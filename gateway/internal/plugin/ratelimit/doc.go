// Package ratelimit is Kong's plugin rate-limiting: so many requests in a second, a minute, an hour, a day, a
// month or a year, each beginning with that of the calendar in UTC. Requests are counted in this process, before
// they go on, so that no two take the last one of a limit.
package ratelimit
