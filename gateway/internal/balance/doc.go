// Package balance chooses who answers: from a compiled configuration it makes the balancers of its services. A
// service is an address, or an upstream whose targets share the requests by one of Kong's algorithms.
//
// What is known of targets, and the connections to them, belong to a Set and are kept over reloads as long as
// their description is the same. Picking takes no lock and allocates nothing.
package balance
