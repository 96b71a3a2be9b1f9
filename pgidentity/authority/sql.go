package authority

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// foreignRole is the SQLSTATE by which the statements say that a role is not Perdure's.
const foreignRole = "PD001"

// ident is a name as SQL quotes it.
func ident(name string) string { return pgx.Identifier{name}.Sanitize() }

// literal is a text as SQL quotes it, whatever standard_conforming_strings says.
func literal(text string) string {
	quoted := "'" + strings.ReplaceAll(text, "'", "''") + "'"
	if strings.Contains(text, `\`) {
		quoted = " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

// block is an anonymous block of PL/pgSQL.
func block(body string) string {
	tag := "$perdure$"
	for strings.Contains(body, tag) {
		tag = tag[:len(tag)-1] + "_$"
	}
	return "DO " + tag + " " + body + " " + tag
}

// role is a role of an identity or a lease, as the statements need it.
type role struct {
	name    string
	comment string // by which it is known again
}

// ensureRole makes a role unless it is there. It fails with foreignRole for one that somebody else has made.
func ensureRole(name, comment, attributes string) string {
	return block(fmt.Sprintf(`BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %[1]s) THEN
    CREATE ROLE %[2]s %[4]s;
    COMMENT ON ROLE %[2]s IS %[3]s;
  ELSIF (SELECT pg_catalog.shobj_description(oid, 'pg_authid') FROM pg_catalog.pg_roles WHERE rolname = %[1]s) IS DISTINCT FROM %[3]s THEN
    RAISE EXCEPTION 'role %% was not made by Perdure for this', %[1]s USING ERRCODE = '%[5]s';
  END IF;
END`, literal(name), ident(name), literal(comment), attributes, foreignRole))
}

// prepareStatements are what a server needs once.
func prepareStatements() []string {
	return []string{ensureRole(Group, groupComment, "NOLOGIN"), ensureRole(heirRole, heirComment, "NOLOGIN")}
}

const (
	groupComment = "perdure: may come in by certificate"
	heirComment  = "perdure: owns what others have left, and may do nothing"
)

// heir is who gets what a role owns that loses the rights of a grant. It is never the administrator: among it may be functions that
// run as their owner (SECURITY DEFINER), also temporary ones, and views, and who made them could go on calling them.
func heir(g Grant) string {
	if g.Access == DDL { // who may change it
		return ident(ownerRole(g.Database, g.Schemas[0]))
	}
	return ident(heirRole)
}

// closeStatements take from everybody what PostgreSQL gives to everybody in a database; to be run in it.
func closeStatements(database string) []string {
	return []string{
		fmt.Sprintf("REVOKE CONNECT, TEMPORARY ON DATABASE %s FROM PUBLIC", ident(database)),
		block("BEGIN\n  IF EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'public') THEN REVOKE CREATE ON SCHEMA public FROM PUBLIC; END IF;\nEND"),
	}
}

// grantStatements give a role the rights of a grant, instead of those that it has in that database; to be run there as
// one transaction. All are the grants of the role, with this one.
func grantStatements(r role, g Grant, all []Grant) []string {
	name, database := ident(r.name), ident(g.Database)
	list := prepareStatements()
	list = append(list,
		ensureRole(r.name, r.comment, "LOGIN"),
		fmt.Sprintf("ALTER ROLE %s LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT PASSWORD NULL", name),
		fmt.Sprintf("GRANT %s TO %s", Group, name),
	)
	list = append(list, closeStatements(g.Database)...)
	for _, schema := range g.Schemas {
		list = append(list, ensureRole(ownerRole(g.Database, schema), ownerComment(g.Database, schema), "NOLOGIN"))
	}
	// What it had before. This takes the right to connect away in every database.
	list = append(list, takeStatements(r.name, g)...)
	for _, one := range all {
		list = append(list, fmt.Sprintf("GRANT CONNECT ON DATABASE %s TO %s", ident(one.Database), name))
		if one.Access != Reader {
			list = append(list, fmt.Sprintf("GRANT TEMPORARY ON DATABASE %s TO %s", ident(one.Database), name))
		}
	}
	for _, schema := range g.Schemas {
		list = append(list, schemaStatements(r.name, g, schema)...)
	}
	if g.Access == DDL { // what it makes belongs to all who may change it
		list = append(list, fmt.Sprintf("ALTER ROLE %s IN DATABASE %s SET role = %s", name, database, literal(ownerRole(g.Database, g.Schemas[0]))))
	}
	return list
}

func ownerComment(database, schema string) string {
	return "perdure: owns what ddl makes in " + database + "." + schema
}

// schemaStatements give the rights of a grant in a schema: on what is there, and on what will be.
func schemaStatements(name string, g Grant, schema string) []string {
	to, owner, usage := ident(name), ident(ownerRole(g.Database, schema)), "USAGE"
	tables, sequences := "SELECT", "SELECT"
	switch g.Access {
	case Writer:
		tables, sequences = "SELECT, INSERT, UPDATE, DELETE", "USAGE, SELECT"
	case DDL:
		to, usage, tables, sequences = owner, "USAGE, CREATE", "ALL", "ALL"
	}
	list := []string{
		fmt.Sprintf("GRANT %s ON SCHEMA %s TO %s", usage, ident(schema), to),
		fmt.Sprintf("GRANT %s ON ALL TABLES IN SCHEMA %s TO %s", tables, ident(schema), to),
		fmt.Sprintf("GRANT %s ON ALL SEQUENCES IN SCHEMA %s TO %s", sequences, ident(schema), to),
		// Who makes tables there: the administrator, the owners, and identities with ddl.
		block(fmt.Sprintf(`DECLARE maker name; BEGIN
  FOR maker IN SELECT current_user UNION SELECT %[1]s
    UNION SELECT pg_catalog.pg_get_userbyid(datdba) FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
    UNION SELECT pg_catalog.pg_get_userbyid(nspowner) FROM pg_catalog.pg_namespace WHERE nspname = %[2]s
  LOOP
    CONTINUE WHEN pg_catalog.left(maker, 3) = 'pg_';
    EXECUTE pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %%I IN SCHEMA %%I GRANT %[4]s ON TABLES TO %%I', maker, %[2]s, %[3]s);
    EXECUTE pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %%I IN SCHEMA %%I GRANT %[5]s ON SEQUENCES TO %%I', maker, %[2]s, %[3]s);
  END LOOP;
END`, literal(ownerRole(g.Database, schema)), literal(schema), literal(unquote(to, name, ownerRole(g.Database, schema))), tables, sequences)),
	}
	if g.Access == DDL {
		list = append(list, fmt.Sprintf("GRANT %s TO %s", owner, ident(name)))
	}
	return list
}

// unquote returns which of the names a quoted one is.
func unquote(quoted string, names ...string) string {
	return names[slices.IndexFunc(names, func(name string) bool { return ident(name) == quoted })]
}

// takeStatements take a role's rights in a database away; to be run there. What it owns goes to its heir.
func takeStatements(name string, g Grant) []string {
	return []string{
		ensureRole(heirRole, heirComment, "NOLOGIN"),
		fmt.Sprintf("REASSIGN OWNED BY %s TO %s", ident(name), heir(g)),
		fmt.Sprintf("DROP OWNED BY %s", ident(name)),
		block(fmt.Sprintf(`DECLARE owner name; BEGIN
  FOR owner IN SELECT g.rolname FROM pg_catalog.pg_auth_members m
    JOIN pg_catalog.pg_roles g ON g.oid = m.roleid JOIN pg_catalog.pg_roles r ON r.oid = m.member
    WHERE r.rolname = %s AND pg_catalog.starts_with(pg_catalog.shobj_description(g.oid, 'pg_authid'), %s)
  LOOP
    EXECUTE pg_catalog.format('REVOKE %%I FROM %%I', owner, %[1]s);
  END LOOP;
END`, literal(name), literal(ownerComment(g.Database, "")))),
		fmt.Sprintf("ALTER ROLE %s IN DATABASE %s RESET role", ident(name), ident(g.Database)),
	}
}

// ifOurs runs statements if there is the role and it is Perdure's.
func ifOurs(r role, statements ...string) string {
	return block(fmt.Sprintf(`BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %s AND pg_catalog.shobj_description(oid, 'pg_authid') = %s) THEN
    %s;
  END IF;
END`, literal(r.name), literal(r.comment), strings.Join(statements, ";\n    ")))
}

// shutStatements keep a role from coming in.
func shutStatements(r role) []string {
	return []string{ifOurs(r, fmt.Sprintf("ALTER ROLE %s NOLOGIN", ident(r.name)))}
}

// endSessions is the query that ends a role's sessions, in one database or, if that is empty, in all, and waits until they have.
func endSessions(name, database string) string {
	query := fmt.Sprintf("SELECT count(*) FROM (SELECT pg_catalog.pg_terminate_backend(pid, 5000) FROM pg_catalog.pg_stat_activity WHERE usename = %s AND pid <> pg_catalog.pg_backend_pid()", literal(name))
	if database != "" {
		query += " AND datname = " + literal(database)
	}
	return query + ") AS ended"
}

// dropInside takes the rights of a role in a database away, if it is Perdure's; to be run there.
func dropInside(r role, g Grant) []string {
	return []string{
		ensureRole(heirRole, heirComment, "NOLOGIN"),
		ifOurs(r, fmt.Sprintf("REASSIGN OWNED BY %s TO %s", ident(r.name), heir(g)), fmt.Sprintf("DROP OWNED BY %s", ident(r.name))),
	}
}

// dropStatements remove a role.
func dropStatements(r role) []string {
	return []string{ifOurs(r, fmt.Sprintf("DROP ROLE %s", ident(r.name)))}
}

// script is statements as psql reads them: a transaction in a database.
func script(database string, statements []string) string {
	return fmt.Sprintf("\\connect %s\nBEGIN;\n%s;\nCOMMIT;\n", ident(database), strings.Join(statements, ";\n"))
}
