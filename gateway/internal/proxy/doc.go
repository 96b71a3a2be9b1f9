// Package proxy is the way of a request through the gateway. An Exchange is a request
// with its answer, whichever protocol either side speaks; a Chain of plugins decides
// about it; a Balancer chooses the Endpoint that answers it: an HTTP/1.1 or HTTP/2
// upstream, or a handler in this process. Server accepts the connections and gives each
// exchange to the Handler of the day, which can be swapped between two requests.
package proxy
