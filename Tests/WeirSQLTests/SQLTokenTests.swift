import Testing

@testable import WeirSQL

@Suite("The words of SQL")
struct SQLTokenTests {
    @Test(
        arguments: [
            ("a='b'", [(.word, "a"), (.symbol, "="), (.string, "'b'")]),
            ("'it''s' x'0F' xy", [(.string, "'it''s'"), (.string, "x'0F'"), (.word, "xy")]),
            ("\"a\"\"b\"[c d]`e`", [(.name, "a\"\"b"), (.name, "c d"), (.name, "e")]),
            ("1--2\n3", [(.number, "1"), (.comment, "--2"), (.number, "3")]),
            ("1/*'*/2/*", [(.number, "1"), (.comment, "/*'*/"), (.number, "2"), (.comment, "/*")]),
            ("a-b", [(.word, "a"), (.symbol, "-"), (.word, "b")]),
            ("'a", [(.unclosed, "'a")]), ("[a]]", [(.name, "a"), (.symbol, "]")]),
            ("größe_2", [(.word, "größe_2")]), ("", []), (" \t\r\n", []),
        ] as [(String, [(SQLToken.Kind, String)])])
    func `are told from strings and comments`(
        sql: String, expected: [(SQLToken.Kind, String)]
    ) {
        let found = SQLToken.all(in: sql)
        #expect(found.map(\.text) == expected.map(\.1))
        #expect(found.map(\.kind) == expected.map(\.0))
    }

    @Test(arguments: [
        ("select 1", "SELECT"), ("-- a\n(select 1)", "SELECT"), ("/* a */ with a", "WITH"),
        ("'select'", nil), ("", nil), ("; select 1", nil),
    ])
    func `say what a statement does`(sql: String, verb: String?) {
        #expect(SQLToken.all(in: sql).verb == verb)
    }

    @Test(arguments: [
        ("select a from b", []), ("select a from b where c = 'd' and e order by f", ["c", "e"]),
        ("select (select a from b where c) d where e group by f having g", ["c", "e"]),
        ("select a from b join c on d = (e) left join f on \"G\" where h", ["d", "e", "g", "h"]),
        ("select a where b in (select c from d order by e) limit f", ["b", "c", "d", "e"]),
        ("select 'where a' -- where b", []), ("select a where b union select c", ["b"]),
    ])
    func `say what conditions name`(sql: String, names: [String]) {
        let keywords = ["and", "in", "select", "from", "order", "by"]
        let found = SQLToken.all(in: sql).conditions.compactMap(\.identifier)
        #expect(found.filter { !keywords.contains($0) } == names)
    }
}
