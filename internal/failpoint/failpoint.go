// Package failpoint names the places at which the crash test kills the program. In
// a program built without the tag failpoint, Hit is empty and costs nothing.
//
// In one built with it, the environment variable PERDURE_FAILPOINT says where the
// process kills itself: the name of a point and, after a colon, at which passing
// (the first if it is not given). PERDURE_FAILPOINT=engine.applied:3 kills it when
// engine.applied is reached for the third time.
package failpoint

// Env is the environment variable that chooses where the process dies.
const Env = "PERDURE_FAILPOINT"

// Point is a place in the program at which it may be killed.
type Point string

// The points. Each is passed in one place of the program.
const (
	// CommitterGathered: a group of transactions is about to be committed.
	CommitterGathered Point = "committer.gathered"
	// CommitterCommitted: a group is durable, and nobody was told.
	CommitterCommitted Point = "committer.committed"
	// UnitSealed: a unit of work is complete and about to be committed.
	UnitSealed Point = "unit.sealed"
	// UnitCommitted: a unit of work is durable, and its caller was not told.
	UnitCommitted Point = "unit.committed"
	// BlobSynced: an object's bytes are durable under a temporary name.
	BlobSynced Point = "blob.synced"
	// BlobNamed: an object has its name, which may not be durable.
	BlobNamed Point = "blob.named"
	// BlobCreated: an object is durable, and no row maps it.
	BlobCreated Point = "blob.created"
	// DeliveryStarted: an event function is about to run.
	DeliveryStarted Point = "delivery.started"
	// DeliveryRan: an event function has returned; its unit is not committed.
	DeliveryRan Point = "delivery.ran"
	// DeliveryCharged: a death is noted on a delivery, and still in the journal.
	DeliveryCharged Point = "delivery.charged"
	// ActivityStarted: an activity is about to run.
	ActivityStarted Point = "activity.started"
	// ActivityRan: an activity has returned; its instance does not know.
	ActivityRan Point = "activity.ran"
	// TurnRan: a turn has run; nothing of it is committed.
	TurnRan Point = "engine.turn"
	// EngineCommitted: a turn is durable; the engine does not know.
	EngineCommitted Point = "engine.committed"
	// EngineApplied: a durable turn changed the instance in memory; what it has
	// decided is not begun and nobody was answered.
	EngineApplied Point = "engine.applied"
	// EngineEvicting: an instance is out of the engine's reach; its coroutine is
	// still there.
	EngineEvicting Point = "engine.evicting"
	// EngineCharged: a death is noted on a turn or activity, and still in the
	// journal.
	EngineCharged Point = "engine.charged"
	// EngineResuming: at the start, an instance with work was found.
	EngineResuming Point = "engine.resuming"
	// CollectorRemoved: an object without a name is gone; the record of it is not.
	CollectorRemoved Point = "collector.removed"
)

// All returns every point.
func All() []Point {
	return []Point{
		CommitterGathered, CommitterCommitted, UnitSealed, UnitCommitted,
		BlobSynced, BlobNamed, BlobCreated,
		DeliveryStarted, DeliveryRan, DeliveryCharged,
		ActivityStarted, ActivityRan,
		TurnRan, EngineCommitted, EngineApplied, EngineEvicting, EngineCharged, EngineResuming,
		CollectorRemoved,
	}
}
