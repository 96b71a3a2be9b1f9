// Package rights says who may do what in the vaults: grants as rows. Nothing is allowed but what some grant allows, and
// no grant forbids.
//
// A grant is for one member: a person, an application, a managed identity, or everybody who has a role. It names
// operations of a kind of item, or one of the Sets, in one vault or in all, on one name, on those with a prefix, or on
// all. Names of items are compared without regard to case, as Azure Key Vault does.
//
// Decisions are made from a copy in memory of all grants. The row of the generation, which every change of a grant
// changes, is read in the unit of work of what was asked for, and so validated at its commit: a right that was taken
// away does not count for any unit that commits afterwards, on whichever node.
package rights
