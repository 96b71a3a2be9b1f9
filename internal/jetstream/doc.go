// Package jetstream lets a stream or a queue live on NATS JetStream. A Link ties one of
// them to a JetStream stream.
//
// What a unit of work appends is committed to an outbox in the store. The link publishes
// it in order, one message after another, each under an id that stays the same, and
// removes it when the server has stored it. So what was committed arrives, and in order;
// it may arrive twice when the answer of the server was lost.
//
// The events of a stream are read back, in the order of JetStream, into the stream's
// partitions in the store. How far the link has read is written in the unit that stores
// what was read, and so is the latest position of each store that sends: what arrived
// twice is stored once. Functions read the partitions and know nothing of JetStream.
//
// The messages of a queue are taken from a consumer that all apps share. They become
// deliveries, with a note of their sequence numbers, and are acknowledged after that
// commit; the note drops a message that comes again because its acknowledgement was lost.
//
// A connection that breaks is not mended but made anew, by the link, after a pause of the
// app's clock. Within a connection the client's own time limits are those of the machine.
package jetstream
